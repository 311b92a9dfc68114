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
	db, err := openDB(dir, false)
	if err != nil {
		return nil, err
	}
	if err := syncFolder(dir); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	var epoch [4]byte
	rand.Read(epoch[:]) // never fails
	sweeping, stop := context.WithCancel(context.Background())
	s := &store{
		db:       db,
		readers:  readers{db: db},
		queue:    make(chan *commit, maxBatch),
		epoch:    binary.BigEndian.Uint32(epoch[:]),
		now:      now,
		stop:     stop,
		commitTx: (*bbolt.Tx).Commit,
	}
	s.committer.Go(s.commitAll)
	s.sweeper.Go(func() { s.sweepAll(sweeping, ticks) })
	return s, nil
}

// The errors of opening a store, beside those of the operating system.
var (
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("another process has it open")
	// ErrDamaged: the file is no store, or not a whole one.
	ErrDamaged = errors.New("damaged: restore the backup")
)

// openDB opens the database in dir.
func openDB(dir string, readOnly bool) (db *bbolt.DB, err error) {
	path := filepath.Join(dir, "store.db")
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
	gate      gate.Gate
	db        *bbolt.DB
	readers   readers
	queue     chan *commit
	committer sync.WaitGroup
	epoch     uint32
	broken    atomic.Pointer[error] // set once, when the disk failed

	now     func() time.Time
	sweeper sync.WaitGroup
	stop    context.CancelFunc // ends the sweeper

	commitTx func(*bbolt.Tx) error // bbolt's; tests put a failing disk here
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
	r, err := s.readers.take()
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	defer s.readers.give(r)
	found := make([]drivers.Record, len(keys))
	for i, k := range keys {
		v := r.get(k)
		if v == nil {
			found[i].Key = k
		} else if found[i], err = decode(k, v); err != nil {
			return nil, fmt.Errorf("get: %w", err)
		}
	}
	return found, nil
}

func (s *store) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		if err := drivers.CheckScan(kind, prefix, after); err != nil {
			yield(drivers.Record{}, err)
			return
		}
		for after := after; ; {
			found, more, err := s.chunk(ctx, kind, prefix, after)
			for _, r := range found {
				if ctx.Err() != nil {
					yield(drivers.Record{}, ctx.Err())
					return
				}
				if !yield(r, nil) {
					return
				}
				after = r.Key.ID
			}
			if err != nil {
				yield(drivers.Record{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// chunk returns some records, and whether there may be more.
func (s *store) chunk(ctx context.Context, kind, prefix, after string) (found []drivers.Record, more bool, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, false, err
	}
	defer s.gate.Leave()
	size := 0
	err = s.db.View(func(tx *bbolt.Tx) error {
		for id, v := range walk(tx, kind, prefix, after) {
			r, err := decode(drivers.Key{Kind: kind, ID: string(id)}, v)
			if err != nil {
				return fmt.Errorf("scan: %w", err)
			}
			found = append(found, r)
			if size += len(v); size >= chunkBytes || len(found) >= chunkRecords {
				more = true
				return nil
			}
		}
		return nil
	})
	return found, more, err
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
