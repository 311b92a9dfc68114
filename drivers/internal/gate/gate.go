// Package gate is the life and death of a store or of objects: calls go through
// it, Close shuts it and waits for those inside. Drivers use it to keep the
// promises of Close in the contracts of package drivers.
package gate

import (
	"context"
	"sync"

	"github.com/miniprofile/miniprofile/drivers"
)

// Gate lets calls in until it is shut. The zero Gate is open. All methods may be
// called by any number of goroutines.
type Gate struct {
	mu     sync.RWMutex
	shut   bool
	inside sync.WaitGroup
}

// Enter lets a call in, or returns drivers.ErrClosed, or the error of ctx when
// that has ended. After nil the caller calls Leave, once.
//
// A Scan or List enters for each chunk and is outside while it yields: its loop
// body may then call Close, which would otherwise wait for itself.
func (g *Gate) Enter(ctx context.Context) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.shut {
		return drivers.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g.inside.Add(1)
	return nil
}

// Leave ends what Enter began.
func (g *Gate) Leave() { g.inside.Done() }

// Shut lets nobody in any more, waits until all have left, and reports whether
// it was this call that shut the gate.
func (g *Gate) Shut() bool {
	g.mu.Lock()
	first := !g.shut
	g.shut = true
	g.mu.Unlock()
	g.inside.Wait()
	return first
}
