package file_test

import (
	"net/url"
	"testing"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/file"
)

func at(dir string) *url.URL { return &url.URL{Scheme: "file", Path: dir} }

func TestStore(t *testing.T) {
	conformance.TestStore(t, func(t *testing.T) func() (drivers.Store, error) {
		dir := t.TempDir()
		return func() (drivers.Store, error) { return file.OpenStore(t.Context(), at(dir)) }
	})
}

func TestObjects(t *testing.T) {
	conformance.TestObjects(t, func(t *testing.T) func() (drivers.Objects, error) {
		dir := t.TempDir()
		return func() (drivers.Objects, error) { return file.OpenObjects(t.Context(), at(dir)) }
	})
}

func TestStoreCrash(t *testing.T) {
	conformance.CrashStore(t, (*testing.T).TempDir, func(dir string) (drivers.Store, error) {
		return file.OpenStore(t.Context(), at(dir))
	})
}

func TestObjectsCrash(t *testing.T) {
	conformance.CrashObjects(t, (*testing.T).TempDir, func(dir string) (drivers.Objects, error) {
		return file.OpenObjects(t.Context(), at(dir))
	})
}
