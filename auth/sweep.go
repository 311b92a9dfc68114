package auth

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// The sweep removes objects that no profile names and no job will remove. In
// the normal course there are none: it is for stores put back to an earlier
// state, and for what nobody thought of. One replica does it, once a day.
//
// What it removes has lain there for an hour and was named by no profile when the
// sweep began. An unnamed picture can be named only by the change that stored it,
// and that takes a minute at most; so no picture in use can be lost.
const (
	sweepEvery = 24 * time.Hour
	sweepAge   = time.Hour
)

// sweepRecord says when the last sweep began: the record that makes one replica do it.
type sweepRecord struct {
	Began time.Time `json:"began"`
}

var sweepKey = drivers.Key{Kind: kindSweeps, ID: "pictures"}

// sweepWhenDue sweeps if none has begun within sweepEvery, and reports how many
// objects it removed.
func (c *Core) sweepWhenDue(ctx context.Context) (int, error) {
	records, err := c.get(ctx, sweepKey)
	if err != nil {
		return 0, err
	}
	now := c.now()
	if records[0].Exists() {
		last, err := decode[sweepRecord](records[0])
		if err != nil || now.Before(last.Began.Add(sweepEvery)) {
			return 0, err
		}
	}
	err = c.store.Commit(ctx, drivers.Replace(records[0], encode(sweepRecord{now}), time.Time{}))
	switch {
	case errors.Is(err, drivers.ErrConflict):
		return 0, nil // another replica does it
	case err != nil:
		return 0, storeError("commit", err)
	}
	return c.SweepPictures(ctx)
}

// SweepPictures removes the pictures and uploads that have lain for an hour and
// that no profile names, and returns how many objects it removed. It reads all
// users and needs 8 bytes of memory for each.
func (c *Core) SweepPictures(ctx context.Context) (int, error) {
	// Hashes: a picture that falls together with a named one stays, which does no harm.
	seed := maphash.MakeSeed()
	began := c.now()
	var named []uint64
	for record, err := range c.store.Scan(ctx, kindUsers, "", "") {
		if err != nil {
			return 0, storeError("scan", err)
		}
		user, err := decode[userRecord](record)
		if err != nil {
			return 0, err
		}
		if user.Avatar != nil {
			named = append(named, maphash.String(seed, user.Avatar.ID))
		}
	}
	slices.Sort(named)
	removed := 0
	var batch []string
	remove := func() error {
		if err := c.objects.Delete(ctx, batch...); err != nil {
			return fmt.Errorf("%w: objects: delete: %w", ErrUpstream, err)
		}
		removed += len(batch)
		batch = batch[:0]
		return nil
	}
	for _, folder := range []string{pictureFolder, incomingFolder} {
		for object, err := range c.objects.List(ctx, folder, "") {
			if err != nil {
				return removed, fmt.Errorf("%w: objects: list: %w", ErrUpstream, err)
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(object.Key, folder), "-")
			if _, found := slices.BinarySearch(named, maphash.String(seed, id)); found || began.Sub(object.Modified) < sweepAge {
				continue
			}
			if batch = append(batch, object.Key); len(batch) == 100 {
				if err := remove(); err != nil {
					return removed, err
				}
			}
		}
	}
	if len(batch) > 0 {
		return removed, remove()
	}
	return removed, nil
}
