package avatar

import (
	"image"
	"math"
)

// picture is what JPEG stores: brightness and two planes of colour, of which colour may be coarser.
// All three views show the same square.
type picture struct{ y, cb, cr view }

// plane is one channel of samples.
type plane struct {
	pix          []byte
	stride, w, h int
}

// view is a rectangle of a plane, in samples; it need not fall on whole ones.
type view struct {
	plane
	x, y, dx, dy float64
}

func whole(p plane) view { return view{plane: p, dx: float64(p.w), dy: float64(p.h)} }

// uniform is a plane of one value, at any size.
func uniform(v byte) view { return whole(plane{[]byte{v}, 1, 1, 1}) }

// scale returns p in n by n pixels, with colour at half of that both ways, as image/jpeg will store it anyway.
func (p picture) scale(n int) picture {
	return picture{whole(p.y.scale(n)), whole(p.cb.scale(n / 2)), whole(p.cr.scale(n / 2))}
}

// turn carries out an EXIF orientation. The planes must be square.
func (p picture) turn(orientation int) picture {
	if orientation == 1 {
		return p
	}
	return picture{whole(p.y.turn(orientation)), whole(p.cb.turn(orientation)), whole(p.cr.turn(orientation))}
}

// image returns a picture that has been scaled.
func (p picture) image() *image.YCbCr {
	return &image.YCbCr{
		Y: p.y.pix, Cb: p.cb.pix, Cr: p.cr.pix,
		YStride: p.y.stride, CStride: p.cb.stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420,
		Rect:           image.Rect(0, 0, p.y.w, p.y.h),
	}
}

func (p plane) turn(orientation int) plane {
	n := p.w
	d := plane{make([]byte, n*n), n, n, n}
	// The sample at (x, y) comes from first + x*right + y*down.
	last := n - 1
	var first, right, down int
	s := p.stride
	switch orientation {
	case 1:
		first, right, down = 0, 1, s
	case 2:
		first, right, down = last, -1, s
	case 3:
		first, right, down = last*s+last, -1, -s
	case 4:
		first, right, down = last*s, 1, -s
	case 5:
		first, right, down = 0, s, 1
	case 6:
		first, right, down = last*s, -s, 1
	case 7:
		first, right, down = last*s+last, -s, -1
	case 8:
		first, right, down = last, s, -1
	}
	for y := range n {
		from := first + y*down
		row := d.pix[y*n : y*n+n]
		for x := range row {
			row[x] = p.pix[from]
			from += right
		}
	}
	return d
}

// shrinkBy returns by how much to shrink n samples by plain averaging before they are filtered down to m. At least half as many
// again as needed are left for the filter: averaging is cheap, and at that distance the eye does not see it.
func shrinkBy(n float64, m int) int { return max(1, int(n/(1.5*float64(m)))) }

// scale returns v in n by n samples: averaged to less than three times as many, then filtered with a Catmull-Rom kernel.
func (v view) scale(n int) plane {
	v = v.shrink(shrinkBy(v.dx, n), shrinkBy(v.dy, n))
	cols, rows := taps(v.x, v.dx, v.w, n), taps(v.y, v.dy, v.h, n)
	left, right := cols[0].first, 0
	for _, t := range cols {
		right = max(right, t.first+len(t.weights))
	}
	d := plane{make([]byte, n*n), n, n, n}
	sums := make([]int32, right-left)
	for y, t := range rows {
		// Down first: the loops are long and even. What they leave has 6 bits of fraction.
		for x := range sums {
			sums[x] = 1 << (one - 7)
		}
		w, from := t.weights, v.pix[t.first*v.stride+left:]
		for ; len(w) >= 4; w = w[4:] {
			add4(sums, w, from, v.stride)
			from = from[min(4*v.stride, len(from)):]
		}
		for i, w := range w {
			for x, s := range from[i*v.stride:][:len(sums)] {
				sums[x] += w * int32(s)
			}
		}
		for x := range sums {
			sums[x] >>= one - 6
		}
		// Across.
		row := d.pix[y*n:][:n]
		for x := range row {
			t := &cols[x]
			s, w := sums[t.first-left:][:len(t.weights)], t.weights
			sum := int32(1 << (one + 5))
			for ; len(w) >= 4 && len(s) >= 4; w, s = w[4:], s[4:] {
				sum += w[0]*s[0] + w[1]*s[1] + w[2]*s[2] + w[3]*s[3]
			}
			for i, w := range w {
				sum += w * s[i]
			}
			row[x] = byte(min(max(sum>>(one+6), 0), 255))
		}
	}
	return d
}

// add4 adds four rows of from, weighed, to sums.
func add4(sums, w []int32, from []byte, stride int) {
	n := len(sums)
	w0, w1, w2, w3 := w[0], w[1], w[2], w[3]
	s0, s1, s2, s3 := from[:n], from[stride:][:n], from[2*stride:][:n], from[3*stride:][:n]
	for x := range n {
		sums[x] += w0*int32(s0[x]) + w1*int32(s1[x]) + w2*int32(s2[x]) + w3*int32(s3[x])
	}
}

// shrink averages blocks of kx by ky samples. The result holds no more than v shows.
func (v view) shrink(kx, ky int) view {
	if kx == 1 && ky == 1 {
		return v
	}
	x0, y0 := int(v.x), int(v.y)
	x1, y1 := min(v.w, int(math.Ceil(v.x+v.dx))), min(v.h, int(math.Ceil(v.y+v.dy)))
	d := view{x: (v.x - float64(x0)) / float64(kx), y: (v.y - float64(y0)) / float64(ky), dx: v.dx / float64(kx), dy: v.dy / float64(ky)}
	d.w, d.h = (x1-x0+kx-1)/kx, (y1-y0+ky-1)/ky
	d.stride = d.w
	d.pix = make([]byte, d.w*d.h)
	sums := make([]uint16, x1-x0) // ky is at most MaxSide/(1.5*Small/2)
	for y := range d.h {
		clear(sums)
		rows := min(ky, y1-y0-y*ky)
		for i := range rows {
			row := v.pix[(y0+y*ky+i)*v.stride+x0:][:len(sums)]
			for x, s := range row {
				sums[x] += uint16(s)
			}
		}
		to := d.pix[y*d.w:][:d.w]
		for x := range to {
			block := sums[x*kx : min(x*kx+kx, len(sums))]
			sum, area := uint32(0), uint32(rows*len(block))
			for _, s := range block {
				sum += uint32(s)
			}
			to[x] = byte((sum + area/2) / area)
		}
	}
	return d
}

// tap is how one sample of the result is made: neighbours from first on, and their weights, which add up to 1<<one.
type tap struct {
	first   int
	weights []int32
}

const one = 14

// taps maps the stretch of width dx at x, of samples 0 to limit, to n samples.
func taps(x, dx float64, limit, n int) []tap {
	scale := dx / float64(n)
	wide := max(scale, 1) // of the kernel: shrinking, it must see every sample
	out := make([]tap, n)
	at := make([]float64, 0, int(4*wide)+3)
	all := make([]int32, 0, n*cap(at))
	for i := range out {
		centre := x + (float64(i)+0.5)*scale - 0.5
		first := max(0, int(math.Ceil(centre-2*wide)))
		last := min(limit-1, int(math.Floor(centre+2*wide)))
		at = at[:0]
		sum := 0.0
		for j := first; j <= last; j++ {
			w := catmullRom(math.Abs(float64(j)-centre) / wide)
			at, sum = append(at, w), sum+w
		}
		begin, rest, heaviest := len(all), int32(1<<one), 0
		for j, w := range at {
			v := int32(math.Round(w / sum * (1 << one)))
			all, rest = append(all, v), rest-v
			if at[heaviest] < w {
				heaviest = j
			}
		}
		all[begin+heaviest] += rest // so that a plain surface keeps its value
		out[i] = tap{first, all[begin:len(all):len(all)]}
	}
	return out
}

func catmullRom(t float64) float64 {
	switch {
	case t < 1:
		return (1.5*t-2.5)*t*t + 1
	case t < 2:
		return ((-0.5*t+2.5)*t-4)*t + 2
	}
	return 0
}
