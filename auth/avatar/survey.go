package avatar

import (
	"bufio"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// format is what the package knows of a kind of picture. Only the decoder's own config decides about the size of a
// picture; look reads what the decoder does not tell, and where it errs the decoder will too.
type format struct {
	magic  string // of the first bytes; ? is any byte
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	look   func(r *bufio.Reader, size int64) (look, error)
}

var formats = []format{
	{"\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode, lookJPEG},
	{"\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode, lookPNG},
	{"GIF87a", gif.DecodeConfig, gif.Decode, lookGIF},
	{"GIF89a", gif.DecodeConfig, gif.Decode, lookGIF},
	{"RIFF????WEBP", webp.DecodeConfig, webp.Decode, lookWebP},
}

// look is what walking over the parts of a file, decoding none, tells of it.
type look struct {
	exif  []byte  // TIFF, without a prefix
	bytes float64 // of memory per pixel while decoding, at worst
	extra int64   // bytes of memory whatever the pixels
}

// survey is all that must be known before decoding.
type survey struct {
	format        format
	width, height int
	orientation   int
	memory        int64
}

const (
	// work is the memory that scaling and encoding need, whatever the picture.
	work = 8 << 20
	// maxMeta is how much of a block of metadata is read; the orientation stands at its beginning.
	maxMeta = 64 << 10
)

func examine(f *file) (survey, error) {
	if err := f.rewind(); err != nil {
		return survey{}, err
	}
	r := bufio.NewReader(f)
	head, _ := r.Peek(12) // short: matches nothing, or the decoder will say so
	format, ok := sniff(string(head))
	if !ok {
		return survey{}, refuse(ErrUnsupported, reasonUnknown)
	}
	look, err := format.look(r, f.size)
	if err != nil {
		return survey{}, err
	}
	if f.err != nil {
		return survey{}, f.err // look takes every error for the end of the file
	}
	c, err := decode(f, format.config)
	if err != nil {
		return survey{}, err
	}
	s := survey{format: format, width: c.Width, height: c.Height, orientation: orientation(look.exif)}
	switch {
	case c.Width < 1 || c.Height < 1:
		return survey{}, refuse(ErrBroken, reasonBroken)
	case c.Width > MaxSide || c.Height > MaxSide:
		return survey{}, refuse(ErrTooLarge, reasonSide)
	case c.Width*c.Height > MaxPixels:
		return survey{}, refuse(ErrTooLarge, reasonPixels)
	}
	// Decoders work in blocks of up to 32 pixels, and fill the last one.
	s.memory = int64(look.bytes*float64((c.Width+31)&^31)*float64((c.Height+31)&^31)) + look.extra + work
	if s.memory > MaxMemory {
		return survey{}, refuse(ErrTooLarge, reasonMemory)
	}
	return s, nil
}

func sniff(head string) (format, bool) {
	for _, f := range formats {
		if len(head) < len(f.magic) {
			continue
		}
		ok := true
		for i := range len(f.magic) {
			ok = ok && (f.magic[i] == '?' || f.magic[i] == head[i])
		}
		if ok {
			return f, true
		}
	}
	return format{}, false
}

// lookGIF reckons with one byte per pixel of the canvas, which the first frame cannot exceed.
func lookGIF(*bufio.Reader, int64) (look, error) { return look{bytes: 1}, nil }
