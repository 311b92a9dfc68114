package migrate

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Step is a part of a copy. They come in this order.
type Step int

// The steps of a copy.
const (
	CopyRecords Step = iota
	CopyObjects
	VerifyRecords
	VerifyObjects
)

// String says what the step does.
func (s Step) String() string {
	return [...]string{"copy records", "copy objects", "verify records", "verify objects"}[s]
}

// Progress tells how far a step is.
type Progress struct {
	Step  Step
	Done  int64         // records or objects, those of an earlier run of the copy counted
	Total int64         // how many there are; about, until the step ended
	Bytes int64         // of objects
	Here  int64         // those of Done that this run did
	Took  time.Duration // since the step began
	Ended bool
}

// Rate is how many are done in a second.
func (p Progress) Rate() float64 {
	if d := p.Took.Seconds(); d > 0 {
		return float64(p.Here) / d
	}
	return 0
}

// Left is how long the step will still take; 0 when that is not known.
func (p Progress) Left() time.Duration {
	rate := p.Rate()
	if rate == 0 || p.Ended {
		return 0
	}
	return time.Duration(float64(max(p.Total-p.Done, 0)) / rate * float64(time.Second))
}

// meter counts.
type meter struct {
	mu       sync.Mutex
	expected map[string]int64 // by kind; objects are objectsKind
	kinds    []string         // of the step
	began    time.Time
	now      Progress
	told     func(Progress)
}

// expect tells how many there will be of a kind.
func (m *meter) expect(kind string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.expected == nil {
		m.expected = map[string]int64{}
	}
	m.expected[kind] = n
}

// settle tells that as many as the step has done is what there is of a kind.
func (m *meter) settle(kind string) { m.expect(kind, m.snapshot().Done) }

// begin begins a step over kinds.
func (m *meter) begin(step Step, kinds ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kinds = kinds
	m.began, m.now = time.Now(), Progress{Step: step}
}

// add counts what this run did.
func (m *meter) add(n, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Done += n
	m.now.Here += n
	m.now.Bytes += bytes
}

// before counts what an earlier run did.
func (m *meter) before(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now.Done += n
}

// end ends a step.
func (m *meter) end() {
	m.mu.Lock()
	m.now.Ended = true
	m.now.Took = time.Since(m.began)
	m.mu.Unlock()
	if m.told != nil {
		p := m.snapshot()
		p.Total = p.Done
		m.told(p)
	}
}

func (m *meter) snapshot() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.now
	if !p.Ended {
		p.Took = time.Since(m.began)
	}
	for _, kind := range m.kinds {
		p.Total += m.expected[kind]
	}
	p.Total = max(p.Total, p.Done)
	return p
}

// running returns the step under way, if one is.
func (m *meter) running() (Progress, bool) {
	m.mu.Lock()
	ok := !m.began.IsZero() && !m.now.Ended
	m.mu.Unlock()
	return m.snapshot(), ok
}

// watch tells Watch how far the copy is until the function that it returns is
// called.
func (c *copier) watch() (stop func()) {
	if c.Watch == nil {
		return func() {}
	}
	var mu sync.Mutex // one call at a time
	c.meter.told = func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		c.Watch(p)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if p, ok := c.meter.running(); ok {
					c.meter.told(p)
				}
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

// sample is how many records or objects are looked at to tell how many there are.
const sample = 1024

// estimate tells about how many records of a kind the source holds, without
// reading them all: IDs are random, so that the place of the 1024th tells how many
// there are, give or take 3 %.
func (c *copier) estimate(ctx context.Context, kind string) (int64, error) {
	n, last := int64(0), ""
	for r, err := range scan(ctx, c.From, kind, "", "") {
		if err != nil {
			return 0, err
		}
		if n, last = n+1, r.Key.ID; n == sample {
			return extrapolate(n, last), nil
		}
	}
	return n, nil
}

// estimateObjects tells about how many objects the source holds.
func (c *copier) estimateObjects(ctx context.Context) (int64, error) {
	n, last := int64(0), ""
	for o, err := range list(ctx, c.FromObjects) {
		if err != nil {
			return 0, err
		}
		if n, last = n+1, o.Key; n == sample {
			return extrapolate(n, last[strings.LastIndexByte(last, '/')+1:]), nil
		}
	}
	return n, nil
}

// extrapolate tells how many there are when the nth has the ID last.
func extrapolate(n int64, last string) int64 {
	const digits = "234567abcdefghijklmnopqrstuvwxyz" // of an ID, in the order of bytes
	place, weight := 0.0, 1.0
	for i := range min(len(last), 8) {
		digit := strings.IndexByte(digits, last[i])
		if digit < 0 { // no random ID
			return n
		}
		weight /= 32
		place += weight * float64(digit)
	}
	if place == 0 {
		return n
	}
	return int64(float64(n) / place)
}
