package conformance

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func testStoreReopen(t tester, open func() drivers.Store) {
	s := open()
	ks := keys("things", "k", 20)
	createAll(t, s, ks)
	commit(t, s, mixed(get(t, s, ks...)[:10], keys("others", "k", 10))...)
	r := get1(t, s, ks[15])
	commit(t, s, drivers.Replace(r, r.Data, time.Date(2999, 1, 2, 3, 4, 5, 6000, time.UTC)))
	all := append(ks, keys("others", "k", 10)...)
	want := get(t, s, all...)
	for i := range 3 {
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		s = open()
		same(t, "a Commit that returned nil survives: reopened", get(t, s, all...), want)
		r := get1(t, s, ks[15]) // what was read before is a valid If after
		commit(t, s, replace(want[15], i))
		wantErr(t, "a stale If does not hold: reopened", s.Commit(t.Context(), replace(r, i)), drivers.ErrConflict)
		want = get(t, s, all...)
	}
}

func testObjectsReopen(t tester, open func() drivers.Objects) {
	o := open()
	want := make(map[string]string)
	for i := range 10 {
		name := fmt.Sprintf("a/%d/b", i)
		put(t, o, name, "first")
		switch i % 3 {
		case 0:
			put(t, o, name, "second")
			want[name] = "second"
		case 1:
			want[name] = "first"
		case 2:
			if err := o.Delete(t.Context(), name); err != nil {
				t.Fatalf("Delete: %v", err)
			}
		}
	}
	object := look(t, o, "a/0/b")
	for range 2 {
		if err := o.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		o = open()
		if got := list(t, o, "", ""); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("durability is Put's and Delete's promise: reopened, there are %q", got)
		}
		for name, content := range want {
			if got := read(t, o, name); got != content {
				t.Errorf("durability is Put's promise: reopened, %s is %q, want %q", name, got, content)
			}
		}
		wantSame(t, "an object that nobody writes keeps ETag and Modified, reopened too", look(t, o, "a/0/b"), object)
	}
}
