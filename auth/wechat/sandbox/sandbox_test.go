package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
)

// dialer returns a client to a new sandbox of apps.
type dialer func(t testing.TB, timeout time.Duration, appIDs ...string) *wechat.Client

// dial is a dialer over a wire.
func dial(t testing.TB, timeout time.Duration, appIDs ...string) *wechat.Client {
	t.Helper()
	server := httptest.NewServer(sandbox.New(time.Now, appIDs...))
	t.Cleanup(server.Close)
	return client(t, wechat.Config{BaseURL: server.URL, Timeout: timeout}, appIDs)
}

// enclose is a dialer without a wire.
func enclose(t testing.TB, timeout time.Duration, appIDs ...string) *wechat.Client {
	t.Helper()
	return client(t, wechat.Config{Transport: sandbox.New(time.Now, appIDs...), Timeout: timeout}, appIDs)
}

func client(t testing.TB, config wechat.Config, appIDs []string) *wechat.Client {
	t.Helper()
	if len(appIDs) == 0 {
		appIDs = []string{sandbox.AppID}
	}
	config.Apps = map[string]wechat.Secret{}
	for _, id := range appIDs {
		config.Apps[id] = wechat.NewSecret(sandbox.Secret)
	}
	c, err := wechat.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bothWays runs a test over a wire and without one: nobody may tell them apart.
func bothWays(t *testing.T, test func(t *testing.T, dial dialer)) {
	for name, dial := range map[string]dialer{"wire": dial, "enclosed": enclose} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, dial)
		})
	}
}

func TestPersons(t *testing.T) { bothWays(t, testPersons) }

func testPersons(t *testing.T, dial dialer) {
	c := dial(t, time.Minute, "wxa", "wxb")
	login := func(appID, code string) auth.WeChatSession {
		t.Helper()
		s, err := c.CodeToSession(t.Context(), appID, code)
		if err != nil {
			t.Fatalf("%s: %v", code, err)
		}
		return s
	}
	alice, again, inB := login("wxa", "alice~1"), login("wxa", "alice~2"), login("wxb", "alice~3")
	bob, before := login("wxa", "Bob_0-9~"+strings.Repeat("~", 127)), login("wxa", "alice-nounion~1")
	if len(alice.OpenID) != 28 || len(alice.UnionID) != 28 || alice.OpenID[0] != 'o' || alice.OpenID == alice.UnionID {
		t.Errorf("got %+v", alice)
	}
	if again.OpenID != alice.OpenID || again.UnionID != alice.UnionID || again.SessionKey == alice.SessionKey {
		t.Errorf("again: %+v, %+v", alice, again)
	}
	if inB.OpenID == alice.OpenID || inB.UnionID != alice.UnionID {
		t.Errorf("in two apps: %+v, %+v", alice, inB)
	}
	if bob.OpenID == alice.OpenID || bob.UnionID == alice.UnionID {
		t.Errorf("two persons: %+v, %+v", alice, bob)
	}
	if before.OpenID != alice.OpenID || before.UnionID != "" {
		t.Errorf("without unionid: %+v, %+v", alice, before)
	}
}

func TestTroubles(t *testing.T) { bothWays(t, testTroubles) }

func testTroubles(t *testing.T, dial dialer) {
	c := dial(t, time.Minute)
	for person, want := range map[string]struct {
		is   error
		code int
	}{
		"invalid": {auth.ErrCodeRejected, 40029},
		"used":    {auth.ErrCodeRejected, 40163},
		"blocked": {auth.ErrBlocked, 40226},
		"limited": {auth.ErrRateLimited, 45011},
		"busy":    {auth.ErrUpstream, -1},
		"garbage": {auth.ErrUpstream, 0},
		"down":    {auth.ErrUpstream, 0},
	} {
		for range 2 { // it is the person, not the code
			_, err := c.CodeToSession(t.Context(), sandbox.AppID, person+"~1")
			var e *wechat.Error
			if !errors.As(err, &e) || !errors.Is(err, want.is) || errors.Is(err, auth.ErrNotSent) || e.Code != want.code {
				t.Errorf("%s: %v", person, err)
			}
			if (want.code != 0) != (e.RID != "") {
				t.Errorf("%s: rid %q", person, e.RID)
			}
		}
	}
	for _, code := range []string{"alice", "~", "alice~", "~1", "ali ce~1", "alice~1 2", "älice~1", "-nounion~1",
		strings.Repeat("a", 33) + "~1", "alice~" + strings.Repeat("1", 129)} {
		var e *wechat.Error
		if _, err := c.CodeToSession(t.Context(), sandbox.AppID, code); !errors.As(err, &e) || e.Code != 40029 {
			t.Errorf("%q: %v", code, err)
		}
	}
}

func TestSlowIsCutOff(t *testing.T) { bothWays(t, testSlowIsCutOff) }

func testSlowIsCutOff(t *testing.T, dial dialer) {
	var err error
	for timeout := 200 * time.Millisecond; timeout < 10*time.Second; timeout *= 4 {
		// On a busy machine the time may be over before anything is sent.
		if _, err = dial(t, timeout).CodeToSession(t.Context(), sandbox.AppID, "slow~1"); !errors.Is(err, auth.ErrNotSent) {
			break
		}
	}
	if !errors.Is(err, auth.ErrUpstream) || errors.Is(err, auth.ErrNotSent) {
		t.Errorf("got %v", err)
	}
}

func TestSlowTakesTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := sandbox.New(time.Now)
		if got := ask(t.Context(), s, query("slow~1")); got.OpenID == "" || time.Since(start) != 10*time.Second {
			t.Errorf("got %+v after %v", got, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := ask(ctx, s, query("slow~2")); got.OpenID != "" || time.Since(start) != 11*time.Second {
			t.Errorf("got %+v after %v", got, time.Since(start))
		}
		if got := ask(t.Context(), s, query("slow~2")); got.ErrCode != 40163 {
			t.Errorf("a code whose answer was lost: %+v", got)
		}
	})
}

func TestCodeWorksOnce(t *testing.T) {
	t.Parallel()
	c := dial(t, time.Minute, "wxa", "wxb")
	var all sync.WaitGroup
	var won, used atomic.Int32
	for i := range 32 {
		all.Go(func() {
			_, err := c.CodeToSession(t.Context(), []string{"wxa", "wxb"}[i%2], "alice~1")
			var e *wechat.Error
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &e) && e.Code == 40163:
				used.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || used.Load() != 31 {
		t.Errorf("%d won, %d used", won.Load(), used.Load())
	}
}

func TestUsedCodesAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	s := sandbox.New(func() time.Time { return now })
	for _, step := range []struct {
		wait time.Duration
		code string
		want int
	}{
		{0, "alice~1", 0},
		{5*time.Minute - 1, "alice~2", 0},
		{1, "alice~3", 0},
		{0, "alice~1", 40163},
		{5*time.Minute - 1, "alice~2", 40163},
		{1, "alice~1", 0},
		{0, "alice~3", 40163},
		{10 * time.Minute, "alice~3", 0},
		{0, "alice~1", 0},
	} {
		now = now.Add(step.wait)
		if got := ask(t.Context(), s, query(step.code)); got.ErrCode != step.want {
			t.Errorf("%+v: %+v", step, got)
		}
	}
}

type reply struct {
	OpenID     string `json:"openid"`
	SessionKey string `json:"session_key"`
	ErrCode    int    `json:"errcode"`
	ErrMsg     string `json:"errmsg"`
}

func query(code string) url.Values {
	return url.Values{"appid": {sandbox.AppID}, "secret": {sandbox.Secret}, "js_code": {code}, "grant_type": {"authorization_code"}}
}

func ask(ctx context.Context, s *sandbox.Sandbox, q url.Values) (r reply) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/sns/jscode2session?"+q.Encode(), nil))
	_ = json.Unmarshal(w.Body.Bytes(), &r)
	return r
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := sandbox.New(time.Now)
	for _, row := range []struct {
		key, value string
		want       int
	}{
		{"appid", "", 41002}, {"appid", "wxother", 40013}, {"secret", "", 41004}, {"secret", "x", 40125},
		{"grant_type", "x", 40002}, {"js_code", "", 41008}, {"js_code", "x", 40029},
	} {
		q := query("alice~1")
		q.Set(row.key, row.value)
		if got := ask(t.Context(), s, q); got.ErrCode != row.want || !strings.Contains(got.ErrMsg, ", rid: ") {
			t.Errorf("%s=%q: %+v", row.key, row.value, got)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/sns/jscode2session?"+query("alice~1").Encode(), nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"errcode":43001`) {
		t.Errorf("POST: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/sns/other", nil))
	if w.Code != 404 {
		t.Errorf("other path: %d", w.Code)
	}
	if got := ask(t.Context(), s, query("alice~1")); got.OpenID == "" {
		t.Errorf("a refused request has used the code: %+v", got)
	}
}

func BenchmarkLogin(b *testing.B) {
	c := dial(b, time.Minute)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.CodeToSession(b.Context(), sandbox.AppID, fmt.Sprintf("alice~%d", n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkSandbox(b *testing.B) {
	s := sandbox.New(time.Now)
	for n := 0; b.Loop(); n++ {
		ask(b.Context(), s, query(fmt.Sprintf("alice~%d", n)))
	}
}
