package conformance

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a tester for drivers that must fail: it notes failures.
type recorder struct {
	ctx      context.Context
	wait     time.Duration // its patience
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }
func (r *recorder) patience() time.Duration  { return r.wait }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failures) > 0
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

// record runs a trial as go test would, with its cleanups whatever has failed, and
// returns its first failure, or "". A trial that does not end fails t: go test would
// end it after minutes, and never say what had failed.
func record[D io.Closer](t *testing.T, patience time.Duration, c trial[D], place func() (D, error)) string {
	t.Helper()
	r := &recorder{ctx: t.Context(), wait: patience}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range slices.Backward(r.cleanups) {
				f()
			}
		}()
		defer func() { // as go test counts a panic
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		c.in(r, place)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Errorf("%s does not end", c.name)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) > 0 {
		return r.failures[0]
	}
	return ""
}

// caught runs a broken driver through the trials and wants the named ones to fail.
func caught[D io.Closer](t *testing.T, trials []trial[D], by string, place func() func() (D, error)) {
	for name := range strings.FieldsSeq(by) {
		i := slices.IndexFunc(trials, func(c trial[D]) bool { return c.name == name })
		if i < 0 {
			t.Fatalf("no trial %q", name)
		}
		if failure := record(t, time.Second, trials[i], place()); failure == "" {
			t.Errorf("%s passes", name)
		} else {
			t.Logf("%s: %s", name, strings.SplitN(failure, "\n", 2)[0])
		}
	}
}
