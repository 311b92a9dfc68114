package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	readyTime = 2 * time.Second // for an answer
	readyLife = time.Second     // of an answer
)

// readiness asks whether something is ready, once for all who want to know
// within a second: probes must be no load.
type readiness struct {
	check func(context.Context) error
	tell  func(error) // of each failure that was found; nil for nobody

	mu   sync.Mutex
	last *answer
}

// askAll asks all of them at once.
func askAll(ctx context.Context, all map[string]*readiness) map[string]error {
	var mu sync.Mutex
	var asking sync.WaitGroup
	answers := map[string]error{}
	for name, r := range all {
		asking.Go(func() {
			err := r.ask(ctx)
			mu.Lock()
			defer mu.Unlock()
			answers[name] = err
		})
	}
	asking.Wait()
	return answers
}

// answer is a question that is asked, or was.
type answer struct {
	done  chan struct{} // closed when the rest is set
	err   error
	until time.Time
}

// ask returns nil when it is ready.
func (r *readiness) ask(ctx context.Context) error {
	r.mu.Lock()
	a := r.last
	if a == nil || a.old() {
		a = &answer{done: make(chan struct{})}
		r.last = a
		go func() {
			if a.find(r.check); a.err != nil && r.tell != nil {
				r.tell(a.err)
			}
		}()
	}
	r.mu.Unlock()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *answer) old() bool {
	select {
	case <-a.done:
		return time.Now().After(a.until)
	default:
		return false // still being asked
	}
}

// find asks, and gives up in time also when check does not.
func (a *answer) find(check func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- check(ctx) }()
	select {
	case a.err = <-result:
	case <-ctx.Done():
		a.err = fmt.Errorf("%w: no answer in %v", auth.ErrUpstream, readyTime)
	}
	a.until = time.Now().Add(readyLife)
	close(a.done)
}
