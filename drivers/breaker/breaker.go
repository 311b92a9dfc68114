// Package breaker keeps objects that do not answer from holding up those who ask
// for them: after a few failures in a row it answers by itself, at once, and
// tries again later. Main puts it before all objects: some lie behind a network.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/sony/gobreaker/v2"
)

const (
	failures = 5                // in a row, until it breaks
	pause    = 10 * time.Second // until one call may try again
)

// ErrBroken: the objects have failed again and again, and were not asked. Nothing
// was done.
var ErrBroken = errors.New("the object storage has failed too often, it is left alone for a while")

// Objects returns objects with the contract of o, and its abilities, that return
// ErrBroken at once while o is broken. An answer of o's, such as drivers.ErrNotFound,
// is no failure, and what a caller gives up does not count at all. A deadline that runs
// out is a failure: by that, a storage that hangs is known.
func Objects(o drivers.Objects) drivers.Objects {
	b := &objects{Objects: o, breaker: gobreaker.NewCircuitBreaker[any](gobreaker.Settings{
		Timeout:     pause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) },
		IsSuccessful: func(err error) bool {
			return err == nil || errors.Is(err, drivers.ErrNotFound) || errors.Is(err, drivers.ErrInvalid) ||
				errors.Is(err, drivers.ErrClosed) || errors.Is(err, drivers.ErrReadOnly)
		},
	})}
	return drivers.KeepAbilities(b, o)
}

type objects struct {
	drivers.Objects
	breaker *gobreaker.CircuitBreaker[any]
}

// try calls f unless the breaker is open, and tells the breaker how it went.
func (b *objects) try(ctx context.Context, op string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := b.breaker.Execute(func() (any, error) { return nil, f() })
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return fmt.Errorf("%s: %w", op, ErrBroken)
	}
	return err
}

func (b *objects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	return b.try(ctx, "put", func() error { return b.Objects.Put(ctx, key, r, size, contentType) })
}

func (b *objects) Get(ctx context.Context, key string) (o drivers.Object, err error) {
	err = b.try(ctx, "get", func() error {
		o, err = b.Objects.Get(ctx, key)
		return err
	})
	return o, err
}

func (b *objects) Delete(ctx context.Context, keys ...string) error {
	return b.try(ctx, "delete", func() error { return b.Objects.Delete(ctx, keys...) })
}

// List tells the breaker how its first step went: what comes after may be the
// fault of the loop's body.
func (b *objects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return func(yield func(drivers.ObjectInfo, error) bool) {
		next, stop := func() (drivers.ObjectInfo, error, bool) { return drivers.ObjectInfo{}, nil, false }, func() {}
		var info drivers.ObjectInfo
		var ok bool
		err := b.try(ctx, "list", func() (err error) {
			next, stop = iter.Pull2(b.Objects.List(ctx, prefix, after))
			info, err, ok = next()
			return err
		})
		defer stop()
		if err != nil {
			yield(drivers.ObjectInfo{}, err)
			return
		}
		for ok && yield(info, err) {
			info, err, ok = next()
		}
	}
}
