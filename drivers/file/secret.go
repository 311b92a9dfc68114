package file

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Secret returns the secret that is kept in the folder that u names, beside the
// records, in PATH/secret. When there is none it makes one: 32 random bytes as
// base64url text, readable by the owner only, fsynced before Secret returns. Any
// number of processes may call it at once and get the same. A secret that is
// there is returned as it is, without the white space around it; an empty one is
// an error, for it was not made here.
func Secret(u *url.URL) (string, error) {
	dir, err := folder(u)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "secret")
	secret, err := readSecret(path)
	if !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	if err := makeSecret(dir, path); err != nil {
		return "", fmt.Errorf("make secret: %w", err)
	}
	return readSecret(path)
}

// SecretPath returns where Secret keeps the secret of the folder that u names. It
// makes nothing.
func SecretPath(u *url.URL) (string, error) {
	dir, err := Folder(u)
	return filepath.Join(dir, "secret"), err
}

func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty: restore it, or remove it if nobody has an account yet", path)
	}
	return secret, nil
}

func makeSecret(dir, path string) error {
	f, err := os.CreateTemp(dir, ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	random := make([]byte, 32)
	rand.Read(random) // never fails
	if _, err := f.WriteString(base64.RawURLEncoding.EncodeToString(random) + "\n"); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return nameFirst(f.Name(), path)
}
