package file

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	sweepInterval = time.Hour
	// sweepGrace is how long an expired record stays: the core may want to say
	// "expired" rather than "unknown", and clocks differ.
	sweepGrace = time.Hour
	// sweepChunk is how many records one transaction looks at, and at most drops.
	sweepChunk = 256
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
			if drop, after, more, err = s.expired(kind, after, limit); err != nil {
				return err
			}
			for len(drop) > 0 {
				n := min(len(drop), drivers.MaxOps)
				if err := s.drop(ctx, drop[:n]); err != nil {
					return err
				}
				drop = drop[n:]
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

func (s *store) kinds() (kinds []string, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
			kinds = append(kinds, string(name))
			return nil
		})
	})
	return kinds, err
}

// expired looks at some records after an ID and returns deletes for those that
// expired before limit, the last ID it looked at, and whether there are more.
func (s *store) expired(kind, after string, limit time.Time) (drop []drivers.Op, last string, more bool, err error) {
	last = after
	err = s.db.View(func(tx *bbolt.Tx) error {
		seen := 0
		for id, v := range walk(tx, kind, "", after) {
			if err := checkHeader(v); err != nil {
				return err
			}
			if t := expires(v); !t.IsZero() && t.Before(limit) {
				drop = append(drop, drivers.Op{
					Key: drivers.Key{Kind: kind, ID: string(id)},
					If:  drivers.Revision(appendRevision(nil, v)),
				})
			}
			if seen++; seen == sweepChunk {
				last, more = string(id), true
				return nil
			}
		}
		return nil
	})
	return drop, last, more, err
}
