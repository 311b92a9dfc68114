package conformance

import (
	"context"
	"io"
	"sync"
	"time"
)

// tester is what a trial needs of a *testing.T. Trials see no more, so that
// broken_test.go can run them on drivers that must fail.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any) // from the trial's own goroutine only
	Failed() bool
	Cleanup(func())
	Context() context.Context
	patience() time.Duration // how long nothing may happen before it counts as a deadlock
}

// trial is one test of a driver D.
type trial[D io.Closer] struct {
	name string
	run  func(t tester, open func() D)
}

// in runs the trial in an empty place.
func (c trial[D]) in(t tester, place func() (D, error)) {
	c.run(t, func() D {
		d, err := place()
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		t.Cleanup(func() { closeAtEnd(t, d) })
		return d
	})
}

// closeAtEnd closes what a trial opened. A Close that never returns, which waits for a
// call that is stuck, must not hide why the trial failed.
func closeAtEnd(t tester, d io.Closer) {
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	patience := t.patience()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(patience):
		t.Errorf("Close: still waiting after %v", patience)
	}
}

// together runs f in n goroutines that start at once, and waits for them.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// within runs f in a goroutine and fails when it does not end.
func within(t tester, promise string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	patience := t.patience()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s: still waiting after %v", promise, patience)
	}
}
