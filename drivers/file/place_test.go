package file_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miniprofile/miniprofile/drivers/file"
)

func TestURL(t *testing.T) {
	base := t.TempDir()
	t.Chdir(base)
	for rawURL, want := range map[string]string{ // want: the folder, or the error
		"file:data":                         "data",
		"file:./dot":                        "dot",
		"file:deep/er/../folder":            "deep/folder",
		"file:per%20cent%2Fed":              "per cent/ed",
		"file:" + base + "/absolute":        "absolute",
		"file://" + base + "/three/slashes": "three/slashes",
		"file:":                             "error: file: needs a path, such as file:data",
		"file://":                           "error: file: needs a path, such as file:data",
		"file://host/x":                     "error: file: takes no host; an absolute path is file:///PATH",
		"file://me@/x":                      "error: file: takes no host; an absolute path is file:///PATH",
		"file:data?sync=off":                `error: unknown parameter "sync": this driver has none`,
		"file:data#x":                       "error: a fragment (#…) has no meaning here",
	} {
		u, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		s, err := file.OpenStore(t.Context(), u)
		o, errObjects := file.OpenObjects(t.Context(), u)
		if message, ok := strings.CutPrefix(want, "error: "); ok {
			if err == nil || err.Error() != message || errObjects == nil || errObjects.Error() != message {
				t.Errorf("%s: errors %v and %v, want %s", rawURL, err, errObjects, message)
			}
			continue
		}
		if err != nil || errObjects != nil {
			t.Errorf("%s: %v, %v", rawURL, err, errObjects)
			continue
		}
		for name, mode := range map[string]os.FileMode{want: 0o700 | os.ModeDir, want + "/store.db": 0o600, want + "/objects": 0o700 | os.ModeDir} {
			if info, err := os.Stat(filepath.Join(base, name)); err != nil || info.Mode() != mode {
				t.Errorf("%s: %s is %v, %v, want mode %v", rawURL, name, info, err, mode)
			}
		}
		s.Close()
		o.Close()
	}
	os.WriteFile("plain", nil, 0o600)
	if _, err := file.OpenStore(t.Context(), &url.URL{Scheme: "file", Opaque: "plain"}); err == nil {
		t.Error("a file for a folder is no error")
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s, err := file.OpenStore(t.Context(), at(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.OpenStore(t.Context(), at(dir)); !errors.Is(err, file.ErrInUse) || !strings.Contains(err.Error(), "another process has") {
		t.Errorf("opening a store that is open: %v", err)
	}
	s.Close()
	if s, err = file.OpenStore(t.Context(), at(dir)); err != nil {
		t.Fatalf("opening a store that was closed: %v", err)
	}
	s.Close()
}

func TestSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var secrets [16]string
	var wait sync.WaitGroup
	for i := range secrets {
		wait.Go(func() {
			var err error
			if secrets[i], err = file.Secret(at(dir)); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, secret := range secrets {
		if b, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(b) != 32 || secret != secrets[0] {
			t.Errorf("secrets made at once: %d bytes, %v, all equal %v", len(b), err, secret == secrets[0])
		}
	}
	path := filepath.Join(dir, "secret")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the secret's file: %v, %v", info, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("beside the secret lies something: %v", entries)
	}
	other, err := file.Secret(at(t.TempDir()))
	if err != nil || other == secrets[0] {
		t.Errorf("another folder has another secret: %v", err)
	}
	for text, want := range map[string]string{"  given\n": "given", "new,old\n": "new,old", "": "", " \n": ""} {
		os.WriteFile(path, []byte(text), 0o600)
		if got, err := file.Secret(at(dir)); got != want || (err == nil) != (want != "") {
			t.Errorf("a secret of %q: got %q, %v", text, got, err)
		}
	}
}

// TestCanMake: it tries where the folder would be made, and leaves nothing behind.
func TestCanMake(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for _, path := range []string{base, base + "/a", base + "/a/b/c"} {
		if err := file.CanMake(&url.URL{Scheme: "file", Path: path}); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(base); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if err := os.WriteFile(base+"/plain", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.CanMake(&url.URL{Scheme: "file", Path: base + "/plain"}); err == nil {
		t.Error("makes a folder in a file")
	}
}
