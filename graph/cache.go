package graph

import (
	"container/list"
	"sync"
)

// Limits of the caches. A parsed document takes at most some 150 times the memory
// of its text, so that cache takes at most 40 MiB, whoever fills it; the one of
// persisted queries holds texts alone.
const (
	cacheEntries  = 512
	cacheDocument = 8 << 10   // bytes of one text
	cacheTexts    = 256 << 10 // bytes of all texts
)

// cache remembers what was last used of the texts that clients sent.
type cache[V any] struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *cached[V], the last used first
	texts int
}

type cached[V any] struct {
	key   string
	value V
	size  int // of its text
}

func newCache[V any]() *cache[V] { return &cache[V]{byKey: map[string]*list.Element{}} }

// get returns the value of a key, or the zero value.
func (c *cache[V]) get(key []byte) (value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[string(key)]
	if !ok {
		return value
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached[V]).value
}

// put remembers a value, whose text has size bytes, and forgets others when there
// is no room.
func (c *cache[V]) put(key string, value V, size int) {
	if size > cacheDocument {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		return
	}
	c.byKey[key] = c.order.PushFront(&cached[V]{key, value, size})
	c.texts += size
	for c.order.Len() > cacheEntries || c.texts > cacheTexts {
		last := c.order.Remove(c.order.Back()).(*cached[V])
		delete(c.byKey, last.key)
		c.texts -= last.size
	}
}
