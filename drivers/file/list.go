package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

// errStopped: the loop body wants no more.
var errStopped = errors.New("stopped")

// list is one walk over the objects, folder after folder, in the order of keys.
type list struct {
	objects       *objects
	ctx           context.Context
	prefix, after string
	yield         func(drivers.ObjectInfo, error) bool
}

// folder yields the objects in dir, whose keys begin with base.
func (l *list) folder(dir, base string) error {
	names, err := l.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		key := base + name // of an object, or the beginning of those in a folder
		if !strings.HasPrefix(key, l.prefix) && !(strings.HasSuffix(key, "/") && strings.HasPrefix(l.prefix, key)) {
			continue
		}
		segment, isFolder := strings.CutSuffix(name, "/")
		switch {
		case isFolder && (key > l.after || strings.HasPrefix(l.after, key)):
			err = l.folder(filepath.Join(dir, segment+folderMark), key)
		case !isFolder && key > l.after:
			err = l.object(filepath.Join(dir, name), key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// names returns the segments in dir, those of folders with a slash, which gives
// them the order of the keys: a-b is before a/b is before a0.
func (l *list) names(dir string) ([]string, error) {
	if err := l.objects.gate.Enter(l.ctx); err != nil {
		return nil, err
	}
	defer l.objects.gate.Leave()
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	var names []string
	for _, e := range entries {
		segment, isFolder := strings.CutSuffix(e.Name(), folderMark)
		// A link, perhaps to a larger disk, may stand for a folder.
		if isFolder && e.Type().IsRegular() || !isFolder && e.IsDir() || drivers.CheckObjectKey(segment) != nil {
			continue // not ours, to be left alone: .tmp, .DS_Store, lost+found, backup
		}
		if isFolder {
			segment += "/"
		}
		names = append(names, segment)
	}
	slices.Sort(names)
	return names, nil
}

// object yields one object, unless it has gone.
func (l *list) object(path, key string) error {
	if err := l.objects.gate.Enter(l.ctx); err != nil {
		return err
	}
	object, err := openObject(path, key)
	if err == nil {
		err = object.Close()
	}
	l.objects.gate.Leave()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("list %s: %w", key, err)
	case !l.yield(object.ObjectInfo, nil):
		return errStopped
	}
	return nil
}
