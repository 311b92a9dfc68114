package file

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
)

const (
	// A journal grows to an eighth of the database before that gets what it has, but
	// to no less and no more than these, in bytes. The larger the database, the fewer
	// of the records fall on the same of its pages, and each page is a write.
	minJournalSize = 8 << 20
	maxJournalSize = 32 << 20
	// maxJournals is how many times as long it grows while the database does not get
	// on with the one before. Twice as much is in memory at most, and is what a start
	// after a crash may have to read.
	maxJournals = 2
	// journalAhead is how many zeros are laid out at a time: to make them safe takes an
	// fsync some milliseconds longer.
	journalAhead = 1 << 20
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
			return fmt.Errorf("%s is %w", db.Path(), ErrDamaged)
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
// the layer first, and the journals still have it.
func (s *store) takeIn(l layer, m mark) error {
	for chunk := range slices.Chunk(l.changes(), checkpointChunk) {
		if err := s.update(func(tx *bbolt.Tx) error { return putAll(tx, chunk) }); err != nil {
			return err
		}
	}
	return s.update(m.write)
}

func putAll(tx *bbolt.Tx, all []change) error {
	for _, c := range all {
		b := tx.Bucket([]byte(c.key.Kind))
		if b == nil && c.value == nil {
			continue
		}
		if b == nil {
			var err error
			if b, err = tx.CreateBucket([]byte(c.key.Kind)); err != nil {
				return err
			}
		}
		var err error
		if c.value == nil {
			err = b.Delete([]byte(c.key.ID))
		} else {
			err = b.Put([]byte(c.key.ID), c.value)
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

// settle sees to it that the journal does not grow for ever: from its limit on, its
// commits go to the database, in the background, and the next journal begins. An
// error says that nothing more may be committed: the disk failed, or it is full and
// too much waits already. It is for the committer alone.
func (s *store) settle() error {
	limit := s.limit()
	long := s.journal.size >= maxJournals*limit
	var failed error
	switch {
	case s.moving == nil:
	case len(s.moving) == 0 && !long:
		return nil // it is on its way
	default:
		failed = s.moved()
	}
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	if s.older != nil || s.journal.size >= limit {
		s.move()
	}
	if long {
		return failed
	}
	return nil
}

// limit is how long the journal grows now, in bytes, before the next one begins.
func (s *store) limit() int64 {
	if s.journalSize > 0 {
		return s.journalSize
	}
	if s.journal.size < minJournalSize { // then the database's size does not matter
		return minJournalSize
	}
	info, err := os.Stat(s.db.Path())
	if err != nil {
		return minJournalSize
	}
	return min(max(minJournalSize, info.Size()/8), maxJournalSize)
}

// move begins to take the older layer into the database: the one that it could not
// take in before, or the newer one, which then becomes the older.
func (s *store) move() {
	if s.older == nil {
		s.olderMark = mark{s.journal.store, s.journal.number, s.batch}
		s.journal.next()
		s.mu.Lock()
		s.older, s.newer = s.newer, layer{}
		s.mu.Unlock()
	}
	older, to, moving := s.older, s.olderMark, make(chan error, 1)
	s.moving = moving
	go func() {
		err := s.takeIn(older, to)
		if err == nil {
			s.mu.Lock()
			s.older = nil
			s.mu.Unlock()
			s.journal.forget(to.journal)
		} else if !databaseFull(err) {
			s.fail(err)
		}
		moving <- err
	}()
}

// moved waits until what move began is done.
func (s *store) moved() error {
	err := <-s.moving
	s.moving = nil
	return err
}

// full reports whether err says that there is no space, which leaves what is on
// the disk as it was.
func full(err error) bool {
	return slices.ContainsFunc(noSpace, func(no error) bool { return errors.Is(err, no) })
}

var noSpace = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}

// databaseFull is full for an error of bbolt's, from which that recovers: of a write,
// or of the file's growth, which it puts into words. A failed fdatasync is another
// thing.
func databaseFull(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && full(write) || slices.ContainsFunc(noSpace, func(no error) bool {
		return strings.HasPrefix(err.Error(), "file ") && strings.HasSuffix(err.Error(), no.Error())
	})
}
