package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"golang.org/x/sync/errgroup"
)

// parts are the characters with which an ID may begin: each makes one part of a
// kind, and all parts are copied, or compared, at once.
const parts = "0123456789abcdefghijklmnopqrstuvwxyz"

// copyRecords copies the records of all kinds, as far as the mark says that they
// are not copied yet.
func (c *copier) copyRecords(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := c.mark.keep(ctx, cancel)
	c.meter.begin(CopyRecords, c.Kinds...)
	var failure error
	for _, kind := range c.Kinds {
		if failure = c.copyKind(ctx, kind); failure != nil {
			break
		}
	}
	if err := stop(); err != nil {
		return errors.Join(err, failure)
	}
	if failure != nil {
		return failure
	}
	c.meter.end()
	return nil
}

func (c *copier) copyKind(ctx context.Context, kind string) error {
	copied, more := c.mark.enter(kind)
	c.meter.before(copied)
	if more {
		group, groupCtx := errgroup.WithContext(ctx)
		for i := range parts {
			group.Go(func() error { return c.copyPart(groupCtx, kind, parts[i:i+1]) })
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("copy %s: %w", kind, err)
		}
		copied = c.mark.leave(kind)
	}
	c.meter.expect(kind, copied)
	return nil
}

// copyPart copies the records of a kind whose IDs begin with part.
func (c *copier) copyPart(ctx context.Context, kind, part string) error {
	batch := make([]drivers.Op, 0, drivers.MaxOps)
	last := ""
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := again(ctx, func() error { return c.create(ctx, batch) }); err != nil {
			return err
		}
		c.mark.advance(part, last, len(batch))
		c.wrote.Add(int64(len(batch)))
		c.meter.add(int64(len(batch)), 0)
		batch = batch[:0]
		return nil
	}
	for r, err := range scan(ctx, c.From, kind, part, c.mark.at(part).After) {
		if err != nil {
			return err
		}
		batch = append(batch, drivers.Create(r.Key, r.Data, r.Expires))
		last = r.Key.ID
		if len(batch) == drivers.MaxOps {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// create creates records in the target. Those that are there already, from before
// an interruption or a lost answer, must be equal.
func (c *copier) create(ctx context.Context, ops []drivers.Op) error {
	err := c.To.Commit(ctx, ops...)
	if !errors.Is(err, drivers.ErrConflict) {
		return err
	}
	keys := make([]drivers.Key, len(ops))
	for i, op := range ops {
		keys[i] = op.Key
	}
	found, err := c.To.Get(ctx, keys...)
	if err != nil {
		return err
	}
	var missing []drivers.Op
	for i, op := range ops {
		switch {
		case !found[i].Exists():
			missing = append(missing, op)
		case !found[i].Expires.Equal(op.Expires) || !equalJSON(found[i].Data, op.Data):
			return fmt.Errorf("%w: %v is there and has another content", ErrOccupied, op.Key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := c.To.Commit(ctx, missing...); err != nil {
		if errors.Is(err, drivers.ErrConflict) {
			return errStolen
		}
		return err
	}
	return nil
}

// scan is the store's, but goes on after an error as far as that may help.
func scan(ctx context.Context, s drivers.Store, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return resumed(ctx, after, recordID,
		func(after string) iter.Seq2[drivers.Record, error] { return s.Scan(ctx, kind, prefix, after) })
}

func recordID(r drivers.Record) string { return r.Key.ID }

// sameBeginning returns an error when what an interrupted copy left in the target
// is not the source's. Each part is copied in the order of its IDs, so the target
// holds the beginning of each part of the source, and the first records tell.
func (c *copier) sameBeginning(ctx context.Context, m *mark) error {
	now := time.Now()
	for _, kind := range c.Kinds {
		these := []string{""}
		_, done := m.state.Done[kind]
		if !done {
			these = strings.Split(parts, "")
		}
		for _, part := range these {
			target, err := beginning(ctx, c.To, kind, part, now)
			if err != nil {
				return err
			}
			if len(target) == 0 && !done {
				continue
			}
			source, err := beginning(ctx, c.From, kind, part, now)
			if err != nil {
				return err
			}
			for i := range max(len(source), len(target)) {
				if i == len(target) && !done {
					break
				}
				if i >= len(source) || i >= len(target) || difference(source[i], target[i]) != "" {
					return fmt.Errorf("%w: an unfinished copy from %s, which is another source, or has changed", ErrOccupied, m.state.From)
				}
			}
		}
	}
	return nil
}

// beginning returns the first records of a part that have not expired.
func beginning(ctx context.Context, s drivers.Store, kind, part string, now time.Time) (first []drivers.Record, err error) {
	for r, err := range scan(ctx, s, kind, part, "") {
		if err != nil {
			return nil, err
		}
		if expired(r, now) {
			continue
		}
		if first = append(first, r); len(first) == 16 {
			break
		}
	}
	return first, nil
}

func expired(r drivers.Record, now time.Time) bool {
	return !r.Expires.IsZero() && !now.Before(r.Expires)
}
