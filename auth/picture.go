package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
	"github.com/miniprofile/miniprofile/drivers"
	"golang.org/x/sync/errgroup"
)

// A picture is two objects, avatars/ID-512.jpg and avatars/ID-132.jpg. Its id is
// random and new each time, so an address never shows another picture.
//
// A profile never names an absent picture and no picture is left behind: before
// the objects are stored, a job is, which removes them later unless the profile
// names them by then; the commit that names them deletes that job, and fails when
// the job has begun. The commit that stops naming a picture makes a job for it.
const (
	pictureFolder = "avatars/"
	// pictureTime bounds decoding and storing; pictureLease is when the job of a
	// picture that was not named begins. The first is well below the second.
	pictureTime  = time.Minute
	pictureLease = 10 * time.Minute
	// crowdedWait is when a client may try again whose picture waited in vain.
	crowdedWait = 5 * time.Second
)

func pictureName(id string, size AvatarSize) string {
	if size == AvatarSmall {
		return id + "-132.jpg"
	}
	return id + "-512.jpg"
}

// pictureKeys are the keys of a picture's objects.
func pictureKeys(id string) []string {
	return []string{pictureFolder + pictureName(id, AvatarSmall), pictureFolder + pictureName(id, AvatarLarge)}
}

// storedPicture is a picture whose objects are stored and which no profile names yet.
type storedPicture struct {
	id  string
	job drivers.Key // would remove it
}

// storePicture checks and re-encodes an upload and stores it.
func (c *Core) storePicture(ctx context.Context, uid string, upload Upload) (*storedPicture, error) {
	pictures, err := c.pictures.Process(ctx, upload)
	if err != nil {
		return nil, pictureError(err)
	}
	return c.putPicture(ctx, uid, pictures)
}

// putPicture stores a picture, after the job that would remove it.
func (c *Core) putPicture(ctx context.Context, uid string, pictures avatar.Pictures) (*storedPicture, error) {
	p := &storedPicture{id: newID()}
	op := removeLater(uid, p.id, c.now().Add(pictureLease))
	p.job = op.Key
	if err := c.store.Commit(ctx, op); err != nil {
		return nil, storeError("commit", err)
	}
	// What fails does not cut off the other: objects that were away let one call try
	// again, and would never learn from one that was given up.
	var group errgroup.Group
	for size, data := range map[AvatarSize][]byte{AvatarSmall: pictures.Small, AvatarLarge: pictures.Large} {
		group.Go(func() error {
			return c.objects.Put(ctx, pictureFolder+pictureName(p.id, size), bytes.NewReader(data), int64(len(data)), avatar.ContentType)
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("%w: objects: put: %w", ErrUpstream, err)
	}
	return p, nil
}

// pictureError tells what is wrong with a picture in words for a user.
func pictureError(err error) error {
	var bad *avatar.Error
	if errors.As(err, &bad) {
		return &InvalidError{"avatar", bad.Reason}
	}
	if errors.Is(err, avatar.ErrCrowded) {
		return &LaterError{fmt.Errorf("%w: %w", ErrRateLimited, err), crowdedWait}
	}
	return err
}

// keep makes the op that lets a stored picture stay.
func (c *Core) keep(ctx context.Context, p *storedPicture) (drivers.Op, error) {
	job, record, err := read[jobRecord](ctx, c, p.job)
	if err != nil {
		return drivers.Op{}, err
	}
	if !record.Exists() || job.Attempts > 0 {
		return drivers.Op{}, fmt.Errorf("%w: storing the picture took too long", ErrUpstream)
	}
	return drivers.Delete(record), nil
}

// removal is the job that removes a picture unless its user's profile names it.
type removal struct {
	User    string `json:"user"`
	Picture string `json:"picture"`
}

// removeLater makes the op that files a removal.
func removeLater(uid, id string, due time.Time) drivers.Op {
	return newJob(jobRemovePicture, due, removal{uid, id})
}

func (c *Core) removePicture(ctx context.Context, r removal) error {
	a, err := c.account(ctx, r.User)
	if err != nil {
		return err
	}
	if a.there && a.user.Avatar != nil && a.user.Avatar.ID == r.Picture {
		return nil
	}
	return c.deleteObjects(ctx, pictureKeys(r.Picture)...)
}

func (c *Core) deleteObjects(ctx context.Context, keys ...string) error {
	if err := c.objects.Delete(ctx, keys...); err != nil {
		return fmt.Errorf("%w: objects: delete: %w", ErrUpstream, err)
	}
	return nil
}

// Picture opens a picture by its name, the last part of its address; the caller
// closes it, and ctx lasts as long as the reading. What never was, or is no
// longer, is ErrNotFound.
func (c *Core) Picture(ctx context.Context, name string) (drivers.Object, error) {
	id, _, _ := strings.Cut(name, "-")
	if !isID(id) || name != pictureName(id, AvatarSmall) && name != pictureName(id, AvatarLarge) {
		return drivers.Object{}, ErrNotFound
	}
	object, err := c.objects.Get(ctx, pictureFolder+name)
	switch {
	case errors.Is(err, drivers.ErrNotFound):
		return drivers.Object{}, ErrNotFound
	case err != nil:
		return drivers.Object{}, fmt.Errorf("%w: objects: get: %w", ErrUpstream, err)
	}
	return object, nil
}
