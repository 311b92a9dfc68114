package file

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/miniprofile/miniprofile/drivers"
)

// OpenStoreForReading opens the store in the folder that u names, for reading
// alone; a drivers.Opener. It changes nothing there, not even what has expired,
// and does not make what is missing: that is an error. Others may read the store
// at the same time and nobody can write it. Its Commit is drivers.ErrReadOnly.
func OpenStoreForReading(_ context.Context, u *url.URL) (drivers.Store, error) {
	dir, err := place(u)
	if err != nil {
		return nil, err
	}
	if err := exists(u, StoreName); err != nil {
		return nil, fmt.Errorf("no store: %w", err)
	}
	db, err := openDB(dir, true)
	if err != nil {
		return nil, err
	}
	m, _, err := readMark(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	left, _, err := replay(dir, m)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// No committer and no sweeper: nothing comes to them.
	return drivers.ReadOnlyStore(&store{
		db: db, readers: readers{db: db}, newer: left, queue: make(chan *commit), stop: func() {},
	}), nil
}

// OpenObjectsForReading opens the objects in the folder that u names, for reading
// alone; a drivers.Opener. Others may write them meanwhile. That there are none is
// an error.
func OpenObjectsForReading(_ context.Context, u *url.URL) (drivers.Objects, error) {
	if err := exists(u, "objects"); err != nil {
		return nil, fmt.Errorf("no objects: %w", err)
	}
	dir, err := place(u)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "objects")
	return drivers.ReadOnlyObjects(&objects{root: root, tmp: filepath.Join(root, tmpFolder)}), nil
}

// OpenExistingStore is OpenStore for whoever must not make what is missing: that is an
// error, which is os.ErrNotExist and names the absolute path.
func OpenExistingStore(ctx context.Context, u *url.URL) (drivers.Store, error) {
	if err := exists(u, StoreName); err != nil {
		return nil, err
	}
	return OpenStore(ctx, u)
}

// OpenExistingObjects is OpenObjects for whoever must not make what is missing.
func OpenExistingObjects(ctx context.Context, u *url.URL) (drivers.Objects, error) {
	if err := exists(u, "objects"); err != nil {
		return nil, err
	}
	return OpenObjects(ctx, u)
}

// exists returns an error when name is not in the folder that u names.
func exists(u *url.URL, name string) error {
	dir, err := Folder(u)
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, name))
	}
	return err
}
