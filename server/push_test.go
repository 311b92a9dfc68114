package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// planted are secrets, each to be found in one place only.
var planted = map[string]string{
	"session_key":       "cGxhbnRlZHNlc3Npb25rZQ==",
	"access token":      "planted-wechat-token",
	"ticket":            "planted-ticket",
	"merchant's token":  "planted-merchant-token",
	"merchant's secret": "planted-merchant-refresh",
	"login code":        "planted-login-code",
	"phone code":        "planted-phone-code",
	"phone number":      "13812345678",
	"openid":            "planted-openid",
	"encrypted data":    "planted-encrypted-data",
	"signature":         "planted-signature",
	"authorisation":     "planted-authorisation-code",
	"server secret":     "planted-server-secret-planted-server-secret",
	"nickname":          "planted nickname",
	"purpose":           "planted purpose",
}

// leaky is a WeChat that tells secrets and, when told to, fails every call.
type leaky struct {
	auth.WeChat
	err  error
	slow chan struct{} // when set, calls wait for it
}

func (l *leaky) fail(ctx context.Context) error {
	if l.slow != nil {
		select {
		case <-l.slow:
		case <-ctx.Done():
		}
	}
	return l.err
}

func (l *leaky) Component() string { return "wxplatform" }

func (l *leaky) CodeToSession(ctx context.Context, _, _ string) (auth.WeChatSession, error) {
	return auth.WeChatSession{OpenID: planted["openid"], SessionKey: planted["session_key"]}, l.fail(ctx)
}

func (l *leaky) ComponentCodeToSession(ctx context.Context, _, _, _ string) (auth.WeChatSession, error) {
	return l.CodeToSession(ctx, "", "")
}

func (l *leaky) AccessToken(ctx context.Context, _ string) (auth.Token, error) {
	return auth.Token{Value: planted["access token"], Life: 2 * time.Hour}, l.fail(ctx)
}

func (l *leaky) ComponentToken(ctx context.Context, _ string) (auth.Token, error) {
	return auth.Token{Value: planted["access token"], Life: 2 * time.Hour}, l.fail(ctx)
}

func (l *leaky) StartTickets(ctx context.Context) error { return l.fail(ctx) }

func (l *leaky) QueryAuthorization(ctx context.Context, _, _ string) (auth.Authorization, error) {
	return auth.Authorization{AppID: "wxshop", Token: auth.Token{Value: planted["merchant's token"], Life: time.Hour}, RefreshToken: planted["merchant's secret"]}, l.fail(ctx)
}

func (l *leaky) PhoneNumber(ctx context.Context, _, _, _ string) (auth.Phone, error) {
	return auth.Phone{CountryCode: "86", Number: planted["phone number"]}, l.fail(ctx)
}

func (l *leaky) CheckText(ctx context.Context, _, _, _ string) (auth.Verdict, error) {
	return auth.VerdictPass, l.fail(ctx)
}

func (l *leaky) OpenData(_, _, _, _ string) (auth.OpenData, error) {
	return auth.OpenData{Nickname: planted["nickname"], At: time.Now()}, l.fail(context.Background())
}

func (l *leaky) OpenPush(appID string, query url.Values, body []byte, now time.Time) (auth.Push, error) {
	if query.Get("signature") != planted["signature"] {
		return auth.Push{}, auth.ErrPushRejected
	}
	p := auth.Push{AppID: appID, OpenID: planted["openid"], At: now, ID: string(body), Event: auth.PushEvent(body)}
	switch p.Event {
	case auth.PushTicket:
		p.Secret = planted["ticket"]
	case auth.PushAuthorized:
		p.AppID, p.Secret = "wxshop", planted["authorisation"]
	case auth.PushRevoked:
		p.Revoked = []int{6, 8}
	}
	return p, nil
}

func (l *leaky) EchoPush(_ string, query url.Values) (string, error) {
	if query.Get("signature") != planted["signature"] {
		return "", auth.ErrPushRejected
	}
	return query.Get("echostr"), nil
}

// failingStore fails its nth call.
type failingStore struct {
	drivers.Store
	calls, nth atomic.Int64
}

var errDisk = errors.New("disk on fire")

func (s *failingStore) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if s.calls.Add(1) == s.nth.Load() {
		return nil, errDisk
	}
	return s.Store.Get(ctx, keys...)
}

func (s *failingStore) Commit(ctx context.Context, ops ...drivers.Op) error {
	if s.calls.Add(1) == s.nth.Load() {
		return errDisk
	}
	return s.Store.Commit(ctx, ops...)
}

func (s *failingStore) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	if s.calls.Add(1) == s.nth.Load() {
		return func(yield func(drivers.Record, error) bool) { yield(drivers.Record{}, errDisk) }
	}
	return s.Store.Scan(ctx, kind, prefix, after)
}

// startLeaky makes a Server over a leaky WeChat and a store that may fail.
func startLeaky(t testing.TB, weChat *leaky) (*harness, *failingStore) {
	t.Helper()
	h := &harness{log: &lines{}}
	space := memory.New()
	store := &failingStore{Store: space.OpenStore()}
	h.store = space.OpenStore()
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	h.core, err = auth.New(auth.Config{
		Store: store, Objects: space.OpenObjects(), WeChat: weChat, Apps: []string{"wxapp"}, Secrets: []string{planted["server secret"]},
		PublicURL: publicURL, CheckContent: true, RequireConsent: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.core.Wait)
	h.Server = New(Config{Core: h.core, Version: "test", Logger: logger})
	return h, store
}

func (h *harness) pushed(t testing.TB, path, event string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("POST", path+"?signature="+planted["signature"], strings.NewReader(event)))
	return w
}

// TestNothingLeaks plants secrets of every kind, fails WeChat in every way and the
// store at every call, and searches all answers and the log. What is the user's own
// may be in their answers, and is not in the log.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"nothing": nil, "upstream": auth.ErrUpstream, "refused": auth.ErrCodeRejected, "token": auth.ErrTokenRejected, "limited": auth.ErrRateLimited,
		"misconfigured": auth.ErrMisconfigured, "stale": auth.ErrSessionKeyStale, "merchant": auth.ErrNotAuthorized, "ticket": auth.ErrTicketRejected,
		"own fault": errors.New("bug"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if failure != nil {
				leaks(t, failure, 0)
				return
			}
			for nth, failed := 1, true; failed; nth++ {
				// In a bubble: pauses before a store is asked again take no time.
				synctest.Test(t, func(t *testing.T) { failed = leaks(t, nil, nth) })
			}
		})
	}
}

// leaks makes all calls once, with one failure, and reports whether the store had
// an nth call to fail.
func leaks(t *testing.T, failure error, nth int) bool {
	consent := `consent: {scopes: [NICKNAME, PHONE], purpose: "` + planted["purpose"] + `", policyVersion: "1"}`
	calls := []string{
		`mutation { login(input: {code: "` + planted["login code"] + `%d", appId: "wxapp"}) { tokens { accessToken refreshToken } } }`,
		`mutation { login(input: {code: "` + planted["login code"] + `s%d", appId: "wxshop"}) { created } }`,
		`mutation { updateProfile(input: {nickname: "` + planted["nickname"] + `", ` + consent + `}) { user { nickname } } }`,
		`mutation { bindPhoneNumber(input: {code: "` + planted["phone code"] + `%d", move: true, ` + consent + `}) { user { phone { number } } } }`,
		`mutation { importWeChatProfile(input: {encryptedData: "` + planted["encrypted data"] + `", iv: "i", overwrite: true}) { user { nickname } } }`,
		`mutation { mergeAccount(input: {code: "` + planted["login code"] + `m%d"}) { merged } }`,
		`{ me { export consents { purpose } audit { event } otherAccounts } }`,
		`mutation { withdrawConsent(input: {scopes: [NICKNAME]}) { user { id } } }`,
		`mutation { deleteAccount(input: {code: "` + planted["login code"] + `d%d"}) { erasedAt } }`,
	}
	own := map[string]bool{"phone number": true, "openid": true, "nickname": true, "purpose": true}
	weChat := &leaky{}
	h, store := startLeaky(t, weChat)
	var said strings.Builder
	token := ""
	ask := func(i int, text string) {
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, i)
		}
		a := h.ask(t, token, text, nil)
		if token == "" {
			login, _ := a.Data["login"].(map[string]any)
			tokens, _ := login["tokens"].(map[string]any)
			token, _ = tokens["accessToken"].(string)
			return // the tokens are the client's
		}
		said.Write(a.body)
	}
	ask(0, calls[0])
	if token == "" {
		t.Fatal("no login")
	}
	weChat.err = failure
	if failure == nil {
		store.calls.Store(0)
		store.nth.Store(int64(nth))
	}
	for _, event := range []auth.PushEvent{auth.PushTicket, auth.PushAuthorized, auth.PushUnauthorized} {
		said.WriteString(h.pushed(t, componentPath, string(event)).Body.String())
	}
	for i, text := range calls[1:] {
		ask(i+1, text)
	}
	for _, event := range []auth.PushEvent{auth.PushRevoked, auth.PushCancelled, auth.PushMediaChecked} {
		said.WriteString(h.pushed(t, pushPath+"wxapp", string(event)).Body.String())
	}
	h.core.RunDueJobs(t.Context(), func(err error) { h.Server.log.Warn("job failed", "error", err.Error()) })
	for what, secret := range planted {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("call %d: the log has the %s:\n%s", nth, what, h.log)
		}
		if !own[what] && strings.Contains(said.String(), secret) {
			t.Errorf("call %d: an answer has the %s:\n%s", nth, what, said.String())
		}
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the log has an access token")
	}
	return store.calls.Load() >= int64(nth)
}

func TestPushAddresses(t *testing.T) {
	t.Parallel()
	weChat := &leaky{}
	h, store := startLeaky(t, weChat)
	get := func(target string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
		return w
	}
	good := "?signature=" + planted["signature"]
	for _, path := range []string{pushPath + "wxapp", componentPath} {
		if w := get(path + good + "&echostr=4375120948345356249"); w.Code != 200 || w.Body.String() != "4375120948345356249" {
			t.Errorf("%s echoes %d %s", path, w.Code, w.Body)
		}
		if w := get(path + "?signature=no&echostr=1"); w.Code != http.StatusForbidden || w.Body.String() == "1" {
			t.Errorf("%s echoes %d %s", path, w.Code, w.Body)
		}
		for range 2 {
			if w := h.pushed(t, path, "event of others"); w.Code != 200 || w.Body.String() != "success" {
				t.Errorf("%s answers %d %s", path, w.Code, w.Body)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path+"?signature=no", strings.NewReader("x")))
		if w.Code != http.StatusForbidden {
			t.Errorf("%s lets a forged message in: %d", path, w.Code)
		}
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("PUT", path, nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST" {
			t.Errorf("%s answers PUT by %d", path, w.Code)
		}
		// Too long, with and without saying so.
		for _, length := range []int64{maxPush + 1, -1} {
			r := httptest.NewRequest("POST", path+good, strings.NewReader(strings.Repeat("x", maxPush+1)))
			r.ContentLength = length
			w = httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("%s takes %d bytes: %d", path, maxPush+1, w.Code)
			}
		}
	}
	if w := get(pushPath); w.Code != 404 {
		t.Errorf("no AppID: %d", w.Code)
	}
	if w := get("/sandbox/push"); w.Code != 404 {
		t.Errorf("a sandbox that is not there: %d", w.Code)
	}
	// What could not be stored, WeChat must send again.
	store.calls.Store(0)
	store.nth.Store(1)
	if w := h.pushed(t, pushPath+"wxapp", string(auth.PushRevoked)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("a message that was not stored is answered by %d", w.Code)
	}
	if w := h.pushed(t, pushPath+"wxapp", string(auth.PushRevoked)); w.Code != 200 {
		t.Errorf("its repetition is answered by %d", w.Code)
	}
}

// The answer to a push does not wait for the work, however long WeChat takes.
func TestAPushIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	weChat := &leaky{slow: make(chan struct{})}
	h, _ := startLeaky(t, weChat)
	h.pushed(t, componentPath, string(auth.PushTicket))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); h.core.RunJobs(ctx, nil) }()
	// WeChat answers when this test is at its end, so whoever waits for it is late.
	answered := make(chan string, 1)
	go func() { answered <- h.pushed(t, componentPath, string(auth.PushAuthorized)).Body.String() }()
	select {
	case got := <-answered:
		if got != "success" {
			t.Errorf("answered %s", got)
		}
	case <-time.After(30 * time.Second):
		t.Error("the answer waits for WeChat")
	}
	cancel()
	close(weChat.slow)
	<-done
}

func TestSandboxIsMounted(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.Server.sandbox = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, httptest.NewRequest("POST", "/sandbox/push", nil)); w.Body.String() != "/sandbox/push" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
