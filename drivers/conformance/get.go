package conformance

import (
	"github.com/miniprofile/miniprofile/drivers"
)

func testGet(t tester, open func() drivers.Store) {
	s := open()
	a, b, missing := key("things", "a"), key("others", "a"), key("things", "b")
	commit(t, s, create(a, 1), create(b, 2))
	if found, err := s.Get(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("no keys is no error: got %v, %v", found, err)
	}
	found := get(t, s, missing, b, a, missing, a, key("nothing", "a"))
	for i, want := range []int{-1, 2, 1, -1, 1, -1} {
		r := found[i]
		switch {
		case want < 0 && (r.Exists() || r.Data != nil || !r.Expires.IsZero()):
			t.Errorf("Get returns a Record with its Key and no Revision where nothing is stored: got %+v", r)
		case want >= 0 && (!r.Exists() || numberOf(r) != want):
			t.Errorf("Get returns the records of keys, in their order; a key may come twice: at %d got %v %q %s", i, r.Key, r.Revision, r.Data)
		}
	}
	if found[2].Revision != found[4].Revision {
		t.Errorf("a key may come twice: revisions %q and %q", found[2].Revision, found[4].Revision)
	}
	commit(t, s, drivers.Delete(found[2]))
	if r := get1(t, s, a); r.Exists() {
		t.Errorf("a deleted record is not stored: got %+v", r)
	}
	if r := get1(t, s, b); numberOf(r) != 2 {
		t.Errorf("kinds are apart: deleting %v changed %v", a, b)
	}
}
