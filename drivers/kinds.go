package drivers

import (
	"context"
	"errors"
)

// KindLister is the ability of a store that can tell which kinds of records it
// holds. Nobody needs it to work; whoever moves a store asks, so that no kind that
// they do not know stays behind.
type KindLister interface {
	// Kinds returns, in order, the kinds of which at least one record is stored.
	Kinds(ctx context.Context) ([]string, error)
}

// Kinds returns the kinds of which s holds records, or an error that is
// errors.ErrUnsupported when s cannot tell.
func Kinds(ctx context.Context, s Store) ([]string, error) {
	if l, ok := s.(KindLister); ok {
		return l.Kinds(ctx)
	}
	return nil, errors.ErrUnsupported
}
