package sandbox_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
)

// world is a sandbox, a client to it, and a server that takes its pushes.
type world struct {
	t       *testing.T
	clock   *clock
	sandbox *sandbox.Sandbox
	client  *wechat.Client
	server  *httptest.Server
	files   map[string]string // of the server
	got     chan got
	logins  int
}

// got is a push as the server has opened it.
type got struct {
	path string
	body []byte
	push auth.Push
	err  error
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) set(to time.Time) { c.mu.Lock(); defer c.mu.Unlock(); c.now = to }

func (c *clock) add(d time.Duration) { c.set(c.get().Add(d)) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Now()}, files: map[string]string{}, got: make(chan got, 64)}
	w.sandbox = sandbox.New(w.clock.get)
	api := httptest.NewServer(w.sandbox)
	t.Cleanup(api.Close)
	token, key := sandbox.PushKeys(sandbox.AppID)
	keys := wechat.PushKeys{Token: wechat.NewSecret(token), AESKey: wechat.NewSecret(key)}
	var err error
	w.client, err = wechat.New(wechat.Config{
		Apps:      map[string]wechat.Secret{sandbox.AppID: wechat.NewSecret(sandbox.Secret)},
		Push:      map[string]wechat.PushKeys{sandbox.AppID: keys},
		Component: &wechat.ComponentConfig{AppID: sandbox.ComponentAppID, Secret: wechat.NewSecret(sandbox.Secret), PushKeys: keys},
		BaseURL:   api.URL, Timeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	if text, ok := w.files[r.URL.Path]; ok {
		_, _ = io.WriteString(rw, text)
		return
	}
	appID := sandbox.ComponentAppID
	if r.URL.Path != "/wechat/component" {
		var ok bool
		if appID, ok = strings.CutPrefix(r.URL.Path, "/wechat/push/"); !ok {
			http.NotFound(rw, r)
			return
		}
	}
	if r.Method == http.MethodGet {
		if echo, err := w.client.EchoPush(appID, r.URL.Query()); err == nil {
			_, _ = io.WriteString(rw, echo)
			return
		}
		http.Error(rw, "", http.StatusForbidden)
		return
	}
	body, _ := io.ReadAll(r.Body)
	p, err := w.client.OpenPush(appID, r.URL.Query(), body, w.clock.get())
	if err != nil {
		rw.WriteHeader(http.StatusForbidden)
	} else {
		_, _ = io.WriteString(rw, "success")
	}
	w.got <- got{r.URL.Path, body, p, err}
}

// ask makes a request to the sandbox's own routes and wants a status.
func (w *world) ask(method, target, body string, want int) string {
	w.t.Helper()
	r := httptest.NewRecorder()
	w.sandbox.ServeHTTP(r, httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body)))
	if r.Code != want || !json.Valid(r.Body.Bytes()) {
		w.t.Errorf("%s %s %s: %d %s", method, target, body, r.Code, r.Body)
	}
	return r.Body.String()
}

func (w *world) order(body string, want int) string {
	w.t.Helper()
	return w.ask(http.MethodPost, "/sandbox/push", body, want)
}

func TestPushNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if said := w.order(`{"event":"user_info_modified"}`, 400); !strings.Contains(said, "where the server is") {
		t.Errorf("got %s", said)
	}
	w.sandbox.PushTo(w.server.URL)
	alice := w.login("alice").OpenID
	for _, row := range []struct {
		order string
		want  auth.Push
	}{
		{`{"event":"user_authorization_revoke","person":"alice","revokeInfo":"6"}`, auth.Push{Event: auth.PushRevoked, AppID: sandbox.AppID, OpenID: alice, Revoked: []int{6}}},
		{`{"event":"user_authorization_revoke","person":"alice","revokeInfo":"8,19","format":"xml"}`, auth.Push{Event: auth.PushRevoked, AppID: sandbox.AppID, OpenID: alice, Revoked: []int{8, 19}}},
		{`{"event":"user_authorization_cancellation","openid":"oX"}`, auth.Push{Event: auth.PushCancelled, AppID: sandbox.AppID, OpenID: "oX"}},
		{`{"event":"user_info_modified","age":60}`, auth.Push{Event: auth.PushInfoModified, AppID: sandbox.AppID}},
		{`{"event":"wxa_media_check","traceId":"t","suggest":"risky"}`, auth.Push{Event: auth.PushMediaChecked, AppID: sandbox.AppID, TraceID: "t", Verdict: auth.VerdictRisky}},
		{`{"event":"wxa_media_check","traceId":"t","suggest":"pass","errcode":-1008}`, auth.Push{Event: auth.PushMediaChecked, AppID: sandbox.AppID, TraceID: "t"}},
		{`{"event":"wxa_media_check","traceId":"t","format":"xml"}`, auth.Push{Event: auth.PushMediaChecked, AppID: sandbox.AppID, TraceID: "t"}},
		{`{"event":"wxa_media_check","traceId":"t","suggest":"review","format":"xml"}`, auth.Push{Event: auth.PushMediaChecked, AppID: sandbox.AppID, TraceID: "t", Verdict: auth.VerdictReview}},
		{`{"event":"news","fields":{"OpenID":"o]]>1","MsgId":"7"},"format":"xml"}`, auth.Push{AppID: sandbox.AppID, OpenID: "o]]>1"}},
		{`{"event":"user_authorization_cancellation","appId":"wxmerchant1","openid":"oX"}`, auth.Push{Event: auth.PushCancelled, AppID: "wxmerchant1", OpenID: "oX"}},
	} {
		if said := w.order(row.order, 200); !strings.Contains(said, `[{"status":200,"body":"success"}]`) {
			t.Errorf("%s: %s", row.order, said)
		}
		got := <-w.got
		p := got.push
		if got.err != nil || p.Event != row.want.Event || p.AppID != row.want.AppID || p.OpenID != row.want.OpenID || p.TraceID != row.want.TraceID ||
			p.Verdict != row.want.Verdict || len(p.Revoked) != len(row.want.Revoked) {
			t.Errorf("%s: %+v %q", row.order, got, p.OpenID)
		}
		for i := range p.Revoked {
			if p.Revoked[i] != row.want.Revoked[i] {
				t.Errorf("%s: %v", row.order, p.Revoked)
			}
		}
	}
	// The same one twice is one push, another one is not.
	w.order(`{"event":"user_info_modified","person":"alice","times":2}`, 200)
	w.order(`{"event":"user_info_modified","person":"bob"}`, 200)
	if a, b, c := <-w.got, <-w.got, <-w.got; a.push.ID != b.push.ID || a.push.ID == c.push.ID {
		t.Errorf("IDs %s, %s, %s", a.push.ID, b.push.ID, c.push.ID)
	}
}

// TestPushInto: a server in this process gets pushes and its pictures are read
// without a socket, also where its address has a path.
func TestPushInto(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushInto(w.server.Config.Handler, "https://nowhere.invalid/api")
	if said := w.order(`{"event":"user_info_modified","person":"alice"}`, 200); !strings.Contains(said, `[{"status":200,"body":"success"}]`) {
		t.Errorf("got %s", said)
	}
	if got := <-w.got; got.err != nil || got.push.Event != auth.PushInfoModified {
		t.Errorf("got %+v", got)
	}
}

func TestForgedPushesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushTo(w.server.URL)
	for _, how := range []string{`"forge":"signature"`, `"forge":"key"`, `"forge":"appid"`, `"age":3600`, `"age":-3600`, `"plain":true`} {
		said := w.order(`{"event":"user_authorization_cancellation","person":"alice",`+how+`}`, 200)
		if got := <-w.got; !errors.Is(got.err, auth.ErrPushRejected) || !strings.Contains(said, `"status":403`) {
			t.Errorf("%s: %+v, %s", how, got, said)
		}
	}
	for _, app := range []string{sandbox.AppID, "wxmerchant1", sandbox.ComponentAppID} {
		if said := w.order(`{"event":"url_check","appId":"`+app+`"}`, 200); !strings.Contains(said, `"echoed":true`) {
			t.Errorf("%s: %s", app, said)
		}
		if said := w.order(`{"event":"url_check","appId":"`+app+`","forge":"signature"}`, 200); !strings.Contains(said, `"echoed":false`) {
			t.Errorf("%s: %s", app, said)
		}
	}
}

func TestBadOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushTo(w.server.URL)
	for _, order := range []string{``, `[]`, `{}`, `{"event":7}`, `{"event":"x","colour":"red"}`, `{"event":"x","appId":"wxother"}`, `{"event":"authorized","appId":"` + sandbox.AppID + `"}`,
		`{"event":"x","format":"yaml"}`, `{"event":"x","forge":"all"}`, `{"event":"x","fields":{"a b":"c"}}`, `{"event":"x","fields":{"1":"c"}}`,
		`{"event":"user_authorization_revoke"}`, `{"event":"wxa_media_check","suggest":"burn"}`, `{"event":"x","suggest":"pass"}`, `{"event":"authorized","plain":true}`,
		`{"event":"` + strings.Repeat("x", 70000) + `"}`} {
		w.order(order, 400)
	}
	for _, order := range []string{``, `{}`, `{"api":"all","errcode":1}`, `{"api":"stable_token"}`, `{"api":"stable_token","errcode":1,"how":"hang"}`,
		`{"api":"stable_token","how":"sing"}`, `{"api":"stable_token","errcode":1,"times":-1}`} {
		w.ask(http.MethodPost, "/sandbox/fail", order, 400)
	}
	for _, query := range []string{"", "?person=~", "?person=stranger"} {
		w.ask(http.MethodGet, "/sandbox/opendata"+query, "", 400)
	}
	w.login("alice")
	for _, query := range []string{"?person=alice&phone=x", "?person=alice&age=old", "?person=alice&appId=wxother"} {
		w.ask(http.MethodGet, "/sandbox/opendata"+query, "", 400)
	}
	select {
	case got := <-w.got:
		t.Errorf("pushed %+v", got)
	default:
	}
}

func TestFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, alice, token := t.Context(), w.login("alice"), w.token()
	check := func() error {
		_, err := w.client.CheckText(ctx, token, alice.OpenID, "x")
		return err
	}
	w.ask(http.MethodPost, "/sandbox/fail", `{"api":"msg_sec_check","errcode":45009,"times":2}`, 200)
	if said := w.ask(http.MethodPost, "/sandbox/fail", `{"api":"jscode2session","errcode":-1}`, 200); said != `{"failing":[{"api":"jscode2session","times":1,"errcode":-1},{"api":"msg_sec_check","times":2,"errcode":45009}]}`+"\n" {
		t.Errorf("got %s", said)
	}
	wantCode(t, check(), 45009, auth.ErrRateLimited)
	wantCode(t, check(), 45009, auth.ErrRateLimited)
	if err := check(); err != nil {
		t.Error(err)
	}
	_, err := w.client.CodeToSession(ctx, sandbox.AppID, "bob~1")
	wantCode(t, err, -1, auth.ErrUpstream)
	if _, err := w.client.CodeToSession(ctx, sandbox.AppID, "bob~1"); err != nil {
		t.Errorf("the code is used up: %v", err)
	}
	for _, how := range []string{"garbage", "down"} {
		w.ask(http.MethodPost, "/sandbox/fail", `{"api":"msg_sec_check","how":"`+how+`"}`, 200)
		wantCode(t, check(), 0, auth.ErrUpstream)
		if err := check(); err != nil {
			t.Error(err)
		}
	}
	w.ask(http.MethodPost, "/sandbox/fail", `{"api":"msg_sec_check","how":"hang","times":9}`, 200)
	impatient := w.dial(t, 500*time.Millisecond)
	_, err = impatient.CheckText(ctx, token, alice.OpenID, "x")
	wantCode(t, err, 0, auth.ErrUpstream)
	if said := w.ask(http.MethodPost, "/sandbox/fail", `{"api":"msg_sec_check","times":0}`, 200); said != `{"failing":[]}`+"\n" {
		t.Errorf("got %s", said)
	}
	if err := check(); err != nil {
		t.Error(err)
	}
}

// dial makes another client to the sandbox.
func (w *world) dial(t *testing.T, timeout time.Duration) *wechat.Client {
	t.Helper()
	api := httptest.NewServer(w.sandbox)
	t.Cleanup(api.Close)
	c, err := wechat.New(wechat.Config{Apps: map[string]wechat.Secret{sandbox.AppID: wechat.NewSecret(sandbox.Secret)}, BaseURL: api.URL, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOpenDataOfAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.login("alice")
	told := func(query string) (o struct{ RawData, Signature, EncryptedData, IV string }) {
		t.Helper()
		if err := json.Unmarshal([]byte(w.ask(http.MethodGet, "/sandbox/opendata?person=alice"+query, "", 200)), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := told("&nickname=" + url.QueryEscape("小明 <1>"))
	raw, err := w.client.RawData(alice.SessionKey, o.RawData, o.Signature)
	if err != nil || raw.Nickname != "小明 <1>" || raw.AvatarURL == "" || raw.OpenID != "" {
		t.Errorf("got %+v, %v", raw, err)
	}
	open, err := w.client.OpenData(sandbox.AppID, alice.SessionKey, o.EncryptedData, o.IV)
	if err != nil || open.OpenID != alice.OpenID || open.UnionID != alice.UnionID || open.Nickname != "小明 <1>" || open.At.Unix() != w.clock.get().Unix() {
		t.Errorf("got %+v, %v", open, err)
	}
	o = told("&phone=+852-61234567&age=90")
	open, err = w.client.OpenData(sandbox.AppID, alice.SessionKey, o.EncryptedData, o.IV)
	if err != nil || open.Phone == nil || *open.Phone != (auth.Phone{CountryCode: "852", Number: "61234567"}) || w.clock.get().Unix()-open.At.Unix() != 90 {
		t.Errorf("got %+v, %v", open, err)
	}
	// It knows the numbers that it gave out, and nothing else.
	for _, row := range []struct {
		sealed string
		made   bool
	}{{o.EncryptedData, true}, {told("&phone=13800138000&forged=1").EncryptedData, false}, {told("").EncryptedData, false}, {"AAAA" + o.EncryptedData, false}} {
		if made, err := w.client.MadeEncrypted(t.Context(), w.token(), row.sealed); made != row.made || err != nil {
			t.Errorf("made %t, %v, want %t", made, err, row.made)
		}
	}
	o = told("&watermark=wxother")
	var invalid *auth.InvalidError
	if _, err := w.client.OpenData(sandbox.AppID, alice.SessionKey, o.EncryptedData, o.IV); !errors.As(err, &invalid) {
		t.Errorf("other app: %v", err)
	}
	for _, o := range []struct{ RawData, Signature, EncryptedData, IV string }{told("&stale=1"), func() (o struct{ RawData, Signature, EncryptedData, IV string }) {
		o = told("")
		alice = w.login("alice")
		return o
	}()} {
		if _, err := w.client.OpenData(sandbox.AppID, alice.SessionKey, o.EncryptedData, o.IV); !errors.Is(err, auth.ErrSessionKeyStale) {
			t.Errorf("stale: %v", err)
		}
		if _, err := w.client.RawData(alice.SessionKey, o.RawData, o.Signature); !errors.Is(err, auth.ErrSessionKeyStale) {
			t.Errorf("stale: %v", err)
		}
	}
}

// TestPushIsRepeated: until the server says 200.
func TestPushIsRepeated(t *testing.T) {
	t.Parallel()
	s := sandbox.New(time.Now)
	seen := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if seen <- r.URL.RawQuery; len(seen) < 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	s.PushTo(server.URL)
	r := httptest.NewRecorder()
	s.ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/cgi-bin/component/api_start_push_ticket",
		strings.NewReader(`{"component_appid":"`+sandbox.ComponentAppID+`","component_secret":"`+sandbox.Secret+`"}`)))
	if !strings.Contains(r.Body.String(), `"errcode":0`) {
		t.Fatal(r.Body)
	}
	if first, second := <-seen, <-seen; first != second {
		t.Errorf("%s and then %s", first, second)
	}
}
