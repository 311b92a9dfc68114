package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func key(kind, id string) drivers.Key { return drivers.Key{Kind: kind, ID: id} }

// keys returns n keys of a kind in order: begin000000, begin000001, …
func keys(kind, begin string, n int) []drivers.Key {
	ks := make([]drivers.Key, n)
	for i := range ks {
		ks[i] = key(kind, fmt.Sprintf("%s%06d", begin, i))
	}
	return ks
}

// number is a record's data that holds one number.
func number(n int) json.RawMessage { return fmt.Appendf(nil, `{"n":%d}`, n) }

// numberOf returns the number of a record, or -1.
func numberOf(r drivers.Record) int {
	var v struct{ N *int }
	if err := json.Unmarshal(r.Data, &v); err != nil || v.N == nil {
		return -1
	}
	return *v.N
}

func create(k drivers.Key, n int) drivers.Op { return drivers.Create(k, number(n), time.Time{}) }

func replace(old drivers.Record, n int) drivers.Op {
	return drivers.Replace(old, number(n), time.Time{})
}

func commit(t tester, s drivers.Store, ops ...drivers.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

// createAll stores number i under the i-th key.
func createAll(t tester, s drivers.Store, ks []drivers.Key) {
	t.Helper()
	for i := 0; i < len(ks); i += drivers.MaxOps {
		var ops []drivers.Op
		for j := i; j < min(i+drivers.MaxOps, len(ks)); j++ {
			ops = append(ops, create(ks[j], j))
		}
		commit(t, s, ops...)
	}
}

func get(t tester, s drivers.Store, ks ...drivers.Key) []drivers.Record {
	t.Helper()
	found, err := s.Get(t.Context(), ks...)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if len(found) != len(ks) {
		t.Fatalf("Get returns the records of keys, in their order: %d records for %d keys", len(found), len(ks))
	}
	for i, r := range found {
		if r.Key != ks[i] {
			t.Fatalf("Get returns the records of keys, in their order: %v at the place of %v", r.Key, ks[i])
		}
	}
	return found
}

func get1(t tester, s drivers.Store, k drivers.Key) drivers.Record {
	t.Helper()
	return get(t, s, k)[0]
}

// scan collects a Scan.
func scan(t tester, s drivers.Store, kind, prefix, after string) []drivers.Record {
	t.Helper()
	var found []drivers.Record
	for r, err := range s.Scan(t.Context(), kind, prefix, after) {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		found = append(found, r)
	}
	return found
}

// update changes the number of a record until no conflict is left. It may be
// called from any goroutine.
func update(ctx context.Context, s drivers.Store, k drivers.Key, f func(int) int) error {
	for {
		found, err := s.Get(ctx, k)
		if err != nil {
			return err
		}
		runtime.Gosched() // let others come between
		err = s.Commit(ctx, replace(found[0], f(numberOf(found[0]))))
		if !errors.Is(err, drivers.ErrConflict) {
			return err
		}
	}
}

// same fails unless the records are what they were.
func same(t tester, promise string, got, want []drivers.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d", promise, len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.Key != w.Key || g.Revision != w.Revision || !g.Expires.Equal(w.Expires) || g.Exists() && !equalJSON(g.Data, w.Data) {
			t.Fatalf("%s:\n got %v %q %s %v\nwant %v %q %s %v", promise,
				g.Key, g.Revision, g.Data, g.Expires, w.Key, w.Revision, w.Data, w.Expires)
		}
	}
}

// wantErr fails unless err is want and no other sentinel.
func wantErr(t tester, promise string, err, want error) {
	t.Helper()
	for _, sentinel := range []error{
		drivers.ErrConflict, drivers.ErrInvalid, drivers.ErrClosed, drivers.ErrNotFound,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, sentinel) != (sentinel == want) {
			t.Errorf("%s: got error %v, want %v and nothing else", promise, err, want)
			return
		}
	}
}
