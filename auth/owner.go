package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// Objects belong to one store: an object, and a record of the store, hold the same
// random mark. A server that is pointed at an empty store, or at another's, beside
// a full bucket would find that no profile names anything in it; only the mark
// keeps its sweep from removing all. What moves the data moves the mark.

// ownerRecord holds the mark of the objects that belong to the store.
type ownerRecord struct {
	Mark string `json:"mark"`
}

var ownerKey = drivers.Key{Kind: kindSweeps, ID: "owner"}

// ownerObject is the key of the object with the mark.
const ownerObject = "owner"

// errForeignObjects: nothing is removed that may be another store's.
var errForeignObjects = errors.New("the objects belong to another store, so what no profile names is left there: " +
	"see MINIPROFILE_STORE and MINIPROFILE_OBJECTS, or remove the object named " + ownerObject + " if this store shall have them")

// ownObjects returns nil where the objects are the store's; those that are nobody's
// become so.
func (c *Core) ownObjects(ctx context.Context) error {
	mark, err := c.ownMark(ctx)
	if err != nil {
		return err
	}
	there, err := c.objectsMark(ctx)
	if errors.Is(err, drivers.ErrNotFound) {
		if err := c.objects.Put(ctx, ownerObject, strings.NewReader(mark), int64(len(mark)), "text/plain"); err != nil {
			return fmt.Errorf("%w: objects: put: %w", ErrUpstream, err)
		}
		there, err = c.objectsMark(ctx) // another store's replica may have been as fast
	}
	if err != nil {
		return fmt.Errorf("%w: objects: get: %w", ErrUpstream, err)
	}
	if there != mark {
		return errForeignObjects
	}
	return nil
}

// ownMark returns the store's mark, which it makes the first time.
func (c *Core) ownMark(ctx context.Context) (mark string, err error) {
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		owner, record, err := read[ownerRecord](ctx, c, ownerKey)
		if err != nil || record.Exists() {
			mark = owner.Mark
			return nil, err
		}
		mark = newID()
		return []drivers.Op{drivers.Create(ownerKey, encode(ownerRecord{mark}), time.Time{})}, nil
	})
	return mark, err
}

func (c *Core) objectsMark(ctx context.Context) (string, error) {
	object, err := c.objects.Get(ctx, ownerObject)
	if err != nil {
		return "", err
	}
	defer object.Close()
	mark, err := io.ReadAll(io.LimitReader(object, 100))
	return string(mark), err
}
