package avatar

import (
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
)

// file reads an upload for the decoders: never more than its size, not after ctx has ended, and it remembers what went wrong.
type file struct {
	ctx  context.Context
	r    io.ReadSeeker
	size int64
	left int64
	err  error // of ctx or r: not the picture's fault
}

func open(ctx context.Context, r io.ReadSeeker) (*file, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("avatar: reading: %w", err)
	}
	switch {
	case size == 0:
		return nil, refuse(ErrBroken, reasonEmpty)
	case size > MaxBytes:
		return nil, refuse(ErrTooLarge, reasonBytes)
	}
	return &file{ctx: ctx, r: r, size: size}, nil
}

func (f *file) rewind() error {
	_, f.err = f.r.Seek(0, io.SeekStart)
	f.left = f.size
	return f.err
}

func (f *file) Read(b []byte) (int, error) {
	if f.err == nil {
		f.err = f.ctx.Err()
	}
	if f.err != nil {
		return 0, f.err
	}
	if f.left == 0 {
		return 0, io.EOF
	}
	n, err := f.r.Read(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// blame says whose fault err is. The decoders' own words stay here: they tell a user nothing.
func (f *file) blame(err error) error {
	if f.err != nil {
		return fmt.Errorf("avatar: reading: %w", f.err)
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return refuse(ErrUnsupported, reasonVariant)
	}
	if _, ok := errors.AsType[png.UnsupportedError](err); ok {
		return refuse(ErrUnsupported, reasonVariant)
	}
	return refuse(ErrBroken, reasonBroken)
}

// decode gives f to a decoder from the start, and takes its panic for a verdict: those of x/image have panicked on odd input.
func decode[T any](f *file, decoder func(io.Reader) (T, error)) (result T, err error) {
	defer func() {
		if recover() != nil {
			err = refuse(ErrBroken, reasonBroken)
		}
	}()
	if err := f.rewind(); err != nil {
		return result, err
	}
	return decoder(f)
}
