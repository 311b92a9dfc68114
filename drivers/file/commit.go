package file

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/miniprofile/miniprofile/drivers"
)

// What one frame of the journal, and so one fsync, carries at most: the commits that
// wait, but not so many that the first waits long for the last.
const (
	maxBatch      = 256     // commits
	maxBatchBytes = 4 << 20 // bytes of data
)

// commit is one Commit on its way through the committer.
type commit struct {
	ops   []drivers.Op
	taken atomic.Bool // by the committer, to carry it out, or by its caller, to withdraw it
	done  chan error  // its answer, unless it was withdrawn
}

func (s *store) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := drivers.Check(ops); err != nil {
		return err
	}
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.submit(ctx, ops)
}

// submit has ops carried out. The end of ctx withdraws them while they wait;
// once begun, they take no longer than the disk does.
func (s *store) submit(ctx context.Context, ops []drivers.Op) error {
	c := &commit{ops: ops, done: make(chan error, 1)}
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-c.done:
		return err
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		return <-c.done
	}
}

// commitAll carries out what is submitted until the queue is closed. It is the
// only writer.
func (s *store) commitAll() {
	batch := make([]*commit, 0, maxBatch)
	for c := range s.queue {
		// Who is about to commit gets the processor first, and joins: with 32 clients an
		// fsync is for twice as many. One alone waits for nobody.
		runtime.Gosched()
		size := 0
		for batch = batch[:0]; c != nil; {
			if c.taken.CompareAndSwap(false, true) {
				batch = append(batch, c)
				for _, op := range c.ops {
					size += len(op.Data)
				}
			}
			if len(batch) == maxBatch || size > maxBatchBytes {
				break
			}
			select {
			case c = <-s.queue: // nil when closed
			default:
				c = nil
			}
		}
		answers := s.write(batch)
		for i, c := range batch {
			c.done <- answers[i]
		}
		clear(batch)
	}
	s.finish()
	s.journal.close()
}

// finish takes all there is into the database: then the folder is without journals.
// What it cannot take in stays in them.
func (s *store) finish() {
	if s.moving != nil {
		s.moved()
	}
	for s.broken.Load() == nil && (s.older != nil || s.journal.file != nil) {
		s.move()
		if s.moved() != nil {
			return
		}
	}
}

// write carries out a batch of commits with one frame of the journal and returns
// their answers.
func (s *store) write(batch []*commit) []error {
	answers := make([]error, len(batch))
	if len(batch) == 0 { // all withdrawn
		return answers
	}
	if err := s.carryOut(batch, answers); err != nil {
		// Also for those that conflict: perhaps only with one that now failed.
		for i := range answers {
			answers[i] = fmt.Errorf("commit: %w", err)
		}
	}
	return answers
}

// carryOut gives those of a batch that may not be carried out their answers, and
// carries out the others. An error means that none is carried out.
func (s *store) carryOut(batch []*commit, answers []error) error {
	if err := s.settle(); err != nil {
		return err
	}
	staged, number := map[drivers.Key][]byte{}, s.batch+1
	frame, err := s.stage(batch, answers, staged, number)
	if err != nil || len(staged) == 0 {
		return err
	}
	if intact, err := s.journal.append(frame); err != nil {
		if !intact {
			return s.fail(err)
		}
		return err
	}
	s.batch = number
	s.mu.Lock()
	for k, v := range staged {
		s.newer.put(k, v)
	}
	s.mu.Unlock()
	return nil
}

// stage checks a batch, puts into staged what those of its commits write that may be
// carried out, and returns the frame of it. The others get their answers.
func (s *store) stage(batch []*commit, answers []error, staged map[drivers.Key][]byte, number uint64) (frame []byte, err error) {
	s.mu.RLock()
	older := s.older // may be dropped meanwhile; newer is the committer's
	r, err := s.readers.take()
	s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	defer s.readers.give(r)
	stored := func(k drivers.Key) []byte {
		if v, ok := staged[k]; ok {
			return v
		}
		if v, ok := newest(k, s.newer, older); ok {
			return v
		}
		return r.get(k)
	}
	stamp := newStamp(s.epoch, number)
	s.frame = beginFrame(s.frame[:0], number)
	for i, c := range batch {
		if answers[i] = check(c.ops, stored); answers[i] != nil {
			continue
		}
		for _, op := range c.ops {
			var v []byte
			if op.Data != nil {
				v = encode(stamp, op)
			}
			staged[op.Key] = v
			s.frame = appendChange(s.frame, change{op.Key, v})
		}
	}
	return s.frame, nil
}

// check looks whether ops may be carried out on what is stored.
func check(ops []drivers.Op, stored func(drivers.Key) []byte) error {
	for _, op := range ops {
		var scratch [32]byte
		var revision []byte
		if v := stored(op.Key); v != nil {
			if err := checkHeader(v); err != nil {
				return fmt.Errorf("commit %v: %w", op.Key, err)
			}
			revision = appendRevision(scratch[:0], v)
		}
		if string(revision) != string(op.If) {
			return fmt.Errorf("commit %v: %w", op.Key, drivers.ErrConflict)
		}
	}
	return nil
}

// fail is for an error of the disk other than that it is full: from now on, the store
// does nothing any more.
func (s *store) fail(err error) error {
	err = fmt.Errorf("the disk failed, restart to find out what is on it: %w", err)
	s.broken.CompareAndSwap(nil, &err)
	return err
}
