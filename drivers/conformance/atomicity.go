package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// testBatch carries out batches of all sizes that hold everything an op can be.
func testBatch(t tester, open func() drivers.Store) {
	s := open()
	for n := 1; n <= drivers.MaxOps; n++ {
		old := keys("things", fmt.Sprintf("old%02d.", n), n)
		fresh := keys("others", fmt.Sprintf("new%02d.", n), n)
		createAll(t, s, old)
		before := get(t, s, old...)
		commit(t, s, mixed(before, fresh)...)
		after := get(t, s, append(old, fresh...)...)
		for i := range n {
			var want [2]int // of the old and the fresh key
			switch i % 3 {
			case 0:
				want = [2]int{1000 + i, -1}
			case 1:
				want = [2]int{-1, -1}
			case 2:
				want = [2]int{i, 2000 + i}
			}
			if got := [2]int{numberOf(after[i]), numberOf(after[n+i])}; got != want {
				t.Fatalf("Commit carries out all ops: op %d of %d left %v, want %v", i, n, got, want)
			}
		}
	}
}

// mixed returns ops that replace, delete and create by turns.
func mixed(old []drivers.Record, fresh []drivers.Key) []drivers.Op {
	ops := make([]drivers.Op, len(old))
	for i, r := range old {
		switch i % 3 {
		case 0:
			ops[i] = replace(r, 1000+i)
		case 1:
			ops[i] = drivers.Delete(r)
		case 2:
			ops[i] = create(fresh[i], 2000+i)
		}
	}
	return ops
}

// testAtomicity lets batches of all sizes fail in every way at every place.
func testAtomicity(t tester, open func() drivers.Store) {
	s := open()
	old, fresh := keys("things", "old", drivers.MaxOps), keys("others", "new", drivers.MaxOps)
	createAll(t, s, old)
	stale := get(t, s, old...)
	for i, r := range stale {
		commit(t, s, replace(r, 100+i))
	}
	all := slices.Concat(old, fresh)
	before := get(t, s, all...)
	current := before[:drivers.MaxOps]
	failures := []struct {
		name string
		op   func(i int) drivers.Op
		want error
	}{
		{"create of what is there", func(i int) drivers.Op { return create(old[i], 1) }, drivers.ErrConflict},
		{"replace of a stale revision", func(i int) drivers.Op { return replace(stale[i], 1) }, drivers.ErrConflict},
		{"delete of a stale revision", func(i int) drivers.Op { return drivers.Delete(stale[i]) }, drivers.ErrConflict},
		{"replace of what is not there", func(i int) drivers.Op {
			return drivers.Op{Key: fresh[i], If: current[i].Revision, Data: number(1)}
		}, drivers.ErrConflict},
		{"delete of what is not there", func(i int) drivers.Op {
			return drivers.Op{Key: fresh[i], If: current[i].Revision}
		}, drivers.ErrConflict},
		{"invalid data", func(i int) drivers.Op {
			return drivers.Op{Key: fresh[i], Data: json.RawMessage(`{"a":1.5}`)}
		}, drivers.ErrInvalid},
		{"invalid key", func(i int) drivers.Op { return create(key("others", "_"), 1) }, drivers.ErrInvalid},
	}
	for _, f := range failures {
		for n := 1; n <= drivers.MaxOps; n++ {
			for at := range n {
				ops := mixed(current[:n], fresh)
				ops[at] = f.op(at)
				promise := fmt.Sprintf("Commit carries out all ops, or none: %s at %d of %d", f.name, at, n)
				wantErr(t, promise, s.Commit(t.Context(), ops...), f.want)
				same(t, promise, get(t, s, all...), before)
				if t.Failed() {
					return
				}
			}
		}
	}
	if got := len(scan(t, s, "others", "", "")); got != 0 {
		t.Errorf("Commit carries out all ops, or none: failing batches left %d records", got)
	}
	commit(t, s, mixed(current, fresh)...)
}

// testConflicts wants ErrConflict from each op whose If does not hold, and
// success from each whose If does.
func testConflicts(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	const promise = "ErrConflict: some op's If did not hold"
	made := drivers.Revision("x") // no store ever gave it for k
	if r := get1(t, s, k); r.Exists() {
		t.Fatalf("an empty store is empty: got %+v", r)
	}
	commit(t, s, create(key("things", "other"), 0))
	if other := get1(t, s, key("things", "other")); other.Exists() {
		made = other.Revision
	}
	wantErr(t, promise+": replace of nothing", s.Commit(t.Context(), drivers.Op{Key: k, If: made, Data: number(1)}), drivers.ErrConflict)
	wantErr(t, promise+": delete of nothing", s.Commit(t.Context(), drivers.Op{Key: k, If: made}), drivers.ErrConflict)
	commit(t, s, replace(drivers.Record{Key: k}, 1)) // of nothing: creates
	first := get1(t, s, k)
	wantErr(t, promise+": create twice", s.Commit(t.Context(), create(k, 2)), drivers.ErrConflict)
	commit(t, s, replace(first, 2))
	wantErr(t, promise+": replace twice", s.Commit(t.Context(), replace(first, 3)), drivers.ErrConflict)
	wantErr(t, promise+": delete after replace", s.Commit(t.Context(), drivers.Delete(first)), drivers.ErrConflict)
	second := get1(t, s, k)
	if numberOf(second) != 2 {
		t.Errorf("ErrConflict: nothing was written: got %s", second.Data)
	}
	commit(t, s, drivers.Delete(second))
	wantErr(t, promise+": delete twice", s.Commit(t.Context(), drivers.Delete(second)), drivers.ErrConflict)
	wantErr(t, promise+": replace after delete", s.Commit(t.Context(), replace(second, 3)), drivers.ErrConflict)
	commit(t, s, drivers.Create(k, number(4), time.Time{}))
	if r := get1(t, s, k); numberOf(r) != 4 {
		t.Errorf("a deleted record may be created again: got %s", r.Data)
	}
}
