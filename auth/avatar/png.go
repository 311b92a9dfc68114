package avatar

import (
	"bufio"
	"encoding/binary"
	"io"
)

func lookPNG(r *bufio.Reader, _ int64) (look, error) {
	var l look
	if _, err := r.Discard(8); err != nil {
		return l, nil
	}
	var depth, colour, interlaced byte
	keyed := false
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			break
		}
		n := int64(binary.BigEndian.Uint32(head[:4]))
		name := string(head[4:])
		if name == "IEND" || n > MaxBytes {
			break
		}
		keep := int64(0)
		switch {
		case name == "IHDR" && n == 13:
			keep = 13
		case name == "eXIf" && l.exif == nil:
			keep = min(n, maxMeta)
		case name == "tRNS":
			keyed = true
		}
		b := make([]byte, keep)
		if _, err := io.ReadFull(r, b); err != nil {
			break
		}
		switch name {
		case "IHDR":
			if keep > 0 {
				depth, colour, interlaced = b[8], b[9], b[12]
			}
		case "eXIf":
			l.exif = b
		}
		if _, err := r.Discard(int(n - keep + 4)); err != nil {
			break
		}
	}
	l.bytes = weighPNG(depth, colour, keyed)
	if interlaced != 0 {
		l.bytes *= 2 // the passes are pictures of their own
	}
	l.extra = 1 << 20 // two rows, and inflating
	return l, nil
}

// weighPNG returns the bytes of memory per pixel of the picture that image/png makes.
func weighPNG(depth, colour byte, keyed bool) float64 {
	var bytes float64
	switch {
	case colour == 3:
		return 1
	case colour == 0 && !keyed:
		bytes = 1
	default:
		bytes = 4
	}
	if depth == 16 {
		bytes *= 2
	}
	return bytes
}
