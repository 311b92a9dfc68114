package drivers

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Limits of Objects.
const (
	MaxObject      = 16 << 20 // bytes of one object; a picture of 10 MiB and room
	MaxObjectKey   = 200      // bytes of a key; S3 allows 1024, file systems 255 a segment
	MaxContentType = 100      // bytes of a content type
)

// ErrNotFound: no object has this key.
var ErrNotFound = errors.New("not found")

// Objects keeps blobs. All methods may be called by any number of goroutines.
//
// Keys are [a-z0-9._-] in one or more segments, separated by single slashes,
// each beginning with a letter or digit, at most MaxObjectKey bytes in all.
// "a" and "a/b" may both exist: the slash has no meaning but in order and prefix.
//
// Errors: ErrNotFound from Get only; ErrInvalid and ErrClosed as in Store.
// Contexts, aliasing and durability are as in Store; durability is Put's and
// Delete's promise when they return nil.
type Objects interface {
	// Put stores exactly size bytes of r under key, replacing what was there. A
	// reader of the key sees the old object or the new one, whole, never a
	// mixture or a part; after an error, either. When r ends before size, or has
	// more, or fails, Put returns an error and the old object, or none, is there.
	// Of several Puts at once, one wins. contentType is printable ASCII,
	// without a space at either end.
	Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error

	// Get opens the object for reading, or returns ErrNotFound. The caller closes
	// it. What it reads is one version, whole: a Put or Delete meanwhile makes it
	// end in that version or in an error, never in other bytes. It outlives the
	// call, so ctx must last as long as the reading.
	Get(ctx context.Context, key string) (Object, error)

	// Delete removes the objects of keys. Deleting what is absent is no error.
	// After an error some may be gone.
	Delete(ctx context.Context, keys ...string) error

	// List yields what is stored under keys that begin with prefix and are greater
	// than after, in the byte order of the keys, with the promises of Store.Scan.
	List(ctx context.Context, prefix, after string) iter.Seq2[ObjectInfo, error]

	// Close is as in Store: it waits for a Put whose reader takes its time, and
	// meanwhile calls that begin return ErrClosed at once.
	Close() error
}

// ObjectInfo describes an object.
type ObjectInfo struct {
	Key  string
	Size int64 // bytes
	// Modified is when it was stored, to the second or better.
	Modified time.Time
}

// Object is an open object. It can seek, so that ranges can be served.
type Object struct {
	io.ReadSeekCloser
	ObjectInfo
	// ETag changes whenever the content does; an opaque text without quotes, safe
	// to send in an HTTP header. It belongs to what is read, also while the object
	// is replaced; List says none, for it opens nothing.
	ETag        string
	ContentType string // as given to Put
}
