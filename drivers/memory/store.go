package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

// chunk is how many records a Scan reads under one lock.
const chunk = 256

type store struct {
	gate    gate.Gate
	records *records
}

type records struct {
	mu      sync.RWMutex
	commits uint64                       // counts Commits that wrote; gives revisions
	kinds   map[string]map[string]record // kind, ID
}

// record is never changed, only replaced.
type record struct {
	revision drivers.Revision
	data     json.RawMessage
	expires  time.Time
}

func (s *store) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if err := drivers.CheckKeys(keys); err != nil {
		return nil, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	return s.records.get(keys), nil
}

func (s *store) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := drivers.Check(ops); err != nil {
		return err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	return s.records.commit(ops)
}

// Scan looks which IDs there are when it begins; what comes later it does not
// yield.
func (s *store) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		if err := drivers.CheckScan(kind, prefix, after); err != nil {
			yield(drivers.Record{}, err)
			return
		}
		if err := s.gate.Enter(ctx); err != nil {
			yield(drivers.Record{}, err)
			return
		}
		keys := s.records.keys(kind, prefix, after)
		s.gate.Leave()
		for keys := range slices.Chunk(keys, chunk) {
			if err := s.gate.Enter(ctx); err != nil {
				yield(drivers.Record{}, err)
				return
			}
			found := s.records.get(keys)
			s.gate.Leave()
			for _, r := range found {
				if err := ctx.Err(); err != nil {
					yield(drivers.Record{}, err)
					return
				}
				if r.Exists() && !yield(r, nil) {
					return
				}
			}
		}
	}
}

func (s *store) Close() error {
	s.gate.Shut()
	return nil
}

func (r *records) get(keys []drivers.Key) []drivers.Record {
	found := make([]drivers.Record, len(keys))
	r.mu.RLock()
	for i, k := range keys {
		have := r.kinds[k.Kind][k.ID]
		found[i] = drivers.Record{Key: k, Revision: have.revision, Data: have.data, Expires: have.expires}
	}
	r.mu.RUnlock()
	for i := range found {
		found[i].Data = bytes.Clone(found[i].Data)
	}
	return found
}

func (r *records) commit(ops []drivers.Op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range ops {
		if r.kinds[op.Key.Kind][op.Key.ID].revision != op.If {
			return fmt.Errorf("commit %v: %w", op.Key, drivers.ErrConflict)
		}
	}
	r.commits++
	revision := drivers.Revision(strconv.FormatUint(r.commits, 36))
	for _, op := range ops {
		kind := r.kinds[op.Key.Kind]
		switch {
		case op.Data == nil:
			delete(kind, op.Key.ID)
			continue
		case kind == nil:
			kind = make(map[string]record)
			r.kinds[op.Key.Kind] = kind
		}
		kind[op.Key.ID] = record{revision: revision, data: bytes.Clone(op.Data), expires: op.Expires}
	}
	return nil
}

func (r *records) keys(kind, prefix, after string) []drivers.Key {
	var keys []drivers.Key
	r.mu.RLock()
	for id := range r.kinds[kind] {
		if id > after && strings.HasPrefix(id, prefix) {
			keys = append(keys, drivers.Key{Kind: kind, ID: id})
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(keys, func(a, b drivers.Key) int { return strings.Compare(a.ID, b.ID) })
	return keys
}

// Kinds implements drivers.KindLister.
func (s *store) Kinds(ctx context.Context) ([]string, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	s.records.mu.RLock()
	defer s.records.mu.RUnlock()
	var held []string
	for kind, records := range s.records.kinds {
		if len(records) > 0 {
			held = append(held, kind)
		}
	}
	slices.Sort(held)
	return held, nil
}
