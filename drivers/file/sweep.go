package file

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	sweepInterval = time.Hour
	// sweepGrace is how long an expired record stays: the core may want to say
	// "expired" rather than "unknown", and clocks differ.
	sweepGrace = time.Hour
)

// sweepAll sweeps on every tick until ctx ends. A sweep that fails is left to the
// next.
func (s *store) sweepAll(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			s.sweep(ctx)
		}
	}
}

// sweep drops the records that expired before the grace, on the way that all
// commits take and under the same conditions: what somebody replaces meanwhile
// stays.
func (s *store) sweep(ctx context.Context) error {
	kinds, err := s.kinds()
	if err != nil {
		return err
	}
	limit := s.now().Add(-sweepGrace)
	for _, kind := range kinds {
		for after, more := "", true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var drop []drivers.Op
			if drop, after, more, err = s.expired(ctx, kind, after, limit); err != nil {
				return err
			}
			for ops := range slices.Chunk(drop, drivers.MaxOps) {
				if err := s.drop(ctx, ops); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// drop carries out deletes, together, or one by one when some conflict.
func (s *store) drop(ctx context.Context, ops []drivers.Op) error {
	err := s.submit(ctx, ops)
	if !errors.Is(err, drivers.ErrConflict) {
		return err
	}
	for i := range ops {
		if err := s.submit(ctx, ops[i:i+1]); err != nil && !errors.Is(err, drivers.ErrConflict) {
			return err
		}
	}
	return nil
}

// kinds returns the kinds that have, or had, records.
func (s *store) kinds() (kinds []string, err error) {
	held := map[string]bool{}
	s.mu.RLock()
	for _, l := range [...]layer{s.newer, s.older} {
		for kind := range l {
			held[kind] = true
		}
	}
	tx, err := s.db.Begin(false)
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	err = tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if string(name) != ownBucket {
			held[string(name)] = true
		}
		return nil
	})
	return slices.Sorted(maps.Keys(held)), err
}

// expired looks at some records after an ID and returns deletes for those that
// expired before limit, the last ID it looked at, and whether there are more.
func (s *store) expired(ctx context.Context, kind, after string, limit time.Time) (drop []drivers.Op, last string, more bool, err error) {
	found, last, more, err := s.chunk(ctx, kind, "", after)
	for _, r := range found {
		if !r.Expires.IsZero() && r.Expires.Before(limit) {
			drop = append(drop, drivers.Delete(r))
		}
	}
	return drop, last, more, err
}
