package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrReadOnly: the store or objects were opened for reading alone, and the call
// wants to write. Nothing was written.
var ErrReadOnly = errors.New("read-only")

// ReadOnlyStore returns s without its Commit, which is ErrReadOnly for ops that
// Check accepts. All else is s's; closing closes s.
func ReadOnlyStore(s Store) Store { return readOnlyStore{s} }

type readOnlyStore struct{ Store }

func (s readOnlyStore) Commit(_ context.Context, ops ...Op) error {
	if err := Check(ops); err != nil {
		return err
	}
	return fmt.Errorf("commit %v: %w", ops[0].Key, ErrReadOnly)
}

// Kinds is KindLister's, where s has it.
func (s readOnlyStore) Kinds(ctx context.Context) ([]string, error) { return Kinds(ctx, s.Store) }

// ReadOnlyObjects returns o without its Put and Delete, which are ErrReadOnly for
// arguments that are valid, and without the abilities that would write. All else is
// o's; closing closes o.
func ReadOnlyObjects(o Objects) Objects {
	if public, ok := o.(PublicURLer); ok {
		return struct {
			readOnlyObjects
			PublicURLer
		}{readOnlyObjects{o}, public}
	}
	return readOnlyObjects{o}
}

type readOnlyObjects struct{ Objects }

func (readOnlyObjects) Put(_ context.Context, key string, _ io.Reader, size int64, contentType string) error {
	if err := CheckPut(key, size, contentType); err != nil {
		return err
	}
	return fmt.Errorf("put %s: %w", key, ErrReadOnly)
}

func (readOnlyObjects) Delete(_ context.Context, keys ...string) error {
	if err := CheckObjectKey(keys...); err != nil {
		return err
	}
	return fmt.Errorf("delete: %w", ErrReadOnly)
}
