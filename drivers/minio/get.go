package minio

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"time"

	s3 "github.com/minio/minio-go/v7"

	"github.com/miniprofile/miniprofile/drivers"
)

// small is how many bytes an object may have that Get reads whole. Whoever serves
// it then learns of a cut connection before the first byte is on its way.
const small = 128 << 10

func (o *objects) Get(ctx context.Context, key string) (drivers.Object, error) {
	if err := drivers.CheckObjectKey(key); err != nil {
		return drivers.Object{}, err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return drivers.Object{}, err
	}
	defer o.gate.Leave()
	object, err := o.get(ctx, key)
	if err != nil {
		return drivers.Object{}, fmt.Errorf("get %s: %w", key, err)
	}
	return object, nil
}

func (o *objects) get(ctx context.Context, key string) (drivers.Object, error) {
	r := &reader{objects: o, name: o.name(key)}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.watch = time.AfterFunc(o.patience, func() { r.cancel(errSilent) })
	var object drivers.Object
	err := o.attempt(r.ctx, func(ctx context.Context) error {
		body, info, err := r.request(ctx, s3.GetObjectOptions{})
		if absent(err) {
			return drivers.ErrNotFound
		} else if err != nil {
			return err
		}
		r.size, r.etag, r.sum = info.Size, info.ETag, info.UserMetadata[sumKey]
		r.body, r.at = r.checked(body, 0), 0
		object = drivers.Object{
			ReadSeekCloser: r,
			ObjectInfo:     drivers.ObjectInfo{Key: key, Size: info.Size, Modified: info.LastModified.UTC()},
			ETag:           cmp.Or(r.sum, info.ETag),
			ContentType:    info.ContentType,
		}
		if info.Size > small {
			return nil
		}
		content := make([]byte, info.Size)
		_, err = io.ReadFull(r.body, content)
		r.body.Close()
		object.ReadSeekCloser = whole{bytes.NewReader(content)}
		return err
	})
	r.watch.Stop()
	if err != nil || object.Size <= small {
		r.cancel(nil)
	}
	return object, err
}

// whole is an object that has been read.
type whole struct{ *bytes.Reader }

func (whole) Close() error { return nil }

// reader reads an object as it comes, and asks for the rest of it anew after a
// Seek: of the same version, or there is an error.
type reader struct {
	objects *objects
	ctx     context.Context
	cancel  context.CancelCauseFunc
	watch   *time.Timer // cancels when the service is silent; runs during a Read only
	name    string
	size    int64
	etag    string // the service's
	sum     string // the SHA-256 that lies beside the object, or empty
	pos     int64  // where the next Read begins
	body    *checked
	at      int64 // where body is
	err     error // what ended the reading for good
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.err != nil:
		return 0, r.err
	case r.pos >= r.size:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	r.watch.Reset(r.objects.patience)
	defer r.watch.Stop()
	n, err := 0, error(nil)
	if r.at != r.pos {
		err = r.reopen()
	}
	if err == nil {
		n, err = r.body.Read(p)
		r.at += int64(n)
		r.pos = r.at
	}
	if err != nil && err != io.EOF {
		if ended := ended(r.ctx); ended != nil {
			err = ended
		}
		r.err = fmt.Errorf("read %s: %w", r.name, err)
		err = r.err
	}
	return n, err
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, errors.New("seek before the beginning")
	}
	r.pos = offset
	return offset, nil
}

func (r *reader) Close() error {
	if r.err == nil {
		r.err = os.ErrClosed
	}
	r.cancel(nil)
	return r.body.Close()
}

// reopen asks for the object from pos on.
func (r *reader) reopen() error {
	r.body.Close()
	return r.objects.attempt(r.ctx, func(ctx context.Context) error {
		var options s3.GetObjectOptions
		if err := options.SetMatchETag(r.etag); err != nil {
			return err
		}
		if r.pos > 0 {
			if err := options.SetRange(r.pos, 0); err != nil {
				return err
			}
		}
		body, info, err := r.request(ctx, options)
		var answer s3.ErrorResponse
		if errors.As(err, &answer) && (answer.StatusCode == http.StatusPreconditionFailed || answer.StatusCode == http.StatusNotFound) {
			return errReplaced
		}
		if err != nil {
			return err
		}
		// Not all services honour the condition, nor the range. And versitygw looks
		// for the ETag before it opens the object, but for the sum after.
		if info.ETag != r.etag || info.UserMetadata[sumKey] != r.sum || info.Size != r.size-r.pos {
			body.Close()
			return errReplaced
		}
		r.body, r.at = r.checked(body, r.pos), r.pos
		return nil
	})
}

// request returns the body of the answer and what the answer says of itself: its
// Size is that of the range.
func (r *reader) request(ctx context.Context, options s3.GetObjectOptions) (io.ReadCloser, s3.ObjectInfo, error) {
	body, info, header, err := r.objects.client.GetObject(ctx, r.objects.bucket, r.name, options)
	if err != nil {
		return nil, info, err
	}
	if header.Get("Content-Length") == "" || info.ETag == "" {
		body.Close()
		return nil, info, errors.New("the service does not say the length or the ETag")
	}
	return body, info, nil
}

// checked makes a reader of the object from an offset to its end.
func (r *reader) checked(body io.ReadCloser, offset int64) *checked {
	c := &checked{ReadCloser: body, left: r.size - offset}
	if offset == 0 && r.sum != "" {
		c.hash, c.want = sha256.New(), r.sum
	}
	return c
}

// checked ends with io.EOF only when all bytes came and, where their hash is
// known, are the right ones. The last of the wrong ones are kept back.
type checked struct {
	io.ReadCloser
	left int64
	hash hash.Hash // or nil
	want string
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := 0, io.EOF
	if c.left > 0 {
		n, err = c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
	}
	if c.hash != nil {
		c.hash.Write(p[:n])
	}
	switch {
	case c.left > 0 && err == io.EOF:
		return n, io.ErrUnexpectedEOF
	case c.left > 0:
		return n, err
	case c.hash != nil && hex.EncodeToString(c.hash.Sum(nil)) != c.want:
		return 0, errDamaged
	}
	return n, io.EOF
}
