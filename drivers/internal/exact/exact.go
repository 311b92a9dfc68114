// Package exact reads exactly as many bytes as were announced: what Put of
// drivers.Objects promises about its reader.
package exact

import (
	"context"
	"fmt"
	"io"
)

// Reader returns a reader of r that ends with io.EOF only when r gave exactly
// size bytes. When r ends before or goes on after, or ctx ends, it gives another
// error, and never more than size bytes.
func Reader(ctx context.Context, r io.Reader, size int64) io.Reader {
	return &reader{ctx: ctx, r: r, size: size, left: size}
}

type reader struct {
	ctx        context.Context
	r          io.Reader
	size, left int64
}

func (e *reader) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if e.left == 0 {
		return 0, e.end()
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	if e.left -= int64(n); err == io.EOF && e.left > 0 {
		err = fmt.Errorf("%w: the reader ended after %d of %d bytes", io.ErrUnexpectedEOF, e.size-e.left, e.size)
	}
	return n, err
}

// end looks whether r has ended too.
func (e *reader) end() error {
	for {
		n, err := e.r.Read(make([]byte, 1))
		if n > 0 {
			return fmt.Errorf("the reader has more than %d bytes", e.size)
		}
		if err == nil {
			err = e.ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}
