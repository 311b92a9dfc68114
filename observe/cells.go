package observe

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// cells remembers the counter and the histogram of each set of labels: to find
// them by their labels costs ten times what it costs to count.
type cells[K comparable] struct {
	find func(K) cell

	mu    sync.Mutex
	known atomic.Pointer[map[K]cell] // never changed, but replaced
}

// cell counts one thing.
type cell struct {
	count prometheus.Counter
	time  prometheus.Observer
}

func (c cell) add(took time.Duration) {
	c.count.Inc()
	c.time.Observe(took.Seconds())
}

func (c *cells[K]) of(key K) cell {
	if known := c.known.Load(); known != nil {
		if found, ok := (*known)[key]; ok {
			return found
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	next := map[K]cell{}
	if known := c.known.Load(); known != nil {
		maps.Copy(next, *known)
	}
	found := c.find(key)
	next[key] = found
	c.known.Store(&next)
	return found
}
