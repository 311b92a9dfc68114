package file

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

const (
	// journalSize is how long a journal grows, in bytes, before the database gets
	// what it has; so much is in memory twice at the most, and a start after a crash
	// takes that in.
	journalSize = 4 << 20
	// maxJournals is how many times that one grows while the database cannot take in
	// the one before.
	maxJournals = 4
	// checkpointChunk is how many records one transaction of the database takes in:
	// bbolt keeps all pages that it changes in memory.
	checkpointChunk = 1024
)

// ownBucket is the one that holds no records: no kind is called that.
const ownBucket = "."

var markKey = []byte("mark")

// readMark returns the mark of a database; ok is false when it has none.
func readMark(db *bbolt.DB) (m mark, ok bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(ownBucket))
		if b == nil {
			return nil
		}
		v := b.Get(markKey)
		if len(v) != 24 {
			return ErrDamaged
		}
		copy(m.store[:], v)
		m.journal, m.batch, ok = binary.BigEndian.Uint64(v[8:]), binary.BigEndian.Uint64(v[16:]), true
		return nil
	})
	return m, ok, err
}

func (m mark) write(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte(ownBucket))
	if err != nil {
		return err
	}
	v := binary.BigEndian.AppendUint64(m.store[:], m.journal)
	return b.Put(markKey, binary.BigEndian.AppendUint64(v, m.batch))
}

// markOf returns the mark of a database, and gives it one.
func markOf(db *bbolt.DB) (mark, error) {
	m, ok, err := readMark(db)
	if err != nil || ok {
		return m, err
	}
	rand.Read(m.store[:]) // never fails
	return m, db.Update(m.write)
}

// takeIn puts a layer into the database, which then is at m. A part of it may be
// there after an error or a crash: that does no harm, for whoever reads looks into
// the layer first, and the journal still has it.
func (s *store) takeIn(l layer, m mark) error {
	for chunk := range slices.Chunk(l.sorted(), checkpointChunk) {
		if err := s.update(func(tx *bbolt.Tx) error { return putAll(tx, chunk) }); err != nil {
			return err
		}
	}
	return s.update(m.write)
}

func putAll(tx *bbolt.Tx, all []write) error {
	for _, w := range all {
		b := tx.Bucket([]byte(w.kind))
		if b == nil && w.value == nil {
			continue
		}
		if b == nil {
			var err error
			if b, err = tx.CreateBucket([]byte(w.kind)); err != nil {
				return err
			}
		}
		var err error
		if w.value == nil {
			err = b.Delete([]byte(w.id))
		} else {
			err = b.Put([]byte(w.id), w.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// update runs f in a transaction of the database and commits it.
func (s *store) update(f func(*bbolt.Tx) error) error {
	s.readers.pause()
	defer s.readers.resume()
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return s.commitTx(tx)
}

// settle sees to it that the journal does not grow for ever: from journalSize on, its
// commits go to the database, in the background, and the next journal begins. An
// error means that there is too much already that the database could not take in.
// It is for the committer alone.
func (s *store) settle() error {
	long := s.journal.size >= maxJournals*s.journalSize
	var failed error
	if s.moving != nil {
		if !long && len(s.moving) == 0 {
			return nil // it is on its way
		}
		failed = <-s.moving
		s.moving = nil
	}
	if failed != nil || s.journal.size >= s.journalSize {
		s.move()
	}
	if long {
		return failed
	}
	return nil
}

// move begins to take the older layer into the database: the one that could not be
// taken in, or the newer one, which then becomes the older.
func (s *store) move() {
	if s.older == nil {
		to := mark{s.journal.store, s.journal.number, s.batch}
		s.journal.next()
		s.mu.Lock()
		s.older, s.newer = s.newer, layer{}
		s.mu.Unlock()
		s.olderMark = to
	}
	older, to, moving := s.older, s.olderMark, make(chan error, 1)
	s.moving = moving
	go func() {
		err := s.takeIn(older, to)
		if err == nil {
			s.mu.Lock()
			s.older = nil
			s.mu.Unlock()
			// One that stays is removed at the next start.
			_ = os.Remove(journalPath(s.journal.dir, to.journal))
		} else if !full(err) {
			s.fail(err)
		}
		moving <- err
	}()
}
