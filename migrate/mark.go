package migrate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// markKind is the kind of the one record that a copy adds to its target.
const markKind = "copies"

var markKey = drivers.Key{Kind: markKind, ID: "unfinished"}

// errStolen: another copy has taken the target over.
var errStolen = errors.New("another copy into the same target is under way")

// errForm: the mark is not one of this version's.
var errForm = errors.New("has another form")

// Unfinished returns an error that is ErrUnfinished when store is the target of a
// copy that has not been finished: then accounts are missing in it. A store that
// stumbles it asks again, for some 16 seconds; any other error means that it cannot
// be told, and that nobody must serve the store either.
func Unfinished(ctx context.Context, store drivers.Store) error {
	var m *mark
	err := again(ctx, func() (err error) {
		m, err = readMark(ctx, store)
		return err
	})
	if err != nil {
		return fmt.Errorf("whether the store was copied whole: %w", err)
	}
	if m == nil {
		return nil
	}
	return fmt.Errorf("%w from %s, begun %s: run it again to finish it, or, where its source has changed since, empty the store", ErrUnfinished, m.state.From, m.state.Began.Format(time.DateTime))
}

// mark is the record that says that a copy is under way and how far it is.
type mark struct {
	store drivers.Store

	mu     sync.Mutex // guards what follows
	state  state
	newer  bool // than what is stored
	record drivers.Record
}

// state is the stored form of a mark.
type state struct {
	From   string           `json:"from"` // for a person
	Began  time.Time        `json:"began"`
	Holder string           `json:"holder"`         // random: the process that copies
	Done   map[string]int64 `json:"done"`           // kinds that are copied, and how many records
	Kind   string           `json:"kind,omitempty"` // the one under way
	At     map[string]spot  `json:"at,omitempty"`   // how far its parts are, by the first character of the IDs
}

// spot is a place in a part of a kind.
type spot struct {
	After string `json:"after"` // the last ID copied
	Count int64  `json:"count"` // how many up to there
}

// newMark marks a store.
func newMark(ctx context.Context, store drivers.Store, from string) (*mark, error) {
	m := &mark{store: store, state: state{From: from, Began: time.Now().UTC().Truncate(time.Second), Done: map[string]int64{}}}
	m.record.Key = markKey
	return m, m.hold(ctx)
}

// readMark returns the mark of a store, or nil.
func readMark(ctx context.Context, store drivers.Store) (*mark, error) {
	records, err := store.Get(ctx, markKey)
	if err != nil || !records[0].Exists() {
		return nil, err
	}
	m := &mark{store: store, record: records[0]}
	if err := json.Unmarshal(records[0].Data, &m.state); err != nil || m.state.Done == nil {
		return nil, fmt.Errorf("record %v %w", markKey, errForm)
	}
	return m, nil
}

// hold makes this process the one that copies.
func (m *mark) hold(ctx context.Context) error {
	m.mu.Lock()
	m.state.Holder = strings.ToLower(rand.Text())
	m.newer = true
	m.mu.Unlock()
	return m.save(ctx)
}

// save stores the mark as it is, if it is newer than what is stored. It is not
// called twice at once.
func (m *mark) save(ctx context.Context) error {
	m.mu.Lock()
	if !m.newer {
		m.mu.Unlock()
		return nil
	}
	data, err := json.Marshal(m.state)
	op := drivers.Replace(m.record, data, time.Time{})
	m.newer = false
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return again(ctx, func() error {
		failure := m.store.Commit(ctx, op)
		if failure != nil && hopeless(failure) && !errors.Is(failure, drivers.ErrConflict) {
			return failure
		}
		// Also after an error: the answer may have got lost.
		records, err := m.store.Get(ctx, markKey)
		switch {
		case err != nil:
			return err // not with a conflict, which would be hopeless: it may be our own
		case records[0].Exists() && equalJSON(records[0].Data, data):
			m.record = records[0]
			return nil
		case failure == nil || errors.Is(failure, drivers.ErrConflict):
			return errStolen
		}
		return failure
	})
}

// remove removes the mark: the copy is finished.
func (m *mark) remove(ctx context.Context) error {
	return again(ctx, func() error {
		err := m.store.Commit(ctx, drivers.Delete(m.record))
		if !errors.Is(err, drivers.ErrConflict) {
			return err
		}
		records, err := m.store.Get(ctx, markKey)
		if err == nil && records[0].Exists() {
			err = errStolen
		}
		return err
	})
}

// lastSave is how long the last saving may take when the copy is to end.
const lastSave = 5 * time.Second

// keep saves the mark once a second until the function that it returns is called,
// which saves it for the last time, also when ctx has ended. When it cannot be
// saved, it cancels ctx.
func (m *mark) keep(ctx context.Context, cancel context.CancelCauseFunc) (stop func() error) {
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := m.save(ctx); err != nil {
					cancel(err)
					ended <- err
					return
				}
			case <-end:
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
				ended <- m.save(last)
				cancel()
				return
			}
		}
	}()
	return func() error { close(end); return <-ended }
}

// at returns how far a part of the kind under way is.
func (m *mark) at(part string) spot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.At[part]
}

// advance tells that n more records of a part are copied, up to the ID after.
func (m *mark) advance(part, after string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.At[part] = spot{after, m.state.At[part].Count + int64(n)}
	m.newer = true
}

// enter begins a kind, or goes on with it, and returns how many of its records
// are copied; false when all are.
func (m *mark) enter(kind string) (copied int64, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, done := m.state.Done[kind]; done {
		return n, false
	}
	if m.state.Kind != kind || m.state.At == nil {
		m.state.Kind, m.state.At = kind, map[string]spot{}
	}
	return m.count(), true
}

// leave ends a kind and returns how many records it has.
func (m *mark) leave(kind string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.count()
	m.state.Done[kind] = n
	m.state.Kind, m.state.At = "", nil
	m.newer = true
	return n
}

func (m *mark) count() (n int64) {
	for _, s := range m.state.At {
		n += s.Count
	}
	return n
}

// equalJSON reports whether two texts are the same JSON.
func equalJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return canonical(a) == canonical(b)
}

// canonical gives equal JSON of records equal text: names sorted, no white space,
// and numbers, which are integers plainly written, as they are.
func canonical(data []byte) string {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "?" + string(data)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?" + string(data)
	}
	return string(text)
}
