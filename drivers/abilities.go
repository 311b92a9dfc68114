package drivers

import (
	"context"
	"errors"
	"time"
)

// PublicURLer is the ability of Objects that others can serve: a bucket that is
// open to the world, or a CDN before it. Abilities are interfaces of one method
// that only some drivers have; whoever wants one asks for it, and has another way
// where it is missing:
//
//	if public, ok := objects.(drivers.PublicURLer); ok {
type PublicURLer interface {
	// PublicURL returns where the object of key is when the place that the driver's
	// URL names (for a bucket: its root) is at base. Only the driver knows, for it
	// may call an object otherwise than by its key. Nothing is read or checked: the
	// object need not be there, and key is valid. Make URLs when they are asked for
	// and store keys, so that another base breaks nothing.
	PublicURL(base, key string) string
}

// UploadSigner is the ability of Objects to let somebody without credentials put
// one object, without its bytes passing through us.
type UploadSigner interface {
	// SignUpload returns a form with which whoever has it may, until expires and as
	// often as they like, put the object of key: 1 to maxSize bytes of contentType.
	// The service refuses another key, another type and a larger body, and then
	// what was there stays. The type is only what the sender says, and the bytes
	// are a stranger's: whoever reads the object checks it first.
	//
	// The form is a secret until it expires, and nothing can call it back: choose a
	// key that nothing else depends on, and a short time. What Put would refuse,
	// and a time that has passed, are ErrInvalid; ErrClosed and contexts are as in
	// Objects.
	SignUpload(ctx context.Context, key, contentType string, maxSize int64, expires time.Time) (UploadForm, error)
}

// UploadForm is what to send as multipart/form-data in an HTTP POST. The answer is
// 2xx when the object is stored, and another when nothing is.
type UploadForm struct {
	URL string
	// Fields are sent as they are, in any order, but all before the file: services
	// stop reading there.
	Fields    map[string]string
	FileField string // the name of the file's part
}

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

// KeepAbilities returns wrapper with the abilities of the objects that it wraps.
func KeepAbilities(wrapper, of Objects) Objects {
	signer, signs := of.(UploadSigner)
	public, isPublic := of.(PublicURLer)
	switch {
	case signs && isPublic:
		return struct {
			Objects
			UploadSigner
			PublicURLer
		}{wrapper, signer, public}
	case signs:
		return struct {
			Objects
			UploadSigner
		}{wrapper, signer}
	case isPublic:
		return struct {
			Objects
			PublicURLer
		}{wrapper, public}
	}
	return wrapper
}
