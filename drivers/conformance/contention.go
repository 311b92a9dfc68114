package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/miniprofile/miniprofile/drivers"
)

// crowd is how many goroutines contend.
const crowd = 32

// testLostUpdate lets a crowd replace one revision: one may.
func testLostUpdate(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	commit(t, s, create(k, -2))
	for round := range 5 {
		old := get1(t, s, k)
		winner := oneWinner(t, fmt.Sprintf("a lost update cannot be written down: round %d", round), func(i int) error {
			return s.Commit(t.Context(), replace(old, i))
		})
		if got := numberOf(get1(t, s, k)); got != winner {
			t.Errorf("a Commit that returned nil is what is stored: got %d, want %d", got, winner)
		}
	}
}

// testCreateRace lets a crowd create one key: one may.
func testCreateRace(t tester, open func() drivers.Store) {
	s := open()
	for round, k := range keys("things", "k", 5) {
		winner := oneWinner(t, fmt.Sprintf("one of many Creates wins: round %d", round), func(i int) error {
			own := key("others", fmt.Sprintf("own%d.%d", round, i))
			return s.Commit(t.Context(), create(own, i), create(k, i))
		})
		if got := numberOf(get1(t, s, k)); got != winner {
			t.Errorf("a Commit that returned nil is what is stored: got %d, want %d", got, winner)
		}
		own := scan(t, s, "others", fmt.Sprintf("own%d.", round), "")
		if len(own) != 1 || numberOf(own[0]) != winner {
			t.Errorf("Commit carries out all ops, or none: the losers of a race left %d records", len(own)-1)
		}
	}
}

// oneWinner runs f in a crowd and returns who got nil. All others get ErrConflict.
func oneWinner(t tester, promise string, f func(i int) error) int {
	t.Helper()
	errs := make([]error, crowd)
	together(crowd, func(i int) { errs[i] = f(i) })
	winner, winners := -1, 0
	for i, err := range errs {
		if err == nil {
			winner = i
			winners++
			continue
		}
		wantErr(t, promise, err, drivers.ErrConflict)
	}
	if winners != 1 {
		t.Fatalf("%s: %d winners of %d", promise, winners, crowd)
	}
	return winner
}

// testCounter lets a crowd count. Each repeats ErrConflict, as the core does.
func testCounter(t tester, open func() drivers.Store) {
	s := open()
	const each = 4
	k := key("things", "counter")
	commit(t, s, create(k, 0))
	within(t, "a counter goes on: somebody wins each round", func() {
		together(crowd, func(int) {
			for range each {
				if err := update(t.Context(), s, k, func(n int) int { return n + 1 }); err != nil {
					t.Errorf("a conflict is ErrConflict: %v", err)
				}
			}
		})
	})
	if got := numberOf(get1(t, s, k)); got != crowd*each {
		t.Errorf("no update is lost: a counter is %d after %d increments", got, crowd*each)
	}
}

// testStrangers lets a crowd commit side by side, on keys as close as can be.
func testStrangers(t tester, open func() drivers.Store) {
	s := open()
	const promise = "Ops on different keys do not conflict with one another, whoever commits them, however close they lie"
	do := func(i int, ops ...drivers.Op) bool {
		err := s.Commit(t.Context(), ops...)
		if err != nil {
			t.Errorf("%s: stranger %d: %v", promise, i, err)
		}
		return err == nil
	}
	together(crowd, func(i int) {
		// a, b, …; a., b., …: each between the keys of others.
		id := string(rune('a'+i/2)) + []string{"", "."}[i%2]
		ks := []drivers.Key{key("things", id), key("others", id)}
		if !do(i, create(ks[0], i), create(ks[1], i)) {
			return
		}
		for n := range 4 {
			found, err := s.Get(t.Context(), ks...)
			if err != nil {
				t.Errorf("Get: %v", err)
				return
			}
			if !do(i, replace(found[0], n), replace(found[1], n)) {
				return
			}
		}
		found, err := s.Get(t.Context(), ks...)
		if err != nil {
			t.Errorf("Get: %v", err)
			return
		}
		do(i, drivers.Delete(found[0]), replace(found[1], i))
	})
	if n := len(scan(t, s, "things", "", "")); n != 0 && !t.Failed() {
		t.Errorf("Commit carries out all ops: %d deleted records are there", n)
	}
}

// testOneMoment moves money between accounts. Whoever looks sees all of it.
func testOneMoment(t tester, open func() drivers.Store) {
	s := open()
	const accounts, each, transfers, looks = 8, 100, 60, 400
	ks := append(keys("things", "k", accounts/2), keys("others", "k", accounts/2)...)
	for _, k := range ks {
		commit(t, s, create(k, each))
	}
	var moved, looked atomic.Int64
	enough := func() bool { return moved.Load() >= transfers && looked.Load() >= looks || t.Failed() }
	move := func(ctx context.Context, i, n int) error {
		from, to := ks[(i+n)%accounts], ks[(i+3*n+accounts/2)%accounts]
		if from == to {
			return nil
		}
		found, err := s.Get(ctx, from, to)
		if err != nil {
			return err
		}
		err = s.Commit(ctx, replace(found[0], numberOf(found[0])-1-i), replace(found[1], numberOf(found[1])+1+i))
		if err == nil {
			moved.Add(1)
		}
		if errors.Is(err, drivers.ErrConflict) {
			return nil
		}
		return err
	}
	look := func(ctx context.Context) error {
		found, err := s.Get(ctx, ks...)
		if err != nil {
			return err
		}
		sum := 0
		for _, r := range found {
			sum += numberOf(r)
		}
		if looked.Add(1); sum != accounts*each {
			t.Errorf("Get returns the records as they all stood at one moment: %d in all accounts, want %d", sum, accounts*each)
		}
		return nil
	}
	together(8, func(i int) {
		for n := 0; !enough(); n++ {
			err := error(nil)
			if i%2 == 0 {
				err = move(t.Context(), i, n)
			} else {
				err = look(t.Context())
			}
			if err != nil {
				t.Errorf("%v", err)
				return
			}
		}
	})
}

// testReadYourWrites lets one goroutine tell another what it wrote.
func testReadYourWrites(t tester, open func() drivers.Store) {
	s := open()
	const writers, rounds = 4, 15
	var wait sync.WaitGroup
	for w, k := range keys("things", "k", writers) {
		written := make(chan int)
		wait.Go(func() {
			defer close(written)
			for n := range rounds {
				if err := update(t.Context(), s, k, func(int) int { return n }); err != nil {
					t.Errorf("update: %v", err)
					return
				}
				written <- n // returns after the reader has read the one before
			}
		})
		wait.Go(func() {
			for n := range written {
				found, err := s.Get(t.Context(), k)
				if err != nil {
					t.Errorf("Get: %v", err)
				} else if got := numberOf(found[0]); got < n || got > n+1 {
					t.Errorf("whoever got nil from Commit and then calls Get sees that commit: writer %d wrote %d, a reader saw %d", w, n, got)
				}
			}
		})
	}
	wait.Wait()
}
