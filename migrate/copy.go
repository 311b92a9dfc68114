package migrate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// Sentinels of Copy. Any other error leaves a copy that the same call resumes.
var (
	// ErrOccupied: the target holds something that is not of this copy. That is found
	// before anything is written, unless somebody writes there meanwhile.
	ErrOccupied = errors.New("the target holds other data")
	// ErrDifferent: all was copied, and source and target are not equal: one of
	// them was written to meanwhile, or is broken. The target stays unfinished.
	ErrDifferent = errors.New("source and target differ")
	// ErrUnfinished: the store is the target of a copy that has not been finished. It
	// is no source.
	ErrUnfinished = errors.New("an unfinished copy")
	// ErrNothing: the source holds nothing, so it is hardly the one that was meant.
	ErrNothing = errors.New("the source holds nothing")
	// ErrUnknownKind: the source holds records of a kind that is not to be copied.
	ErrUnknownKind = errors.New("a kind of record that this release does not know")
)

// Config says what to copy.
type Config struct {
	// From and To are stores, or both nil when no records are to be copied.
	From, To drivers.Store
	// FromObjects and ToObjects are objects, or both nil.
	FromObjects, ToObjects drivers.Objects
	// Kinds are the kinds of records to copy: all that there are.
	Kinds []string
	// Ignore are kinds that may be there and are not copied.
	Ignore []string
	// Source names the source to a person; without secrets.
	Source string
	// Watch, when set, is told how far the copy is: a few times a second, and at
	// the end of each step.
	Watch func(Progress)
}

// Result is what Copy did.
type Result struct {
	Kinds   map[string]int64 // how many records of each kind are on both sides
	Records int64            // all of them
	Objects int64            // objects on both sides
	Bytes   int64            // of the objects
	Expired int64            // records that expired and went from one side meanwhile
	Written int64            // records and objects that this run wrote: 0 when all were there before
	Resumed bool             // an earlier copy was gone on with
}

// Copy copies everything from source to target and verifies it; see the package
// comment. nil means that both sides were read after the copy and found equal.
func Copy(ctx context.Context, config Config) (Result, error) {
	c := &copier{Config: config, result: Result{Kinds: map[string]int64{}}}
	c.Ignore = append(slices.Clone(c.Ignore), markKind)
	stop := c.watch()
	err := c.copy(ctx)
	stop()
	c.result.Written = c.wrote.Load()
	return c.result, err
}

// copier is one copy.
type copier struct {
	Config
	mark   *mark // nil when no records are copied
	meter  meter
	wrote  atomic.Int64
	result Result
}

func (c *copier) copy(ctx context.Context) error {
	if err := c.survey(ctx); err != nil {
		return err
	}
	if c.From != nil {
		if err := c.begin(ctx); err != nil {
			return err
		}
	}
	if c.mark != nil {
		if err := c.copyRecords(ctx); err != nil {
			return err
		}
	}
	if c.FromObjects != nil {
		if err := c.copyObjects(ctx); err != nil {
			return err
		}
	}
	if c.mark != nil {
		if err := c.verifyRecords(ctx); err != nil {
			return err
		}
	}
	if c.FromObjects != nil {
		if err := c.verifyObjects(ctx); err != nil {
			return err
		}
	}
	if c.mark != nil {
		return c.mark.remove(ctx)
	}
	return nil
}

// survey looks, before anything is written, whether the source is one that can be
// copied whole, and the objects of the target are none or some of the source's.
func (c *copier) survey(ctx context.Context) error {
	empty := true
	if c.From != nil {
		if err := Unfinished(ctx, c.From); err != nil {
			return fmt.Errorf("the source: %w", err)
		}
		if err := c.knowsKinds(ctx, c.From, ErrUnknownKind); err != nil {
			return err
		}
		if err := c.knowsKinds(ctx, c.To, ErrOccupied); err != nil {
			return err
		}
		for _, kind := range c.Kinds {
			n, err := c.estimate(ctx, kind)
			if err != nil {
				return err
			}
			c.meter.expect(kind, n)
			empty = empty && n == 0
		}
	}
	if c.FromObjects != nil {
		n, err := c.estimateObjects(ctx)
		if err != nil {
			return err
		}
		c.meter.expect(objectsKind, n)
		empty = empty && n == 0
		if err := c.surveyObjects(ctx); err != nil {
			return err
		}
	}
	if empty {
		return ErrNothing
	}
	return nil
}

// knowsKinds returns an error when s holds records of a kind that is neither
// copied nor ignored. A store that cannot tell is believed.
func (c *copier) knowsKinds(ctx context.Context, s drivers.Store, refused error) error {
	kinds, err := drivers.Kinds(ctx, s)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		if !slices.Contains(c.Kinds, kind) && !slices.Contains(c.Ignore, kind) {
			return fmt.Errorf("%w: %s", refused, kind)
		}
	}
	return nil
}

// begin marks the target, or finds it marked. It leaves no mark when the target
// holds already all that the source holds, and nothing else: then the records were
// copied before.
func (c *copier) begin(ctx context.Context) error {
	var found *mark
	err := again(ctx, func() (err error) {
		found, err = readMark(ctx, c.To)
		return err
	})
	if err != nil {
		return err
	}
	if found != nil {
		if err := c.sameBeginning(ctx, found); err != nil {
			return err
		}
		c.mark, c.result.Resumed = found, true
		return c.mark.hold(ctx)
	}
	empty := true
	for _, kind := range c.Kinds {
		for _, err := range scan(ctx, c.To, kind, "", "") {
			if err != nil {
				return err
			}
			empty = false
			break
		}
	}
	if empty {
		c.mark, err = newMark(ctx, c.To, c.Source)
		return err
	}
	err = c.verifyRecords(ctx)
	if errors.Is(err, ErrDifferent) {
		return fmt.Errorf("%w: %s", ErrOccupied, strings.TrimPrefix(err.Error(), ErrDifferent.Error()+":"))
	}
	return err
}

// again calls f until it succeeds, with pauses, as far as repeating may help.
func again(ctx context.Context, f func() error) error {
	wait := firstWait
	for try := 1; ; try++ {
		err := f()
		if err == nil || ctx.Err() != nil || try == tries || hopeless(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		wait = min(2*wait, lastWait)
	}
}

// resumed goes on after an error where it ended, as far as that may help. from gives
// what comes after a key.
func resumed[T any](ctx context.Context, after string, key func(T) string, from func(after string) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := after
		for {
			seen, stopped := false, false
			err := again(ctx, func() error {
				for v, err := range from(after) {
					if err != nil {
						if seen { // what came counts: begin to count the tries anew
							return nil
						}
						return err
					}
					seen, after = true, key(v)
					if !yield(v, nil) {
						stopped = true
						return nil
					}
				}
				seen = false
				return nil
			})
			switch {
			case stopped:
				return
			case err != nil:
				var none T
				yield(none, err)
				return
			case !seen:
				return
			}
		}
	}
}

// What is done about a store that stumbles: 9 tries within 16 seconds.
const (
	tries     = 9
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// hopeless reports whether asking again for what gave err gives it again.
func hopeless(err error) bool {
	for _, known := range []error{drivers.ErrConflict, drivers.ErrInvalid, drivers.ErrClosed, drivers.ErrReadOnly, drivers.ErrNotFound, ErrOccupied, errStolen, errForm} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}
