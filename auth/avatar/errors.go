package avatar

import "errors"

// What is wrong with a picture that was refused. Errors of Process that are none of these are not about the picture.
var (
	ErrUnsupported = errors.New("avatar: unsupported kind of picture")
	ErrTooLarge    = errors.New("avatar: picture too large")
	ErrBroken      = errors.New("avatar: picture broken")
)

// ErrCrowded: there were too many other pictures at work. It says nothing about this one.
var ErrCrowded = errors.New("avatar: too many pictures at work")

// Error is a refusal of a picture. It wraps ErrUnsupported, ErrTooLarge or ErrBroken.
type Error struct {
	Kind   error
	Reason string // a phrase that may be shown to whoever sent the picture
}

func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Reason }
func (e *Error) Unwrap() error { return e.Kind }

// The reasons, in one place because users read them.
const (
	reasonUnknown  = "the file is not a JPEG, PNG, GIF or WebP picture"
	reasonVariant  = "this variant of the format is not supported"
	reasonAnimated = "animated WebP is not supported, send a still picture"
	reasonBytes    = "the file is larger than 10 MiB"
	reasonSide     = "the picture is more than 8192 pixels wide or high"
	reasonPixels   = "the picture has more than 40 million pixels"
	reasonMemory   = "the picture needs too much memory to open, send a smaller one or a plain JPEG"
	reasonScans    = "the picture is stored in too many passes, send a plain JPEG"
	reasonEmpty    = "the file is empty"
	reasonBroken   = "the picture is damaged or incomplete"
)

func refuse(kind error, reason string) error { return &Error{Kind: kind, Reason: reason} }
