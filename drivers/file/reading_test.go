package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
)

// TestReading: a store may be read by many or written by one, never both; who
// reads changes no byte of it and makes nothing that is missing.
func TestReading(t *testing.T) {
	dir := t.TempDir()
	u := &url.URL{Scheme: "file", Path: dir}
	ctx := t.Context()
	s := open(t, dir, time.Now, nil)
	if kinds, err := s.Kinds(ctx); err != nil || len(kinds) != 0 {
		t.Errorf("an empty store has kinds %v, %v", kinds, err)
	}
	gone := drivers.Key{Kind: "gone", ID: "a"}
	err := s.Commit(ctx, create(1, start), create(2, time.Time{}), drivers.Create(gone, json.RawMessage(`{}`), time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Get(ctx, gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx, drivers.Delete(found[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStoreForReading(ctx, u); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("reading beside a writer: %v", err)
	}
	s.Close()
	before, err := os.ReadFile(filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}

	a, err := OpenStoreForReading(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenStoreForReading(ctx, u)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStore(dir, time.Now, nil); err == nil {
		t.Error("writing beside a reader")
	}
	for _, r := range []drivers.Store{a, b} {
		n := 0
		for record, err := range r.Scan(ctx, "things", "", "") {
			if err != nil || !record.Exists() {
				t.Fatal(record, err)
			}
			n++
		}
		if n != 2 {
			t.Errorf("%d records, want 2, the expired one too", n)
		}
		if kinds, err := drivers.Kinds(ctx, r); err != nil || !slices.Equal(kinds, []string{"things"}) {
			t.Errorf("kinds %v, %v", kinds, err)
		}
		if err := r.Commit(ctx, create(3, time.Time{})); !errors.Is(err, drivers.ErrReadOnly) {
			t.Errorf("commit: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, err := r.Get(ctx, gone); !errors.Is(err, drivers.ErrClosed) {
			t.Errorf("get after close: %v", err)
		}
	}
	if after, err := os.ReadFile(filepath.Join(dir, "store.db")); err != nil || !slices.Equal(after, before) {
		t.Errorf("the file has changed, %v", err)
	}
	open(t, dir, time.Now, nil)
}

// TestReadingWhatIsMissing: a misspelt path is an error and makes no folder.
func TestReadingWhatIsMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	u := &url.URL{Scheme: "file", Path: dir}
	if _, err := OpenStoreForReading(t.Context(), u); err == nil {
		t.Error("opened a store that is not there")
	}
	if _, err := OpenObjectsForReading(t.Context(), u); err == nil {
		t.Error("opened objects that are not there")
	}
	if _, err := OpenExistingStore(t.Context(), u); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, "store.db")) {
		t.Errorf("an existing store that is not there: %v", err)
	}
	if _, err := OpenExistingObjects(t.Context(), u); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("existing objects that are not there: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("made %s: %v", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	written, err := OpenObjects(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if err := written.Put(t.Context(), "a", strings.NewReader("x"), 1, "text/plain"); err != nil {
		t.Fatal(err)
	}
	o, err := OpenObjectsForReading(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if object, err := o.Get(t.Context(), "a"); err != nil || object.Size != 1 {
		t.Errorf("get %v, %v", object, err)
	}
	if err := o.Delete(t.Context(), "a"); !errors.Is(err, drivers.ErrReadOnly) {
		t.Errorf("delete: %v", err)
	}
}

// TestDamaged: a file that was cut off or overwritten is told for what it is, for
// reading and for writing, and what is whole is not.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	for i := range 200 {
		if err := s.Commit(t.Context(), create(i, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	good, err := os.ReadFile(filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDB(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	used, page := 0, db.Info().PageSize // beyond what is used, nothing is lost
	if err := db.View(func(tx *bbolt.Tx) error { used = int(tx.Size()); return nil }); err != nil {
		t.Fatal(err)
	}
	db.Close()
	spoilt := map[string][]byte{"text": []byte("this is no store"), "zeros": make([]byte, len(good))}
	for size := 0; size < used; size += page / 2 {
		spoilt[fmt.Sprint("cut off at ", size)] = good[:size]
	}
	for name, text := range spoilt {
		for _, readOnly := range []bool{false, true} {
			dir := t.TempDir() // a panic leaves the lock behind
			if err := os.WriteFile(filepath.Join(dir, "store.db"), text, 0o600); err != nil {
				t.Fatal(err)
			}
			if db, err := openDB(dir, readOnly); !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, read-only %t: %v", name, readOnly, err)
				if db != nil {
					db.Close()
				}
			}
		}
	}
	if s, err := OpenExistingStore(t.Context(), &url.URL{Scheme: "file", Path: dir}); err != nil {
		t.Errorf("a whole one: %v", err)
	} else {
		s.Close()
	}
}
