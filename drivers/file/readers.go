package file

import (
	"sync"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
)

// maxIdle is how many readers are kept for the next Get.
const maxIdle = 64

// readers keeps read transactions, with their cursors, from one Get to the next:
// to begin one and to find the buckets takes as long as to find the records.
//
// None is kept past a commit of the database. It would hide what was committed, keep
// the pages it sees from being used again, and stop bbolt for ever when the file must
// grow.
type readers struct {
	db     *bbolt.DB
	mu     sync.Mutex
	paused bool
	age    int // grows with each resume
	idle   []*reader
}

// reader is one read transaction, for one goroutine at a time.
type reader struct {
	tx      *bbolt.Tx
	age     int
	cursors map[string]*bbolt.Cursor // by kind; nil where there is none
	id      []byte
}

// take returns a reader of what is committed. The caller gives it back.
func (rs *readers) take() (*reader, error) {
	rs.mu.Lock()
	age := rs.age
	if n := len(rs.idle) - 1; n >= 0 {
		r := rs.idle[n]
		rs.idle = rs.idle[:n]
		rs.mu.Unlock()
		return r, nil
	}
	rs.mu.Unlock()
	tx, err := rs.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &reader{tx: tx, age: age, cursors: make(map[string]*bbolt.Cursor, 4)}, nil
}

// give takes a reader back, to keep it or to end it.
func (rs *readers) give(r *reader) {
	rs.mu.Lock()
	// One that began before the last resume may not see what was committed then.
	keep := !rs.paused && r.age == rs.age && len(rs.idle) < maxIdle
	if keep {
		rs.idle = append(rs.idle, r)
	}
	rs.mu.Unlock()
	if !keep {
		r.tx.Rollback()
	}
}

// pause ends all idle readers and keeps none until resume: for a commit.
func (rs *readers) pause() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.paused = true
	for _, r := range rs.idle {
		r.tx.Rollback()
	}
	clear(rs.idle)
	rs.idle = rs.idle[:0]
}

// resume ends a pause. Whoever learns of the commit learns of it later.
func (rs *readers) resume() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.paused = false
	rs.age++
}

// get returns the stored form of the record of k, valid until the reader is
// given back, or nil.
func (r *reader) get(k drivers.Key) []byte {
	c, ok := r.cursors[k.Kind]
	if !ok {
		if b := r.tx.Bucket([]byte(k.Kind)); b != nil {
			c = b.Cursor()
		}
		r.cursors[k.Kind] = c
	}
	if c == nil {
		return nil
	}
	r.id = append(r.id[:0], k.ID...)
	id, v := c.Seek(r.id)
	if string(id) != k.ID {
		return nil
	}
	return v
}
