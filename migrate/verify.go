package migrate

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"golang.org/x/sync/errgroup"
)

// maxDifferences is how many differences an error tells.
const maxDifferences = 10

// verifyRecords reads all records of both sides and compares.
func (c *copier) verifyRecords(ctx context.Context) error {
	var found differences
	c.meter.begin(VerifyRecords, c.Kinds...)
	for _, kind := range c.Kinds {
		if err := c.verifyKind(ctx, kind, &found); err != nil {
			return fmt.Errorf("verify %s: %w", kind, err)
		}
	}
	c.meter.end()
	return found.err()
}

func (c *copier) verifyKind(ctx context.Context, kind string, found *differences) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	for i := range parts {
		group.Go(func() error {
			equal, gone, err := c.verifyPart(groupCtx, kind, parts[i:i+1], found)
			mu.Lock()
			defer mu.Unlock()
			c.result.Kinds[kind] += equal
			c.result.Records += equal
			c.result.Expired += gone
			return err
		})
	}
	return group.Wait()
}

// verifyPart returns how many records of a part are equal, and how many expired
// and went from one side.
func (c *copier) verifyPart(ctx context.Context, kind, part string, found *differences) (equal, gone int64, err error) {
	both := pairs(scan(ctx, c.From, kind, part, ""), scan(ctx, c.To, kind, part, ""), recordID)
	for p, err := range both {
		switch {
		case err != nil:
			return equal, gone, err
		case p.target == nil && expired(*p.source, time.Now()), p.source == nil && expired(*p.target, time.Now()):
			gone++
		case p.target == nil:
			found.add(p.source.Key.String(), "missing in the target")
		case p.source == nil:
			found.add(p.target.Key.String(), "only in the target")
		default:
			if what := difference(*p.source, *p.target); what != "" {
				found.add(p.source.Key.String(), what)
			} else {
				equal++
			}
		}
		if found.many() {
			return equal, gone, nil
		}
		c.meter.add(1, 0)
	}
	return equal, gone, nil
}

// difference tells what differs between two records, but for their revisions.
func difference(a, b drivers.Record) string {
	switch {
	case a.Key != b.Key:
		return "another key"
	case !a.Expires.Equal(b.Expires):
		return "another expiry"
	case !equalJSON(a.Data, b.Data):
		return "other data"
	}
	return ""
}

// verifyObjects reads all objects of both sides and compares.
func (c *copier) verifyObjects(ctx context.Context) error {
	var found differences
	c.meter.begin(VerifyObjects, objectsKind)
	var mu sync.Mutex
	err := c.eachObject(ctx, func(ctx context.Context, p pair[drivers.ObjectInfo]) error {
		switch {
		case found.many():
			return nil
		case p.target == nil:
			found.add("object "+p.source.Key, "missing in the target")
			return nil
		case p.source == nil:
			found.add("object "+p.target.Key, "only in the target")
			return nil
		}
		var what string
		err := again(ctx, func() (err error) {
			what, err = c.objectDifference(ctx, p.source.Key)
			return err
		})
		if err != nil {
			return err
		}
		if what != "" {
			found.add("object "+p.source.Key, what)
			return nil
		}
		mu.Lock()
		c.result.Objects++
		c.result.Bytes += p.source.Size
		mu.Unlock()
		c.meter.add(1, p.source.Size)
		return nil
	})
	if err != nil {
		return fmt.Errorf("verify objects: %w", err)
	}
	c.meter.end()
	return found.err()
}

// differences collects what is wrong, as much of it as helps a person.
type differences struct {
	mu    sync.Mutex
	lines []string
}

func (d *differences) add(where, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, where+": "+what)
}

// many reports whether there are so many that nobody wants to know more.
func (d *differences) many() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.lines) >= maxDifferences
}

func (d *differences) err() error {
	if len(d.lines) == 0 {
		return nil
	}
	shown := d.lines[:min(len(d.lines), maxDifferences)]
	return fmt.Errorf("%w:\n\t%s", ErrDifferent, strings.Join(shown, "\n\t"))
}

// pair is what two sides hold under one key: nil where a side holds nothing.
type pair[T any] struct{ source, target *T }

// pairs yields what two sides hold, both in the order of their keys.
func pairs[T any](source, target iter.Seq2[T, error], key func(T) string) iter.Seq2[pair[T], error] {
	return func(yield func(pair[T], error) bool) {
		nextSource, stopSource := iter.Pull2(source)
		defer stopSource()
		nextTarget, stopTarget := iter.Pull2(target)
		defer stopTarget()
		next := func(side string, pull func() (T, error, bool)) (*T, error) {
			switch v, err, ok := pull(); {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", side, err)
			case ok:
				return &v, nil
			}
			return nil, nil
		}
		a, err := next("source", nextSource)
		if err != nil {
			yield(pair[T]{}, err)
			return
		}
		b, err := next("target", nextTarget)
		for err == nil && (a != nil || b != nil) {
			var p pair[T]
			if b == nil || a != nil && key(*a) <= key(*b) {
				p.source = a
			}
			if a == nil || b != nil && key(*b) <= key(*a) {
				p.target = b
			}
			if !yield(p, nil) {
				return
			}
			if p.source != nil {
				if a, err = next("source", nextSource); err != nil {
					break
				}
			}
			if p.target != nil {
				b, err = next("target", nextTarget)
			}
		}
		if err != nil {
			yield(pair[T]{}, err)
		}
	}
}
