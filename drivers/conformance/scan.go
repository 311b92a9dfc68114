package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	scanPromise  = "Scan yields the records of kind whose ID begins with prefix and is greater than after, in the byte order of their IDs"
	scanChange   = "a record that is there all the while is yielded exactly once"
	scanBody     = "the body of the loop may call any method of the store"
	scanOneError = "an error is yielded once, with the zero Record, and ends the scan"
)

func idsOf(records []drivers.Record) []string {
	ids := []string{}
	for _, r := range records {
		ids = append(ids, r.Key.ID)
	}
	return ids
}

func testScan(t tester, open func() drivers.Store) {
	s := open()
	ids := []string{"0", "9", "9.", "a", "a.", "a.a", "a.b", "a0", "aa", "ab", "b", "b.1", "b.10", "b.2", "ba", "z", "zz", strings.Repeat("z", 120)}
	numbers := make(map[string]int)
	for i, id := range ids {
		at := (i * 7) % len(ids) // not in order; 7 and 18 have no common factor
		commit(t, s, create(key("things", ids[at]), at))
		commit(t, s, create(key("thingsx", id), 1000), create(key("thing", id), 1000))
		numbers[ids[at]] = at
	}
	probes := append([]string{"", "1", "a1", "a.aa", "b.", "b.11", "c", "zzz"}, ids...)
	for _, prefix := range probes {
		for _, after := range probes {
			want := []string{}
			for _, id := range ids {
				if strings.HasPrefix(id, prefix) && id > after {
					want = append(want, id)
				}
			}
			found := scan(t, s, "things", prefix, after)
			if got := idsOf(found); !slices.Equal(got, want) {
				t.Fatalf("%s: prefix %q after %q:\n got %q\nwant %q", scanPromise, prefix, after, got, want)
			}
			for _, r := range found {
				if r.Key.Kind != "things" || !r.Exists() || numberOf(r) != numbers[r.Key.ID] {
					t.Fatalf("%s: prefix %q after %q: got %v %q %s", scanPromise, prefix, after, r.Key, r.Revision, r.Data)
				}
			}
		}
	}
	if n := len(scan(t, s, "nothing", "", "")); n != 0 {
		t.Errorf("%s: %d of a kind that nobody stored", scanPromise, n)
	}
	for range s.Scan(t.Context(), "things", "", "") {
		break
	}
	again := s.Scan(t.Context(), "things", "", "")
	for range 2 {
		n := 0
		for range again {
			n++
		}
		if n != len(ids) {
			t.Errorf("%s: ranging over one Scan twice: %d records, want %d", scanPromise, n, len(ids))
		}
	}
}

// testScanMany scans more than any driver reads at once.
func testScanMany(t tester, open func() drivers.Store) {
	s := open()
	const n = 2500
	ks := keys("things", "k", n)
	createAll(t, s, ks)
	for i, r := range scan(t, s, "things", "k", "") {
		if i >= n || r.Key != ks[i] || numberOf(r) != i {
			t.Fatalf("%s: record %d of %d is %v %s", scanPromise, i, n, r.Key, r.Data)
		}
		if i == 777 {
			break
		}
	}
	if got := len(scan(t, s, "things", "", "")); got != n {
		t.Errorf("%s: %d records of %d", scanPromise, got, n)
	}
	// To go on after an interruption, pass the last ID seen as after.
	var got []drivers.Record
	after := ""
	for more := true; more; {
		more = false
		seen := 0
		for r, err := range s.Scan(t.Context(), "things", "k", after) {
			if err != nil {
				t.Fatalf("Scan: %v", err)
			}
			got = append(got, r)
			after = r.Key.ID
			if seen++; seen == 613 {
				more = true
				break
			}
		}
	}
	if len(got) != n {
		t.Fatalf("to go on after an interruption, pass the last ID seen as after: %d records of %d", len(got), n)
	}
	for i, r := range got {
		if r.Key != ks[i] {
			t.Fatalf("to go on after an interruption, pass the last ID seen as after: record %d is %v", i, r.Key)
		}
	}
}

// testScanBody calls every method in the body of a loop.
func testScanBody(t tester, open func() drivers.Store) {
	s := open()
	const n = 600
	ks := keys("things", "k", n)
	createAll(t, s, ks)
	i := 0
	within(t, scanBody, func() {
		for r, err := range s.Scan(t.Context(), "things", "", "") {
			if err != nil {
				t.Errorf("%s: %v", scanBody, err)
				return
			}
			if i >= n || r.Key != ks[i] {
				t.Errorf("%s: record %d is %v", scanChange, i, r.Key)
				return
			}
			if i%25 == 0 {
				ops := []drivers.Op{drivers.Delete(r), create(key("others", r.Key.ID), i), create(key("things", r.Key.ID+".before"), i)}
				if i%2 == 0 {
					ops[0] = replace(r, 1000+i)
				}
				// What lies behind the loop may go and come too.
				if err := s.Commit(t.Context(), ops[:2]...); err != nil {
					t.Errorf("%s: Commit: %v", scanBody, err)
				}
				if _, err := s.Get(t.Context(), r.Key, ks[0]); err != nil {
					t.Errorf("%s: Get: %v", scanBody, err)
				}
				for _, err := range s.Scan(t.Context(), "others", "", "") {
					if err != nil {
						t.Errorf("%s: Scan: %v", scanBody, err)
					}
					break
				}
			}
			i++
		}
	})
	if i != n && !t.Failed() {
		t.Errorf("%s: %d of %d", scanChange, i, n)
	}
	if got := len(scan(t, s, "others", "", "")); got != n/25 {
		t.Errorf("%s: %d commits are there, want %d", scanBody, got, n/25)
	}
	within(t, scanBody+": Close", func() {
		for _, err := range s.Scan(t.Context(), "things", "", "") {
			if err != nil {
				wantErr(t, "a scan of a closed store ends, with ErrClosed if at all", err, drivers.ErrClosed)
				break
			}
			if err := s.Close(); err != nil {
				t.Errorf("%s: Close: %v", scanBody, err)
			}
		}
	})
}

// testScanUnderChange scans while others come, go and change.
func testScanUnderChange(t tester, open func() drivers.Store) {
	s := open()
	const n = 900
	stays := keys("things", "k", n)
	createAll(t, s, stays)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			// Between the keys that stay: created, changed, deleted.
			k := key("things", fmt.Sprintf("k%06d.%d", (i*37)%n, i))
			err := s.Commit(t.Context(), create(k, -5))
			for _, f := range []func(drivers.Record) drivers.Op{
				func(r drivers.Record) drivers.Op { return replace(r, -6) }, drivers.Delete,
			} {
				if err == nil {
					var found []drivers.Record
					if found, err = s.Get(t.Context(), k); err == nil {
						err = s.Commit(t.Context(), f(found[0]))
					}
				}
			}
			if err != nil {
				t.Errorf("a commit beside a scan: %v", err)
				return
			}
		}
	}()
	for range 4 {
		i, last := 0, ""
		for r, err := range s.Scan(t.Context(), "things", "k", "") {
			if err != nil {
				t.Errorf("Scan: %v", err)
				break
			}
			if r.Key.ID <= last {
				t.Errorf("%s: %q after %q", scanPromise, r.Key.ID, last)
			}
			last = r.Key.ID
			if !r.Exists() || r.Data == nil {
				t.Errorf("each record is whole: got %+v", r)
			}
			if i < n && r.Key == stays[i] {
				i++
			} else if numberOf(r) >= 0 {
				t.Errorf("%s: %v out of turn", scanChange, r.Key)
			}
		}
		if i != n {
			t.Errorf("%s: %d of %d", scanChange, i, n)
		}
		if t.Failed() {
			break
		}
	}
	stop()
	<-done
}

func testScanCancelled(t tester, open func() drivers.Store) {
	s := open()
	const n = 600
	createAll(t, s, keys("things", "k", n))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	records, errs := 0, 0
	for r, err := range s.Scan(ctx, "things", "", "") {
		switch {
		case err != nil:
			errs++
			wantErr(t, "a context that ends stops the scan with its error", err, context.Canceled)
			if r.Key != (drivers.Key{}) || r.Exists() || r.Data != nil {
				t.Errorf("%s: got %+v", scanOneError, r)
			}
		case errs > 0:
			t.Errorf("%s: a record came after it", scanOneError)
		default:
			if records++; records == 10 {
				cancel()
			}
		}
	}
	// A context that ends late may stop the call: what was read already may come.
	if errs > 1 || errs == 0 && records != n {
		t.Errorf("%s: %d errors, %d of %d records", scanOneError, errs, records, n)
	}
}
