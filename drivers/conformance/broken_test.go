package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestBrokenStores shows that the suite catches what it claims to catch: each of
// these stores is memory with one bug.
func TestBrokenStores(t *testing.T) {
	for _, b := range []struct {
		bug, by string // the trials that must catch it
		tamper  func(s drivers.Store) drivers.Store
	}{
		{"writes the ops before the one that fails", "Atomicity CreateRace", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if err := drivers.Check(ops); err != nil {
					return err
				}
				for _, op := range ops {
					if err := s.Commit(ctx, op); err != nil {
						return err
					}
				}
				return nil
			}}
		}},
		{"writes the ops after the one that fails", "Atomicity", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				err := s.Commit(ctx, ops...)
				if errors.Is(err, drivers.ErrConflict) && len(ops) > 1 {
					s.Commit(ctx, ops[len(ops)-1])
				}
				return err
			}}
		}},
		{"ignores If", "Atomicity Conflicts LostUpdate Counter CreateRace RevisionsNeverReturn StoreReopen", func(s drivers.Store) drivers.Store {
			var mu sync.Mutex
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				mu.Lock()
				defer mu.Unlock()
				return force(ctx, s, ops)
			}}
		}},
		{"checks If outside the transaction", "LostUpdate Counter CreateRace", func(s drivers.Store) drivers.Store {
			var mu sync.Mutex
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if err := drivers.Check(ops); err != nil {
					return err
				}
				for _, op := range ops {
					found, err := s.Get(ctx, op.Key)
					if err != nil {
						return err
					}
					if found[0].Revision != op.If {
						return drivers.ErrConflict
					}
				}
				for range 20 {
					runtime.Gosched()
				}
				mu.Lock()
				defer mu.Unlock()
				return force(ctx, s, ops)
			}}
		}},
		{"gets key by key", "OneMoment", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				var found []drivers.Record
				for _, k := range ks {
					one, err := s.Get(ctx, k)
					if err != nil {
						return nil, err
					}
					found = append(found, one...)
					runtime.Gosched()
				}
				return found, nil
			}}
		}},
		{"gets kind by kind", "OneMoment", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				i := slices.IndexFunc(ks, func(k drivers.Key) bool { return k.Kind != ks[0].Kind })
				if i < 0 {
					return s.Get(ctx, ks...)
				}
				a, err := s.Get(ctx, ks[:i]...)
				if err != nil {
					return nil, err
				}
				runtime.Gosched()
				b, err := s.Get(ctx, ks[i:]...)
				return append(a, b...), err
			}}
		}},
		{"gets in the order of keys", "Get", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				ks = slices.SortedFunc(slices.Values(ks), func(a, b drivers.Key) int { return strings.Compare(a.String(), b.String()) })
				return s.Get(ctx, ks...)
			}}
		}},
		{"leaves out what is missing", "Get", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				found, err := s.Get(ctx, ks...)
				return slices.DeleteFunc(found, func(r drivers.Record) bool { return !r.Exists() }), err
			}}
		}},
		{"gets an old record now and then", "ReadYourWrites RevisionsUnderChange", func(s drivers.Store) drivers.Store {
			var mu sync.Mutex
			seen := make(map[drivers.Key][]drivers.Record) // its versions
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				found, err := s.Get(ctx, ks...)
				mu.Lock()
				defer mu.Unlock()
				for i, r := range found {
					versions := seen[r.Key]
					if last := len(versions) - 1; last < 0 || versions[last].Revision != r.Revision {
						versions = append(versions, r)
						seen[r.Key] = versions
					}
					// The one before the last: a writer is one ahead of its reader.
					if len(versions) > 2 && rand.IntN(2) == 0 {
						found[i].Data = versions[len(versions)-3].Data
					}
				}
				return found, err
			}}
		}},
		{"answers before it commits", "ReadYourWrites Get", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if err := drivers.Check(ops); err != nil {
					return err
				}
				for i := range ops {
					ops[i].Data = bytes.Clone(ops[i].Data)
				}
				go s.Commit(ctx, ops...)
				return nil
			}}
		}},
		{"false conflicts", "Strangers", func(s drivers.Store) drivers.Store {
			var mu sync.Mutex
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if !mu.TryLock() {
					return drivers.ErrConflict
				}
				defer mu.Unlock()
				for range 20 {
					runtime.Gosched()
				}
				return s.Commit(ctx, ops...)
			}}
		}},
		{"false conflicts of neighbours", "Strangers", func(s drivers.Store) drivers.Store {
			var mu sync.Mutex
			busy := make(map[string]bool)
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				page := ops[0].Key.Kind + ops[0].Key.ID[:1]
				mu.Lock()
				taken := busy[page]
				busy[page] = true
				mu.Unlock()
				if taken {
					return drivers.ErrConflict
				}
				for range 50 {
					runtime.Gosched()
				}
				err := s.Commit(ctx, ops...)
				mu.Lock()
				defer mu.Unlock()
				busy[page] = false
				return err
			}}
		}},
		{"scans without order", "Scan", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return records(func() ([]drivers.Record, error) {
					all, err := collect(s.Scan(ctx, kind, prefix, after))
					slices.Reverse(all)
					return all, err
				})
			}}
		}},
		{"ignores the prefix", "Scan", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, _, after string) iter.Seq2[drivers.Record, error] {
				return s.Scan(ctx, kind, "", after)
			}}
		}},
		{"includes after", "Scan", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return func(yield func(drivers.Record, error) bool) {
					if after != "" && strings.HasPrefix(after, prefix) {
						found, err := s.Get(ctx, drivers.Key{Kind: kind, ID: after})
						if err == nil && found[0].Exists() && !yield(found[0], nil) {
							return
						}
					}
					s.Scan(ctx, kind, prefix, after)(yield)
				}
			}}
		}},
		{"after wins over prefix", "Scan", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				if after != "" && after < prefix {
					prefix = ""
				}
				return s.Scan(ctx, kind, prefix, after)
			}}
		}},
		{"scans the next kind too", "Scan", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return records(func() ([]drivers.Record, error) {
					a, err := collect(s.Scan(ctx, kind, prefix, after))
					b, _ := collect(s.Scan(ctx, kind+"x", prefix, after))
					return append(a, b...), err
				})
			}}
		}},
		{"skips a record between chunks", "ScanMany ScanBody ScanUnderChange", everyN(func(r drivers.Record) []drivers.Record { return nil })},
		{"repeats a record between chunks", "ScanMany ScanBody ScanUnderChange", everyN(func(r drivers.Record) []drivers.Record { return []drivers.Record{r, r} })},
		{"scans one chunk only", "ScanMany", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return records(func() ([]drivers.Record, error) {
					all, err := collect(s.Scan(ctx, kind, prefix, after))
					return all[:min(len(all), 1000)], err
				})
			}}
		}},
		{"locks while it yields", "ScanBody", func(s drivers.Store) drivers.Store {
			var mu sync.RWMutex
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return func(yield func(drivers.Record, error) bool) {
					mu.RLock()
					defer mu.RUnlock()
					s.Scan(ctx, kind, prefix, after)(yield)
				}
			}, commit: func(ctx context.Context, ops []drivers.Op) error {
				mu.Lock()
				defer mu.Unlock()
				return s.Commit(ctx, ops...)
			}, close: func() error {
				mu.Lock()
				defer mu.Unlock()
				return s.Close()
			}}
		}},
		{"Close waits for the loop body", "ScanBody", func(s drivers.Store) drivers.Store {
			var mu sync.RWMutex
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return func(yield func(drivers.Record, error) bool) {
					mu.RLock()
					defer mu.RUnlock()
					s.Scan(ctx, kind, prefix, after)(yield)
				}
			}, close: func() error {
				mu.Lock()
				defer mu.Unlock()
				return s.Close()
			}}
		}},
		{"ends a cancelled scan in silence", "ScanCancelled StoreContexts", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return func(yield func(drivers.Record, error) bool) {
					for r, err := range s.Scan(ctx, kind, prefix, after) {
						if err != nil && ctx.Err() != nil || !yield(r, err) {
							return
						}
					}
				}
			}}
		}},
		{"yields an error twice", "ScanCancelled StoreContexts StoreClosed Refusals", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				return func(yield func(drivers.Record, error) bool) {
					for r, err := range s.Scan(ctx, kind, prefix, after) {
						if !yield(r, err) || err != nil && !yield(r, err) {
							return
						}
					}
				}
			}}
		}},
		{"keeps the caller's data", "Aliasing", func(s drivers.Store) drivers.Store {
			kept := make(map[drivers.Key]json.RawMessage)
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				for _, op := range ops {
					kept[op.Key] = op.Data
				}
				return s.Commit(ctx, ops...)
			}, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				found, err := s.Get(ctx, ks...)
				for i, r := range found {
					found[i].Data = bytes.Clone(kept[r.Key])
				}
				return found, err
			}}
		}},
		{"hands out its own data", "Aliasing", func(s drivers.Store) drivers.Store {
			kept := make(map[drivers.Revision]map[drivers.Key]json.RawMessage)
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				found, err := s.Get(ctx, ks...)
				for i, r := range found {
					if kept[r.Revision] == nil {
						kept[r.Revision] = make(map[drivers.Key]json.RawMessage)
					}
					if kept[r.Revision][r.Key] == nil {
						kept[r.Revision][r.Key] = r.Data
					}
					found[i].Data = kept[r.Revision][r.Key]
				}
				return found, err
			}}
		}},
		{"hands out one buffer for all", "Aliasing", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				found, err := s.Get(ctx, ks...)
				buffer := make([]byte, 0, 1<<20)
				for i, r := range found {
					n := len(buffer)
					buffer = append(buffer, r.Data...)
					found[i].Data = buffer[n:]
				}
				return found, err
			}}
		}},
		{"does not call Check", "Refusals Atomicity", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if errors.Is(drivers.Check(ops), drivers.ErrInvalid) {
					return nil
				}
				return s.Commit(ctx, ops...)
			}}
		}},
		{"does not call CheckKeys", "Refusals", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
				if drivers.CheckKeys(ks) != nil {
					return make([]drivers.Record, len(ks)), nil
				}
				return s.Get(ctx, ks...)
			}}
		}},
		{"does not call CheckScan", "Refusals", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
				if drivers.CheckScan(kind, prefix, after) != nil {
					return records(func() ([]drivers.Record, error) { return nil, nil })
				}
				return s.Scan(ctx, kind, prefix, after)
			}}
		}},
		{"limits of its own", "Limits", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if len(ops[0].Data) > 60_000 {
					return drivers.ErrInvalid
				}
				return s.Commit(ctx, ops...)
			}}
		}},
		{"works under a cancelled context", "StoreContexts", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				return s.Commit(context.WithoutCancel(ctx), ops...)
			}}
		}},
		{"says that a context ended, and commits", "StoreContexts", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				return errors.Join(ctx.Err(), s.Commit(context.WithoutCancel(ctx), ops...))
			}}
		}},
		{"works after Close", "StoreClosed", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, close: func() error { return nil }}
		}},
		{"cannot be closed twice", "StoreClosed", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, close: sync.OnceValue(s.Close), closeTwice: errors.New("closed already")}.once()
		}},
		{"closes under a commit, which it answers with nil", "StoreCloseRace", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if err := s.Commit(ctx, ops...); !errors.Is(err, drivers.ErrClosed) || rand.IntN(2) == 0 {
					return err
				}
				return nil
			}}
		}},
		{"drops expiry", "Expiry", onWrite(func(op *drivers.Op) { op.Expires = time.Time{} })},
		{"keeps expiry to the second", "Expiry", onWrite(func(op *drivers.Op) { op.Expires = op.Expires.Truncate(time.Second) })},
		{"gives expiry in local time", "Expiry", onRead(func(r *drivers.Record) {
			if !r.Expires.IsZero() {
				r.Expires = r.Expires.In(time.FixedZone("CST", 8*3600))
			}
		})},
		{"makes zero expiry 1970", "Expiry", onRead(func(r *drivers.Record) {
			if r.Exists() && r.Expires.IsZero() {
				r.Expires = time.Unix(0, 0).UTC()
			}
		})},
		{"hides expired records and keeps their keys", "Expired", onRead(func(r *drivers.Record) {
			if !r.Expires.IsZero() && r.Expires.Before(time.Now()) {
				*r = drivers.Record{Key: r.Key}
			}
		})},
		{"mangles astral characters", "JSON", onWrite(func(op *drivers.Op) { op.Data = bytes.ReplaceAll(op.Data, []byte("𠮷"), []byte("?")) })},
		{"normalizes text", "JSON", onWrite(func(op *drivers.Op) { op.Data = bytes.ReplaceAll(op.Data, []byte(`e\u0301`), []byte("é")) })},
		{"turns numbers into floats", "JSON Limits", onRead(func(r *drivers.Record) {
			var v map[string]any
			if json.Unmarshal(r.Data, &v) == nil {
				for name, x := range v {
					if f, ok := x.(float64); ok {
						v[name] = json.Number(fmt.Sprintf("%.12g", f))
					}
				}
				r.Data, _ = json.Marshal(v)
			}
		})},
		{"turns null into absent", "JSON", onRead(func(r *drivers.Record) {
			r.Data = bytes.ReplaceAll(r.Data, []byte(`"d":null,`), nil)
		})},
		{"turns empty arrays into null", "JSON", onRead(func(r *drivers.Record) {
			r.Data = bytes.ReplaceAll(r.Data, []byte(`[]`), []byte("null"))
		})},
		{"equal revisions for data of equal length", "Revisions RevisionsNeverReturn RevisionsUnderChange", func(s drivers.Store) drivers.Store {
			return renamed(s, func(r drivers.Record) drivers.Revision { return drivers.Revision(fmt.Sprint(len(r.Data))) })
		}},
		{"revisions begin anew with each life of a record", "RevisionsNeverReturn RevisionsUnderChange", func(s drivers.Store) drivers.Store {
			type state struct {
				n    int
				real drivers.Revision
			}
			states := make(map[drivers.Key]state)
			return renamed(s, func(r drivers.Record) drivers.Revision {
				st := states[r.Key]
				if st.real != r.Revision {
					st = state{st.n + 1, r.Revision}
				}
				if !r.Exists() {
					st = state{}
				}
				states[r.Key] = st
				return drivers.Revision(fmt.Sprint(st.n))
			})
		}},
		{"revisions begin anew with each opening", "RevisionsNeverReturn", func(s drivers.Store) drivers.Store {
			seen := make(map[drivers.Revision]int)
			return renamed(s, func(r drivers.Record) drivers.Revision {
				if _, ok := seen[r.Revision]; !ok {
					seen[r.Revision] = len(seen)
				}
				return drivers.Revision(fmt.Sprint(seen[r.Revision]))
			})
		}},
		{"expiry has no part in revisions", "Revisions", func(s drivers.Store) drivers.Store {
			return renamed(s, func(r drivers.Record) drivers.Revision { return drivers.Revision(r.Data) })
		}},
		{"errors are not wrapped", "Conflicts Refusals StoreClosed StoreContexts Atomicity", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if err := s.Commit(ctx, ops...); err != nil {
					return fmt.Errorf("commit: %v", err)
				}
				return nil
			}}
		}},
		{"a conflict is invalid too", "Conflicts Atomicity", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				err := s.Commit(ctx, ops...)
				if errors.Is(err, drivers.ErrConflict) {
					err = errors.Join(err, drivers.ErrInvalid)
				}
				return err
			}}
		}},
		{"keeps the last op only", "Batch", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				if len(ops) == 7 {
					ops = ops[1:]
				}
				return s.Commit(ctx, ops...)
			}}
		}},
		{"replace merges", "JSON", func(s drivers.Store) drivers.Store {
			return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
				for i, op := range ops {
					found, err := s.Get(ctx, op.Key)
					if err == nil && found[0].Exists() && op.Data != nil {
						var v map[string]json.RawMessage
						json.Unmarshal(found[0].Data, &v)
						json.Unmarshal(op.Data, &v)
						ops[i].Data, _ = json.Marshal(v)
					}
				}
				return s.Commit(ctx, ops...)
			}}
		}},
	} {
		t.Run(b.bug, func(t *testing.T) {
			t.Parallel()
			caught(t, storeTrials, b.by, func() func() (drivers.Store, error) {
				space := memory.New()
				return func() (drivers.Store, error) { return b.tamper(space.OpenStore()), nil }
			})
		})
	}
	t.Run("forgets on reopening", func(t *testing.T) {
		t.Parallel()
		caught(t, storeTrials, "StoreReopen StoreCloseRace StoreClosed", func() func() (drivers.Store, error) {
			return func() (drivers.Store, error) { return memory.New().OpenStore(), nil }
		})
	})
}

// TestFailedRacesEnd: a race that has found something waits for nobody any more, however
// patient it is.
func TestFailedRacesEnd(t *testing.T) {
	t.Parallel()
	for bug, place := range map[string]func() (drivers.Store, error){
		"forgets on reopening": func() (drivers.Store, error) { return memory.New().OpenStore(), nil },
		"does not commit": func() (drivers.Store, error) {
			return tampered{Store: memory.New().OpenStore(), commit: func(context.Context, []drivers.Op) error { return errors.New("no") }}, nil
		},
	} {
		if record(t, time.Hour, trial[drivers.Store]{bug, testStoreCloseRace}, place) == "" {
			t.Errorf("%s passes", bug)
		}
	}
	puts := onPut(func(context.Context, drivers.Objects, string, io.Reader, int64, string) error {
		return errors.New("no")
	})
	if record(t, time.Hour, trial[drivers.Objects]{"does not put", testObjectsCloseRace}, func() (drivers.Objects, error) {
		return puts(memory.New().OpenObjects()), nil
	}) == "" {
		t.Error("does not put passes")
	}
}

// tampered is a store with some methods replaced.
type tampered struct {
	drivers.Store
	get        func(context.Context, []drivers.Key) ([]drivers.Record, error)
	commit     func(context.Context, []drivers.Op) error
	scan       func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error]
	close      func() error
	closeTwice error
}

func (s tampered) Get(ctx context.Context, ks ...drivers.Key) ([]drivers.Record, error) {
	if s.get == nil {
		return s.Store.Get(ctx, ks...)
	}
	return s.get(ctx, ks)
}

func (s tampered) Commit(ctx context.Context, ops ...drivers.Op) error {
	if s.commit == nil {
		return s.Store.Commit(ctx, ops...)
	}
	return s.commit(ctx, ops)
}

func (s tampered) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	if s.scan == nil {
		return s.Store.Scan(ctx, kind, prefix, after)
	}
	return s.scan(ctx, kind, prefix, after)
}

func (s tampered) Close() error {
	if s.close == nil {
		return s.Store.Close()
	}
	return s.close()
}

// once makes the second Close fail.
func (s tampered) once() tampered {
	closed := false
	s.close = func() error {
		if closed {
			return s.closeTwice
		}
		closed = true
		return s.Store.Close()
	}
	return s
}

// force commits whatever the Ifs say.
func force(ctx context.Context, s drivers.Store, ops []drivers.Op) error {
	if err := drivers.Check(ops); err != nil {
		return err
	}
	var forced []drivers.Op
	for _, op := range ops {
		found, err := s.Get(ctx, op.Key)
		if err != nil {
			return err
		}
		if op.If = found[0].Revision; op.Data != nil || op.If != "" {
			forced = append(forced, op)
		}
	}
	if len(forced) == 0 {
		return nil
	}
	return s.Commit(ctx, forced...)
}

func onWrite(change func(*drivers.Op)) func(drivers.Store) drivers.Store {
	return func(s drivers.Store) drivers.Store {
		return tampered{Store: s, commit: func(ctx context.Context, ops []drivers.Op) error {
			for i := range ops {
				change(&ops[i])
			}
			return s.Commit(ctx, ops...)
		}}
	}
}

func onRead(change func(*drivers.Record)) func(drivers.Store) drivers.Store {
	return func(s drivers.Store) drivers.Store {
		return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
			found, err := s.Get(ctx, ks...)
			for i := range found {
				change(&found[i])
			}
			return found, err
		}}
	}
}

// everyN tampers with one record of each 256 of a scan.
func everyN(change func(drivers.Record) []drivers.Record) func(drivers.Store) drivers.Store {
	return func(s drivers.Store) drivers.Store {
		return tampered{Store: s, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
			return func(yield func(drivers.Record, error) bool) {
				i := 0
				for r, err := range s.Scan(ctx, kind, prefix, after) {
					out := []drivers.Record{r}
					if i++; err == nil && i%256 == 0 {
						out = change(r)
					}
					for _, r := range out {
						if !yield(r, err) {
							return
						}
					}
				}
			}
		}}
	}
}

// renamed gives revisions other names.
func renamed(s drivers.Store, name func(drivers.Record) drivers.Revision) drivers.Store {
	var mu sync.Mutex
	rename := func(r drivers.Record) drivers.Record {
		if renamed := name(r); r.Exists() {
			r.Revision = renamed
		}
		return r
	}
	return tampered{Store: s, get: func(ctx context.Context, ks []drivers.Key) ([]drivers.Record, error) {
		mu.Lock()
		defer mu.Unlock()
		found, err := s.Get(ctx, ks...)
		for i := range found {
			found[i] = rename(found[i])
		}
		return found, err
	}, commit: func(ctx context.Context, ops []drivers.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if err := drivers.Check(ops); err != nil {
			return err
		}
		ops = slices.Clone(ops)
		for i, op := range ops {
			found, err := s.Get(ctx, op.Key)
			if err != nil {
				return err
			}
			if rename(found[0]).Revision != op.If {
				return drivers.ErrConflict
			}
			ops[i].If = found[0].Revision
		}
		err := s.Commit(ctx, ops...)
		for _, op := range ops { // let name see each state
			if found, err := s.Get(ctx, op.Key); err == nil {
				name(found[0])
			}
		}
		return err
	}, scan: func(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
		return records(func() ([]drivers.Record, error) {
			mu.Lock()
			defer mu.Unlock()
			all, err := collect(s.Scan(ctx, kind, prefix, after))
			for i := range all {
				all[i] = rename(all[i])
			}
			return all, err
		})
	}}
}

func collect[V any](seq iter.Seq2[V, error]) (all []V, err error) {
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// records yields what f returns.
func records[V any](f func() ([]V, error)) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		all, err := f()
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
		if err != nil {
			var none V
			yield(none, err)
		}
	}
}
