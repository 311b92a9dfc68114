package conformance

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const revisionPromise = "equal revisions of a key promise equal data and expiry"

func testRevisions(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	commit(t, s, create(k, 1))
	first := get1(t, s, k)
	if !first.Exists() {
		t.Fatalf("the empty Revision means that nothing is stored: a created record has it")
	}
	commit(t, s, create(key("things", "other"), 1))
	same(t, "a record that nobody writes keeps its revision", get(t, s, k), []drivers.Record{first})
	same(t, "Scan and Get give one revision", scan(t, s, "things", "k", ""), []drivers.Record{first})

	commit(t, s, replace(first, 2))
	second := get1(t, s, k)
	if second.Revision == first.Revision {
		t.Errorf("%s: new data has the old revision", revisionPromise)
	}
	commit(t, s, drivers.Replace(second, number(2), time.Unix(4e9, 0)))
	third := get1(t, s, k)
	if third.Revision == second.Revision {
		t.Errorf("%s: a new expiry has the old revision", revisionPromise)
	}
	commit(t, s, drivers.Replace(third, number(2), time.Unix(4e9, 0))) // the same again: it must work, revision new or not
	commit(t, s, replace(get1(t, s, k), 3))
}

// testRevisionsNeverReturn looks for a revision that comes back with other data
// (ABA), across deletes and reopening: a stale If would hold.
func testRevisionsNeverReturn(t tester, open func() drivers.Store) {
	k := key("things", "k")
	seen := make(map[drivers.Revision]int)
	var stale []drivers.Record
	n := 0
	for reopened := range 3 {
		s := open()
		for range 8 {
			old := get1(t, s, k)
			if old.Exists() && n%2 == 0 {
				commit(t, s, drivers.Delete(old))
				old = get1(t, s, k)
			}
			n++
			commit(t, s, replace(old, n))
			now := get1(t, s, k)
			if was, ok := seen[now.Revision]; ok {
				t.Fatalf("%s: revision %q was %d and now is %d, reopened %d times", revisionPromise, now.Revision, was, n, reopened)
			}
			seen[now.Revision] = n
			for _, old := range stale {
				wantErr(t, "a stale If does not hold: replace", s.Commit(t.Context(), replace(old, -1)), drivers.ErrConflict)
				wantErr(t, "a stale If does not hold: delete", s.Commit(t.Context(), drivers.Delete(old)), drivers.ErrConflict)
			}
			stale = append(stale, now)
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

// testRevisionsUnderChange looks for two data under one revision while writers
// replace, delete and create.
func testRevisionsUnderChange(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	const changes = 60
	var wrote atomic.Int64
	var mu sync.Mutex
	seen := make(map[drivers.Revision]int)
	look := func() (drivers.Record, bool) {
		found, err := s.Get(t.Context(), k)
		if err != nil {
			t.Errorf("Get: %v", err)
			return drivers.Record{}, false
		}
		mu.Lock()
		defer mu.Unlock()
		r := found[0]
		n, ok := seen[r.Revision]
		if ok && n != numberOf(r) {
			t.Errorf("%s: revision %q has %d and %d", revisionPromise, r.Revision, n, numberOf(r))
		}
		seen[r.Revision] = numberOf(r)
		return r, true
	}
	together(8, func(i int) {
		for n := 0; wrote.Load() < changes && !t.Failed(); n++ {
			r, ok := look()
			if !ok || i >= 4 {
				continue
			}
			op := replace(r, i<<20+n)
			if r.Exists() && n%5 == 0 {
				op = drivers.Delete(r)
			}
			if s.Commit(t.Context(), op) == nil {
				wrote.Add(1)
			}
		}
	})
}
