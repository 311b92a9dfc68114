package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

const testApp = "wxtest0000000001"

// world is what the replicas of one test share: a space, a clock and WeChat.
type world struct {
	space  *memory.Space
	clock  *clock
	wechat *fakeWeChat
	apps   []string
	// Where a test wants to stand between the core and its stores.
	wrapStore   func(drivers.Store) drivers.Store
	wrapObjects func(drivers.Objects) drivers.Objects
	secrets     []string
	readOnly    bool // of the replicas made from now on
}

func newWorld() *world {
	return &world{
		space: memory.New(), clock: &clock{t: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)},
		wechat: &fakeWeChat{sent: map[string]int{}}, apps: []string{testApp},
		secrets: []string{strings.Repeat("s", MinSecret)},
	}
}

// replica makes one more core on the world.
func (w *world) replica(t testing.TB) *Core {
	t.Helper()
	store, objects := w.space.OpenStore(), w.space.OpenObjects()
	if w.wrapStore != nil {
		store = w.wrapStore(store)
	}
	if w.wrapObjects != nil {
		objects = w.wrapObjects(objects)
	}
	c, err := New(Config{
		Store: store, Objects: objects, WeChat: w.wechat, Apps: w.apps, Secrets: w.secrets,
		Issuer: "test", PublicURL: "https://example.com", Now: w.clock.now, ReadOnly: w.readOnly,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Wait)
	return c
}

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

// fakeWeChat knows codes PERSON~NONCE and PERSON+UNION~NONCE, and counts what it is sent.
type fakeWeChat struct {
	mu   sync.Mutex
	sent map[string]int
	// fail, when set, answers instead; block, when set, is waited for.
	fail  func(code string) error
	block chan struct{}
	entry chan string // when set, hears each code before block
}

func (f *fakeWeChat) CodeToSession(ctx context.Context, appID, code string) (WeChatSession, error) {
	f.mu.Lock()
	f.sent[appID+code]++
	n, fail, block, entry := f.sent[appID+code], f.fail, f.block, f.entry
	f.mu.Unlock()
	if entry != nil {
		entry <- code
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return WeChatSession{}, fmt.Errorf("%w: too late", ErrUpstream)
		}
	}
	if fail != nil {
		if err := fail(code); err != nil {
			return WeChatSession{}, err
		}
	}
	person, _, ok := strings.Cut(code, "~")
	if !ok || n > 1 {
		return WeChatSession{}, ErrCodeRejected
	}
	person, union, _ := strings.Cut(person, "+")
	return WeChatSession{OpenID: appID + "-" + person, UnionID: union, SessionKey: "c2Vzc2lvbi1rZXktMTIzNA=="}, nil
}

// codes tells how often each code was sent; more than once is always wrong.
func (f *fakeWeChat) mostSent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := 0
	for _, n := range f.sent {
		most = max(most, n)
	}
	return most
}

func (c *Core) mustLogin(t testing.TB, code string) *LoginPayload {
	t.Helper()
	p, err := c.Login(t.Context(), LoginInput{Code: code})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return p
}

func mustBe(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// mustBeInvalid fails unless err is about field.
func mustBeInvalid(t testing.TB, err error, field string) {
	t.Helper()
	var invalid *InvalidError
	if !errors.As(err, &invalid) || invalid.Field != field {
		t.Fatalf("got error %v, want one of field %s", err, field)
	}
}

// records returns all records of a kind.
func (w *world) records(t testing.TB, kind string) []drivers.Record {
	t.Helper()
	var all []drivers.Record
	for r, err := range w.space.OpenStore().Scan(t.Context(), kind, "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// blobs returns the keys of all objects.
func (w *world) blobs(t testing.TB) []string {
	t.Helper()
	var all []string
	for o, err := range w.space.OpenObjects().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o.Key)
	}
	return all
}

func ptr[T any](v T) *T { return &v }

func set[T any](v T) Change[T] { return Change[T]{Given: true, To: &v} }

func cleared[T any]() Change[T] { return Change[T]{Given: true} }
