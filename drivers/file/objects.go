package file

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/exact"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

// The object of key a/b is the file objects/a+/b. Keys have no plus, so the
// object a and the folder of the objects below a never meet; and none begins
// with a dot, so .tmp is free for what is not complete.
const (
	folderMark = "+"
	tmpFolder  = ".tmp"
	tmpAge     = time.Hour // an incomplete file not written to for so long has lost its writer
)

// OpenObjects opens the objects in the folder that u names, and makes it when it
// is missing; a drivers.Opener.
func OpenObjects(_ context.Context, u *url.URL) (drivers.Objects, error) {
	dir, err := folder(u)
	if err != nil {
		return nil, err
	}
	return openObjects(dir, time.Now)
}

func openObjects(dir string, now func() time.Time) (*objects, error) {
	root := filepath.Join(dir, "objects")
	tmp := filepath.Join(root, tmpFolder)
	if err := makeFolder(tmp); err != nil {
		return nil, err
	}
	o := &objects{root: root, tmp: tmp, now: now, sync: (*os.File).Sync}
	if err := o.tidy(); err != nil {
		return nil, err
	}
	return o, nil
}

// tidy removes leftovers, unless it did so in the last tmpAge.
func (o *objects) tidy() error {
	now, last := o.now(), o.tidied.Load()
	if now.Sub(time.Unix(last, 0)) < tmpAge || !o.tidied.CompareAndSwap(last, now.Unix()) {
		return nil
	}
	return removeLeftovers(o.tmp, now.Add(-tmpAge))
}

// removeLeftovers removes what crashed Puts left. A Put of another process may
// be under way; its file is young, and were it not, that Put would fail, no more.
func removeLeftovers(tmp string, before time.Time) error {
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(filepath.Join(tmp, e.Name()))
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

type objects struct {
	gate      gate.Gate
	root, tmp string
	now       func() time.Time
	tidied    atomic.Int64         // when, in Unix seconds
	synced    sync.Map             // folders known to survive a power cut; none is ever removed
	sync      func(*os.File) error // os.File.Sync; tests put a failing disk here
}

func (o *objects) path(key string) string {
	return filepath.Join(o.root, filepath.FromSlash(strings.ReplaceAll(key, "/", folderMark+"/")))
}

func (o *objects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if err := drivers.CheckPut(key, size, contentType); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	if err := o.tidy(); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	if err := o.put(ctx, key, r, size, contentType); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (o *objects) put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	f, err := os.CreateTemp(o.tmp, "put-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // in vain after the rename
	defer f.Close()
	if err := writeObject(f, exact.Reader(ctx, r, size), size, contentType); err != nil {
		return err
	}
	if err := o.sync(f); err != nil {
		return err
	}
	path := o.path(key)
	dir := filepath.Dir(path)
	if err := o.makeFolder(dir); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(dir, o.sync)
}

// makeFolder makes dir, and syncs it into its parents also when it was there:
// another Put may have made it and not synced it yet.
func (o *objects) makeFolder(dir string) error {
	if _, ok := o.synced.Load(dir); ok || dir == o.root {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := o.makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := syncFolder(parent, o.sync); err != nil {
		return err
	}
	o.synced.Store(dir, nil)
	return nil
}

func (o *objects) Get(ctx context.Context, key string) (drivers.Object, error) {
	if err := drivers.CheckObjectKey(key); err != nil {
		return drivers.Object{}, err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return drivers.Object{}, err
	}
	defer o.gate.Leave()
	object, err := openObject(o.path(key), key)
	if errors.Is(err, os.ErrNotExist) {
		err = drivers.ErrNotFound
	}
	if err != nil {
		return drivers.Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	return object, nil
}

func (o *objects) Delete(ctx context.Context, keys ...string) error {
	if err := drivers.CheckObjectKey(keys...); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	folders := make(map[string]bool)
	for _, key := range keys {
		path := o.path(key)
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete %s: %w", key, err)
		}
		// Also when it was gone: whoever removed it may not have synced yet.
		folders[filepath.Dir(path)] = true
	}
	for dir := range folders {
		if err := syncFolder(dir, o.sync); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("delete: %w", err)
		}
	}
	return nil
}

func (o *objects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return func(yield func(drivers.ObjectInfo, error) bool) {
		if err := drivers.CheckObjectPrefix(prefix, after); err != nil {
			yield(drivers.ObjectInfo{}, err)
			return
		}
		l := list{objects: o, ctx: ctx, prefix: prefix, after: after, yield: yield}
		if err := l.folder(o.root, ""); err != nil && err != errStopped {
			yield(drivers.ObjectInfo{}, err)
		}
	}
}

func (o *objects) Close() error {
	o.gate.Shut()
	return nil
}

// An object's file begins with one line,
//
//	miniprofile-object-1 ETAG SIZE TYPE
//
// then come its bytes. One file each, so that one rename replaces all of it.
const (
	magic     = "miniprofile-object-1"
	etagSize  = 32
	maxHeader = len(magic) + etagSize + drivers.MaxContentType + 32
)

func header(etag string, size int64, contentType string) string {
	return fmt.Sprintf("%s %s %d %s\n", magic, etag, size, contentType)
}

// writeObject writes the bytes first and then the header, which has their hash,
// into the room left for it.
func writeObject(f *os.File, r io.Reader, size int64, contentType string) error {
	blank := header(strings.Repeat("-", etagSize), size, contentType)
	w := bufio.NewWriterSize(f, 64<<10)
	hash := sha256.New()
	if _, err := w.WriteString(blank); err != nil {
		return err
	}
	if _, err := io.Copy(io.MultiWriter(w, hash), r); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	etag := hex.EncodeToString(hash.Sum(nil))[:etagSize]
	_, err := f.WriteAt([]byte(header(etag, size, contentType)), 0)
	return err
}

func openObject(path, key string) (drivers.Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return drivers.Object{}, err
	}
	object, err := readObject(f, key)
	if err != nil {
		f.Close()
	}
	return object, err
}

func readObject(f *os.File, key string) (drivers.Object, error) {
	stat, err := f.Stat()
	if err != nil {
		return drivers.Object{}, err
	}
	b := make([]byte, maxHeader)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return drivers.Object{}, err
	}
	line, _, ok := strings.Cut(string(b[:n]), "\n")
	fields := strings.SplitN(line, " ", 4) // a content type may have spaces
	if !ok || len(fields) != 4 || fields[0] != magic {
		return drivers.Object{}, errors.New("the file is no object")
	}
	start := int64(len(line) + 1)
	size := stat.Size() - start
	if line+"\n" != header(fields[1], size, fields[3]) {
		return drivers.Object{}, errors.New("the file is damaged")
	}
	return drivers.Object{
		ReadSeekCloser: section{io.NewSectionReader(f, start, size), f},
		ObjectInfo:     drivers.ObjectInfo{Key: key, Size: size, Modified: stat.ModTime().UTC()},
		ETag:           fields[1],
		ContentType:    fields[3],
	}, nil
}

// section is the part of an open file that holds the object's bytes.
type section struct {
	*io.SectionReader
	io.Closer
}
