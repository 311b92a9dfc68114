package avatar

import (
	"image"
	"image/color"
)

// middle returns the largest square in the middle of canvas, of which m covers all or a part; what it leaves free is white.
func middle(m image.Image, canvas image.Rectangle) picture {
	w, h := canvas.Dx(), canvas.Dy()
	side := float64(min(w, h))
	square := view{x: (float64(w) - side) / 2, y: (float64(h) - side) / 2, dx: side, dy: side}
	switch m := m.(type) {
	case *image.YCbCr:
		sx, sy := subsampling(m.SubsampleRatio)
		colour := view{x: square.x / float64(sx), y: square.y / float64(sy), dx: side / float64(sx), dy: side / float64(sy)}
		cw, ch := (w+sx-1)/sx, (h+sy-1)/sy
		square.plane = plane{m.Y, m.YStride, w, h}
		cb, cr := colour, colour
		cb.plane = plane{m.Cb, m.CStride, cw, ch}
		cr.plane = plane{m.Cr, m.CStride, cw, ch}
		return picture{square, cb, cr}
	case *image.Gray:
		square.plane = plane{m.Pix, m.Stride, w, h}
		return picture{square, uniform(128), uniform(128)}
	}
	return flatten(m, square)
}

func subsampling(r image.YCbCrSubsampleRatio) (x, y int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// flatten lays the square of m on white, averages it down towards Large, and only then changes colours.
func flatten(m image.Image, square view) picture {
	k := shrinkBy(square.dx, Large)
	x0, y0 := int(square.x), int(square.y)
	x1, y1 := int(square.x+square.dx+0.5), int(square.y+square.dy+0.5)
	out := view{
		x: (square.x - float64(x0)) / float64(k), y: (square.y - float64(y0)) / float64(k),
		dx: square.dx / float64(k), dy: square.dy / float64(k),
	}
	out.w, out.h = (x1-x0+k-1)/k, (y1-y0+k-1)/k
	out.stride = out.w
	p := picture{out, out, out}
	p.y.pix, p.cb.pix, p.cr.pix = make([]byte, out.w*out.h), make([]byte, out.w*out.h), make([]byte, out.w*out.h)

	read := reader(m)
	row := make([]byte, 3*(x1-x0))
	sums := make([]uint32, 3*out.w)
	for y := range out.h {
		clear(sums)
		rows := min(k, y1-y0-y*k)
		for i := range rows {
			read(x0, y0+y*k+i, row)
			for x := range out.w {
				s := sums[3*x : 3*x+3]
				for px := row[3*x*k : 3*min(x*k+k, x1-x0)]; len(px) >= 3; px = px[3:] {
					s[0] += uint32(px[0])
					s[1] += uint32(px[1])
					s[2] += uint32(px[2])
				}
			}
		}
		for x := range out.w {
			area := uint32(rows * min(k, x1-x0-x*k))
			i := y*out.w + x
			p.y.pix[i], p.cb.pix[i], p.cr.pix[i] = color.RGBToYCbCr(
				byte((sums[3*x]+area/2)/area), byte((sums[3*x+1]+area/2)/area), byte((sums[3*x+2]+area/2)/area))
		}
	}
	return p
}

// reader returns a function that fills row with red, green and blue of the pixels from (x, y) on to the right, on white.
func reader(m image.Image) func(x, y int, row []byte) {
	b := m.Bounds()
	switch m := m.(type) {
	case *image.RGBA: // from image/png and image/jpeg, which make it only for what is opaque
		return func(x, y int, row []byte) {
			for pix := m.Pix[m.PixOffset(x, y):]; len(row) >= 3; pix, row = pix[4:], row[3:] {
				row[0], row[1], row[2] = pix[0], pix[1], pix[2]
			}
		}
	case *image.NRGBA:
		return func(x, y int, row []byte) {
			for pix := m.Pix[m.PixOffset(x, y):]; len(row) >= 3; pix, row = pix[4:], row[3:] {
				a := uint32(pix[3])
				row[0], row[1], row[2] = onWhite(pix[0], a), onWhite(pix[1], a), onWhite(pix[2], a)
			}
		}
	case *image.Paletted:
		var table [256][3]byte
		for i, c := range m.Palette {
			r, g, b, a := c.RGBA()
			table[i] = [3]byte{byte((r + 0xffff - a) >> 8), byte((g + 0xffff - a) >> 8), byte((b + 0xffff - a) >> 8)}
		}
		return func(x, y int, row []byte) {
			for ; len(row) >= 3; x, row = x+1, row[3:] {
				c := [3]byte{255, 255, 255} // a frame of a GIF may cover only a part of the canvas
				if (image.Point{X: x, Y: y}).In(b) {
					c = table[m.Pix[m.PixOffset(x, y)]]
				}
				copy(row, c[:])
			}
		}
	case image.RGBA64Image: // every other picture of the decoders: 16 bits, CMYK, lossy with alpha
		return func(x, y int, row []byte) {
			for ; len(row) >= 3; x, row = x+1, row[3:] {
				c := m.RGBA64At(x, y)
				row[0], row[1], row[2] = byte((c.R+0xffff-c.A)>>8), byte((c.G+0xffff-c.A)>>8), byte((c.B+0xffff-c.A)>>8)
			}
		}
	}
	panic("avatar: a decoder made a picture without RGBA64At")
}

func onWhite(c byte, alpha uint32) byte { return byte((uint32(c)*alpha + 255*(255-alpha) + 127) / 255) }
