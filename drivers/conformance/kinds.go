package conformance

import (
	"errors"
	"slices"

	"github.com/miniprofile/miniprofile/drivers"
)

// testKinds is about an ability: a store that cannot tell its kinds passes.
func testKinds(t tester, open func() drivers.Store) {
	s := open()
	for _, want := range [][]string{nil, {"things"}, {"others", "things"}, {"others"}, nil} {
		var ops []drivers.Op
		for _, kind := range []string{"things", "others"} {
			switch r := get1(t, s, key(kind, "a")); {
			case r.Exists() && !slices.Contains(want, kind):
				ops = append(ops, drivers.Delete(r))
			case !r.Exists() && slices.Contains(want, kind):
				ops = append(ops, create(r.Key, 1))
			}
		}
		if len(ops) > 0 {
			commit(t, s, ops...)
		}
		kinds, err := drivers.Kinds(t.Context(), s)
		if errors.Is(err, errors.ErrUnsupported) {
			return
		}
		if err != nil || !slices.Equal(kinds, want) {
			t.Errorf("Kinds are those of which a record is stored, in order: got %v, %v, want %v", kinds, err, want)
		}
	}
}
