package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// attempts bounds the tries of transact: every try that conflicts means that
// another one has gone through, so only a great crowd on one record uses them up.
const attempts = 200

// transact is the one place that retries a conflict. plan reads what it needs
// and returns the ops to commit, each conditional on what was read; it is called
// again, to read again, when another writer was faster. No ops means that there
// is nothing to do. plan must have no effect but reading.
func (c *Core) transact(ctx context.Context, plan func() ([]drivers.Op, error)) error {
	for attempt := range attempts {
		ops, err := plan()
		if err != nil || len(ops) == 0 {
			return err
		}
		err = c.store.Commit(ctx, ops...)
		if !errors.Is(err, drivers.ErrConflict) {
			return storeError("commit", err)
		}
		// Up to 64 ms, at random, so that a crowd spreads out.
		wait := time.Duration(rand.Int64N(int64(time.Millisecond) << min(attempt, 6)))
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: a record is written by too many at once", ErrUpstream)
}

// rewriteAll commits what rewrite makes of each record of a kind that a user owns:
// none to each ops, so that a commit has room for several records. rewrite is called
// again for a record that has changed meanwhile, and not for one that has gone. An
// error that came when a part was done is errUnfinished too.
func (c *Core) rewriteAll(ctx context.Context, kind, uid string, each int, rewrite func(drivers.Record) ([]drivers.Op, error)) error {
	var batch []drivers.Record
	done := false
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		records, wrote := batch, false // as they were scanned
		err := c.transact(ctx, func() (ops []drivers.Op, err error) {
			if records == nil {
				var keys []drivers.Key
				for _, r := range batch {
					keys = append(keys, r.Key)
				}
				if records, err = c.get(ctx, keys...); err != nil {
					return nil, err
				}
			}
			for _, r := range records {
				if !r.Exists() {
					continue
				}
				more, err := rewrite(r)
				if err != nil {
					return nil, err
				}
				ops = append(ops, more...)
			}
			records, wrote = nil, len(ops) > 0
			return ops, nil
		})
		done = done || wrote && err == nil
		batch = batch[:0]
		return err
	}
	all := func() error {
		for record, err := range c.store.Scan(ctx, kind, uid+".", "") {
			if err != nil {
				return storeError("scan", err)
			}
			if batch = append(batch, record); len(batch) < drivers.MaxOps/each {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
		}
		return flush()
	}
	err := all()
	if err != nil && done {
		return fmt.Errorf("%w: %w", errUnfinished, err)
	}
	return err
}

// errUnfinished comes with the error of work on many records, a part of which is done.
var errUnfinished = errors.New("a part is done")

// Where that is at stake which WeChat gives only once, a store that does not answer is
// asked again: 4 times within a second.
const (
	storeTries = 4
	storePause = 200 * time.Millisecond
)

// transactSurely is transact against a store that stumbles.
func (c *Core) transactSurely(ctx context.Context, plan func() ([]drivers.Op, error)) error {
	err := c.transact(ctx, plan)
	for try := 1; try < storeTries && errors.Is(err, ErrUpstream) && pause(ctx, storePause) == nil; try++ {
		err = c.transact(ctx, plan)
	}
	return err
}

// get reads records.
func (c *Core) get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	records, err := c.store.Get(ctx, keys...)
	if err != nil {
		return nil, storeError("get", err)
	}
	return records, nil
}

// read reads one record and decodes it; the zero T where nothing is stored.
func read[T any](ctx context.Context, c *Core, key drivers.Key) (v T, record drivers.Record, err error) {
	records, err := c.get(ctx, key)
	if err != nil {
		return v, record, err
	}
	if record = records[0]; record.Exists() {
		v, err = decode[T](record)
	}
	return v, record, err
}

// storeError tells the store's trouble in the core's words: an error of the
// store means that it is away, one of the context that the caller is, ErrReadOnly
// that nothing may change now, and ErrInvalid that we are wrong.
func storeError(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrReadOnly), errors.Is(err, drivers.ErrInvalid):
		return fmt.Errorf("store: %s: %w", op, err)
	}
	return fmt.Errorf("%w: store: %s: %w", ErrUpstream, op, err)
}

// keepTime is how long the core tries to store what WeChat gives only once.
const keepTime = 15 * time.Second

// outlive returns a context for what must be finished although the caller has gone:
// the end of ctx does not end it, that of limit does.
func outlive(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
