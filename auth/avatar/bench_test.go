package avatar

import (
	"bytes"
	"image/jpeg"
	"testing"
)

// A photograph of some 256 KiB, as phones send them.
func BenchmarkProcess(b *testing.B) {
	in := encodeJPEG(b, photo(1600, 1200), 62)
	b.Logf("%d KiB", len(in)>>10)
	p := New(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Process(b.Context(), bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}

// What no implementation on image/jpeg can go below.
func BenchmarkDecodeAlone(b *testing.B) {
	in := encodeJPEG(b, photo(1600, 1200), 62)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jpeg.Decode(bytes.NewReader(in)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScaleAndEncode(b *testing.B) {
	m := photo(1600, 1200)
	b.ReportAllocs()
	for b.Loop() {
		large := middle(m, m.Rect).scale(Large)
		if _, err := encode(large); err != nil {
			b.Fatal(err)
		}
		if _, err := encode(large.scale(Small)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScale(b *testing.B) {
	m := photo(1600, 1200)
	b.ReportAllocs()
	for b.Loop() {
		middle(m, m.Rect).scale(Large).scale(Small)
	}
}
