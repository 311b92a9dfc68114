package avatar

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"
)

// The four corners of the pictures that tests make: no two are alike in any orientation.
var (
	red    = color.NRGBA{255, 0, 0, 255}
	green  = color.NRGBA{0, 255, 0, 255}
	blue   = color.NRGBA{0, 0, 255, 255}
	yellow = color.NRGBA{255, 255, 0, 255}
	white  = color.NRGBA{255, 255, 255, 255}
	glass  = color.NRGBA{}
)

// corners draws its colours at the top left, top right, bottom left and bottom right.
func corners(w, h int, c ...color.NRGBA) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, c[x*2/w+y*2/h*2])
		}
	}
	return m
}

// photo is noisy and smooth at once, as photographs are.
func photo(w, h int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, w, h), image.YCbCrSubsampleRatio420)
	rnd := rand.New(rand.NewPCG(1, 2))
	fill := func(pix []byte, stride int, f float64, noise int) {
		for i := range pix {
			x, y := float64(i%stride)*f, float64(i/stride)*f
			v := 128 + 60*math.Sin(x/97)*math.Cos(y/61) + 30*math.Sin((x+y)/11) + float64(rnd.IntN(2*noise+1)-noise)
			pix[i] = byte(min(max(v, 0), 255))
		}
	}
	fill(m.Y, m.YStride, 1, 6)
	fill(m.Cb, m.CStride, 2, 1)
	fill(m.Cr, m.CStride, 2.5, 1)
	return m
}

func encodeJPEG(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeGIF(t testing.TB, g *gif.GIF) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// exif is a directory of a place (GPS), a maker and an orientation.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("II*\x00")
	if order.String() == "BigEndian" {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 3)
	entry := func(tag, kind uint16, n uint32) {
		b = order.AppendUint16(b, tag)
		b = order.AppendUint16(b, kind)
		b = order.AppendUint32(b, n)
	}
	entry(0x010f, 2, 4)
	b = append(b, "SPY\x00"...)
	entry(0x0112, 3, 1)
	b = order.AppendUint16(b, orientation)
	b = append(b, 0, 0)
	entry(0x8825, 4, 1)
	b = order.AppendUint32(b, 50)
	return append(b, "\x00\x00\x00\x00GPS 39.9N 116.4E"...)
}

// withSegment puts a segment behind the first marker of a JPEG.
func withSegment(jpeg []byte, marker byte, data string) []byte {
	b := append([]byte{}, jpeg[:2]...)
	b = append(b, 0xff, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)+2))
	return append(append(b, data...), jpeg[2:]...)
}

// withChunk puts a chunk behind the first one of a PNG.
func withChunk(png []byte, name string, data []byte) []byte {
	const head = 8 + 12 + 13
	b := append([]byte{}, png[:head]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	b = append(append(b, name...), data...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[head+4:]))
	return append(b, png[head:]...)
}

// bits are written from the lowest up, as VP8L wants them.
type bits struct {
	b []byte
	n uint
}

func (w *bits) put(v uint32, n uint) {
	for ; n > 0; v, n = v>>1, n-1 {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v&1) << (w.n % 8)
		w.n++
	}
}

// vp8l is a lossless picture whose channels are all 0 or 255: one bit each.
func vp8l(m *image.NRGBA) []byte {
	w := &bits{}
	w.put(0x2f, 8)
	w.put(uint32(m.Rect.Dx()-1), 14)
	w.put(uint32(m.Rect.Dy()-1), 14)
	w.put(1, 1) // alpha
	w.put(0, 3) // version
	w.put(0, 3) // no transform, no colour cache, one group
	for range 4 {
		w.put(0b111, 3) // simple, two symbols, of eight bits
		w.put(0, 8)
		w.put(255, 8)
	}
	w.put(0b001, 3) // distances: simple, one symbol, of one bit
	w.put(0, 1)
	for i := 0; i < len(m.Pix); i += 4 {
		for _, c := range []byte{m.Pix[i+1], m.Pix[i], m.Pix[i+2], m.Pix[i+3]} {
			w.put(uint32(c>>7), 1)
		}
	}
	return w.b
}

// riff is a WebP file of the chunks.
func riff(chunks ...string) []byte {
	body := []byte("WEBP")
	for i := 0; i < len(chunks); i += 2 {
		body = append(body, chunks[i]...)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(chunks[i+1])))
		body = append(body, chunks[i+1]...)
		if len(chunks[i+1])%2 == 1 {
			body = append(body, 0)
		}
	}
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)))
	return append(b, body...)
}

// vp8x is the chunk that announces further ones.
func vp8x(flags byte, w, h int) string {
	w, h = w-1, h-1
	return string([]byte{flags, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)})
}

// Of one pixel, as browsers are tested with.
const (
	lossyWebP    = "UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA="
	alphaWebP    = "UklGRkoAAABXRUJQVlA4WAoAAAAQAAAAAAAAAAAAQUxQSAwAAAARBxAR/Q9ERP8DAABWUDggGAAAABQBAJ0BKgEAAQAAAP4AAA3AAP7mtQAAAA=="
	animatedWebP = "UklGRlIAAABXRUJQVlA4WAoAAAASAAAAAAAAAAAAQU5JTQYAAAD/////AABBTk1GJgAAAAAAAAAAAAAAAAAAAGQAAABWUDhMDQAAAC8AAAAQBxAREYiI/gcA"
)

func base64Bytes(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blocks writes a JPEG of plain blocks of 8 by 8 pixels, in the forms that image/jpeg does not write.
type blocks struct {
	w, h        int                     // in blocks
	progressive bool                    // one scan of the plain colours, and more without content
	more        int                     // such scans
	adobe       int                     // transform, or -1: no such marker
	components  int                     // 1, 3 or 4
	at          func(bx, by int) []byte // the components of a block
}

func (p blocks) encode() []byte {
	b := []byte{0xff, 0xd8}
	seg := func(marker byte, data ...byte) {
		b = append(b, 0xff, marker)
		b = binary.BigEndian.AppendUint16(b, uint16(len(data)+2))
		b = append(b, data...)
	}
	if p.adobe >= 0 {
		seg(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), byte(p.adobe))...)
	}
	quant := make([]byte, 65)
	for i := range quant[1:] {
		quant[i+1] = 8 // of the sum of 64 samples, over 8: one step is one level
	}
	seg(0xdb, quant...)
	frame := []byte{8, byte(p.h * 8 >> 8), byte(p.h * 8), byte(p.w * 8 >> 8), byte(p.w * 8), byte(p.components)}
	scan := []byte{byte(p.components)}
	for i := range p.components {
		frame = append(frame, byte(i+1), 0x11, 0)
		scan = append(scan, byte(i+1), 0)
	}
	sof, end := byte(0xc0), byte(63)
	if p.progressive {
		sof, end = 0xc2, 0
	}
	seg(sof, frame...)
	// DC: categories 0 to 8 in 4 bits each. AC: 0x00 (end of block) and 0xe0 (end of many) in 1 and 2 bits.
	seg(0xc4, append([]byte{0x00, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 1, 2, 3, 4, 5, 6, 7, 8)...)
	seg(0xc4, append([]byte{0x10, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0x00, 0xe0)...)
	seg(0xda, append(scan, 0, end, 0)...)

	var acc uint64
	var n uint
	put := func(v uint64, k uint) {
		acc, n = acc<<k|v, n+k
		for n >= 8 {
			c := byte(acc >> (n - 8))
			if b, n = append(b, c), n-8; c == 0xff {
				b = append(b, 0)
			}
		}
	}
	last := make([]int, p.components)
	for by := range p.h {
		for bx := range p.w {
			for i, v := range p.at(bx, by) {
				dc := int(v) - 128
				d := dc - last[i]
				last[i] = dc
				size := uint(0)
				for a := max(d, -d); a > 0; a >>= 1 {
					size++
				}
				put(uint64(size), 4)
				if d < 0 {
					d += 1<<size - 1
				}
				put(uint64(d), size)
				if !p.progressive {
					put(0, 1)
				}
			}
		}
	}
	put(0x7f, 7)
	for range p.more {
		acc, n = 0, 0
		seg(0xda, 1, 1, 0, 1, 63, 0)
		for left := p.w * p.h; left > 0; left -= min(left, 1<<15-1) {
			put(0b10, 2)
			put(1<<14-1, 14)
		}
		put(0x7f, 7)
	}
	return append(b, 0xff, 0xd9)
}
