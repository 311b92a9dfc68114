package avatar

import (
	"bufio"
	"encoding/binary"
	"io"
	"strings"
)

// Scans of one JPEG: no writer makes more than a handful, while a file of nothing but scans keeps a decoder busy for minutes.
const (
	maxScansSequential  = 4 // one a component
	maxScansProgressive = 64
)

func lookJPEG(r *bufio.Reader, _ int64) (look, error) {
	var l look
	var frame []byte
	scans, adobeRGB := 0, false
	for {
		marker, err := nextMarker(r)
		if err != nil || marker == 0xd9 {
			break // the decoder will notice what is missing
		}
		if marker == 0xd8 || 0xd0 <= marker && marker <= 0xd7 {
			continue
		}
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			break
		}
		n := int(binary.BigEndian.Uint16(b[:])) - 2
		if n < 0 {
			break
		}
		switch marker {
		default:
			_, err = r.Discard(n)
		case 0xc0, 0xc1, 0xc2:
			if frame != nil {
				return l, refuse(ErrBroken, reasonBroken)
			}
			frame = make([]byte, n+1)
			frame[0] = marker
			_, err = io.ReadFull(r, frame[1:])
		case 0xda:
			scans++
			if len(frame) > 0 && (scans > maxScansProgressive || frame[0] != 0xc2 && scans > maxScansSequential) {
				return l, refuse(ErrTooLarge, reasonScans)
			}
			_, err = r.Discard(n)
		case 0xe1, 0xee:
			seg := make([]byte, n)
			_, err = io.ReadFull(r, seg)
			if exif, ok := strings.CutPrefix(string(seg), "Exif\x00\x00"); ok && marker == 0xe1 && l.exif == nil && scans == 0 {
				l.exif = []byte(exif)
			}
			if marker == 0xee && n >= 12 && string(seg[:5]) == "Adobe" && seg[11] == 0 {
				adobeRGB = true
			}
		}
		if err != nil {
			break
		}
	}
	l.bytes = weighFrame(frame, adobeRGB)
	return l, nil
}

// nextMarker skips to the next marker as image/jpeg does, which overlooks stray bytes.
func nextMarker(r *bufio.Reader) (byte, error) {
	for {
		for {
			_, err := r.ReadSlice(0xff)
			if err == nil {
				break
			}
			if err != bufio.ErrBufferFull {
				return 0, err
			}
		}
		m := byte(0xff)
		for m == 0xff {
			var err error
			if m, err = r.ReadByte(); err != nil {
				return 0, err
			}
		}
		if m != 0 {
			return m, nil
		}
	}
}

// weighFrame returns the bytes of memory per pixel that image/jpeg needs for a frame: its marker, then its header.
func weighFrame(frame []byte, adobeRGB bool) float64 {
	const worst = 4*(1+4) + 4
	if len(frame) < 7 || len(frame) < 7+3*int(frame[6]) || frame[6] == 0 || frame[6] > 4 {
		return worst
	}
	n := int(frame[6])
	ids := ""
	hmax, vmax, blocks := 1, 1, 0
	for i := range n {
		c := frame[7+3*i:]
		h, v := int(c[1]>>4), int(c[1]&15)
		if n == 1 {
			h, v = 1, 1 // one component: its sampling means nothing
		}
		hmax, vmax, blocks = max(hmax, h), max(vmax, v), blocks+h*v
		ids += string(rune(c[0]))
	}
	bytes := float64(blocks) / float64(hmax*vmax)
	if frame[0] == 0xc2 {
		bytes *= 1 + 4 // progressive: every coefficient is kept as an int32 to the end
	}
	if n == 4 || n == 3 && (adobeRGB || ids == "RGB") {
		bytes += 4 // CMYK and RGB are put together in a second picture
	}
	return min(bytes, worst)
}
