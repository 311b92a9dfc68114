package sandbox

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// generation is how long texts are gathered before the oldest are let go.
	generation = 5 * time.Minute
	// maxGeneration bounds the texts of one generation; two of them take some 50 MB.
	maxGeneration = 1 << 19
)

// recent remembers texts for 1 to 2 generations.
type recent struct {
	mu       sync.Mutex
	since    time.Time // when current began
	current  map[textHash]struct{}
	previous map[textHash]struct{}
}

// textHash is half a SHA-256, so that long texts take no more room.
type textHash [16]byte

func hashOf(text string) textHash {
	sum := sha256.Sum256([]byte(text))
	return textHash(sum[:16])
}

func newRecent(now time.Time) *recent {
	return &recent{since: now, current: map[textHash]struct{}{}}
}

// add remembers a text and reports whether it was new.
func (r *recent) add(text string, now time.Time) bool {
	hash := hashOf(text)
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := now.Sub(r.since); age >= generation || len(r.current) >= maxGeneration {
		r.previous = r.current
		if age >= 2*generation {
			r.previous = nil
		}
		r.current, r.since = map[textHash]struct{}{}, now
	}
	if r.knows(hash) {
		return false
	}
	r.current[hash] = struct{}{}
	return true
}

// has reports whether a text is remembered.
func (r *recent) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.knows(hashOf(text))
}

func (r *recent) knows(hash textHash) bool {
	_, current := r.current[hash]
	_, previous := r.previous[hash]
	return current || previous
}
