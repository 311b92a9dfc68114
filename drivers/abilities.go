package drivers

import (
	"context"
	"fmt"
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

// BusyError is an error of a driver whose service asked to be left alone for a
// while. The driver does not wait that long; its caller may. Find it with errors.As.
type BusyError struct {
	After time.Duration // counted from when the error was returned
	Err   error
}

func (e *BusyError) Error() string { return fmt.Sprintf("%v; try again in %v", e.Err, e.After) }

func (e *BusyError) Unwrap() error { return e.Err }

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
