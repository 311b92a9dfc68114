package drivers_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestReadOnly: what is read-only refuses each write, checks it first, and reads
// as before.
func TestReadOnly(t *testing.T) {
	space := memory.New()
	ctx := t.Context()
	if err := space.OpenStore().Commit(ctx, drivers.Create(thing, json.RawMessage(`{"a":1}`), time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := space.OpenObjects().Put(ctx, "a", strings.NewReader("x"), 1, "text/plain"); err != nil {
		t.Fatal(err)
	}
	store, objects := drivers.ReadOnlyStore(space.OpenStore()), drivers.ReadOnlyObjects(space.OpenObjects())
	found, err := store.Get(ctx, thing)
	if err != nil || !found[0].Exists() {
		t.Fatalf("get %v, %v", found, err)
	}
	other := drivers.Key{Kind: "others", ID: "a"}
	for name, err := range map[string]error{
		"create":  store.Commit(ctx, drivers.Create(other, json.RawMessage(`{}`), time.Time{})),
		"replace": store.Commit(ctx, drivers.Replace(found[0], json.RawMessage(`{}`), time.Time{})),
		"delete":  store.Commit(ctx, drivers.Delete(found[0])),
		"put":     objects.Put(ctx, "a", strings.NewReader("y"), 1, "text/plain"),
		"remove":  objects.Delete(ctx, "a"),
	} {
		if !errors.Is(err, drivers.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"commit": store.Commit(ctx),
		"put":    objects.Put(ctx, "/", nil, 1, "text/plain"),
		"delete": objects.Delete(ctx, "/"),
	} {
		if !errors.Is(err, drivers.ErrInvalid) {
			t.Errorf("invalid %s: %v", name, err)
		}
	}
	if kinds, err := drivers.Kinds(ctx, store); err != nil || !slices.Equal(kinds, []string{"things"}) {
		t.Errorf("kinds %v, %v", kinds, err)
	}
	if o, err := objects.Get(ctx, "a"); err != nil || o.Size != 1 {
		t.Errorf("get %v, %v", o, err)
	}
	if _, err := drivers.Kinds(ctx, drivers.ReadOnlyStore(struct{ drivers.Store }{store})); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("kinds of a store that cannot tell: %v", err)
	}
}
