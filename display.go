package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/cwriter"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/miniprofile/miniprofile/migrate"
)

// lineInterval is how often a step writes a line where there is no terminal.
const lineInterval = 5 * time.Second

// display shows a person how far a copy is. Its show is for migrate.Config.Watch.
type display struct {
	w    io.Writer
	last time.Time // when a line was written

	bars  *mpb.Progress // nil where there is no terminal
	bar   *mpb.Bar      // of the step
	step  migrate.Step
	shown *atomic.Pointer[migrate.Progress] // by the bar, which draws itself when it likes
}

// newDisplay shows bars that move when f is a terminal, and writes a line now and
// then when it is none. The caller closes it.
func newDisplay(f *os.File) *display { return displayOn(f, cwriter.IsTerminal(int(f.Fd()))) }

func displayOn(w io.Writer, terminal bool) *display {
	d := &display{w: w, step: -1, last: time.Now()}
	if terminal {
		d.bars = mpb.New(mpb.WithOutput(w), mpb.WithAutoRefresh())
	}
	return d
}

// show shows how far a step is. It is not called twice at once.
func (d *display) show(p migrate.Progress) {
	if d.bars != nil {
		d.draw(p)
		return
	}
	if now := time.Now(); p.Ended || now.Sub(d.last) >= lineInterval {
		d.last = now
		fmt.Fprintln(d.w, line(p))
	}
}

// close ends the display; what has not ended stays as it was shown last.
func (d *display) close() {
	if d.bars == nil {
		return
	}
	if d.bar != nil && !d.shown.Load().Ended {
		d.bar.Abort(false)
	}
	d.bars.Wait()
}

func (d *display) draw(p migrate.Progress) {
	if p.Step != d.step {
		d.step = p.Step
		shown := &atomic.Pointer[migrate.Progress]{}
		shown.Store(&p)
		d.shown = shown
		of := func(text func(migrate.Progress) string) decor.Decorator {
			return decor.Any(func(decor.Statistics) string { return text(*shown.Load()) }, decor.WCSyncSpace)
		}
		d.bar = d.bars.AddBar(0,
			mpb.PrependDecorators(decor.Name(p.Step.String(), decor.WCSyncSpaceR), of(count)),
			mpb.AppendDecorators(of(speed)),
		)
	}
	d.shown.Store(&p)
	if p.Ended {
		d.bar.SetTotal(max(p.Done, 1), false)
		d.bar.SetCurrent(max(p.Done, 1))
		d.bar.SetTotal(-1, true) // where it is, is the end
		return
	}
	d.bar.SetTotal(max(p.Total, 1), false)
	d.bar.SetCurrent(p.Done)
}

// line is what is shown where there is no terminal.
func line(p migrate.Progress) string {
	return fmt.Sprintf("%s: %s, %s", p.Step, count(p), speed(p))
}

func count(p migrate.Progress) string {
	if p.Ended {
		return grouped(p.Done)
	}
	return grouped(p.Done) + " of about " + grouped(p.Total)
}

func speed(p migrate.Progress) string {
	text := grouped(int64(p.Rate())) + "/s"
	if p.Ended {
		return text + ", " + p.Took.Round(100*time.Millisecond).String()
	}
	if left := p.Left(); left > 0 {
		text += ", " + max(left.Round(time.Second), time.Second).String() + " left"
	}
	return text
}

// summary tells a person what was copied: the kinds in their order.
func summary(r migrate.Result, kinds []string, took time.Duration) string {
	var b strings.Builder
	var each []string
	for _, kind := range kinds {
		if n := r.Kinds[kind]; n > 0 {
			each = append(each, kind+" "+grouped(n))
		}
	}
	did := "copied and verified"
	switch {
	case r.Resumed:
		did = "went on with the copy, and verified all of it"
	case r.Written == 0:
		did = "all was there before; verified"
	}
	fmt.Fprintf(&b, "%s: %s records", did, grouped(r.Records))
	if len(each) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(each, ", "))
	}
	fmt.Fprintf(&b, ", %s objects of %s bytes, in %s\n", grouped(r.Objects), grouped(r.Bytes), took.Round(100*time.Millisecond))
	if r.Expired > 0 {
		fmt.Fprintf(&b, "%s records expired meanwhile and are gone from one side\n", grouped(r.Expired))
	}
	return b.String()
}

// grouped writes a number as 1,234,567.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
