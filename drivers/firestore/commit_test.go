package firestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

var thing = drivers.Key{Kind: "things", ID: "a"}

var (
	// brisk hardly pauses.
	brisk = patience{get: usual.get, commit: usual.commit, scan: usual.scan, attempts: usual.attempts, pause: time.Millisecond}
	// quick gives up soon, for tests that wait for its deadlines.
	quick = patience{get: 300 * time.Millisecond, commit: 300 * time.Millisecond, scan: 600 * time.Millisecond, attempts: usual.attempts, pause: time.Millisecond}
)

func number(n int) json.RawMessage { return fmt.Appendf(nil, `{"n":%d}`, n) }

func get(t *testing.T, s *store, k drivers.Key) drivers.Record {
	t.Helper()
	found, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	return found[0]
}

func create(t *testing.T, s *store, k drivers.Key, n int) drivers.Record {
	t.Helper()
	if err := s.Commit(t.Context(), drivers.Create(k, number(n), time.Time{})); err != nil {
		t.Fatal(err)
	}
	return get(t, s, k)
}

// once makes the n-th Commit from now fail.
func once(server *double.Server, n int32, f double.Fault) {
	var calls atomic.Int32
	server.Fail(func(method string) double.Fault {
		if method == "Commit" && calls.Add(1) == n {
			return f
		}
		return double.Fault{}
	})
}

var other = drivers.Key{Kind: "things", ID: "b"}

// TestLostAnswer fails a Commit in each way, with each kind of op, while nobody
// else is there.
func TestLostAnswer(t *testing.T) {
	ways := []struct {
		name  string
		fault double.Fault
		done  bool // may have been done
	}{
		{"aborted", double.Fault{Stage: double.Before, Code: codes.Aborted}, false},
		{"unavailable before", double.Fault{Stage: double.Before, Code: codes.Unavailable}, true},
		{"unavailable after", double.Fault{Stage: double.After, Code: codes.Unavailable}, true},
		{"internal after", double.Fault{Stage: double.After, Code: codes.Internal}, true},
		{"cut before", double.Fault{Stage: double.Before, Cut: true}, true},
		{"cut after", double.Fault{Stage: double.After, Cut: true}, true},
		{"silent before", double.Fault{Stage: double.Before}, true},
		{"silent after", double.Fault{Stage: double.After}, true},
		{"late", double.Fault{Stage: double.Late}, true},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			server, p := start(t)
			patience := brisk
			if way.fault.Code == codes.OK && !way.fault.Cut {
				patience.commit = quick.commit // nothing else waits for a deadline, and may take its time
			}
			s, patient := openAt(t, p, patience), openAt(t, p, brisk)
			lost := way.done && way.fault.Stage != double.After // reading cannot find a token
			for i, c := range []struct {
				name    string
				ops     func(old drivers.Record) []drivers.Op
				unknown bool // when it was lost
			}{
				{"replace", func(old drivers.Record) []drivers.Op {
					return []drivers.Op{drivers.Replace(old, number(2), time.Time{})}
				}, false},
				{"replace by the same", func(old drivers.Record) []drivers.Op {
					return []drivers.Op{drivers.Replace(old, old.Data, old.Expires)}
				}, false},
				{"replace and create", func(old drivers.Record) []drivers.Op {
					return []drivers.Op{drivers.Create(other, number(3), time.Time{}), drivers.Replace(old, number(2), time.Time{})}
				}, false},
				{"delete and replace", func(old drivers.Record) []drivers.Op {
					return []drivers.Op{drivers.Delete(get(t, s, other)), drivers.Replace(old, number(2), time.Time{})}
				}, false},
				{"create", func(drivers.Record) []drivers.Op {
					return []drivers.Op{drivers.Create(drivers.Key{Kind: "things", ID: "new"}, number(1), time.Time{})}
				}, true},
			} {
				k := thing
				k.ID += fmt.Sprint(i)
				ops := c.ops(create(t, patient, k, 1))
				once(server, 1, way.fault)
				err := s.Commit(t.Context(), ops...)
				switch {
				case err != nil && errors.Is(err, drivers.ErrConflict):
					t.Errorf("%s: %v, and nobody else was there", c.name, err)
				case way.fault.Stage == double.Late && c.unknown:
					// Read before or after it was done.
				case c.unknown && lost && !errors.Is(err, errUnknown):
					t.Errorf("%s: got %v, want an unknown outcome", c.name, err)
				case !(c.unknown && lost) && err != nil:
					t.Errorf("%s: %v", c.name, err)
				}
				server.Cut() // a late one is done now, or never
				server.Fail(nil)
				if err != nil {
					continue
				}
				for _, op := range ops {
					if r := get(t, s, op.Key); r.Exists() != (op.Data != nil) || r.Exists() && string(r.Data) != string(op.Data) {
						t.Errorf("%s: Commit returned nil, and %v is %s", c.name, op.Key, r.Data)
					}
				}
			}
		})
	}
}

// TestEqualWrites: that somebody else wrote the same data does not make a lost
// write a done one.
func TestEqualWrites(t *testing.T) {
	server, p := start(t)
	s, rival := openAt(t, p, brisk), openAt(t, p, usual)
	old := create(t, s, thing, 1)
	op := drivers.Replace(old, number(2), time.Time{})
	var calls atomic.Int32
	server.Fail(func(method string) double.Fault {
		if method != "Commit" || calls.Add(1) > 1 {
			return double.Fault{}
		}
		if err := rival.Commit(t.Context(), op); err != nil {
			t.Error(err)
		}
		return double.Fault{Stage: double.Before, Code: codes.Unavailable}
	})
	if err := s.Commit(t.Context(), op); !errors.Is(err, errUnknown) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

// TestGoneOn: a write that was done, and then written over by another before it
// could be looked for, is no conflict.
func TestGoneOn(t *testing.T) {
	server, p := start(t)
	s, rival := openAt(t, p, brisk), openAt(t, p, usual)
	old := create(t, s, thing, 1)
	var commits, reads atomic.Int32
	server.Fail(func(method string) double.Fault {
		switch {
		case method == "Commit" && commits.Add(1) == 1:
			return double.Fault{Stage: double.After, Code: codes.Unavailable}
		case method == "BatchGetDocuments" && reads.Add(1) == 1:
			if err := rival.Commit(t.Context(), drivers.Replace(get(t, rival, thing), number(3), time.Time{})); err != nil {
				t.Error(err)
			}
		}
		return double.Fault{}
	})
	if err := s.Commit(t.Context(), drivers.Replace(old, number(2), time.Time{})); !errors.Is(err, errUnknown) || errors.Is(err, drivers.ErrConflict) {
		t.Errorf("got %v, want an unknown outcome", err)
	}
}

// TestLookFails: a look that fails is repeated like any read.
func TestLookFails(t *testing.T) {
	server, p := start(t)
	s := openAt(t, p, brisk)
	old := create(t, s, thing, 1)
	var calls atomic.Int32
	server.Fail(func(string) double.Fault {
		if n := calls.Add(1); n <= 3 { // the commit, and two reads
			return double.Fault{Stage: double.After, Code: codes.Unavailable}
		}
		return double.Fault{}
	})
	if err := s.Commit(t.Context(), drivers.Replace(old, number(2), time.Time{})); err != nil {
		t.Error(err)
	}
}

// TestShortAnswer: an answer that lacks a document is none, however well it ended.
func TestShortAnswer(t *testing.T) {
	server, p := start(t)
	s := openAt(t, p, brisk)
	create(t, s, thing, 1)
	create(t, s, other, 2)
	var calls atomic.Int32
	server.Fail(func(string) double.Fault {
		if calls.Add(1) == 1 {
			return double.Fault{Stage: double.Midway, Short: true}
		}
		return double.Fault{}
	})
	found, err := s.Get(t.Context(), thing, other)
	if err != nil || !found[0].Exists() || !found[1].Exists() {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestJudge(t *testing.T) {
	const token = "TOKEN"
	replaced, created := drivers.Op{If: "1", Data: number(1)}, drivers.Op{Data: number(1)}
	stands, gone, moved, mine := state{"1", "A"}, state{}, state{"2", "B"}, state{"3", token}
	for _, c := range []struct {
		name         string
		ops          []drivers.Op
		found        []state
		sure, unsure outcome
	}{
		{"replace, stands", []drivers.Op{replaced}, []state{stands}, again, again},
		{"replace, moved", []drivers.Op{replaced}, []state{moved}, conflict, unknown},
		{"replace, gone", []drivers.Op{replaced}, []state{gone}, conflict, unknown},
		{"replace, mine", []drivers.Op{replaced}, []state{mine}, written, written},
		{"create, gone", []drivers.Op{created}, []state{gone}, again, unknown},
		{"create, another's", []drivers.Op{created}, []state{moved}, conflict, unknown},
		{"create, mine", []drivers.Op{created}, []state{mine}, written, written},
		{"both as they were", []drivers.Op{replaced, created}, []state{stands, gone}, again, again},
		{"one stands, one moved", []drivers.Op{replaced, replaced}, []state{stands, moved}, conflict, conflict},
		{"one stands, one another's", []drivers.Op{replaced, created}, []state{stands, moved}, conflict, unknown},
		{"one moved, one gone", []drivers.Op{replaced, created}, []state{moved, gone}, conflict, unknown},
		{"one moved, one mine", []drivers.Op{replaced, created}, []state{moved, mine}, written, written},
	} {
		if got := judge(c.ops, c.found, token, false); got != c.sure {
			t.Errorf("%s: got %v, want %v", c.name, got, c.sure)
		}
		if got := judge(c.ops, c.found, token, true); got != c.unsure {
			t.Errorf("%s, in doubt: got %v, want %v", c.name, got, c.unsure)
		}
	}
}
