package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
)

// start is when the tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func open(t *testing.T, dir string, now func() time.Time, ticks <-chan time.Time) *store {
	t.Helper()
	s, err := openStore(dir, now, ticks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// crashed returns a folder that is as dir would be if the process had been killed now.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return copied
}

func thing(i int) drivers.Key { return drivers.Key{Kind: "things", ID: fmt.Sprintf("k%05d", i)} }

func create(i int, expires time.Time) drivers.Op {
	return drivers.Create(thing(i), json.RawMessage(`{"a":1}`), expires)
}

func count(t *testing.T, s drivers.Store) int {
	t.Helper()
	n := 0
	for _, err := range s.Scan(t.Context(), "things", "", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestSweep(t *testing.T) {
	var now atomic.Pointer[time.Time] // the sweep of the second tick may still look
	now.Store(&start)
	ticks := make(chan time.Time)
	s := open(t, t.TempDir(), func() time.Time { return *now.Load() }, ticks)
	const n = 1000
	for i := range n {
		expires := []time.Time{{}, start, start.Add(time.Minute), start.Add(24 * time.Hour)}[i%4]
		if err := s.Commit(t.Context(), create(i, expires)); err != nil {
			t.Fatal(err)
		}
	}
	// The second tick is taken when the sweep of the first has ended.
	sweep := func(at time.Time) int {
		now.Store(&at)
		ticks <- at
		ticks <- at
		return count(t, s)
	}
	for _, c := range []struct {
		at   time.Time
		left int
	}{
		{start, n},
		{start.Add(sweepGrace), n},
		{start.Add(sweepGrace + time.Second), n * 3 / 4},
		{start.Add(sweepGrace + time.Hour), n / 2},
		{start.Add(48 * time.Hour), n / 4},
		{start.Add(10000 * time.Hour), n / 4},
	} {
		if got := sweep(c.at); got != c.left {
			t.Errorf("after a sweep at %v: %d records, want %d", c.at.Sub(start), got, c.left)
		}
	}
}

// TestSweepSparesReplaced: a record that was replaced after the sweep looked at
// it stays, and the others of its batch go.
func TestSweepSparesReplaced(t *testing.T) {
	s := open(t, t.TempDir(), func() time.Time { return start.Add(48 * time.Hour) }, nil)
	for i := range 10 {
		if err := s.Commit(t.Context(), create(i, start)); err != nil {
			t.Fatal(err)
		}
	}
	drop, _, _, err := s.expired(t.Context(), "things", "", start.Add(time.Hour))
	if err != nil || len(drop) != 10 {
		t.Fatalf("expired: %d, %v", len(drop), err)
	}
	found, err := s.Get(t.Context(), thing(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), drivers.Replace(found[0], json.RawMessage(`{"a":2}`), time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := s.drop(t.Context(), drop); err != nil {
		t.Fatal(err)
	}
	found, err = s.Get(t.Context(), thing(3))
	if err != nil || string(found[0].Data) != `{"a":2}` || count(t, s) != 1 {
		t.Errorf("a sweep dropped what was replaced: %s, %v; %d records", found[0].Data, err, count(t, s))
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	for i, part := range []string{"the head of a journal", "a frame"} {
		s.journal.onSync(func(*os.File) error { return errFull })
		err := s.Commit(t.Context(), create(i, time.Time{}))
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s on a full disk: %v", part, err)
		}
		s.journal.onSync((*os.File).Sync)
		if err := s.Commit(t.Context(), create(i, time.Time{})); err != nil {
			t.Errorf("%s when there is space again: %v", part, err)
		}
	}
	// What was written of a frame is gone again.
	s.journal.onSync(func(f *os.File) error { return errors.Join(f.Truncate(s.journal.size+20), errFull) })
	if err := s.Commit(t.Context(), create(5, time.Time{})); !full(err) {
		t.Errorf("a part of a frame: %v", err)
	}
	s.journal.onSync((*os.File).Sync)
	if err := s.Commit(t.Context(), create(6, time.Time{})); err != nil {
		t.Error(err)
	}
	if n := count(t, s); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
	if n := count(t, open(t, crashed(t, dir), time.Now, nil)); n != 3 {
		t.Errorf("after a crash: %d records, want 3", n)
	}
}

// errFull is what a write to a full disk returns.
var errFull = &fs.PathError{Op: "write", Path: "store.db", Err: syscall.ENOSPC}

// TestNoDescriptors: that a journal cannot be opened fails a commit, and not the store.
func TestNoDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	s.journal.dir = filepath.Join(dir, "missing")
	if err := s.Commit(t.Context(), create(1, time.Time{})); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a journal that cannot be opened: %v", err)
	}
	s.journal.dir = dir
	if err := s.Commit(t.Context(), create(1, time.Time{})); err != nil {
		t.Error(err)
	}
}

func TestFailedDisk(t *testing.T) {
	for name, fail := range map[string]func(s *store){
		"before the frame is safe": func(s *store) { s.journal.onSync(func(*os.File) error { return syscall.EIO }) },
		"after the frame is safe": func(s *store) {
			s.journal.onSync(func(f *os.File) error { return errors.Join(f.Sync(), syscall.EIO) })
		},
		"before the folder is safe": func(s *store) {
			s.journal.next() // the next frame makes a file
			s.journal.onSync(func(f *os.File) error {
				if f == s.journal.folder {
					return syscall.EIO
				}
				return f.Sync()
			})
		},
		"when a part of a frame cannot be taken back": func(s *store) {
			s.journal.onSync(func(f *os.File) error { return errors.Join(f.Close(), errFull) })
		},
		"before a commit of the database": func(s *store) {
			s.journalSize = 1
			s.commitTx = func(tx *bbolt.Tx) error { return errors.Join(syscall.EIO, tx.Rollback()) }
		},
		"after a commit of the database": func(s *store) {
			s.journalSize = 1
			s.commitTx = func(tx *bbolt.Tx) error { return errors.Join(syscall.EIO, tx.Commit()) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, time.Now, nil)
			acknowledged := 0
			commit := func() error {
				err := s.Commit(t.Context(), create(acknowledged, time.Time{}))
				if err == nil {
					acknowledged++
				}
				return err
			}
			if err := commit(); err != nil {
				t.Fatal(err)
			}
			fail(s)
			err := commit()
			for err == nil { // what fails in the background is not the commits' fault
				err = commit()
			}
			if errors.Is(err, drivers.ErrConflict) || errors.Is(err, drivers.ErrInvalid) || errors.Is(err, drivers.ErrClosed) {
				t.Fatalf("Commit on a failed disk promises something: %v", err)
			}
			s.journal.onSync((*os.File).Sync)
			if err := commit(); err == nil {
				t.Error("Commit works after the disk failed")
			}
			if _, err := s.Get(t.Context(), thing(0)); err == nil {
				t.Error("Get works after the disk failed")
			}
			for _, err := range s.Scan(t.Context(), "things", "", "") {
				if err == nil {
					t.Error("Scan works after the disk failed")
				}
			}
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			s = open(t, dir, time.Now, nil)
			if n := count(t, s); n != acknowledged && n != acknowledged+1 {
				t.Errorf("%d records after %d acknowledged commits", n, acknowledged)
			}
			if err := s.Commit(t.Context(), create(acknowledged+1, time.Time{})); err != nil {
				t.Errorf("Commit after opening anew: %v", err)
			}
		})
	}
}

// TestWithdraw: the end of a context withdraws a commit that waits, and not one
// that has begun.
func TestWithdraw(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	if err := s.Commit(t.Context(), create(0, time.Time{})); err != nil { // makes the journal
		t.Fatal(err)
	}
	begun, goOn := make(chan bool), make(chan bool)
	s.journal.onSync(func(f *os.File) error {
		begun <- true
		<-goOn
		return f.Sync()
	})
	results := make(chan error)
	first, cancelFirst := context.WithCancel(t.Context())
	go func() { results <- s.Commit(first, create(1, time.Time{})) }()
	<-begun
	second, cancelSecond := context.WithCancel(t.Context())
	go func() { results <- s.Commit(second, create(2, time.Time{})) }()
	cancelSecond()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("a commit that waited and was cancelled: %v", err)
	}
	cancelFirst()
	goOn <- true
	if err := <-results; err != nil {
		t.Errorf("a commit that had begun when it was cancelled: %v", err)
	}
	found, err := s.Get(t.Context(), thing(1), thing(2))
	if err != nil || !found[0].Exists() || found[1].Exists() {
		t.Errorf("got %v, %v, want the first and not the second", found, err)
	}
}

// TestBatch: commits that wait for the disk share one transaction, and each gets
// its own answer.
func TestBatch(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	batch := []*commit{
		{ops: []drivers.Op{create(1, time.Time{})}},
		{ops: []drivers.Op{create(2, time.Time{}), create(1, time.Time{})}}, // conflicts with the first
		{ops: []drivers.Op{create(3, time.Time{})}},
		{ops: []drivers.Op{{Key: thing(4), If: "AAAAAAAAAAAAAAAA"}}}, // with nobody
		{ops: []drivers.Op{create(2, time.Time{})}},
	}
	answers := s.write(batch)
	for i, conflicts := range []bool{false, true, false, true, false} {
		if errors.Is(answers[i], drivers.ErrConflict) != conflicts || !conflicts && answers[i] != nil {
			t.Errorf("commit %d: %v", i, answers[i])
		}
	}
	if n := count(t, s); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
	s.journal.onSync(func(*os.File) error { return errFull })
	for i, err := range s.write([]*commit{{ops: []drivers.Op{create(5, time.Time{})}}, {ops: []drivers.Op{create(5, time.Time{})}}}) {
		if !full(err) || errors.Is(err, drivers.ErrConflict) { // the second conflicts with one that was not carried out
			t.Errorf("commit %d of a batch that failed: %v", i, err)
		}
	}
	s.journal.onSync(func(*os.File) error { panic("a batch of conflicts is written") })
	if answers := s.write(batch[1:2]); !errors.Is(answers[0], drivers.ErrConflict) {
		t.Errorf("a conflict: %v", answers[0])
	}
}

// TestForm holds the stored form of a record.
func TestForm(t *testing.T) {
	const golden = "01" + "0a0b0c0d" + "0000000000000007" + "0006475ef64cf340" + "7b226122203a20317d"
	op := drivers.Create(thing(1), json.RawMessage(`{"a" : 1}`), start)
	if got := fmt.Sprintf("%x", encode(newStamp(0x0a0b0c0d, 7), op)); got != golden {
		t.Errorf("the stored form changed:\n got %s\nwant %s", got, golden)
	}
	op.Expires = time.Time{}
	r, err := decode(thing(1), encode(newStamp(1, 2), op))
	if err != nil || r.Revision != "AAAAAQAAAAAAAAAC" || string(r.Data) != `{"a" : 1}` || !r.Expires.IsZero() {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, v := range [][]byte{nil, {version}, append([]byte{2}, make([]byte, 50)...)} {
		if _, err := decode(thing(1), v); err == nil {
			t.Errorf("decoding %x is no error", v)
		}
	}
}
