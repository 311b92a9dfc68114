package avatar

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"time"

	"golang.org/x/sync/semaphore"
)

// Limits on what is sent. All are checked before a pixel is decoded.
const (
	MaxBytes  = 10 << 20   // of the file: a phone's best photograph fits
	MaxPixels = 40_000_000 // after decoding: 8000x5000; phones make 12 to 24 million unless asked for more
	MaxSide   = 8192       // pixels wide or high
	MaxMemory = 192 << 20  // bytes to decode and scale: enough for MaxPixels of photograph, or of PNG with 8 bits a channel
)

// What comes out.
const (
	Large       = 512 // pixels a side
	Small       = 132 // pixels a side: what WeChat itself shows in lists
	ContentType = "image/jpeg"
)

// DefaultBudget lets two photographs of 12 million pixels, or five of 2 million, be worked on at once.
const DefaultBudget = 64 << 20

// patience is how long a picture waits for memory before others have it.
const patience = 30 * time.Second

// quality is where the blocks of JPEG are no longer seen at these sizes.
const quality = 88

// Pictures is one picture in two sizes, both of ContentType.
type Pictures struct {
	Large, Small []byte
}

// Processor makes Pictures within a budget of memory. It is safe for concurrent use.
type Processor struct {
	budget int64
	room   *semaphore.Weighted
}

// New returns a Processor whose pictures at work need at most budget bytes together; a budget of 0 means DefaultBudget.
func New(budget int64) *Processor {
	if budget <= 0 {
		budget = DefaultBudget
	}
	return &Processor{budget: budget, room: semaphore.NewWeighted(budget)}
}

// Process makes Pictures of the picture in r, which it reads from the start, several times, and leaves anywhere.
// A picture that is refused is an *Error; one that waited for memory for half a minute, first come, first served, is
// ErrCrowded. If ctx ends, while waiting for memory or later, the error wraps ctx.Err();
// an error of r is wrapped likewise.
func (p *Processor) Process(ctx context.Context, r io.ReadSeeker) (Pictures, error) {
	f, err := open(ctx, r)
	if err != nil {
		return Pictures{}, err
	}
	s, err := examine(f)
	if err != nil {
		return Pictures{}, f.blame(err)
	}
	if err := ctx.Err(); err != nil {
		return Pictures{}, fmt.Errorf("avatar: %w", err)
	}
	weight := min(s.memory, p.budget)
	if err := p.wait(ctx, weight); err != nil {
		return Pictures{}, err
	}
	defer p.room.Release(weight)

	large, err := f.square(s)
	if err != nil {
		return Pictures{}, f.blame(err)
	}
	if err := ctx.Err(); err != nil {
		return Pictures{}, fmt.Errorf("avatar: %w", err)
	}
	var made Pictures
	if made.Large, err = encode(large); err != nil {
		return Pictures{}, err
	}
	if made.Small, err = encode(large.scale(Small)); err != nil {
		return Pictures{}, err
	}
	return made, nil
}

// wait takes memory.
func (p *Processor) wait(ctx context.Context, weight int64) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := p.room.Acquire(waiting, weight)
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("avatar: waiting for memory: %w", ctx.Err())
	case err != nil:
		return ErrCrowded
	}
	return nil
}

// square returns the middle of the picture, upright and Large. Nothing of the decoded picture stays reachable.
func (f *file) square(s survey) (picture, error) {
	m, err := decode(f, s.format.decode)
	if err != nil {
		return picture{}, err
	}
	canvas := image.Rect(0, 0, s.width, s.height)
	if b := m.Bounds(); b.Empty() || !b.In(canvas) {
		return picture{}, refuse(ErrBroken, reasonBroken)
	}
	return middle(m, canvas).scale(Large).turn(s.orientation), nil
}

func encode(p picture) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p.image(), &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("avatar: encoding: %w", err)
	}
	return b.Bytes(), nil
}
