package avatar

import (
	"bufio"
	"encoding/binary"
	"io"
)

// x/image/vp8l keeps up to 2600 groups of Huffman tables. A file can make each as large as the format allows, at some
// 280 bytes of memory for a byte of file, or make nearly empty ones from almost nothing.
const (
	vp8lGroups     = 2600
	vp8lGroupEmpty = 2720
	vp8lGroupFull  = 56 << 10
	vp8lGrowth     = 280
)

func lookWebP(r *bufio.Reader, size int64) (look, error) {
	const animation = 1 << 1
	var l look
	var lossy, lossless, alpha bool
	if _, err := r.Discard(12); err != nil {
		return l, nil
	}
	for left := size - 12; left >= 8; {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			break
		}
		left -= 8
		name, n := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
		if n > left {
			if lossy || lossless {
				break // stray bytes behind the picture
			}
			// x/image/vp8 would reserve what a header promises before reading it.
			return l, refuse(ErrBroken, reasonBroken)
		}
		keep := int64(0)
		switch name {
		case "VP8 ":
			lossy = true
		case "VP8L":
			lossless = true
		case "ALPH":
			alpha = true
		case "VP8X":
			keep = min(n, 1)
		case "EXIF":
			if l.exif == nil {
				keep = min(n, maxMeta)
			}
		}
		b := make([]byte, keep)
		if _, err := io.ReadFull(r, b); err != nil {
			break
		}
		switch {
		case name == "VP8X" && keep > 0 && b[0]&animation != 0:
			return l, refuse(ErrUnsupported, reasonAnimated)
		case name == "EXIF" && keep > 0:
			l.exif = b
		}
		n += n & 1
		if _, err := r.Discard(int(min(n, left) - keep)); err != nil {
			break
		}
		left -= n
	}
	l.bytes, l.extra = 1.5, size
	if lossless || alpha || !lossy {
		// Four bytes a pixel, twice for a moment where a palette is undone, and the tables of the transforms;
		// for alpha the same, and its result beside the lossy picture.
		l.bytes = 6.75
		l.extra = min(vp8lGroups*vp8lGroupFull, vp8lGroups*vp8lGroupEmpty+vp8lGrowth*size)
	}
	return l, nil
}
