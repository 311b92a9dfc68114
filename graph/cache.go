package graph

import (
	"container/list"
	"sync"
)

// Limits of the cache. A parsed document takes at most some 150 times the memory
// of its text, so the cache takes at most 40 MiB, whoever fills it.
const (
	cacheEntries  = 512
	cacheDocument = 8 << 10   // bytes of one text
	cacheTexts    = 256 << 10 // bytes of all texts
)

// cache remembers the documents that were last used.
type cache struct {
	mu    sync.Mutex
	byKey map[string]*list.Element
	order list.List // of *document, the last used first
	texts int
}

func newCache() *cache { return &cache{byKey: map[string]*list.Element{}} }

// get returns the document of a key, or nil.
func (c *cache) get(key []byte) *document {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[string(key)]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*document)
}

// put remembers a document, and forgets others when there is no room.
func (c *cache) put(d *document) {
	if len(d.key) > cacheDocument {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[d.key]; ok {
		return
	}
	c.byKey[d.key] = c.order.PushFront(d)
	c.texts += len(d.key)
	for c.order.Len() > cacheEntries || c.texts > cacheTexts {
		last := c.order.Remove(c.order.Back()).(*document)
		delete(c.byKey, last.key)
		c.texts -= len(last.key)
	}
}
