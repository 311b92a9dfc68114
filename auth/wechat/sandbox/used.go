package sandbox

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// generation is how long codes are gathered before the oldest are let go.
	generation = 5 * time.Minute
	// maxGeneration bounds the codes of one generation; two of them take some 50 MB.
	maxGeneration = 1 << 19
)

// usedCodes remembers codes for 1 to 2 generations.
type usedCodes struct {
	mu       sync.Mutex
	since    time.Time // when current began
	current  map[codeHash]struct{}
	previous map[codeHash]struct{}
}

// codeHash is half a SHA-256, so that long codes take no more room.
type codeHash [16]byte

func newUsedCodes(now time.Time) *usedCodes {
	return &usedCodes{since: now, current: map[codeHash]struct{}{}}
}

// add reports whether code was new.
func (u *usedCodes) add(code string, now time.Time) bool {
	sum := sha256.Sum256([]byte(code))
	hash := codeHash(sum[:16])
	u.mu.Lock()
	defer u.mu.Unlock()
	if age := now.Sub(u.since); age >= generation || len(u.current) >= maxGeneration {
		u.previous = u.current
		if age >= 2*generation {
			u.previous = nil
		}
		u.current, u.since = map[codeHash]struct{}{}, now
	}
	_, recent := u.current[hash]
	_, older := u.previous[hash]
	if recent || older {
		return false
	}
	u.current[hash] = struct{}{}
	return true
}
