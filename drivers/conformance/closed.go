package conformance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const closedPromise = "calls that begin after Close has begun return ErrClosed, at once"

func testStoreClosed(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	commit(t, s, create(k, 1))
	old := get1(t, s, k)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("closing twice is no error: %v", err)
		}
	}
	_, err := s.Get(t.Context(), k)
	wantErr(t, closedPromise+": Get", err, drivers.ErrClosed)
	_, err = s.Get(t.Context())
	wantErr(t, closedPromise+": Get of no keys", err, drivers.ErrClosed)
	wantErr(t, closedPromise+": Commit", s.Commit(t.Context(), replace(old, 2)), drivers.ErrClosed)
	n := 0
	for _, err := range s.Scan(t.Context(), "things", "", "") {
		n++
		wantErr(t, closedPromise+": Scan", err, drivers.ErrClosed)
	}
	if n != 1 {
		t.Errorf("%s: Scan yielded %d times", scanOneError, n)
	}
	if got := numberOf(get1(t, open(), k)); got != 1 {
		t.Errorf("ErrClosed: the call did nothing: got %d, want 1", got)
	}
}

// testStoreCloseRace closes under a crowd that commits.
func testStoreCloseRace(t tester, open func() drivers.Store) {
	for round := range 3 {
		s := open()
		acked := make([]int, crowd)   // commits answered with nil
		refused := make([]int, crowd) // with ErrClosed
		began := make(chan struct{}, crowd)
		within(t, "Close waits for the calls under way", func() {
			together(crowd+2, func(i int) {
				if i >= crowd {
					for range crowd / 2 {
						<-began // some have committed, others have not
					}
					if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
					return
				}
				for n := 0; n == 0 || refused[i] == 0 && !t.Failed(); n++ {
					err := s.Commit(t.Context(), create(raceKey(round, i, n), i))
					switch {
					case err == nil:
						acked[i]++
					case errors.Is(err, drivers.ErrClosed):
						refused[i]++
					default:
						t.Errorf("a call beside Close is carried out or ErrClosed: %v", err)
					}
					if n == 0 {
						began <- struct{}{}
					}
				}
			})
		})
		s = open()
		for i := range crowd {
			if acked[i] > 0 && !get1(t, s, raceKey(round, i, acked[i]-1)).Exists() {
				t.Errorf("a Commit that returned nil survives: number %d of %d is gone", acked[i]-1, i)
			}
			if get1(t, s, raceKey(round, i, acked[i])).Exists() {
				t.Errorf("ErrClosed promises that nothing was written: number %d of %d is there", acked[i], i)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if t.Failed() {
			return
		}
	}
}

func raceKey(round, i, n int) drivers.Key {
	return key("things", fmt.Sprintf("r%d.%d.%d", round, i, n))
}

func testObjectsClosed(t tester, open func() drivers.Objects) {
	o := open()
	put(t, o, "a", "old")
	for range 2 {
		if err := o.Close(); err != nil {
			t.Errorf("closing twice is no error: %v", err)
		}
	}
	wantErr(t, closedPromise+": Put", o.Put(t.Context(), "a", strings.NewReader("new"), 3, "text/plain"), drivers.ErrClosed)
	_, err := o.Get(t.Context(), "a")
	wantErr(t, closedPromise+": Get", err, drivers.ErrClosed)
	wantErr(t, closedPromise+": Delete", o.Delete(t.Context(), "a"), drivers.ErrClosed)
	n := 0
	for _, err := range o.List(t.Context(), "", "") {
		n++
		wantErr(t, closedPromise+": List", err, drivers.ErrClosed)
	}
	if n != 1 {
		t.Errorf("%s: List yielded %d times", scanOneError, n)
	}
	if got := read(t, open(), "a"); got != "old" {
		t.Errorf("ErrClosed: the call did nothing: the object is %q", got)
	}
}

// testObjectsCloseWaits closes under a Put whose reader takes its time.
func testObjectsCloseWaits(t tester, open func() drivers.Objects) {
	o := open()
	reader, writer := io.Pipe()
	defer writer.Close() // whatever fails: no call stays under way
	put, closed := make(chan error, 1), make(chan error, 1)
	go func() { put <- o.Put(t.Context(), "a", reader, 2, "text/plain") }()
	within(t, "Put reads its reader", func() { writer.Write([]byte("x")) })
	go func() { closed <- o.Close() }()
	within(t, closedPromise, func() {
		for !t.Failed() {
			if _, err := o.Get(t.Context(), "b"); errors.Is(err, drivers.ErrClosed) {
				return
			}
		}
	})
	select {
	case <-closed:
		t.Errorf("Close waits for the calls under way: a Put is")
	case <-time.After(200 * time.Millisecond): // it would have come by now, on a busy machine too
	}
	within(t, "a call under way is carried out", func() {
		writer.Write([]byte("y"))
		writer.Close()
		if err := <-put; err != nil {
			t.Errorf("a call under way is carried out: Put: %v", err)
		}
	})
	if got := read(t, open(), "a"); got != "xy" {
		t.Errorf("a call under way is carried out: the object is %q", got)
	}
}

// testObjectsCloseRace closes under a crowd that puts.
func testObjectsCloseRace(t tester, open func() drivers.Objects) {
	o := open()
	acked, refused := make([]int, crowd), make([]int, crowd)
	name := func(i, n int) string { return fmt.Sprintf("race/%d/%d", i, n) }
	began := make(chan struct{}, crowd)
	within(t, "Close waits for the calls under way", func() {
		together(crowd+2, func(i int) {
			if i >= crowd {
				for range crowd / 2 {
					<-began
				}
				if err := o.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				return
			}
			for n := 0; n == 0 || refused[i] == 0 && !t.Failed(); n++ {
				err := o.Put(t.Context(), name(i, n), strings.NewReader("x"), 1, "text/plain")
				switch {
				case err == nil:
					acked[i]++
				case errors.Is(err, drivers.ErrClosed):
					refused[i]++
				default:
					t.Errorf("a call beside Close is carried out or ErrClosed: %v", err)
				}
				if n == 0 {
					began <- struct{}{}
				}
			}
		})
	})
	o = open()
	for i := range crowd {
		if acked[i] > 0 && read(t, o, name(i, acked[i]-1)) != "x" {
			t.Errorf("a Put that returned nil survives: %s is gone", name(i, acked[i]-1))
		}
		if _, err := o.Get(t.Context(), name(i, acked[i])); !errors.Is(err, drivers.ErrNotFound) {
			t.Errorf("ErrClosed promises that nothing was written: Get of %s: %v", name(i, acked[i]), err)
		}
	}
}
