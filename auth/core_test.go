package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
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
	readOnly    bool          // of the replicas made from now on
	configure   func(*Config) // when set, has the last word
	// When set, in the place of space: a store and objects of files, in a folder.
	folder  string
	store   drivers.Store
	objects drivers.Objects
}

func (w *world) openStore() drivers.Store {
	if w.store != nil {
		return w.store
	}
	return w.space.OpenStore()
}

func (w *world) openObjects() drivers.Objects {
	if w.objects != nil {
		return w.objects
	}
	return w.space.OpenObjects()
}

// onEachDriver runs a test on memory and on files.
func onEachDriver(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("memory", func(t *testing.T) { t.Parallel(); test(t, newWorld()) })
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		w := newWorld()
		w.onFiles(t, t.TempDir())
		test(t, w)
	})
}

// again makes a world that is as w is now, on the driver of w.
func (w *world) again(t testing.TB) *world {
	t.Helper()
	next := w.fresh(t)
	next.clock.t, next.apps, next.secrets, next.configure = w.clock.now(), w.apps, w.secrets, w.configure
	next.wechat.good = maps.Clone(w.wechat.good)
	var ops []drivers.Op
	for _, kind := range Kinds {
		for _, r := range w.records(t, kind) {
			ops = append(ops, drivers.Create(r.Key, r.Data, r.Expires))
		}
	}
	for some := range slices.Chunk(ops, drivers.MaxOps) {
		if err := next.openStore().Commit(t.Context(), some...); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range w.blobs(t) {
		object, err := w.openObjects().Get(t.Context(), key)
		if err == nil {
			err = errors.Join(next.openObjects().Put(t.Context(), key, object, object.Size, object.ContentType), object.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return next
}

// killed is the end of all processes: on files, who comes after finds a copy of
// what is on the disk now. To close the files would finish what was begun.
func (w *world) killed(t testing.TB) {
	t.Helper()
	if w.folder == "" {
		return
	}
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(w.folder)); err != nil {
		t.Fatal(err)
	}
	w.onFiles(t, folder)
}

// onFiles puts what is stored from now on into a folder.
func (w *world) onFiles(t testing.TB, folder string) {
	t.Helper()
	u := &url.URL{Scheme: "file", Opaque: folder}
	store, err := file.OpenStore(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	objects, err := file.OpenObjects(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { objects.Close() })
	w.folder, w.store, w.objects = folder, store, objects
}

// fresh makes a world that is empty, on the driver of w.
func (w *world) fresh(t testing.TB) *world {
	t.Helper()
	next := newWorld()
	if w.folder != "" {
		next.onFiles(t, t.TempDir())
	}
	return next
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
	store, objects := w.openStore(), w.openObjects()
	if w.wrapStore != nil {
		store = w.wrapStore(store)
	}
	if w.wrapObjects != nil {
		objects = w.wrapObjects(objects)
	}
	config := Config{
		Store: store, Objects: objects, WeChat: w.wechat, Apps: w.apps, Secrets: w.secrets,
		Issuer: "test", PublicURL: "https://example.com", Now: w.clock.now, ReadOnly: w.readOnly,
	}
	if w.configure != nil {
		w.configure(&config)
	}
	c, err := New(config)
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

	tokens     int              // access tokens fetched
	good       map[string]bool  // the tokens that are accepted
	tokenLife  time.Duration    // of the tokens, two hours when zero
	tokenFails error            // when set, of every fetch
	staleKey   bool             // whether session_keys are stale
	texts      map[string]error // what CheckText answers, verdicts too
	pictures   []string         // the addresses that were sent to be checked
	checkFails error            // of CheckPicture
	component  string
	tickets    int                 // asked for
	openData   map[string]OpenData // by encryptedData, or rawData
	unfit      string              // encryptedData that fits no key
	opening    func(data string)   // when set, is called by OpenData first
	made       func(string) bool   // when set, says what WeChat has encrypted; else all of openData
	madeFails  error               // of MadeEncrypted
	texted     []string
}

// said is a verdict as an error, for fakeWeChat.texts.
type said Verdict

func (s said) Error() string { return string(s) }

func (f *fakeWeChat) newToken(what string) (Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens++
	if f.tokenFails != nil {
		return Token{}, f.tokenFails
	}
	if f.good == nil {
		f.good = map[string]bool{}
	}
	value := fmt.Sprintf("secret-token-%s-%d", what, f.tokens)
	f.good[value] = true
	life := f.tokenLife
	if life == 0 {
		life = 2 * time.Hour
	}
	return Token{value, life}, nil
}

// uses checks a token.
func (f *fakeWeChat) uses(token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.good[token] {
		return ErrTokenRejected
	}
	return nil
}

// expire makes WeChat refuse all tokens that it gave.
func (f *fakeWeChat) expire() { f.mu.Lock(); defer f.mu.Unlock(); f.good = nil }

func (f *fakeWeChat) fetched() int { f.mu.Lock(); defer f.mu.Unlock(); return f.tokens }

func (f *fakeWeChat) AccessToken(_ context.Context, appID string) (Token, error) {
	return f.newToken(appID)
}

func (f *fakeWeChat) CheckSessionKey(_ context.Context, token, _, _ string) (bool, error) {
	return !f.staleKey, f.uses(token)
}

const resetKey = "cmVzZXQta2V5LXNlY3JldA=="

func (f *fakeWeChat) ResetSessionKey(_ context.Context, token, _, _ string) (string, error) {
	if err := f.uses(token); err != nil {
		return "", err
	}
	if f.staleKey {
		return "", ErrSessionKeyStale
	}
	return resetKey, nil
}

// PhoneNumber knows codes phone~NUMBER~NONCE.
func (f *fakeWeChat) PhoneNumber(_ context.Context, token, appID, code string) (Phone, error) {
	if err := f.uses(token); err != nil {
		return Phone{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent[appID+code]++
	if f.fail != nil {
		if err := f.fail(code); err != nil {
			return Phone{}, err
		}
	}
	parts := strings.Split(code, "~")
	if len(parts) != 3 || parts[0] != "phone" || f.sent[appID+code] > 1 {
		return Phone{}, ErrCodeRejected
	}
	return Phone{"86", parts[1]}, nil
}

func (f *fakeWeChat) CheckText(_ context.Context, token, _, text string) (Verdict, error) {
	if err := f.uses(token); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.texted = append(f.texted, text)
	if verdict, ok := f.texts[text].(said); ok {
		return Verdict(verdict), nil
	}
	return VerdictPass, f.texts[text]
}

func (f *fakeWeChat) CheckPicture(_ context.Context, token, _, url string) (string, error) {
	if err := f.uses(token); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checkFails != nil {
		return "", f.checkFails
	}
	f.pictures = append(f.pictures, url)
	return fmt.Sprintf("trace-%d", len(f.pictures)), nil
}

func (f *fakeWeChat) Component() string { return f.component }

func (f *fakeWeChat) StartTickets(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tickets++
	return nil
}

func (f *fakeWeChat) ComponentToken(_ context.Context, ticket string) (Token, error) {
	if !strings.HasPrefix(ticket, "good") {
		return Token{}, ErrTicketRejected
	}
	return f.newToken("component")
}

func (f *fakeWeChat) QueryAuthorization(_ context.Context, token, code string) (Authorization, error) {
	if err := f.uses(token); err != nil {
		return Authorization{}, err
	}
	f.mu.Lock()
	f.sent["query"+code]++
	n := f.sent["query"+code]
	f.mu.Unlock()
	if n > 1 {
		return Authorization{}, ErrNotAuthorized
	}
	fresh, err := f.newToken(code)
	return Authorization{code, fresh, "secret-refresh-" + code}, err
}

func (f *fakeWeChat) AuthorizerToken(_ context.Context, token, appID, refresh string) (Authorization, error) {
	if err := f.uses(token); err != nil {
		return Authorization{}, err
	}
	if refresh != "secret-refresh-"+appID {
		return Authorization{}, ErrNotAuthorized
	}
	fresh, err := f.newToken(appID)
	return Authorization{AppID: appID, Token: fresh}, err
}

func (f *fakeWeChat) ComponentCodeToSession(ctx context.Context, token, appID, code string) (WeChatSession, error) {
	f.mu.Lock()
	f.sent["tried"+appID+code]++
	f.mu.Unlock()
	if err := f.uses(token); err != nil {
		return WeChatSession{}, err
	}
	return f.CodeToSession(ctx, appID, code)
}

// OpenPush knows bodies that are a pushForm in JSON.
func (f *fakeWeChat) OpenPush(appID string, query url.Values, body []byte, now time.Time) (Push, error) {
	var form pushForm
	if query.Get("signature") != "good" || json.Unmarshal(body, &form) != nil || now.Sub(form.At) > 10*time.Minute {
		return Push{}, ErrPushRejected
	}
	if form.AppID == "" {
		form.AppID = appID
	}
	return Push(form), nil
}

func (f *fakeWeChat) EchoPush(_ string, query url.Values) (string, error) {
	if query.Get("signature") != "good" {
		return "", ErrPushRejected
	}
	return query.Get("echostr"), nil
}

func (f *fakeWeChat) MadeEncrypted(_ context.Context, token, data string) (bool, error) {
	if err := f.uses(token); err != nil {
		return false, err
	}
	if f.made != nil {
		return f.made(data), f.madeFails
	}
	_, ok := f.openData[data]
	return ok, f.madeFails
}

func (f *fakeWeChat) OpenData(_, key, data, _ string) (OpenData, error) {
	if f.opening != nil {
		f.opening(data)
	}
	told, ok := f.openData[data]
	switch {
	case f.staleKey || key == "" || data == f.unfit:
		return told, ErrSessionKeyStale
	case !ok:
		return told, &InvalidError{"encryptedData", "malformed"}
	}
	return told, nil
}

func (f *fakeWeChat) RawData(key, text, signature string) (OpenData, error) {
	if f.staleKey || signature != "good" || key == "" {
		return OpenData{}, ErrSessionKeyStale
	}
	return f.openData[text], nil
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

// mustLoginTo is mustLogin where there are several apps.
func (c *Core) mustLoginTo(t testing.TB, app, code string) *LoginPayload {
	t.Helper()
	p, err := c.Login(t.Context(), LoginInput{Code: code, AppID: &app})
	if err != nil {
		t.Fatalf("login to %s: %v", app, err)
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
	for r, err := range w.openStore().Scan(t.Context(), kind, "", "") {
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
	for o, err := range w.openObjects().List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if o.Key != ownerObject {
			all = append(all, o.Key)
		}
	}
	return all
}

func ptr[T any](v T) *T { return &v }

func set[T any](v T) Change[T] { return Change[T]{Given: true, To: &v} }

func cleared[T any]() Change[T] { return Change[T]{Given: true} }

// put writes a record over another.
func (w *world) put(t testing.TB, record drivers.Record, v any) {
	t.Helper()
	if err := w.openStore().Commit(t.Context(), drivers.Replace(record, encode(v), record.Expires)); err != nil {
		t.Fatal(err)
	}
}
