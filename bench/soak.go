package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// soak drives the binary at full load for a time, a quarter of it to warm up.
// It fails when
//
//   - an answer is another than the one that is right: see device and attacks;
//   - without load, a larger heap is alive or there are more goroutines than without
//     load after the warm-up. Nothing is at work then, so this is exact: what a
//     request took must be given back when it is over, and caches are full by then;
//   - under load, heap, memory or goroutines rise. They are noisy there, for it
//     depends on how many pictures are at work. So what counts, after a third of the
//     time, is the slope of Theil and Sen, the median of the slopes between any two
//     samples: a leak rises all the time, while a few odd samples do not move it;
//   - the memory is ever more than maxMemory;
//   - the program does not end well.
func soak(ctx context.Context, length time.Duration, clients int) error {
	dir, binary, err := buildServer(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &soaking{admin: l.Addr().String(), entrance: make(chan struct{}, 4)}
	l.Close()
	os.Setenv("MINIPROFILE_ADMIN_LISTEN", s.admin)
	os.Setenv("MINIPROFILE_OLD_PICTURES", "1s") // so that they go while it runs
	// The limits are at work, and refuse nothing.
	os.Setenv("MINIPROFILE_RATE_LIMITS", "address=1000000/s,login=1000000/s,user=1000000/s,app=1000000/s,wechat=1000000/s")
	if s.photo, err = photograph(); err != nil {
		return err
	}
	if s.server, _, err = startServer(ctx, binary, filepath.Join(dir, "data")); err != nil {
		return err
	}
	err = s.run(ctx, length, clients)
	if ended := s.server.stop(); ended != nil {
		err = errors.Join(err, fmt.Errorf("the program ended: %w", ended))
	}
	return err
}

// soaking is a soak under way.
type soaking struct {
	server   *child
	admin    string
	photo    []byte
	answered atomic.Int64
	entrance chan struct{} // where few log in at a time: the server keeps its connections to WeChat for a while
}

// fill fills the server's memory of access tokens, which holds 16384 (some 25 MiB):
// by itself it is full after a quarter of an hour, and looks like a leak till then.
func fill(devices []*device) error {
	var all sync.WaitGroup
	failed := make(chan error, len(devices))
	for _, d := range devices {
		all.Go(func() {
			defer d.hangUp()
			for n := 0; n <= 1<<14/len(devices); n++ {
				step := d.login
				if d.access != "" {
					step = d.renew
				}
				if err := cmp.Or(step(), d.me()); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

func (s *soaking) run(ctx context.Context, length time.Duration, clients int) error {
	devices := make([]*device, clients)
	for n := range devices {
		devices[n] = &device{soaking: s, number: n, attacked: n}
	}
	if _, err := s.drive(ctx, devices, length/4); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	if err := fill(devices); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	before, err := s.rest(ctx)
	if err != nil {
		return err
	}
	s.answered.Store(0)
	busy := processorTime()
	under, err := s.drive(ctx, devices, length-length/4)
	if err != nil {
		return err
	}
	fmt.Printf("%d requests of %d clients in %v; the machine was busy for %.0f %% of it\n",
		s.answered.Load(), clients, length-length/4, 100*processorTime().share(busy))
	after, err := s.rest(ctx)
	if err != nil {
		return err
	}
	column := func(of func(sample) float64) (values []float64) {
		for _, one := range under {
			values = append(values, of(one))
		}
		return values
	}
	margin := float64(clients) / 2
	return errors.Join(
		returned("heap without load, MiB", before.heap, after.heap, 8),
		returned("goroutines without load", before.goroutines, after.goroutines, spareGoroutines),
		flat("heap under load, MiB", column(func(s sample) float64 { return s.heap }), 32),
		flat("memory under load, MiB", column(func(s sample) float64 { return s.memory }), 32),
		flat("goroutines under load", column(func(s sample) float64 { return s.goroutines }), margin),
		bounded("memory, MiB", column(func(s sample) float64 { return s.memory }), maxMemory),
	)
}

// maxMemory is in MiB; see the goal of the table that main prints.
const maxMemory = 200

// spareGoroutines is how many more may be there without load than before: those of
// connections to WeChat, here the sandbox, that wait for their next use.
const spareGoroutines = 16

// flat fails when the trend of values raises them by more than a quarter of their
// median and a margin.
func flat(name string, values []float64, margin float64) error {
	values = values[len(values)/3:]
	if len(values) < 3 {
		return fmt.Errorf("%s: only %d samples", name, len(values))
	}
	var slopes []float64
	for i := range values {
		for j := range i {
			slopes = append(slopes, (values[i]-values[j])/float64(i-j))
		}
	}
	grown, middle := median(slopes)*float64(len(values)-1), median(values)
	fmt.Printf("%s: %.0f, trend %+.1f\n", name, middle, grown)
	if grown > middle/4+margin {
		return fmt.Errorf("%s: grew by %.1f", name, grown)
	}
	return nil
}

func bounded(name string, values []float64, most float64) error {
	highest := slices.Max(values)
	fmt.Printf("%s: at most %.0f\n", name, highest)
	if highest > most {
		return fmt.Errorf("%s: %.0f, more than %.0f", name, highest, most)
	}
	return nil
}

func returned(name string, before, after, margin float64) error {
	fmt.Printf("%s: %.0f before, %.0f after\n", name, before, after)
	if after > before+margin {
		return fmt.Errorf("%s: %.0f before, %.0f after", name, before, after)
	}
	return nil
}

// drive lets all devices send for a time, and takes samples.
func (s *soaking) drive(ctx context.Context, devices []*device, length time.Duration) (samples []sample, err error) {
	ctx, enough := context.WithTimeout(ctx, length)
	defer enough()
	failures := make(chan error, len(devices)+1)
	var group sync.WaitGroup
	for _, d := range devices {
		group.Go(func() {
			defer d.hangUp()
			for ctx.Err() == nil {
				if err := d.step(); err != nil {
					failures <- fmt.Errorf("client %d, request %d: %w", d.number, d.count, err)
					enough()
				}
			}
		})
	}
	tick := time.NewTicker(max(length/45, 200*time.Millisecond))
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			one, err := s.sample()
			if err != nil {
				failures <- err
				enough()
			}
			samples = append(samples, one)
			if len(samples)%10 == 0 {
				log.Printf("%d requests, heap %.0f MiB, memory %.0f MiB, %.0f goroutines", s.answered.Load(), one.heap, one.memory, one.goroutines)
			}
		}
	}
	group.Wait()
	select {
	case err := <-failures:
		return nil, err
	default:
		return samples, nil
	}
}

// rest waits until the server has nothing more to do: until its goroutines have
// not become fewer for some seconds, or for a minute.
func (s *soaking) rest(ctx context.Context) (last sample, err error) {
	fewest, same := 0.0, 0
	for began := time.Now(); same < 10 && time.Since(began) < time.Minute && err == nil; time.Sleep(500 * time.Millisecond) {
		if last, err = s.sample(); err == nil {
			err = ctx.Err()
		}
		same++
		if fewest == 0 || last.goroutines < fewest {
			fewest, same = last.goroutines, 0
		}
	}
	return last, err
}

// sample is what the server has at a moment, memory in MiB.
type sample struct{ memory, heap, goroutines float64 }

// sample collects the server's garbage and looks at what is left. Of its memory,
// that which is of a file does not count.
func (s *soaking) sample() (now sample, err error) {
	if _, err := s.ask("/debug/pprof/heap?gc=1"); err != nil {
		return now, err
	}
	page, err := s.ask("/metrics")
	if err != nil {
		return now, err
	}
	for line := range strings.Lines(page) {
		for name, to := range map[string]*float64{"go_goroutines ": &now.goroutines, "go_memstats_heap_alloc_bytes ": &now.heap} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if *to, err = strconv.ParseFloat(strings.TrimSpace(rest), 64); err != nil {
					return now, err
				}
			}
		}
	}
	if now.goroutines == 0 || now.heap == 0 {
		return now, errors.New("no goroutines or no heap in the metrics")
	}
	now.heap /= 1 << 20
	now.memory, err = s.server.status("RssAnon:")
	return now, err
}

func (s *soaking) ask(path string) (string, error) {
	r, err := http.Get("http://" + s.admin + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	return string(page), err
}

// processors is the time of all processors since the machine started.
type processors struct{ busy, all float64 }

// processorTime reads it; zero where there is no /proc/stat.
func processorTime() (p processors) {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	for n, field := range strings.Fields(line) {
		value, _ := strconv.ParseFloat(field, 64)
		if n > 8 {
			break // guests are counted among the others
		}
		p.all += value
		if n != 4 && n != 5 { // idle, and waiting for a disk
			p.busy += value
		}
	}
	return p
}

func (p processors) share(before processors) float64 {
	return (p.busy - before.busy) / max(p.all-before.all, 1)
}
