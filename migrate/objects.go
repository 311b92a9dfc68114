package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/miniprofile/miniprofile/drivers"
	"golang.org/x/sync/errgroup"
)

// objectsKind stands for the objects where others are kinds of records.
const objectsKind = ""

// hands is how many objects are copied, or compared, at once.
const hands = 16

// surveyObjects returns an error when the target holds an object that the source
// does not.
func (c *copier) surveyObjects(ctx context.Context) error {
	empty := true
	for _, err := range list(ctx, c.ToObjects) {
		if err != nil {
			return err
		}
		empty = false
		break
	}
	if empty {
		return nil
	}
	for p, err := range c.objectPairs(ctx) {
		switch {
		case err != nil:
			return err
		case p.source == nil:
			return fmt.Errorf("%w: object %s", ErrOccupied, p.target.Key)
		case p.target != nil && p.target.Size != p.source.Size:
			return fmt.Errorf("%w: object %s is there and has another size", ErrOccupied, p.target.Key)
		}
	}
	return nil
}

// copyObjects copies the objects that the target does not have yet.
func (c *copier) copyObjects(ctx context.Context) error {
	c.meter.begin(CopyObjects, objectsKind)
	err := c.eachObject(ctx, func(ctx context.Context, p pair[drivers.ObjectInfo]) error {
		if p.source == nil {
			return fmt.Errorf("%w: object %s", ErrOccupied, p.target.Key)
		}
		if p.target == nil {
			if err := again(ctx, func() error { return c.copyObject(ctx, p.source.Key) }); err != nil {
				return err
			}
			c.wrote.Add(1)
		}
		c.meter.add(1, p.source.Size)
		return nil
	})
	if err != nil {
		return fmt.Errorf("copy objects: %w", err)
	}
	c.meter.settle(objectsKind)
	c.meter.end()
	return nil
}

func (c *copier) copyObject(ctx context.Context, key string) error {
	o, err := c.FromObjects.Get(ctx, key)
	if err != nil {
		return err
	}
	defer o.Close()
	return c.ToObjects.Put(ctx, key, o, o.Size, o.ContentType)
}

// eachObject calls do for all objects of both sides, several at once.
func (c *copier) eachObject(ctx context.Context, do func(context.Context, pair[drivers.ObjectInfo]) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(hands)
	for p, err := range c.objectPairs(ctx) {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		group.Go(func() error { return do(ctx, p) })
	}
	return group.Wait()
}

func (c *copier) objectPairs(ctx context.Context) iter.Seq2[pair[drivers.ObjectInfo], error] {
	return pairs(list(ctx, c.FromObjects), list(ctx, c.ToObjects), objectKey)
}

// list lists all objects, and goes on as scan does.
func list(ctx context.Context, o drivers.Objects) iter.Seq2[drivers.ObjectInfo, error] {
	return resumed(ctx, "", objectKey,
		func(after string) iter.Seq2[drivers.ObjectInfo, error] { return o.List(ctx, "", after) })
}

func objectKey(o drivers.ObjectInfo) string { return o.Key }

// objectDifference tells what differs between the objects of a key on both sides,
// or nothing.
func (c *copier) objectDifference(ctx context.Context, key string) (string, error) {
	source, err := c.FromObjects.Get(ctx, key)
	if err != nil {
		return "", err
	}
	defer source.Close()
	target, err := c.ToObjects.Get(ctx, key)
	if errors.Is(err, drivers.ErrNotFound) {
		return "missing in the target", nil
	}
	if err != nil {
		return "", err
	}
	defer target.Close()
	if source.ContentType != target.ContentType {
		return "another content type", nil
	}
	if source.Size != target.Size {
		return "another size", nil
	}
	same, err := sameBytes(source, target)
	if err != nil || same {
		return "", err
	}
	return "other bytes", nil
}

// sameBytes reads both to the end and compares.
func sameBytes(a, b io.Reader) (bool, error) {
	left, right := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, errA := io.ReadFull(a, left)
		m, errB := io.ReadFull(b, right)
		if !bytes.Equal(left[:n], right[:m]) {
			return false, nil
		}
		endA, endB := errA == io.EOF || errA == io.ErrUnexpectedEOF, errB == io.EOF || errB == io.ErrUnexpectedEOF
		switch {
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		case endA || endB:
			return endA == endB, nil
		}
	}
}
