package file

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func openBlobs(t *testing.T, dir string) *objects {
	t.Helper()
	o, err := openObjects(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// TestLeftovers: what a crashed Put left goes, what a living one writes stays.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	openBlobs(t, dir)
	tmp := filepath.Join(dir, "objects", tmpFolder)
	old, young := filepath.Join(tmp, "put-old"), filepath.Join(tmp, "put-young")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * tmpAge)
	if err := os.Chtimes(old, long, long); err != nil {
		t.Fatal(err)
	}
	openBlobs(t, dir)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an old leftover: %v", err)
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("a young leftover may be under way: %v", err)
	}
	// Who runs for long removes it too, at the next Put.
	later := time.Now()
	o, err := openObjects(dir, func() time.Time { return later })
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	later = later.Add(tmpAge + time.Minute)
	if err := o.Put(t.Context(), "a", strings.NewReader("hello"), 5, "text/plain"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(young); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a leftover of a server that runs: %v", err)
	}
}

// TestObjectForm holds the stored form of an object, and where it lies.
func TestObjectForm(t *testing.T) {
	dir := t.TempDir()
	o := openBlobs(t, dir)
	if err := o.Put(t.Context(), "a/b.c/d", strings.NewReader("hello\n"), 6, "text/plain; x=y"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "objects", "a+", "b.c+", "d")
	const golden = "miniprofile-object-1 5891b5b522d5df086d0ff0b110fbd9d2 6 text/plain; x=y\nhello\n"
	if got, err := os.ReadFile(path); err != nil || string(got) != golden {
		t.Errorf("the stored form changed: %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if left, err := os.ReadDir(o.tmp); err != nil || len(left) != 0 {
		t.Errorf("Put left %v, %v", left, err)
	}
	for _, damaged := range []string{"", "hello", golden[:len(golden)-1], golden + "x", strings.Replace(golden, "-1", "-2", 1)} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Get(t.Context(), "a/b.c/d"); err == nil || errors.Is(err, drivers.ErrNotFound) {
			t.Errorf("Get of a damaged file %q: %v", damaged, err)
		}
	}
}

// TestStrangeFiles: a List leaves alone what is not ours.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	o := openBlobs(t, dir)
	for _, folder := range []string{"lost+found", "backup", ".trash+"} {
		if err := os.Mkdir(filepath.Join(o.root, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".DS_Store", "notes+"} {
		if err := os.WriteFile(filepath.Join(o.root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Put(t.Context(), "m", strings.NewReader(""), 0, "x"); err != nil {
		t.Fatal(err)
	}
	for info, err := range o.List(t.Context(), "", "") {
		if err != nil || info.Key != "m" {
			t.Errorf("List yields %q, %v", info.Key, err)
		}
	}
	// But a folder may lie elsewhere, behind a link.
	if err := o.Put(t.Context(), "far/n", strings.NewReader(""), 0, "x"); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(t.TempDir(), "far")
	if err := errors.Join(os.Rename(filepath.Join(o.root, "far+"), elsewhere), os.Symlink(elsewhere, filepath.Join(o.root, "far+"))); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for info, err := range o.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	if !slices.Equal(keys, []string{"far/n", "m"}) {
		t.Errorf("List yields %v", keys)
	}
}

// TestObjectSyncs: what Put and Delete say is done survives a power cut, and a disk that
// does not sync is an error.
func TestObjectSyncs(t *testing.T) {
	put := func(o *objects) error { return o.Put(t.Context(), "a/b/c", strings.NewReader("x"), 1, "x") }
	remove := func(o *objects) error { return o.Delete(t.Context(), "a/b/c", "a/b/d") }
	for _, c := range []struct {
		name string
		do   func(*objects) error
		want []string // what is synced, in order
	}{
		{"put", put, []string{".tmp/put-*", ".", "a+", "a+/b+"}},
		{"put beside another", func(o *objects) error { return errors.Join(put(o), put(o)) }, []string{".tmp/put-*", ".", "a+", "a+/b+", ".tmp/put-*", "a+/b+"}},
		{"delete", func(o *objects) error { return errors.Join(put(o), remove(o)) }, []string{".tmp/put-*", ".", "a+", "a+/b+", "a+/b+"}},
	} {
		var synced []string
		o := openBlobs(t, t.TempDir())
		fails := -1
		o.sync = func(f *os.File) error {
			if len(synced) == fails {
				return errors.New("the disk fails")
			}
			name, _ := filepath.Rel(o.root, f.Name())
			synced = append(synced, name)
			return f.Sync()
		}
		if err := c.do(o); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(synced, c.want, func(name, pattern string) bool { ok, _ := filepath.Match(pattern, filepath.ToSlash(name)); return ok }) {
			t.Errorf("%s syncs %v, want %v", c.name, synced, c.want)
		}
		for fails = range c.want {
			synced = nil
			failing := openBlobs(t, t.TempDir())
			failing.sync = o.sync
			if err := c.do(failing); err == nil {
				t.Errorf("%s: sync %d fails, and it says nothing", c.name, fails)
			}
		}
	}
}
