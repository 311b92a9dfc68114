// Package avatar turns the bytes of an uploaded picture into two small pictures that are safe to keep and to show:
// squares of [Large] and [Small] pixels a side, upright, in JPEG, with nothing in them but pixels.
//
// It is called by auth, for an upload that came through the server and for one that went straight to the bucket alike,
// and hands back bytes. It knows no storage, no HTTP and no GraphQL.
//
//	pictures, err := processor.Process(ctx, file)
//	var refused *avatar.Error
//	switch {
//	case errors.As(err, &refused): // the sender's doing: show refused.Reason to them
//	case err != nil:               // ctx ended, or file could not be read: ours
//	}
//
// # What goes in
//
// JPEG (baseline and progressive; colour, grey, CMYK), PNG (any depth, also interlaced), GIF (its first frame, on its
// canvas) and WebP (lossy and lossless, with and without alpha; not animated). What a picture is shows in its first
// bytes; a file name or content type has no say. Bytes after the end of the picture are ignored. A picture that breaks
// off early is refused, never half shown.
//
// Refused before any pixel is decoded: more than [MaxBytes], [MaxPixels], [MaxSide] or [MaxMemory], and a JPEG with more
// scans than any camera or editor writes.
//
// # What comes out
//
// The orientation that a camera noted (EXIF, 1 to 8: APP1 in JPEG, eXIf in PNG, EXIF in WebP) is carried out, then lost
// like all other metadata: place, time, camera, thumbnails, comments. A malformed note counts as upright; an orientation
// in XMP is not read. The largest square in the middle is cut out and scaled to exactly Large and Small, up as well as
// down. What is transparent becomes white. Colour profiles are dropped, not applied: a picture in Display P3 comes out a
// little paler than it was, and CMYK is converted by the plain formula.
//
// # Memory and time
//
// Processors exist to bound memory. Before decoding, Process reckons from the headers how much memory the decoder will
// need, waits until that much of the processor's budget is free, and gives it back at the end: many small pictures are
// worked on at once, large ones one after another, in the order in which they came. A picture that needs more than the whole
// budget (but at most MaxMemory) is worked on alone. So a processor's live memory is at most the larger of its budget and
// MaxMemory, whatever is sent to it; the garbage collector's head room comes on top, which GOMEMLIMIT holds down.
//
// Memory is bounded because pictures are read from a file again and again, never held, and scaled from the form in which
// the decoder leaves them: a JPEG photograph's planes of brightness and colour are never turned into RGB.
// When ctx ends, a decoder at work stops at its next read.
package avatar
