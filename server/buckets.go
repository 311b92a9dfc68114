package server

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// maxBuckets bounds each table of buckets: some 10 MiB when it is full. Whoever is
// forgotten begins anew with a full bucket, so a flood from very many addresses
// costs memory no more than this, and honest clients nothing.
const maxBuckets = 1 << 15

// buckets holds a token bucket for each key, the last used ones of too many.
type buckets[K comparable] struct {
	fill rate.Limit
	size int

	mu    sync.Mutex
	byKey map[K]*list.Element
	order list.List // of *bucket[K], the last used first
}

type bucket[K comparable] struct {
	key K
	*rate.Limiter
	inFlight atomic.Int64
}

// newBuckets makes buckets of a quota; nil, which lets all pass, where it has no bound.
func newBuckets[K comparable](q Quota) *buckets[K] {
	if q.Count == 0 {
		return nil
	}
	return &buckets[K]{fill: rate.Limit(float64(q.Count) / q.Per.Seconds()), size: q.Count, byKey: map[K]*list.Element{}}
}

// take takes n from the bucket of key, and returns the bucket and 0; or takes
// nothing and returns how long it is until n can be had.
func (b *buckets[K]) take(key K, n int, now time.Time) (*bucket[K], time.Duration) {
	if b == nil {
		return nil, 0
	}
	n = min(n, b.size)
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of(key)
	if l.AllowN(now, n) {
		return l, 0
	}
	missing := float64(n) - l.TokensAt(now)
	return l, max(time.Duration(missing/float64(b.fill)*float64(time.Second)), time.Millisecond)
}

func (b *buckets[K]) of(key K) *bucket[K] {
	if e, ok := b.byKey[key]; ok {
		b.order.MoveToFront(e)
		return e.Value.(*bucket[K])
	}
	if b.order.Len() >= maxBuckets {
		last := b.order.Remove(b.order.Back()).(*bucket[K])
		delete(b.byKey, last.key)
	}
	l := &bucket[K]{key: key, Limiter: rate.NewLimiter(b.fill, b.size)}
	b.byKey[key] = b.order.PushFront(l)
	return l
}
