package avatar

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/image/draw"
)

// process makes pictures and looks at what every result must be.
func process(t *testing.T, in []byte) (large, small image.Image) {
	t.Helper()
	p, err := New(0).Process(t.Context(), bytes.NewReader(in))
	if err != nil {
		t.Fatalf("Process: %v", err)
	}
	decode := func(b []byte, side int) image.Image {
		m, err := jpeg.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("the result is no JPEG: %v", err)
		}
		if m.Bounds() != image.Rect(0, 0, side, side) {
			t.Fatalf("the result is %v, want %d square", m.Bounds(), side)
		}
		for i := 2; b[i+1] != 0xda; i += 2 + int(binary.BigEndian.Uint16(b[i+2:])) {
			if m := b[i+1]; m >= 0xe0 && m <= 0xef || m == 0xfe {
				t.Fatalf("the result has a segment %#x of metadata", m)
			}
		}
		return m
	}
	return decode(p.Large, Large), decode(p.Small, Small)
}

func near(a, b color.Color) bool {
	r, g, bl, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	off := func(x, y uint32) bool { return max(x, y)-min(x, y) > 16<<8 }
	return !off(r, r2) && !off(g, g2) && !off(bl, b2)
}

// wantCorners looks into the middle of each quarter of both pictures.
func wantCorners(t *testing.T, in []byte, want ...color.NRGBA) {
	t.Helper()
	large, small := process(t, in)
	for _, m := range []image.Image{large, small} {
		n := m.Bounds().Dx()
		for i, c := range want {
			if got := m.At(n/4+i%2*n/2, n/4+i/2*n/2); !near(got, c) {
				t.Errorf("%d pixels: quarter %d is %v, want %v", n, i, got, c)
			}
		}
	}
}

func wantError(t *testing.T, in []byte, kind error, reason string) {
	t.Helper()
	p, err := New(0).Process(t.Context(), bytes.NewReader(in))
	refused, ok := errors.AsType[*Error](err)
	if !ok || !errors.Is(err, kind) || refused.Reason != reason {
		t.Errorf("Process: %v, want %v: %s", err, kind, reason)
	}
	if p.Large != nil || p.Small != nil {
		t.Error("Process gave pictures and an error")
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	m := corners(64, 48, red, green, blue, yellow)
	opaque := image.NewRGBA(m.Rect)
	draw.Draw(opaque, m.Rect, m, image.Point{}, draw.Src)
	paletted := image.NewPaletted(m.Rect, palette.WebSafe)
	draw.Draw(paletted, m.Rect, m, image.Point{}, draw.Src)
	deep := image.NewNRGBA64(m.Rect)
	draw.Draw(deep, m.Rect, m, image.Point{}, draw.Src)
	plain := func(components int, colours ...[]byte) func(bx, by int) []byte {
		return func(bx, by int) []byte { return colours[bx/4+by/4*2][:components] }
	}
	ycc := plain(3, []byte{76, 85, 255}, []byte{150, 44, 21}, []byte{29, 255, 107}, []byte{226, 0, 149})
	for name, in := range map[string][]byte{
		"jpeg":             encodeJPEG(t, m, 95),
		"jpeg in blocks":   blocks{w: 8, h: 8, components: 3, adobe: -1, at: ycc}.encode(),
		"jpeg progressive": blocks{w: 8, h: 8, components: 3, adobe: -1, progressive: true, more: 3, at: ycc}.encode(),
		"jpeg rgb": blocks{w: 8, h: 8, components: 3, adobe: 0,
			at: plain(3, []byte{255, 0, 0}, []byte{0, 255, 0}, []byte{0, 0, 255}, []byte{255, 255, 0})}.encode(),
		"jpeg cmyk": blocks{w: 8, h: 8, components: 4, adobe: 0, // inverted, as Adobe has it
			at: plain(4, []byte{255, 0, 0, 255}, []byte{0, 255, 0, 255}, []byte{0, 0, 255, 255}, []byte{255, 255, 0, 255})}.encode(),
		"png":                     encodePNG(t, opaque),
		"png paletted":            encodePNG(t, paletted),
		"png 16 bits":             encodePNG(t, deep),
		"gif":                     encodeGIF(t, &gif.GIF{Image: []*image.Paletted{paletted}, Delay: []int{0}}),
		"webp lossless":           riff("VP8L", string(vp8l(m))),
		"webp with further parts": riff("VP8X", vp8x(0, 64, 48), "ICCP", "odd", "VP8L", string(vp8l(m)), "XMP ", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCorners(t, in, red, green, blue, yellow)
			wantCorners(t, append(in[:len(in):len(in)], "bytes behind the picture \xff\xda\xff\xd9"...), red, green, blue, yellow)
		})
	}
}

func TestGrey(t *testing.T) {
	t.Parallel()
	grey := image.NewGray(image.Rect(0, 0, 40, 40))
	deep := image.NewGray16(grey.Rect)
	for i := range grey.Pix {
		grey.Pix[i], deep.Pix[2*i] = 90, 90
	}
	want := color.NRGBA{90, 90, 90, 255}
	wantCorners(t, encodeJPEG(t, grey, 90), want, want, want, want)
	wantCorners(t, encodePNG(t, grey), want, want, want, want)
	wantCorners(t, encodePNG(t, deep), want, want, want, want)
}

func TestLossyWebP(t *testing.T) {
	t.Parallel()
	process(t, base64Bytes(t, lossyWebP))
	process(t, base64Bytes(t, alphaWebP))
}

func TestTransparentIsWhite(t *testing.T) {
	t.Parallel()
	m := corners(32, 32, red, glass, color.NRGBA{0, 0, 255, 128}, white)
	half := color.NRGBA{127, 127, 255, 255}
	wantCorners(t, encodePNG(t, m), red, white, half, white)
	deep := image.NewNRGBA64(m.Rect)
	draw.Draw(deep, m.Rect, m, image.Point{}, draw.Src)
	wantCorners(t, encodePNG(t, deep), red, white, half, white)
	colours := color.Palette{glass, red, color.NRGBA{0, 0, 255, 128}, white}
	p := image.NewPaletted(m.Rect, colours)
	draw.Draw(p, m.Rect, m, image.Point{}, draw.Src)
	wantCorners(t, encodePNG(t, p), red, white, half, white)
	wantCorners(t, riff("VP8L", string(vp8l(corners(32, 32, red, glass, glass, blue)))), red, white, white, blue)
}

func TestGIFShowsTheFirstFrameOnItsCanvas(t *testing.T) {
	t.Parallel()
	colours := color.Palette{red, blue}
	first := image.NewPaletted(image.Rect(16, 0, 32, 16), colours) // the top right
	second := image.NewPaletted(image.Rect(0, 0, 32, 32), colours)
	for i := range second.Pix {
		second.Pix[i] = 1
	}
	in := encodeGIF(t, &gif.GIF{Image: []*image.Paletted{first, second}, Delay: []int{1, 1}, Config: image.Config{Width: 32, Height: 32, ColorModel: colours}})
	wantCorners(t, in, white, red, white, white)
	// Later frames are never looked at.
	wantCorners(t, in[:len(in)-20], white, red, white, white)
}

func TestOrientation(t *testing.T) {
	t.Parallel()
	// What is stored so that it is red, green, blue, yellow when turned.
	stored := [][]color.NRGBA{
		1: {red, green, blue, yellow},
		2: {green, red, yellow, blue},
		3: {yellow, blue, green, red},
		4: {blue, yellow, red, green},
		5: {red, blue, green, yellow},
		6: {green, yellow, red, blue},
		7: {yellow, green, blue, red},
		8: {blue, red, yellow, green},
	}
	for o := 1; o <= 8; o++ {
		for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
			t.Run(fmt.Sprint(o, order), func(t *testing.T) {
				t.Parallel()
				m := corners(96, 64, stored[o]...)
				tiff := exif(order, uint16(o))
				upright := []color.NRGBA{red, green, blue, yellow}
				xmp := "http://ns.adobe.com/xap/1.0/\x00<x/>"
				wantCorners(t, withSegment(withSegment(encodeJPEG(t, m, 95), 0xe1, "Exif\x00\x00"+string(tiff)), 0xe1, xmp), upright...)
				wantCorners(t, withChunk(encodePNG(t, m), "eXIf", tiff), upright...)
				// In WebP it stands behind the picture.
				wantCorners(t, riff("VP8X", vp8x(1<<3, 96, 64), "VP8L", string(vp8l(m)), "EXIF", string(tiff)), upright...)
			})
		}
	}
}

func TestNothingButPixelsComesOut(t *testing.T) {
	t.Parallel()
	in := withSegment(encodeJPEG(t, photo(300, 200), 90), 0xe1, "Exif\x00\x00"+string(exif(binary.LittleEndian, 6)))
	in = withSegment(in, 0xfe, "a comment with GPS in it")
	in = withSegment(in, 0xe2, "ICC_PROFILE\x00")
	p, err := New(0).Process(t.Context(), bytes.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{p.Large, p.Small} {
		for _, secret := range []string{"Exif", "GPS", "SPY", "ICC_PROFILE", "comment", "II*", "MM\x00"} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%q is in the result", secret)
			}
		}
	}
}

func TestMiddleIsCutOut(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{300, 900}, {901, 300}, {1700, 900}} {
		m := image.NewRGBA(image.Rectangle{Max: size})
		draw.Draw(m, m.Rect, image.NewUniform(red), image.Point{}, draw.Src)
		n := min(size.X, size.Y)
		inner := image.Rect(0, 0, n, n).Add(image.Pt((size.X-n)/2, (size.Y-n)/2))
		draw.Draw(m, inner.Inset(n/25), image.NewUniform(blue), image.Point{}, draw.Src)
		for _, in := range [][]byte{encodeJPEG(t, m, 95), encodePNG(t, m)} {
			large, _ := process(t, in)
			// The frame of red is seen on all four sides, and nothing but blue within.
			for _, p := range []image.Point{{6, 256}, {505, 256}, {256, 6}, {256, 505}} {
				if !near(large.At(p.X, p.Y), red) {
					t.Errorf("%v: %v is %v, want red", size, p, large.At(p.X, p.Y))
				}
			}
			for _, p := range []image.Point{{40, 40}, {471, 471}, {256, 256}, {40, 471}} {
				if !near(large.At(p.X, p.Y), blue) {
					t.Errorf("%v: %v is %v, want blue", size, p, large.At(p.X, p.Y))
				}
			}
		}
	}
}

func TestAnySizeComesOutWhole(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{1, 1}, {1, 2}, {2, 1}, {3, 3}, {8192, 1}, {7, 5}, {131, 133}, {769, 768}, {9, 8192}} {
		m := image.NewNRGBA(image.Rectangle{Max: size})
		draw.Draw(m, m.Rect, image.NewUniform(yellow), image.Point{}, draw.Src)
		wantCorners(t, encodeJPEG(t, m, 95), yellow, yellow, yellow, yellow)
		wantCorners(t, encodePNG(t, m), yellow, yellow, yellow, yellow)
	}
}

// The yardstick is the filter of x/image, which is right and slow.
func TestScalingIsAsGoodAsCatmullRom(t *testing.T) {
	t.Parallel()
	for _, size := range []image.Point{{100, 100}, {500, 700}, {1600, 1200}, {1700, 1601}} {
		m := photo(size.X, size.Y)
		n := min(size.X, size.Y)
		sr := image.Rect(0, 0, n, n).Add(image.Pt((size.X-n)/2, (size.Y-n)/2))
		want := image.NewGray(image.Rect(0, 0, Large, Large))
		draw.CatmullRom.Scale(want, want.Rect, &image.Gray{Pix: m.Y, Stride: m.YStride, Rect: m.Rect}, sr, draw.Src, nil)
		got := middle(m, m.Rect).scale(Large).y
		sum := 0.0
		for i, v := range want.Pix {
			d := float64(v) - float64(got.pix[i])
			sum += d * d
		}
		if psnr := 10 * math.Log10(255*255/(sum/float64(len(want.Pix))+1e-9)); psnr < 38 {
			t.Errorf("%v: %.1f dB away from Catmull-Rom", size, psnr)
		} else {
			t.Logf("%v: %.1f dB", size, psnr)
		}
	}
}

// lyingWebP promises 16 MiB and has ten bytes.
const lyingWebP = "RIFF\xff\xff\xff\x7fWEBPVP8 \xff\xff\xff\x00\x30\x01\x00\x9d\x01\x2a\x01\x00\x01\x00"

func TestRefused(t *testing.T) {
	t.Parallel()
	m := corners(16, 16, red, green, blue, yellow)
	asPNG := encodePNG(t, m)
	sized := func(w, h uint32, depth, colour, interlace byte) []byte {
		b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
		b = append(b, depth, colour, 0, 0, interlace)
		// withChunk writes behind where an IHDR would be: take what it wrote.
		return append([]byte("\x89PNG\r\n\x1a\n"), withChunk(make([]byte, 33), "IHDR", b)[33:]...)
	}
	flat := func(n int, progressive bool, more int) []byte {
		return blocks{w: n, h: n, components: 3, adobe: -1, progressive: progressive, more: more, at: func(int, int) []byte { return []byte{128, 128, 128} }}.encode()
	}
	arithmetic := bytes.Replace(flat(2, false, 0), []byte{0xff, 0xc0}, []byte{0xff, 0xc9}, 1)
	for name, c := range map[string]struct {
		in     []byte
		kind   error
		reason string
	}{
		"empty":                               {nil, ErrBroken, reasonEmpty},
		"text":                                {[]byte("<svg onload=alert(1)>"), ErrUnsupported, reasonUnknown},
		"a letter":                            {[]byte("G"), ErrUnsupported, reasonUnknown},
		"tiff":                                {exif(binary.LittleEndian, 1), ErrUnsupported, reasonUnknown},
		"riff of sound":                       {[]byte("RIFF\x24\x00\x00\x00WAVEfmt "), ErrUnsupported, reasonUnknown},
		"animated webp":                       {base64Bytes(t, animatedWebP), ErrUnsupported, reasonAnimated},
		"jpeg of another kind":                {arithmetic, ErrUnsupported, reasonVariant},
		"png too wide":                        {sized(8193, 1, 8, 2, 0), ErrTooLarge, reasonSide},
		"png too high":                        {sized(1, 8193, 8, 2, 0), ErrTooLarge, reasonSide},
		"png of too many pixels":              {sized(8000, 5001, 8, 2, 0), ErrTooLarge, reasonPixels},
		"png bomb":                            {sized(1<<31-1, 1<<31-1, 8, 2, 0), ErrUnsupported, reasonVariant},
		"png of no pixels":                    {sized(0, 5, 8, 2, 0), ErrBroken, reasonBroken},
		"png of heavy pixels":                 {sized(8000, 5000, 16, 6, 0), ErrTooLarge, reasonMemory},
		"png of heavy passes":                 {sized(8000, 5000, 8, 2, 1), ErrTooLarge, reasonMemory},
		"png that fits, but is only a header": {sized(8000, 5000, 8, 2, 0), ErrBroken, reasonBroken},
		"gif bomb":                            {[]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,"), ErrTooLarge, reasonSide},
		"gif of nonsense":                     {[]byte("GIF89a\x10\x00\x10\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\x10\x00\x10\x00\x00\x08\x03\xff\xff\xff\x00;"), ErrBroken, reasonBroken},
		"gif frame off canvas":                {[]byte("GIF89a\x10\x00\x10\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08\x00;"), ErrBroken, reasonBroken},
		"webp bomb":                           {riff("VP8X", vp8x(1<<4, 1<<14, 1<<14), "ALPH", "\x01"), ErrTooLarge, reasonSide},
		"webp of a lying length":              {[]byte(lyingWebP), ErrBroken, reasonBroken},
		"webp of two sizes":                   {riff("VP8X", vp8x(0, 4, 4), "VP8L", string(vp8l(m))), ErrBroken, reasonBroken},
		"jpeg of too many scans":              {flat(4, true, maxScansProgressive), ErrTooLarge, reasonScans},
		"jpeg that repeats":                   {flat(4, false, maxScansSequential), ErrTooLarge, reasonScans},
		"png with a bad sum":                  {bytes.Replace(asPNG, []byte("IDAT"), []byte("IDAU"), 1), ErrBroken, reasonBroken},
		"more than 10 MiB":                    {append(asPNG[:len(asPNG):len(asPNG)], make([]byte, MaxBytes)...), ErrTooLarge, reasonBytes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantError(t, c.in, c.kind, c.reason)
		})
	}
	if _, err := New(0).Process(t.Context(), bytes.NewReader(flat(4, true, maxScansProgressive-1))); err != nil {
		t.Errorf("as many scans as are allowed: %v", err)
	}
}

// The length of a chunk is compared with the file before a decoder makes room for it.
func TestLyingLengthIsSeenBeforeDecoding(t *testing.T) {
	t.Parallel()
	f, err := open(t.Context(), strings.NewReader(lyingWebP))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := examine(f); !errors.Is(err, ErrBroken) {
		t.Errorf("examine: %v, want %v", err, ErrBroken)
	}
}

// Wherever a file breaks off, it is refused: no half picture comes out.
func TestTruncated(t *testing.T) {
	t.Parallel()
	m := corners(24, 24, red, green, blue, yellow)
	p := image.NewPaletted(m.Rect, color.Palette{red, green, blue, yellow})
	draw.Draw(p, m.Rect, m, image.Point{}, draw.Src)
	asGIF := encodeGIF(t, &gif.GIF{Image: []*image.Paletted{p}, Delay: []int{0}})
	asPNG := encodePNG(t, m)
	asPNG = asPNG[:len(asPNG)-12] // whose end says nothing that matters
	for name, in := range map[string][]byte{
		"jpeg":        encodeJPEG(t, m, 80),
		"progressive": blocks{w: 3, h: 3, components: 3, adobe: -1, progressive: true, more: 2, at: func(x, y int) []byte { return []byte{byte(40 * x), byte(40 * y), 99} }}.encode(),
		"png":         asPNG,
		"gif":         asGIF[:len(asGIF)-2],
		"webp":        riff("VP8L", string(vp8l(m))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range len(in) {
				p, err := New(0).Process(t.Context(), bytes.NewReader(in[:n]))
				if _, ok := errors.AsType[*Error](err); !ok || p.Large != nil {
					t.Fatalf("%d of %d bytes: %v", n, len(in), err)
				}
			}
		})
	}
}

func TestPanicOfADecoder(t *testing.T) {
	t.Parallel()
	f, err := open(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = decode(f, func(io.Reader) (image.Image, error) { panic("odd input") })
	if !errors.Is(err, ErrBroken) {
		t.Errorf("decode: %v, want %v", err, ErrBroken)
	}
}

// stubborn fails, or calls back, when read at or behind a place.
type stubborn struct {
	*bytes.Reader
	at   int64
	call func() error
}

func (r *stubborn) Read(b []byte) (int, error) {
	if r.Size()-int64(r.Len()) >= r.at {
		if err := r.call(); err != nil {
			return 0, err
		}
	}
	return r.Reader.Read(b)
}

func TestErrorsOfTheReaderAreNotThePictures(t *testing.T) {
	t.Parallel()
	in := encodeJPEG(t, photo(400, 400), 90)
	bad := errors.New("disk on fire")
	for times := range 12 { // on the first read, or on any later one
		left := times
		r := &stubborn{bytes.NewReader(in), 0, func() error {
			if left--; left == -1 {
				return bad // once: afterwards the disk is fine again
			}
			return nil
		}}
		_, err := New(0).Process(t.Context(), r)
		if !errors.Is(err, bad) {
			t.Errorf("after %d reads: %v, want %v", times, err, bad)
		}
		if _, ok := errors.AsType[*Error](err); ok {
			t.Errorf("after %d reads: the picture is blamed", times)
		}
	}
}

func TestContextEndsDecoding(t *testing.T) {
	t.Parallel()
	in := encodeJPEG(t, photo(400, 400), 90)
	ctx, cancel := context.WithCancelCause(t.Context())
	reads := 0
	r := &stubborn{bytes.NewReader(in), int64(len(in) / 2), func() error { reads++; cancel(nil); return nil }}
	if _, err := New(0).Process(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("Process: %v, want %v", err, context.Canceled)
	}
	if reads != 1 {
		t.Errorf("read %d times when nobody waited any more", reads-1)
	}
	if _, err := New(0).Process(ctx, bytes.NewReader(in)); !errors.Is(err, context.Canceled) {
		t.Errorf("Process: %v, want %v", err, context.Canceled)
	}
}

func TestBudget(t *testing.T) {
	t.Parallel()
	p := New(1) // one at a time, whatever it needs
	in := encodeJPEG(t, photo(64, 64), 90)
	reading, goOn, done := make(chan bool), make(chan bool), make(chan error, 1)
	var once sync.Once
	go func() {
		_, err := p.Process(t.Context(), &stubborn{bytes.NewReader(in), 0, func() error {
			if p.room.TryAcquire(1) {
				p.room.Release(1)
			} else {
				once.Do(func() { reading <- true; <-goOn })
			}
			return nil
		}})
		done <- err
	}()
	select {
	case <-reading:
	case err := <-done:
		t.Fatalf("the picture was decoded and took no room: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() {
		_, err := p.Process(ctx, bytes.NewReader(in))
		waiting <- err
	}()
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a picture that waits: %v, want %v", err, context.Canceled)
	}
	goOn <- true
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !p.room.TryAcquire(1) {
		t.Error("the room was not given back")
	}
}

// A picture for which there is no room waits, but not for ever: the next may be smaller.
func TestCrowded(t *testing.T) {
	t.Parallel()
	in := encodeJPEG(t, photo(300, 200), 80)
	synctest.Test(t, func(t *testing.T) {
		p := New(0)
		p.room.Acquire(t.Context(), p.budget)
		began := time.Now()
		if _, err := p.Process(t.Context(), bytes.NewReader(in)); !errors.Is(err, ErrCrowded) || time.Since(began) != patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		time.AfterFunc(patience/2, func() { p.room.Release(p.budget) })
		if _, err := p.Process(t.Context(), bytes.NewReader(in)); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience/2)
		defer cancel()
		p.room.Acquire(t.Context(), p.budget)
		if _, err := p.Process(ctx, bytes.NewReader(in)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller whose time is up: %v", err)
		}
	})
}

// In a bubble, where no time passes while somebody works: on a busy machine some
// would wait for others for longer than they may.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	inputs := [][]byte{encodeJPEG(t, photo(900, 600), 80), encodePNG(t, corners(700, 300, red, green, blue, yellow)), []byte("GIF89a broken")}
	synctest.Test(t, func(t *testing.T) {
		p := New(40 << 20)
		want := make([]Pictures, len(inputs))
		for i, in := range inputs {
			want[i], _ = p.Process(t.Context(), bytes.NewReader(in))
		}
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				got, err := p.Process(t.Context(), bytes.NewReader(inputs[i%len(inputs)]))
				w := want[i%len(inputs)]
				if !bytes.Equal(got.Large, w.Large) || !bytes.Equal(got.Small, w.Small) {
					t.Errorf("input %d comes out differently in company: %v", i%len(inputs), err)
				}
			})
		}
		wg.Wait()
		if !p.room.TryAcquire(p.budget) {
			t.Error("not all room was given back")
		}
	})
}

// What is reckoned before decoding covers what the decoders make.
func TestMemoryIsReckoned(t *testing.T) {
	t.Parallel()
	const n = 512
	nrgba := corners(n, n, red, glass, blue, yellow)
	opaque := corners(n, n, red, green, blue, yellow)
	deep := image.NewNRGBA64(nrgba.Rect)
	draw.Draw(deep, deep.Rect, nrgba, image.Point{}, draw.Src)
	paletted := image.NewPaletted(nrgba.Rect, color.Palette{red, blue})
	ycc := func(int, int) []byte { return []byte{128, 128, 128} }
	cmyk := func(int, int) []byte { return []byte{128, 128, 128, 128} }
	for name, c := range map[string]struct {
		in    []byte
		bytes float64 // a pixel
	}{
		"jpeg 420":         {encodeJPEG(t, photo(n, n), 50), 1.5},
		"jpeg grey":        {encodeJPEG(t, image.NewGray(nrgba.Rect), 50), 1},
		"jpeg 444":         {blocks{w: n / 8, h: n / 8, components: 3, adobe: -1, at: ycc}.encode(), 3},
		"jpeg rgb":         {blocks{w: n / 8, h: n / 8, components: 3, adobe: 0, at: ycc}.encode(), 3 + 4},
		"jpeg progressive": {blocks{w: n / 8, h: n / 8, components: 3, adobe: -1, progressive: true, at: ycc}.encode(), 3 + 3*4},
		"jpeg cmyk":        {blocks{w: n / 8, h: n / 8, components: 4, adobe: 0, at: cmyk}.encode(), 4 + 4},
		"png":              {encodePNG(t, opaque), 4},
		"png with alpha":   {encodePNG(t, nrgba), 4},
		"png 16 bits":      {encodePNG(t, deep), 8},
		"png paletted":     {encodePNG(t, paletted), 1},
		"gif":              {encodeGIF(t, &gif.GIF{Image: []*image.Paletted{paletted}, Delay: []int{0}}), 1},
		"webp lossless":    {riff("VP8L", string(vp8l(opaque))), 4},
	} {
		f, err := open(t.Context(), bytes.NewReader(c.in))
		if err != nil {
			t.Fatal(name, err)
		}
		s, err := examine(f)
		if err != nil {
			t.Fatal(name, err)
		}
		need := int64(c.bytes*n*n) + work
		if s.memory < need {
			t.Errorf("%s: reckoned %d bytes, needs %d", name, s.memory, need)
		}
		if name != "webp lossless" && s.memory > need+2<<20 {
			t.Errorf("%s: reckoned %d bytes, needs only %d", name, s.memory, need)
		}
	}
}

func TestOrientationTolerates(t *testing.T) {
	t.Parallel()
	good := exif(binary.LittleEndian, 6)
	change := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	for name, c := range map[string]struct {
		exif []byte
		want int
	}{
		"good":                    {good, 6},
		"with its prefix":         {append([]byte("Exif\x00\x00"), good...), 6},
		"as a long":               {change(24, 4), 6},
		"nothing":                 {nil, 1},
		"cut in the header":       {good[:7], 1},
		"cut in the count":        {good[:9], 1},
		"cut in the entry":        {good[:30], 1},
		"another byte order":      {change(0, 'X', 'X'), 1},
		"directory far away":      {change(4, 0xff, 0xff, 0xff, 0xff), 1},
		"directory at the end":    {change(4, byte(len(good))), 1},
		"more entries than bytes": {change(8, 0xff, 0xff), 6},
		"fewer entries":           {change(8, 1, 0), 1},
		"zero":                    {change(30, 0), 1},
		"nine":                    {change(30, 9), 1},
		"a float":                 {change(24, 11), 1},
		"three of them":           {change(26, 3), 1},
	} {
		if got := orientation(c.exif); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	// As in a JPEG whose note is damaged: the picture still counts.
	in := withSegment(encodeJPEG(t, corners(32, 32, red, green, blue, yellow), 95), 0xe1, "Exif\x00\x00II*")
	wantCorners(t, in, red, green, blue, yellow)
}

func TestReasonsSpeakOfTheLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ reason, number string }{
		{reasonBytes, fmt.Sprintf("%d MiB", MaxBytes>>20)},
		{reasonSide, fmt.Sprintf("%d pixels", MaxSide)},
		{reasonPixels, fmt.Sprintf("%d million", MaxPixels/1_000_000)},
	} {
		if !strings.Contains(c.reason, c.number) {
			t.Errorf("%q does not name %s", c.reason, c.number)
		}
	}
}
