package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// The sweep removes objects that no profile names and no job will remove. In
// the normal course there are none: it is for stores put back to an earlier
// state, for what a bucket stored after it had said that it could not, and for
// what nobody thought of. One replica does it, once a day.
//
// No picture in use can be lost, whatever clocks say. Whoever stores an object
// has filed the job that removes it before; a picture can be named only by the
// commit that deletes that job; and a merge, which moves a name from one user to
// another, files a job that says so. So of what is listed first, that has no job
// then, no name after that, and no job in the end, nothing will ever be named:
// not even by another replica that was about to. It must have lain for an hour
// besides, but nothing depends on that.
const (
	sweepEvery = 24 * time.Hour
	sweepAge   = time.Hour
	sweepMany  = 50_000 // suspects at a time, some 5 MiB of memory
	// sweepTime is what there is to look for the names and jobs of suspects, and how
	// long the job of a picture that was moved stays.
	sweepTime = time.Hour
)

// sweepRecord says when the last sweep began: the record that makes one replica do it.
type sweepRecord struct {
	Began time.Time `json:"began"`
}

var sweepKey = drivers.Key{Kind: kindSweeps, ID: "pictures"}

// sweepWhenDue sweeps if none has begun within sweepEvery, and reports how many
// objects it removed.
func (c *Core) sweepWhenDue(ctx context.Context) (int, error) {
	last, record, err := read[sweepRecord](ctx, c, sweepKey)
	now := c.now()
	if err != nil || now.Before(last.Began.Add(sweepEvery)) {
		return 0, err
	}
	err = c.store.Commit(ctx, put(record, sweepRecord{now}))
	switch {
	case errors.Is(err, drivers.ErrConflict):
		return 0, nil // another replica does it
	case err != nil:
		return 0, storeError("commit", err)
	}
	return c.SweepPictures(ctx)
}

// SweepPictures removes the pictures and uploads that have lain for an hour and
// that no profile names and no job will remove, and returns how many objects it
// removed. It reads all users twice and needs 8 bytes of memory for each.
// Where the objects belong to another store it removes nothing, which is an error.
func (c *Core) SweepPictures(ctx context.Context) (removed int, err error) {
	if err := c.ownObjects(ctx); err != nil {
		return 0, err
	}
	// Hashes: a picture that falls together with a named one stays, which does no harm.
	seed := maphash.MakeSeed()
	var named []uint64
	err = c.eachNamed(ctx, func(id string) { named = append(named, maphash.String(seed, id)) })
	if err != nil {
		return 0, err
	}
	slices.Sort(named)
	isNamed := func(id string) bool {
		_, found := slices.BinarySearch(named, maphash.String(seed, id))
		return found
	}
	for _, folder := range []string{pictureFolder, incomingFolder} {
		for after, more := "", true; more; {
			var found suspects
			if found, after, more, err = c.suspect(ctx, folder, after, isNamed); err != nil {
				return removed, err
			}
			if err := c.acquit(ctx, found); err != nil {
				return removed, err
			}
			for keys := range slices.Chunk(slices.Concat(slices.Collect(maps.Values(found))...), 100) {
				if err := c.deleteObjects(ctx, keys...); err != nil {
					return removed, err
				}
				removed += len(keys)
			}
		}
	}
	return removed, nil
}

// suspects are the keys of objects that may be removed, by the id of their picture
// or upload.
type suspects map[string][]string

// suspect lists objects that are old and have no name. Where there are more,
// after says how far it came.
func (c *Core) suspect(ctx context.Context, folder, after string, isNamed func(id string) bool) (found suspects, last string, more bool, err error) {
	found = suspects{}
	now := c.now()
	for object, err := range c.objects.List(ctx, folder, after) {
		if err != nil {
			return nil, "", false, fmt.Errorf("%w: objects: list: %w", ErrUpstream, err)
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(object.Key, folder), "-")
		if now.Sub(object.Modified) < sweepAge || isNamed(id) {
			continue
		}
		found[id] = append(found[id], object.Key)
		if len(found) == sweepMany {
			return found, object.Key, true, nil
		}
	}
	return found, "", false, nil
}

// acquit takes those out of the suspects that a job or a profile names: jobs
// before and after profiles, so that a name does not slip by between the two.
func (c *Core) acquit(ctx context.Context, found suspects) error {
	if len(found) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	innocent := func(id string) { delete(found, id) }
	for _, each := range []func(context.Context, func(id string)) error{c.eachAwaited, c.eachNamed, c.eachAwaited} {
		if err := each(ctx, innocent); err != nil {
			return err
		}
	}
	return nil
}

// eachNamed calls f with each picture that a profile names.
func (c *Core) eachNamed(ctx context.Context, f func(id string)) error {
	for record, err := range c.store.Scan(ctx, kindUsers, "", "") {
		if err != nil {
			return storeError("scan", err)
		}
		user, err := decode[userRecord](record)
		if err != nil {
			return err
		}
		if user.Avatar != nil {
			f(user.Avatar.ID)
		}
	}
	return nil
}

// eachAwaited calls f with each picture and upload that a job is for.
func (c *Core) eachAwaited(ctx context.Context, f func(id string)) error {
	for record, err := range c.store.Scan(ctx, kindJobs, "", "") {
		if err != nil {
			return storeError("scan", err)
		}
		job, err := decode[jobRecord](record)
		if err != nil {
			return err
		}
		switch job.Kind {
		case jobRemovePicture, jobPictureMoved:
			var args removal
			if err = json.Unmarshal(job.Args, &args); err == nil {
				f(args.Picture)
			}
		case jobRemoveUpload:
			var args removedUpload
			if err = json.Unmarshal(job.Args, &args); err == nil {
				f(args.Upload)
			}
		}
		if err != nil {
			return fmt.Errorf("job %s: its arguments have another form", record.Key.ID)
		}
	}
	return nil
}
