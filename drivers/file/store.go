package file

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

// What a Scan reads in one transaction. It copies the records and ends the
// transaction before it yields them: a loop body that commits while a read
// transaction is open can deadlock bbolt.
const (
	chunkRecords = 256
	chunkBytes   = 1 << 20
)

// OpenStore opens the store in the folder that u names, and makes it when it is
// missing; a drivers.Opener. That another process has it open is ErrInUse.
func OpenStore(_ context.Context, u *url.URL) (drivers.Store, error) {
	dir, err := folder(u)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(sweepInterval)
	return openStore(dir, time.Now, ticker.C)
}

// openStore opens the store in the folder dir. It sweeps on every tick.
func openStore(dir string, now func() time.Time, ticks <-chan time.Time) (*store, error) {
	if err := makeDB(dir); err != nil {
		return nil, err
	}
	db, err := openDB(dir, false)
	if err != nil {
		return nil, err
	}
	var epoch [4]byte
	rand.Read(epoch[:]) // never fails
	sweeping, stop := context.WithCancel(context.Background())
	s := &store{
		db:       db,
		readers:  readers{db: db},
		newer:    layer{},
		queue:    make(chan *commit, maxBatch),
		epoch:    binary.BigEndian.Uint32(epoch[:]),
		now:      now,
		stop:     stop,
		commitTx: (*bbolt.Tx).Commit,
		syncDB:   db.Sync,
		journal:  journal{dir: dir, ahead: journalAhead, sync: (*os.File).Sync, syncData: syncData},
	}
	if err := s.recover(); err != nil {
		stop()
		return nil, errors.Join(err, db.Close())
	}
	s.committer.Go(s.commitAll)
	s.sweeper.Go(func() { s.sweepAll(sweeping, ticks) })
	return s, nil
}

// recover reads what a crash has left in journals, which goes to the database like any
// other, and begins the next one.
func (s *store) recover() (err error) {
	if s.journal.folder, err = os.Open(s.journal.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.journal.folder.Close()
		}
	}()
	if err := s.secure(); err != nil {
		return err
	}
	m, err := markOf(s.db)
	if err != nil {
		return err
	}
	left, after, err := replay(s.journal.dir, m)
	if err != nil {
		return err
	}
	s.batch = after.batch
	s.journal.store, s.journal.number = m.store, after.journal+1
	s.journal.forget(m.journal)
	if after.journal != m.journal {
		s.older, s.olderMark = left, after
		s.move()
		// A crash leaves two journals at most. More are of a process that ended before its
		// move did, too: that the next such one leaves no more still, the move comes first.
		if after.journal > m.journal+2 {
			if err := s.moved(); err != nil && !databaseFull(err) {
				return err
			}
		}
	}
	return nil
}

// secure makes safe what is about to be read. A process that was killed may have written
// what is on no disk yet: if it went with the power after all, what has been built on it
// since would not fit what is left.
func (s *store) secure() error {
	numbers, err := journals(s.journal.dir)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		f, err := os.OpenFile(journalPath(s.journal.dir, number), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(s.journal.sync(f), f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(s.syncDB(), s.journal.sync(s.journal.folder))
}

// The errors of opening a store, beside those of the operating system.
var (
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("another process has it open")
	// ErrDamaged: the file is no store, or not a whole one.
	ErrDamaged = errors.New("damaged: restore the backup")
)

// makeDB makes the database in dir when there is none: whole, or not at all. bbolt would
// make one of an empty file too, which is what a copy onto a full disk leaves of a store.
func makeDB(dir string) error {
	path := filepath.Join(dir, StoreName)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(dir, ".store-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(f.Close(), initDB(f.Name())); err != nil {
		return err
	}
	err = nameFirst(f.Name(), path)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		return initDB(path) // a file system without links: a crash right now leaves a part of it
	}
	return err
}

// initDB makes an empty database of a file that is empty or missing.
func initDB(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Millisecond})
	if err != nil {
		return err
	}
	return db.Close()
}

// openDB opens the database in dir, which is there.
func openDB(dir string, readOnly bool) (db *bbolt.DB, err error) {
	path := filepath.Join(dir, StoreName)
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case info.Size() == 0:
		return nil, fmt.Errorf("%s is %w", path, ErrDamaged)
	}
	// Of a file that was cut off, bbolt reads what is not there: it panics, or the
	// memory faults.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			db, err = nil, fmt.Errorf("%s is %w", path, ErrDamaged)
		}
	}()
	// Any time-out below bbolt's interval of 50 ms asks for the lock just once.
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Millisecond, ReadOnly: readOnly})
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum), errors.Is(err, bbolterrors.ErrVersionMismatch),
		err != nil && strings.Contains(err.Error(), "file size too small"):
		return nil, fmt.Errorf("%s is %w", path, ErrDamaged)
	case err == nil && !whole(db):
		return nil, errors.Join(fmt.Errorf("%s is %w", path, ErrDamaged), db.Close())
	}
	return db, err
}

// whole reports whether the file has all the pages that the database counts.
func whole(db *bbolt.DB) bool {
	info, err := os.Stat(db.Path())
	if err != nil {
		return false
	}
	var size int64
	err = db.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return err == nil && info.Size() >= size
}

type store struct {
	gate    gate.Gate
	db      *bbolt.DB
	readers readers

	mu    sync.RWMutex // of the layers; taken before readers and transactions
	newer layer        // what is in the journal; the committer alone writes it
	older layer        // what is on its way from the journal before to the database; nil when nothing is

	broken atomic.Pointer[error] // set once, when the disk failed

	queue     chan *commit
	committer sync.WaitGroup
	// The following are the committer's alone.
	epoch     uint32
	batch     uint64 // number of the newest
	journal   journal
	frame     []byte     // memory for the next one
	moving    chan error // of older, when it is on its way
	olderMark mark       // what the database will be at when it has older

	journalSize int64 // the limit of every journal, where a test sets one

	now     func() time.Time
	sweeper sync.WaitGroup
	stop    context.CancelFunc // ends the sweeper

	// bbolt's; tests put a failing disk here.
	commitTx func(*bbolt.Tx) error
	syncDB   func() error
}

// enter lets a call in. The caller leaves by s.gate.Leave.
func (s *store) enter(ctx context.Context) error {
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	if err := s.broken.Load(); err != nil {
		s.gate.Leave()
		return *err
	}
	return nil
}

func (s *store) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if err := drivers.CheckKeys(keys); err != nil {
		return nil, err
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	found := make([]drivers.Record, len(keys))
	s.mu.RLock()
	r, err := s.readers.take() // of this moment
	for i, k := range keys {
		if v, ok := newest(k, s.newer, s.older); ok && err == nil {
			found[i], err = read(k, v)
		}
	}
	s.mu.RUnlock() // before the disk
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	defer s.readers.give(r)
	for i, k := range keys {
		if found[i].Key == k {
			continue
		}
		if found[i], err = read(k, r.get(k)); err != nil {
			return nil, fmt.Errorf("get: %w", err)
		}
	}
	return found, nil
}

// read returns the record of a stored form, which may be nil.
func read(k drivers.Key, v []byte) (drivers.Record, error) {
	if v == nil {
		return drivers.Record{Key: k}, nil
	}
	return decode(k, v)
}

func (s *store) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		if err := drivers.CheckScan(kind, prefix, after); err != nil {
			yield(drivers.Record{}, err)
			return
		}
		for after, more := after, true; more; {
			var found []drivers.Record
			var err error
			found, after, more, err = s.chunk(ctx, kind, prefix, after)
			for _, r := range found {
				if ctx.Err() != nil {
					yield(drivers.Record{}, ctx.Err())
					return
				}
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(drivers.Record{}, err)
				return
			}
		}
	}
}

// chunk returns the next records of a scan, and where it goes on if there are more.
func (s *store) chunk(ctx context.Context, kind, prefix, after string) (found []drivers.Record, last string, more bool, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, "", false, err
	}
	defer s.gate.Leave()
	newer := map[string][]byte{} // than the database, up to end if there are more
	s.mu.RLock()
	end, beyond := s.older.find(newer, kind, prefix, after)
	if e, more := s.newer.find(newer, kind, prefix, after); more && (!beyond || e < end) {
		end, beyond = e, true
	}
	tx, err := s.db.Begin(false)
	s.mu.RUnlock()
	if err != nil {
		return nil, "", false, fmt.Errorf("scan: %w", err)
	}
	defer tx.Rollback()
	var all []change
	add := func(id string, v []byte) { all = append(all, change{drivers.Key{Kind: kind, ID: id}, v}) }
	size, seen := 0, 0
	for id, v := range walk(tx, kind, prefix, after) {
		if beyond && string(id) > end {
			break
		}
		if size >= chunkBytes || seen == chunkRecords {
			end, beyond = last, true
			break
		}
		last = string(id)
		if _, ok := newer[last]; !ok {
			add(last, v)
		}
		size, seen = size+len(v), seen+1
	}
	for id, v := range newer {
		if v != nil && (!beyond || id <= end) {
			add(id, v)
		}
	}
	slices.SortFunc(all, func(a, b change) int { return strings.Compare(a.key.ID, b.key.ID) })
	size = 0
	for i, c := range all {
		if size >= chunkBytes || i == chunkRecords {
			return found, all[i-1].key.ID, true, nil
		}
		r, err := decode(c.key, c.value)
		if err != nil {
			return found, "", false, fmt.Errorf("scan: %w", err)
		}
		found, size = append(found, r), size+len(c.value)
	}
	return found, end, beyond, nil
}

// walk yields the records that a Scan would, as they are stored.
func walk(tx *bbolt.Tx, kind, prefix, after string) iter.Seq2[[]byte, []byte] {
	return func(yield func(id, v []byte) bool) {
		b := tx.Bucket([]byte(kind))
		if b == nil {
			return
		}
		c := b.Cursor()
		id, v := c.Seek([]byte(max(prefix, after)))
		if id != nil && string(id) == after {
			id, v = c.Next()
		}
		for id != nil && bytes.HasPrefix(id, []byte(prefix)) && yield(id, v) {
			id, v = c.Next()
		}
	}
}

// Kinds implements drivers.KindLister.
func (s *store) Kinds(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	kinds, err := s.kinds()
	s.gate.Leave()
	if err != nil {
		return nil, fmt.Errorf("kinds: %w", err)
	}
	var held []string
	for _, kind := range kinds {
		for _, err := range s.Scan(ctx, kind, "", "") {
			if err != nil {
				return nil, err
			}
			held = append(held, kind)
			break
		}
	}
	return held, nil
}

func (s *store) Close() error {
	if !s.gate.Shut() {
		return nil
	}
	s.stop()
	s.sweeper.Wait()
	close(s.queue)
	s.committer.Wait()
	s.readers.pause() // for ever
	return s.db.Close()
}
