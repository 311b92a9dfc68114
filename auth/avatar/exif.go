package avatar

import (
	"bytes"
	"encoding/binary"
)

// orientation returns the EXIF orientation, 1 to 8, that exif (a TIFF header and what follows) notes in its first directory.
// It is 1, upright, if there is none or anything about it is wrong.
func orientation(exif []byte) int {
	const (
		tag   = 0x0112
		short = 3
		long  = 4
	)
	exif = bytes.TrimPrefix(exif, []byte("Exif\x00\x00")) // some writers of WebP and PNG leave it in
	if len(exif) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(exif[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(exif[4:]))
	if at+2 > uint64(len(exif)) {
		return 1
	}
	entries := exif[at:]
	count := int(order.Uint16(entries))
	for entries = entries[2:]; count > 0 && len(entries) >= 12; count, entries = count-1, entries[12:] {
		if order.Uint16(entries) != tag || order.Uint32(entries[4:]) != 1 {
			continue
		}
		var v uint32
		switch order.Uint16(entries[2:]) {
		case short:
			v = uint32(order.Uint16(entries[8:]))
		case long:
			v = order.Uint32(entries[8:])
		}
		if 1 <= v && v <= 8 {
			return int(v)
		}
		return 1
	}
	return 1
}
