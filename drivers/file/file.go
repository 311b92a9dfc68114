// Package file keeps records and objects in a folder of this machine, in an
// embedded database and in plain files. It needs no server.
//
// # URL
//
//	file:PATH
//
// PATH is a folder, made with mode 0700 when it is missing: relative to the
// working directory (file:data, file:./data) or absolute (file:/var/lib/x,
// file:///var/lib/x), percent-encoded where it must be. A host or a parameter is
// an error. Store and objects may share one PATH; the core's secret lies there too.
//
//	PATH/store.db    the records (bbolt)
//	PATH/journal-N   commits that store.db has not got yet; none after Close, unless
//	                 the disk was full or failed
//	PATH/objects/    the objects
//	PATH/secret      see Secret
//
// # Promises
//
// Those of drivers.Store and drivers.Objects, and:
//
// The store is for one process at a time; opening it in a second one is an error
// at once. Any number of processes may have it open for reading alone
// (OpenStoreForReading), as long as none has it open otherwise. The objects have no
// such lock: any number of processes may use them.
//
// A Commit that returned nil has been fsynced, to a journal; commits that wait for
// the disk at the same time share one fsync. No Get or Scan sees one before that.
// The database gets what is in a journal in the background, when that is as long as an
// eighth of the database, though not before 8 MiB nor after 32, and at Close; what a crash
// leaves, the next process reads, and gives to it in the same way. A journal that no
// crash can have left so, or of another store, is ErrDamaged; it is not touched, and
// neither is one of a newer release.
//
// When the disk fails, nobody knows what is on it, and asking again tells the
// operating system's hopes, not the disk's contents. So after an error of the
// disk, other than that it is full, every method of the store returns that error
// until the store is opened anew. A full disk fails single commits only: those that
// the journal has no room for, and, when the database cannot take in the journal
// before, those after twice the length of a journal more.
//
// A record is dropped an hour or more, usually within two, after it expired.
// Folders of objects stay when the last object in them is gone.
package file

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/miniprofile/miniprofile/drivers"
)

// folder returns the folder that u names, and makes it.
func folder(u *url.URL) (string, error) {
	path, err := place(u)
	if err != nil {
		return "", err
	}
	return path, makeFolder(path)
}

// CheckURL returns what is wrong with a URL of a store or of objects. It opens and makes
// nothing.
func CheckURL(u *url.URL) error {
	_, err := place(u)
	return err
}

// Folder returns the absolute path of the folder that u names, which need not exist.
func Folder(u *url.URL) (string, error) {
	path, err := place(u)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// place returns the folder that u names.
func place(u *url.URL) (string, error) {
	if u.Host != "" || u.User != nil {
		return "", fmt.Errorf("file: takes no host; an absolute path is file:///PATH")
	}
	if err := drivers.CheckParameters(u); err != nil {
		return "", err
	}
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", errors.New("file: malformed path")
		}
	}
	if path == "" {
		return "", errors.New("file: needs a path, such as file:data")
	}
	return filepath.Clean(filepath.FromSlash(path)), nil
}

// makeFolder makes path and what is missing above it. Each folder made is synced
// into the one above.
func makeFolder(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is no folder", path)
	case err == nil || !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(path), (*os.File).Sync)
}

// StoreName is the file of a folder without which there is no store.
const StoreName = "store.db"

// CanMake returns why the folder that u names, or something in it, could not be made:
// in the nearest folder that there is, it makes one and removes it again.
func CanMake(u *url.URL) error {
	path, err := Folder(u)
	if err != nil {
		return err
	}
	for {
		tried, err := os.MkdirTemp(path, ".probe-*")
		if err == nil {
			return os.Remove(tried)
		}
		above := filepath.Dir(path)
		if _, missing := os.Lstat(path); !errors.Is(missing, os.ErrNotExist) || above == path {
			return err
		}
		path = above
	}
}

// nameFirst gives the whole file from the name to as well, unless another process was
// faster: then that one's stays. Unlike a rename, a link never replaces anything.
func nameFirst(from, to string) error {
	if err := os.Link(from, to); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(filepath.Dir(to), (*os.File).Sync)
}

// syncFolder makes the names in a folder survive a power cut. sync is (*os.File).Sync, but
// in tests.
func syncFolder(path string, sync func(*os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return sync(f)
}
