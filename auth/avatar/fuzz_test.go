package avatar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"testing"
)

func FuzzProcess(f *testing.F) {
	m := corners(16, 8, red, green, blue, yellow)
	p := image.NewPaletted(m.Rect, color.Palette{red, glass})
	f.Add(withSegment(encodeJPEG(f, m, 50), 0xe1, "Exif\x00\x00"+string(exif(binary.LittleEndian, 6))))
	for _, progressive := range []bool{false, true} {
		f.Add(blocks{w: 2, h: 2, components: 4, adobe: 2, progressive: progressive, more: 1, at: func(x, y int) []byte { return []byte{1, 90, byte(x), byte(y)} }}.encode())
	}
	f.Add(withChunk(encodePNG(f, m), "eXIf", exif(binary.BigEndian, 3)))
	f.Add(encodePNG(f, p))
	f.Add(encodeGIF(f, &gif.GIF{Image: []*image.Paletted{p, p}, Delay: []int{0, 0}}))
	f.Add(riff("VP8X", vp8x(1<<3, 16, 8), "VP8L", string(vp8l(m)), "EXIF", string(exif(binary.BigEndian, 8))))
	for _, s := range []string{lossyWebP, alphaWebP, animatedWebP} {
		f.Add(base64Bytes(f, s))
	}
	processor := New(0)
	f.Fuzz(func(t *testing.T, in []byte) {
		file, err := open(t.Context(), bytes.NewReader(in))
		if err != nil {
			return
		}
		if s, err := examine(file); err == nil && s.width*s.height > 1<<16 {
			return // only slower, not stranger
		}
		got, err := processor.Process(t.Context(), bytes.NewReader(in))
		if err == nil {
			process(t, got.Large)
			return
		}
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("Process: %v, which is no fault of the picture's", err)
		}
	})
}

func FuzzOrientation(f *testing.F) {
	for o := range uint16(10) {
		f.Add(exif(binary.LittleEndian, o))
		f.Add(exif(binary.BigEndian, o))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if o := orientation(b); o < 1 || o > 8 {
			t.Fatalf("orientation %d", o)
		}
	})
}
