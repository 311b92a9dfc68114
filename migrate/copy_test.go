package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

var kinds = []string{"users", "sessions", "audit", "jobs", "empty"}

var soon = time.Date(2100, 1, 2, 3, 4, 5, 678901000, time.UTC)

// id makes a random id as the core's are.
func id(r *rand.Rand) string {
	b := make([]byte, 26)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)]
	}
	return string(b)
}

// fill puts n users with what belongs to them into a place.
func fill(t *testing.T, store drivers.Store, objects drivers.Objects, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	commit := func(ops ...drivers.Op) {
		if err := store.Commit(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		uid, picture := id(r), id(r)
		commit(
			drivers.Create(drivers.Key{Kind: "users", ID: uid}, json.RawMessage(fmt.Sprintf(`{"version":%d,"nickname":"小明 <\u2028>","nested":{"a":[1,-9007199254740991,{"b":null}],"t":true}}`, i)), time.Time{}),
			drivers.Create(drivers.Key{Kind: "sessions", ID: uid + "." + id(r)}, json.RawMessage(`{"counter":1}`), soon.Add(time.Duration(i)*time.Microsecond)),
			drivers.Create(drivers.Key{Kind: "audit", ID: uid + ".0006123456789abc." + id(r)[:13]}, json.RawMessage(`{}`), soon),
		)
		if i%50 == 0 {
			commit(drivers.Create(drivers.Key{Kind: "jobs", ID: fmt.Sprintf("%016x.a", i)}, json.RawMessage(`{"kind":"x"}`), time.Time{}))
		}
		if objects != nil && i%10 == 0 {
			for _, size := range []string{"-132.jpg", "-512.jpg"} {
				body := strings.Repeat(picture, 1+r.IntN(3000))
				if err := objects.Put(t.Context(), "avatars/"+picture+size, strings.NewReader(body), int64(len(body)), "image/jpeg"); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	// Small ids and odd ones.
	for _, odd := range []string{"a", "0", "z", "9.", "zz..9", strings.Repeat("9", 120)} {
		commit(drivers.Create(drivers.Key{Kind: "users", ID: odd}, json.RawMessage(`{}`), time.Time{}))
	}
}

// content is all that a store holds but revisions, in a comparable form.
func content(t *testing.T, store drivers.Store) []string {
	t.Helper()
	var all []string
	for _, kind := range append(slices.Clone(kinds), markKind) {
		for r, err := range store.Scan(t.Context(), kind, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprint(r.Key, " ", canonical(r.Data), " ", r.Expires))
		}
	}
	return all
}

func contentOfObjects(t *testing.T, objects drivers.Objects) []string {
	t.Helper()
	var all []string
	for info, err := range objects.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := objects.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, o.Size)
		if n, err := o.Read(b); n != len(b) {
			t.Fatal(n, err)
		}
		o.Close()
		all = append(all, fmt.Sprintf("%s %s %x", info.Key, o.ContentType, b))
	}
	return all
}

// place is a store and objects.
type place struct {
	drivers.Store
	objects drivers.Objects
}

func inMemory() place {
	s := memory.New()
	return place{s.OpenStore(), s.OpenObjects()}
}

func onDisk(t *testing.T) place {
	u := &url.URL{Scheme: "file", Path: t.TempDir()}
	s, err := file.OpenStore(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	o, err := file.OpenObjects(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return place{s, o}
}

func between(from, to place) Config {
	return Config{From: from.Store, To: to.Store, FromObjects: from.objects, ToObjects: to.objects, Kinds: kinds, Source: "a source"}
}

func mustEqual(t *testing.T, from, to place) {
	t.Helper()
	if d := cmp.Diff(content(t, from), content(t, to)); d != "" {
		t.Errorf("records differ: %s", d)
	}
	if d := cmp.Diff(contentOfObjects(t, from.objects), contentOfObjects(t, to.objects)); d != "" {
		t.Errorf("objects differ: %.1000s", d)
	}
}

// TestCopy: from memory to file to file to memory, everything is equal; what is
// told of it is right; a copy that was made before is seen and not made again.
func TestCopy(t *testing.T) {
	t.Parallel()
	places := []place{inMemory(), onDisk(t), onDisk(t), inMemory()}
	const n = 500
	fill(t, places[0], places[0].objects, n)
	for i := range len(places) - 1 {
		var last [4]Progress
		config := between(places[i], places[i+1])
		config.Watch = func(p Progress) {
			if p.Done < last[p.Step].Done || p.Total < p.Done {
				t.Errorf("from %+v to %+v", last[p.Step], p)
			}
			last[p.Step] = p
		}
		r, err := Copy(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		if r.Records != 3*n+n/50+6 || r.Kinds["users"] != n+6 || r.Objects != n/10*2 || r.Written != r.Records+r.Objects || r.Resumed {
			t.Errorf("result %+v", r)
		}
		for step, p := range last {
			if want := []int64{r.Records, r.Objects}[step%2]; !p.Ended || p.Done != want || p.Total != want {
				t.Errorf("%v ended as %+v, want %d", Step(step), p, want)
			}
		}
		mustEqual(t, places[0], places[i+1])
		if err := Unfinished(t.Context(), places[i+1]); err != nil {
			t.Error(err)
		}
		config.Watch = nil
		again, err := Copy(t.Context(), config)
		if err != nil || again.Written != 0 || again.Records != r.Records || again.Objects != r.Objects {
			t.Errorf("again: %+v, %v", again, err)
		}
	}
}

// TestObjectsAlone: pictures move without records, and in a copy of records may be
// there before.
func TestObjectsAlone(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	fill(t, from, from.objects, 100)
	config := between(from, to)
	config.From, config.To = nil, nil
	if r, err := Copy(t.Context(), config); err != nil || r.Objects != 20 || r.Records != 0 {
		t.Fatal(r, err)
	}
	if got := content(t, to); len(got) != 0 {
		t.Errorf("records were written: %v", got)
	}
	if r, err := Copy(t.Context(), between(from, to)); err != nil || r.Written != r.Records {
		t.Fatal(r, err)
	}
	mustEqual(t, from, to)
}

// TestOccupied: a target that holds anything else is refused, and nothing is
// written to it.
func TestOccupied(t *testing.T) {
	t.Parallel()
	record := func(key drivers.Key, data string) func(*testing.T, place) {
		return func(t *testing.T, p place) {
			if err := p.Commit(t.Context(), drivers.Create(key, json.RawMessage(data), time.Time{})); err != nil {
				t.Fatal(err)
			}
		}
	}
	object := func(key, body string) func(*testing.T, place) {
		return func(t *testing.T, p place) {
			if err := p.objects.Put(t.Context(), key, strings.NewReader(body), int64(len(body)), "image/jpeg"); err != nil {
				t.Fatal(err)
			}
		}
	}
	from := inMemory()
	fill(t, from, from.objects, 60)
	object("avatars/a", "right")(t, from)
	for name, put := range map[string]func(*testing.T, place){
		"a user":             record(drivers.Key{Kind: "users", ID: "mmm"}, `{}`),
		"one of ours":        record(drivers.Key{Kind: "users", ID: "zz..9"}, `{}`),
		"another content":    record(drivers.Key{Kind: "users", ID: "zz..9"}, `{"a":1}`),
		"an unknown kind":    record(drivers.Key{Kind: "strangers", ID: "a"}, `{}`),
		"an object":          object("avatars/0", "x"),
		"an object of ours":  object("avatars/a", "wrong, and longer"),
		"objects at the end": object("zzz", "x"),
		"another's mark":     func(t *testing.T, p place) { halfway(t, p, 61) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := inMemory()
			put(t, to)
			before, blobs := content(t, to), contentOfObjects(t, to.objects)
			r, err := Copy(t.Context(), between(from, to))
			if !errors.Is(err, ErrOccupied) || r.Written != 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			if d := cmp.Diff(before, content(t, to)) + cmp.Diff(blobs, contentOfObjects(t, to.objects)); d != "" {
				t.Errorf("the target has changed: %s", d)
			}
		})
	}
}

// halfway leaves in a target what an interrupted copy of n other users does.
func halfway(t *testing.T, to place, n int) {
	t.Helper()
	from := inMemory()
	fill(t, from, from.objects, n)
	config := between(from, to)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var commits atomic.Int64
	config.To = &watched{Store: to.Store, before: func(ops []drivers.Op) error {
		if ops[0].Key.Kind == "sessions" {
			if commits.Add(1) > 20 {
				cancel()
				return errors.New("gone")
			}
		}
		return nil
	}}
	if _, err := Copy(ctx, config); err == nil {
		t.Fatal("the copy was not interrupted")
	}
	if err := Unfinished(t.Context(), to); !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "a source") {
		t.Fatalf("unfinished: %v", err)
	}
}

// watched lets a test see and spoil the commits to a store.
type watched struct {
	drivers.Store
	before func([]drivers.Op) error
}

func (w *watched) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := w.before(ops); err != nil {
		return err
	}
	return w.Store.Commit(ctx, ops...)
}

// TestSourceRefused: a source that is empty, or holds what this release does not
// know, is not copied.
func TestSourceRefused(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	if _, err := Copy(t.Context(), between(from, to)); !errors.Is(err, ErrNothing) {
		t.Errorf("an empty source: %v", err)
	}
	fill(t, from, nil, 3)
	err := from.Commit(t.Context(), drivers.Create(drivers.Key{Kind: "newer", ID: "a"}, json.RawMessage(`{}`), time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), between(from, to)); !errors.Is(err, ErrUnknownKind) || !strings.Contains(err.Error(), "newer") {
		t.Errorf("an unknown kind: %v", err)
	}
	if got := content(t, to); len(got) != 0 {
		t.Errorf("written: %v", got)
	}
	config := between(from, to)
	config.Ignore = []string{"newer"}
	if _, err := Copy(t.Context(), config); err != nil {
		t.Error(err)
	}

	part, third := inMemory(), inMemory()
	ctx, cancel := context.WithCancel(t.Context())
	config.To = &watched{Store: part.Store, before: func(ops []drivers.Op) error {
		if ops[0].Key.Kind != markKind {
			cancel() // the mark is there, and nothing else
		}
		return ctx.Err()
	}}
	config.ToObjects = part.objects
	if _, err := Copy(ctx, config); err == nil {
		t.Fatal("it was not broken off")
	}
	if _, err := Copy(t.Context(), between(part, third)); !errors.Is(err, ErrUnfinished) {
		t.Errorf("the target of an unfinished copy, as a source: %v", err)
	}
	if got := content(t, third); len(got) != 0 {
		t.Errorf("written: %v", got)
	}
}

// TestInterrupted breaks a copy off again and again, at each commit in turn as it
// were, and resumes it: nothing is written twice that the mark tells of, and the
// result is exact.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	fill(t, from, from.objects, 1000)
	runs, resumed := 0, 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		var commits atomic.Int64
		limit := int64(10 + rand.IntN(60))
		config := between(from, to)
		config.To = &watched{Store: to.Store, before: func(ops []drivers.Op) error {
			if commits.Add(1) > limit {
				cancel()
				if ops[0].Key.Kind != markKind || limit%2 == 0 { // told to end, or killed
					return drivers.ErrClosed
				}
			}
			return nil
		}}
		r, err := Copy(ctx, config)
		cancel()
		runs++
		if r.Resumed {
			resumed++
		}
		if err == nil {
			break
		}
		if err := Unfinished(t.Context(), to); !errors.Is(err, ErrUnfinished) {
			t.Fatalf("after run %d: %v", runs, err)
		}
		if runs > 1000 {
			t.Fatal("it does not get on")
		}
	}
	if runs < 5 || resumed != runs-1 {
		t.Errorf("%d runs, %d resumed", runs, resumed)
	}
	mustEqual(t, from, to)
}

// TestStumbling: a fifth of all calls of both stores fail, some before and some
// after their effect, and the copy does not notice.
func TestStumbling(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	fill(t, from, from.objects, 300)
	config := between(from, to)
	config.From, config.To = &stumbling{Store: from.Store}, &stumbling{Store: to.Store}
	if _, err := Copy(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	mustEqual(t, from, to)
}

// stumbling is a store that fails at random, but no call more than three times: the
// copy gives up one that goes on failing, and is right to.
type stumbling struct {
	drivers.Store
	mu    sync.Mutex
	times map[string]int
}

var errStumbled = errors.New("stumbled")

func (s *stumbling) stumbles(oneIn int, call ...any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.times == nil {
		s.times = map[string]int{}
	}
	what := fmt.Sprint(call...)
	if rand.IntN(oneIn) > 0 || s.times[what] == 3 {
		return false
	}
	s.times[what]++
	return true
}

func (s *stumbling) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if s.stumbles(5, "get", keys[0]) {
		return nil, errStumbled
	}
	return s.Store.Get(ctx, keys...)
}

func (s *stumbling) Commit(ctx context.Context, ops ...drivers.Op) error {
	if s.stumbles(10, "commit", ops[0].Key) {
		return errStumbled
	}
	err := s.Store.Commit(ctx, ops...)
	if s.stumbles(10, "commit", ops[0].Key) {
		return errStumbled
	}
	return err
}

func (s *stumbling) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		for r, err := range s.Store.Scan(ctx, kind, prefix, after) {
			if s.stumbles(50, "scan", kind, prefix, after) {
				yield(drivers.Record{}, errStumbled)
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// TestVerifyFindsEverything changes one thing on either side after it was copied:
// verifying finds it and says where.
func TestVerifyFindsEverything(t *testing.T) {
	t.Parallel()
	key := drivers.Key{Kind: "users", ID: "zz..9"}
	change := func(op func(drivers.Record) drivers.Op) func(*testing.T, place) {
		return func(t *testing.T, p place) {
			found, err := p.Get(t.Context(), key)
			if err == nil {
				err = p.Commit(t.Context(), op(found[0]))
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	put := func(key, body, contentType string) func(*testing.T, place) {
		return func(t *testing.T, p place) {
			if err := p.objects.Put(t.Context(), key, strings.NewReader(body), int64(len(body)), contentType); err != nil {
				t.Error(err)
			}
		}
	}
	for name, c := range map[string]struct {
		spoil func(*testing.T, place)
		want  string
	}{
		"data":           {change(func(r drivers.Record) drivers.Op { return drivers.Replace(r, json.RawMessage(`{"a":1}`), r.Expires) }), "users/zz..9: other data"},
		"expiry":         {change(func(r drivers.Record) drivers.Op { return drivers.Replace(r, r.Data, soon) }), "users/zz..9: another expiry"},
		"record missing": {change(drivers.Delete), "users/zz..9: "},
		"record more": {func(t *testing.T, p place) {
			p.Commit(t.Context(), drivers.Create(drivers.Key{Kind: "users", ID: "new"}, json.RawMessage(`{}`), time.Time{}))
		}, "users/new: "},
		"bytes":          {put("avatars/a", "wrong", "image/jpeg"), "object avatars/a: other bytes"},
		"size":           {put("avatars/a", "longer", "image/jpeg"), "object avatars/a: another size"},
		"type":           {put("avatars/a", "right", "image/png"), "object avatars/a: another content type"},
		"object more":    {put("avatars/new", "x", "image/jpeg"), "object avatars/new: "},
		"object missing": {func(t *testing.T, p place) { p.objects.Delete(t.Context(), "avatars/a") }, "object avatars/a: "},
	} {
		for _, side := range []string{"source", "target"} {
			t.Run(name+" in the "+side, func(t *testing.T) {
				t.Parallel()
				from, to := inMemory(), inMemory()
				fill(t, from, from.objects, 30)
				put("avatars/a", "right", "image/jpeg")(t, from)
				config := between(from, to)
				spoiled := false
				config.Watch = func(p Progress) {
					if p.Step == CopyObjects && p.Ended && !spoiled {
						spoiled = true
						c.spoil(t, map[string]place{"source": from, "target": to}[side])
					}
				}
				_, err := Copy(t.Context(), config)
				if !spoiled || !errors.Is(err, ErrDifferent) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %s", err, c.want)
				}
				if err := Unfinished(t.Context(), to); !errors.Is(err, ErrUnfinished) {
					t.Errorf("the target may be served: %v", err)
				}
				// It stays wrong until somebody acts, but for an object that is
				// missing: that one the next run copies.
				config.Watch = nil
				if _, err := Copy(t.Context(), config); err == nil {
					mustEqual(t, from, to)
				}
			})
		}
	}
}

// TestManyDifferences: a person is told some of them.
func TestManyDifferences(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	fill(t, from, nil, 300)
	fill(t, to, nil, 301)
	_, err := Copy(t.Context(), between(from, to))
	if !errors.Is(err, ErrOccupied) || strings.Count(err.Error(), "\n\t") != maxDifferences {
		t.Errorf("%v", err)
	}
}

// TestExpiredMayGo: what has expired is copied as it is, and may go from either
// side before the other is read.
func TestExpiredMayGo(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	past := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, id := range []string{"a", "b", "c"} {
		if err := from.Commit(t.Context(), drivers.Create(drivers.Key{Kind: "sessions", ID: id}, json.RawMessage(`{}`), past)); err != nil {
			t.Fatal(err)
		}
	}
	drop := func(p place, id string) {
		found, err := p.Get(t.Context(), drivers.Key{Kind: "sessions", ID: id})
		if err == nil {
			err = p.Commit(t.Context(), drivers.Delete(found[0]))
		}
		if err != nil {
			t.Error(err)
		}
	}
	config := between(from, to)
	config.Watch = func(p Progress) {
		if p.Step == CopyRecords && p.Ended {
			drop(from, "a")
			drop(to, "b")
		}
	}
	r, err := Copy(t.Context(), config)
	if err != nil || r.Records != 1 || r.Expired != 2 || r.Written != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestTwoCopiesAtOnce: of two copies into one target, the later one takes it over
// and finishes; the other one notices.
func TestTwoCopiesAtOnce(t *testing.T) {
	t.Parallel()
	from, to := inMemory(), inMemory()
	fill(t, from, from.objects, 50)
	config := between(from, to)
	inner := make(chan error, 1)
	done := false
	config.Watch = func(p Progress) {
		if p.Step == CopyObjects && p.Ended && !done {
			done = true
			_, err := Copy(t.Context(), between(from, to))
			inner <- err
		}
	}
	_, outer := Copy(t.Context(), config)
	if err := <-inner; err != nil {
		t.Errorf("the later copy: %v", err)
	}
	// The first finds all equal, and the mark gone: nothing is wrong.
	if outer != nil && !errors.Is(outer, errStolen) {
		t.Errorf("the first copy: %v", outer)
	}
	mustEqual(t, from, to)
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	from := inMemory()
	fill(t, from, from.objects, 12000)
	c := &copier{Config: between(from, inMemory())}
	for kind, want := range map[string]int64{"users": 12006, "sessions": 12000, "audit": 12000, "jobs": 240, "empty": 0} {
		got, err := c.estimate(t.Context(), kind)
		if err != nil || want > 1000 && (got < want*85/100 || got > want*115/100) || want < 1000 && got != want {
			t.Errorf("%s: %d, %v, want about %d", kind, got, err, want)
		}
	}
	if got, err := c.estimateObjects(t.Context()); err != nil || got < 2000 || got > 2800 {
		t.Errorf("objects: %d, %v", got, err)
	}
	if n := extrapolate(1024, "0006123456789abc"); n != 1024 {
		t.Errorf("ids that are not random: %d", n)
	}
}

// stumbles is a store whose Get fails so many times.
type stumbles struct {
	drivers.Store
	left int
	with error
}

func (s *stumbles) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if s.left--; s.left >= 0 {
		return nil, s.with
	}
	return s.Store.Get(ctx, keys...)
}

// TestUnfinishedOfAStoreThatStumbles: it is asked again; one that does not answer
// at all, or whose mark nobody understands, is not taken for whole.
func TestUnfinishedOfAStoreThatStumbles(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	for times, want := range map[int]error{0: nil, 3: nil, 1000: away} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := Unfinished(t.Context(), &stumbles{memory.New().OpenStore(), times, away})
			if !errors.Is(err, want) || (err == nil) != (want == nil) || time.Since(began) > time.Minute {
				t.Errorf("after %d failures: %v, in %v", times, err, time.Since(began))
			}
		})
	}
	store := memory.New().OpenStore()
	if err := store.Commit(t.Context(), drivers.Create(markKey, json.RawMessage(`{"of":"later"}`), time.Time{})); err != nil {
		t.Fatal(err)
	}
	if err := Unfinished(t.Context(), store); !errors.Is(err, errForm) {
		t.Errorf("a mark of another form: %v", err)
	}
}

// lostAnswer is a store whose first commit of a mark has its effect and fails, and
// whose next two reads fail.
type lostAnswer struct {
	drivers.Store
	commits, gets int
}

func (s *lostAnswer) Commit(ctx context.Context, ops ...drivers.Op) error {
	err := s.Store.Commit(ctx, ops...)
	if s.commits++; s.commits == 1 {
		return errStumbled
	}
	return err
}

func (s *lostAnswer) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if s.gets++; s.gets <= 2 {
		return nil, errStumbled
	}
	return s.Store.Get(ctx, keys...)
}

// TestAMarkWhoseAnswerIsLost: the conflict with our own mark is none, also when it
// cannot be seen at once.
func TestAMarkWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	if _, err := newMark(t.Context(), &lostAnswer{Store: memory.New().OpenStore()}, "here"); err != nil {
		t.Error(err)
	}
}
