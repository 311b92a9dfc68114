package sandbox

import "sync"

// maxPeople bounds those of one generation; two of them take some 25 MB.
const maxPeople = 1 << 16

// known is what WeChat knows of a person within an app.
type known struct {
	person string // of the code
	key    string // the session_key
}

// people remembers, by openid, the last who logged in, as many as most or more.
type people struct {
	most              int
	mu                sync.Mutex
	current, previous map[string]known
}

func newPeople(most int) *people { return &people{most: most, current: map[string]known{}} }

// met remembers a person, in place of what was known.
func (p *people) met(openID string, k known) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.current) >= p.most {
		p.current, p.previous = map[string]known{}, p.current
	}
	p.current[openID] = k
}

func (p *people) find(openID string) (known, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.get(openID)
}

func (p *people) get(openID string) (known, bool) {
	k, ok := p.current[openID]
	if !ok {
		k, ok = p.previous[openID]
	}
	return k, ok
}

// rekey replaces a person's key if it is the one that proves accepts.
func (p *people) rekey(openID, key string, proves func(key string) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	k, ok := p.get(openID)
	if !ok || !proves(k.key) {
		return false
	}
	k.key = key
	p.current[openID] = k
	return true
}
