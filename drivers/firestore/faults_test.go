package firestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

const (
	storm   = 0.2 // the share of RPCs that fail
	clients = 12
)

var everyFault = slices.Concat(double.Faults, double.Silences)

// weather begins a storm of every fault, in which the stores give up soon.
func weather(server *double.Server, seed uint64, share float64, stores ...*store) {
	for _, s := range stores {
		s.patience = quick
	}
	server.Fail(double.Weather(seed, share, everyFault...))
}

// ledger is what the counting clients share: how often each has counted, and
// every step in the order in which it was carried out.
type ledger struct {
	N     int            `json:"n"`
	By    map[string]int `json:"by"`
	Steps []string       `json:"steps"`
}

// TestStormCounter lets clients on two stores count in one record while RPCs fail
// in all ways. Each step replaces the record and creates one of its own. Who does
// not know what became of a step reads; who gets ErrConflict computes anew.
func TestStormCounter(t *testing.T) {
	const steps = 8
	server, p := start(t)
	stores := []*store{openAt(t, p, brisk), openAt(t, p, brisk)}
	if err := stores[0].Commit(t.Context(), drivers.Create(thing, json.RawMessage(`{"n":0,"by":{},"steps":[]}`), time.Time{})); err != nil {
		t.Fatal(err)
	}
	weather(server, 1, storm, stores...)
	var mu sync.Mutex
	var refused, unsure []string // tries by how they ended, other than well
	try := func(s *store, me, step string, n int) (done bool) {
		found, err := s.Get(t.Context(), thing)
		if err != nil {
			honest(t, err)
			return false
		}
		var l ledger
		if err := json.Unmarshal(found[0].Data, &l); err != nil {
			t.Error(err)
			return true
		}
		if l.By[me] == n {
			return true // a try whose outcome was unknown was carried out
		}
		l.N++
		if l.By == nil {
			l.By = make(map[string]int)
		}
		l.By[me] = n
		l.Steps = append(l.Steps, step)
		data, err := json.Marshal(l)
		if err != nil {
			t.Error(err)
			return true
		}
		own := drivers.Key{Kind: "steps", ID: step}
		err = s.Commit(t.Context(), drivers.Create(own, number(n), time.Time{}), drivers.Replace(found[0], data, time.Time{}))
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, drivers.ErrConflict):
			refused = append(refused, step)
		case err != nil:
			honest(t, err)
			unsure = append(unsure, step)
		}
		return err == nil
	}
	var wait sync.WaitGroup
	for c := range clients {
		wait.Go(func() {
			me := fmt.Sprintf("c%d", c)
			for n := 1; n <= steps; n++ {
				for i := 0; !try(stores[c%2], me, fmt.Sprintf("%s.%d.%d", me, n, i), n); i++ {
					if i == 1000 {
						t.Errorf("%s: no step in %d tries", me, i)
						return
					}
				}
			}
		})
	}
	wait.Wait()
	server.Cut()
	calm(t, server, stores)

	var l ledger
	if err := json.Unmarshal(get(t, stores[0], thing).Data, &l); err != nil {
		t.Fatal(err)
	}
	if l.N != clients*steps || len(l.Steps) != l.N {
		t.Errorf("counted to %d in %d steps, want %d", l.N, len(l.Steps), clients*steps)
	}
	slices.Sort(l.Steps)
	if len(slices.Compact(slices.Clone(l.Steps))) != len(l.Steps) {
		t.Errorf("a step was carried out twice: %q", l.Steps)
	}
	for _, step := range refused {
		if slices.Contains(l.Steps, step) {
			t.Errorf("ErrConflict, but %s was written", step)
		}
	}
	var own []string
	for r, err := range stores[1].Scan(t.Context(), "steps", "", "") {
		if err != nil {
			t.Fatal(err)
		}
		own = append(own, r.Key.ID)
	}
	slices.Sort(own)
	if !slices.Equal(own, l.Steps) {
		t.Errorf("a commit was carried out in part: %q and %q", own, l.Steps)
	}
	t.Logf("%d conflicts, %d outcomes unknown, calls %v", len(refused), len(unsure), server.Calls())
}

// TestStormCreate lets clients create records that others delete at once. A
// create is seen at most once, also when its first answer was lost.
func TestStormCreate(t *testing.T) {
	const rounds = 25
	server, p := start(t)
	stores := []*store{openAt(t, p, brisk), openAt(t, p, brisk)}
	weather(server, 2, storm, stores...)
	var mu sync.Mutex
	deleted := make(map[string]int)
	var refused []string
	var wait sync.WaitGroup
	for c := range clients {
		wait.Go(func() {
			s := stores[c%2]
			for round := range rounds {
				id := fmt.Sprintf("%d.%d", c, round)
				k := drivers.Key{Kind: "things", ID: fmt.Sprint(round % 3)}
				found, err := s.Get(t.Context(), k)
				if err != nil {
					honest(t, err)
					continue
				}
				old := found[0]
				if old.Exists() {
					err = s.Commit(t.Context(), drivers.Delete(old))
				} else {
					err = s.Commit(t.Context(), drivers.Create(k, fmt.Appendf(nil, `{"id":%q}`, id), time.Time{}))
				}
				mu.Lock()
				switch {
				case err == nil && old.Exists():
					deleted[string(old.Data)]++
				case errors.Is(err, drivers.ErrConflict):
					if !old.Exists() {
						refused = append(refused, fmt.Sprintf(`{"id":%q}`, id))
					}
				case err != nil:
					honest(t, err)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	server.Cut()
	calm(t, server, stores)
	for data, n := range deleted {
		if n > 1 {
			t.Errorf("%s was deleted %d times, so it was created more than once", data, n)
		}
		if slices.Contains(refused, data) {
			t.Errorf("ErrConflict, but %s was written", data)
		}
	}
	if len(deleted) == 0 {
		t.Error("nothing was deleted: the test shows nothing")
	}
}

// TestStormMoment moves a number between records while streams break. A Get sees
// all of it: what came before a stream broke is of another moment than what comes
// after, and must not be used.
func TestStormMoment(t *testing.T) {
	const accounts, total, looks = 16, 1600, 150
	server, p := start(t)
	s := openAt(t, p, brisk)
	var keys []drivers.Key
	var ops []drivers.Op
	for i := range accounts {
		keys = append(keys, drivers.Key{Kind: "accounts", ID: fmt.Sprint(i)})
		ops = append(ops, drivers.Create(keys[i], number(total/accounts), time.Time{}))
	}
	if err := s.Commit(t.Context(), ops...); err != nil {
		t.Fatal(err)
	}
	server.Fail(double.Weather(4, storm, double.Fault{Stage: double.Midway, Code: codes.Unavailable}))
	amount := func(r drivers.Record) (v struct{ N int }) {
		if err := json.Unmarshal(r.Data, &v); err != nil {
			t.Error(err)
		}
		return v
	}
	var wait sync.WaitGroup
	stop := make(chan bool)
	for c := range 4 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				found, err := s.Get(t.Context(), keys[(c+i)%accounts], keys[(c+5*i+3)%accounts])
				if err != nil || found[0].Key == found[1].Key {
					continue
				}
				s.Commit(t.Context(), drivers.Replace(found[0], number(amount(found[0]).N-1-c), time.Time{}),
					drivers.Replace(found[1], number(amount(found[1]).N+1+c), time.Time{}))
			}
		})
	}
	for range looks {
		found, err := s.Get(t.Context(), keys...)
		if err != nil {
			honest(t, err)
			continue
		}
		sum := 0
		for _, r := range found {
			sum += amount(r).N
		}
		if sum != total {
			t.Errorf("a Get is of one moment: %d in all accounts, want %d", sum, total)
		}
	}
	close(stop)
	wait.Wait()
}

// TestStormScan lets a scan meet every fault: it yields each record once, in
// order, or ends with an error and can go on.
func TestStormScan(t *testing.T) {
	const n = 6 * chunk
	server, p := start(t)
	s := openAt(t, p, brisk)
	var ops []drivers.Op
	for i := range n {
		ops = append(ops, drivers.Create(drivers.Key{Kind: "things", ID: fmt.Sprintf("%06d", i)}, number(i), time.Time{}))
	}
	for ops := range slices.Chunk(ops, drivers.MaxOps) {
		if err := s.Commit(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	weather(server, 3, 2*storm, s)
	for range 3 {
		next := 0
		for after := ""; next < n; {
			whole := true
			for r, err := range s.Scan(t.Context(), "things", "", after) {
				if err != nil {
					honest(t, err)
					whole = false
					break
				}
				if string(r.Data) != string(number(next)) {
					t.Fatalf("record %d is %v", next, r.Key)
				}
				next, after = next+1, r.Key.ID
			}
			if whole && next < n {
				t.Fatalf("a scan ended well after %d of %d records", next, n)
			}
		}
	}
}

// honest fails when an error of a failing service promises something.
func honest(t *testing.T, err error) {
	t.Helper()
	for _, promise := range []error{drivers.ErrConflict, drivers.ErrInvalid, drivers.ErrClosed} {
		if errors.Is(err, promise) {
			t.Errorf("the service failed: %v", err)
		}
	}
}

// calm ends the storm and wants everything to work at once, with one RPC a call.
func calm(t *testing.T, server *double.Server, stores []*store) {
	t.Helper()
	server.Fail(nil)
	for i, s := range stores {
		s.patience = usual
		k := drivers.Key{Kind: "calm", ID: fmt.Sprint(i)}
		get(t, s, k) // a connection that was cut is known to be so after its next RPC
		before := server.Calls()
		create(t, s, k, 1)
		if after := server.Calls(); after["Commit"] != before["Commit"]+1 || after["BatchGetDocuments"] != before["BatchGetDocuments"]+1 {
			t.Errorf("when the service works again, a call is one RPC: %v, then %v", before, after)
		}
	}
}
