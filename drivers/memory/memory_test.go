package memory_test

import (
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

func TestStore(t *testing.T) {
	conformance.TestStore(t, func(*testing.T) func() (drivers.Store, error) {
		space := memory.New()
		return func() (drivers.Store, error) { return space.OpenStore(), nil }
	})
}

func TestObjects(t *testing.T) {
	conformance.TestObjects(t, func(*testing.T) func() (drivers.Objects, error) {
		space := memory.New()
		return func() (drivers.Objects, error) { return space.OpenObjects(), nil }
	})
}

func TestURL(t *testing.T) {
	stores := map[string]drivers.Opener[drivers.Store]{"memory": memory.OpenStore}
	blobs := map[string]drivers.Opener[drivers.Objects]{"memory": memory.OpenObjects}
	for rawURL, ok := range map[string]bool{
		"memory:": true, "memory://": true, "memory:x": false, "memory:/x": false, "memory://x": false, "memory://u@": false, "memory:?a=1": false, "memory:#x": false,
	} {
		if _, err := drivers.Open(t.Context(), rawURL, stores); (err == nil) != ok {
			t.Errorf("store %s: %v", rawURL, err)
		}
		if _, err := drivers.Open(t.Context(), rawURL, blobs); (err == nil) != ok {
			t.Errorf("objects %s: %v", rawURL, err)
		}
	}
}

// TestReplicas: what is opened on one space shares it, and closes for itself.
func TestReplicas(t *testing.T) {
	space := memory.New()
	a, b := space.OpenStore(), space.OpenStore()
	k := drivers.Key{Kind: "things", ID: "k"}
	if err := a.Commit(t.Context(), drivers.Create(k, []byte(`{}`), time.Time{})); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if found, err := b.Get(t.Context(), k); err != nil || !found[0].Exists() {
		t.Errorf("the other replica sees %v, %v", found, err)
	}
}
