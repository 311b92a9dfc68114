package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
)

func (w *world) login(person string) auth.WeChatSession {
	w.t.Helper()
	w.logins++
	s, err := w.client.CodeToSession(w.t.Context(), sandbox.AppID, fmt.Sprintf("%s~n%d", person, w.logins))
	if err != nil {
		w.t.Fatalf("%s: %v", person, err)
	}
	return s
}

func (w *world) token() string {
	w.t.Helper()
	token, err := w.client.AccessToken(w.t.Context(), sandbox.AppID)
	if err != nil {
		w.t.Fatal(err)
	}
	return token.Value
}

func wantCode(t *testing.T, err error, code int, is error) {
	t.Helper()
	var e *wechat.Error
	if !errors.As(err, &e) || e.Code != code || !errors.Is(err, is) {
		t.Errorf("got %v, want errcode %d, %v", err, code, is)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clock.set(time.Unix(6900*300000, 0))
	ctx, alice := t.Context(), w.login("alice")
	first, err := w.client.AccessToken(ctx, sandbox.AppID)
	if err != nil || first.Life != 2*time.Hour {
		t.Fatalf("life %v, %v", first.Life, err)
	}
	w.clock.add(115*time.Minute - time.Second)
	again, err := w.client.AccessToken(ctx, sandbox.AppID)
	if err != nil || again.Value != first.Value || again.Life != 5*time.Minute+time.Second {
		t.Errorf("before its last 5 minutes: the same %v, life %v, %v", again.Value == first.Value, again.Life, err)
	}
	w.clock.add(time.Second)
	next, err := w.client.AccessToken(ctx, sandbox.AppID)
	if err != nil || next.Value == first.Value || next.Life != 2*time.Hour {
		t.Errorf("in its last 5 minutes: the same %v, life %v, %v", next.Value == first.Value, next.Life, err)
	}
	for _, step := range []struct {
		wait time.Duration
		ok   bool
	}{{0, true}, {5*time.Minute - time.Second, true}, {time.Second, false}} {
		w.clock.add(step.wait)
		if _, err := w.client.CheckText(ctx, next.Value, alice.OpenID, "hello"); err != nil {
			t.Errorf("the new token: %v", err)
		}
		switch _, err := w.client.CheckText(ctx, first.Value, alice.OpenID, "hello"); {
		case step.ok && err != nil:
			t.Errorf("the old token: %v", err)
		case !step.ok:
			wantCode(t, err, 42001, auth.ErrTokenRejected)
		}
	}
	for token, code := range map[string]int{"": 41001, "x": 40001, first.Value + "x": 40001, strings.Replace(next.Value, sandbox.AppID, "wxother", 1): 40001} {
		want := auth.ErrTokenRejected
		if token == "" {
			want = auth.ErrMisconfigured
		}
		_, err := w.client.CheckText(ctx, token, alice.OpenID, "hello")
		wantCode(t, err, code, want)
	}
}

func TestSessionKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, token, old := t.Context(), w.token(), w.login("alice")
	check := func(key string, want bool) {
		t.Helper()
		if got, err := w.client.CheckSessionKey(ctx, token, old.OpenID, key); got != want || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	}
	check(old.SessionKey, true)
	current := w.login("alice")
	check(old.SessionKey, false)
	check(current.SessionKey, true)
	_, err := w.client.ResetSessionKey(ctx, token, old.OpenID, old.SessionKey)
	wantCode(t, err, 87009, auth.ErrSessionKeyStale)
	fresh, err := w.client.ResetSessionKey(ctx, token, old.OpenID, current.SessionKey)
	if err != nil || fresh == current.SessionKey {
		t.Fatal(err)
	}
	check(current.SessionKey, false)
	check(fresh, true)
	_, err = w.client.ResetSessionKey(ctx, token, "ostranger", fresh)
	wantCode(t, err, 87007, auth.ErrSessionKeyStale)
	if got, err := w.client.CheckSessionKey(ctx, token, "ostranger", fresh); got || err != nil {
		t.Errorf("stranger: %v, %v", got, err)
	}
}

func TestPhoneCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, token := t.Context(), w.token()
	for code, want := range map[string]auth.Phone{
		"phone~13800138000~1":    {CountryCode: "86", Number: "13800138000"},
		"phone~+852-61234567~~1": {CountryCode: "852", Number: "61234567"},
	} {
		if got, err := w.client.PhoneNumber(ctx, token, sandbox.AppID, code); got != want || err != nil {
			t.Errorf("%s: %+v, %v", code, got, err)
		}
		_, err := w.client.PhoneNumber(ctx, token, sandbox.AppID, code)
		wantCode(t, err, 40029, auth.ErrCodeRejected)
	}
	for _, code := range []string{"alice~1", "phone~1", "phone~~1", "phone~13800138000~", "phone~call~1", "phone~+852~1", "phone~1~1", "phone~1234567890123456~1"} {
		_, err := w.client.PhoneNumber(ctx, token, sandbox.AppID, code)
		wantCode(t, err, 40029, auth.ErrCodeRejected)
	}
	_, err := w.client.CodeToSession(ctx, sandbox.AppID, "phone~13800138000~2")
	wantCode(t, err, 40029, auth.ErrCodeRejected)
	if _, err := w.client.PhoneNumber(ctx, token, sandbox.AppID, "phone~13800138000~2"); err != nil {
		t.Errorf("a login has used a phone code: %v", err)
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, token, alice := t.Context(), w.token(), w.login("alice")
	for text, want := range map[string]auth.Verdict{
		"小明 <&> \u2028 \x01 \xff": auth.VerdictPass, "Very RISKY review": auth.VerdictRisky, "to review": auth.VerdictReview,
		strings.Repeat("长", 2500): auth.VerdictPass,
	} {
		if got, err := w.client.CheckText(ctx, token, alice.OpenID, text); got != want || err != nil {
			t.Errorf("%.20q: %v, %v", text, got, err)
		}
	}
	_, err := w.client.CheckText(ctx, token, w.login("bob-unseen").OpenID, "x")
	wantCode(t, err, 61010, auth.ErrNotSeen)
	_, err = w.client.CheckPicture(ctx, token, w.login("bob-unseen").OpenID, "http://a.example/x")
	wantCode(t, err, 61010, auth.ErrNotSeen)
	_, err = w.client.CheckText(ctx, token, "ostranger", "x")
	wantCode(t, err, 61010, auth.ErrNotSeen)
}

func TestPictures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushTo(w.server.URL)
	ctx, token := t.Context(), w.token()
	w.files["/avatars/here"] = "picture"
	want := map[string]auth.Verdict{}
	for _, row := range []struct {
		person, url string
		verdict     auth.Verdict
	}{
		{"alice", "http://a.example/x", auth.VerdictPass}, {"bob-risky", "http://a.example/x", auth.VerdictRisky}, {"eve-review", "http://a.example/x", auth.VerdictReview},
		{"alice", w.server.URL + "/avatars/here", auth.VerdictPass}, {"alice", w.server.URL + "/avatars/lost", ""},
	} {
		trace, err := w.client.CheckPicture(ctx, token, w.login(row.person).OpenID, row.url)
		if err != nil || want[trace] != "" {
			t.Fatal(trace, err)
		}
		want[trace] = row.verdict
	}
	if _, err := w.client.CheckPicture(ctx, token, w.login("mute-silent").OpenID, "http://a.example/x"); err != nil {
		t.Error(err)
	}
	_, err := w.client.CheckPicture(ctx, token, w.login("alice").OpenID, "ftp://a.example/x")
	wantCode(t, err, 40097, auth.ErrMisconfigured)
	for range want {
		got := <-w.got
		verdict, ok := want[got.push.TraceID]
		if !ok || got.err != nil || got.push.Event != auth.PushMediaChecked || got.push.Verdict != verdict || got.path != "/wechat/push/"+sandbox.AppID {
			t.Errorf("got %+v, %q, want %q", got, got.push.Verdict, verdict)
		}
		delete(want, got.push.TraceID)
	}
}

// TestPlatform is a merchant's life: ticket, token, authorisation, login, and the end.
func TestPlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushTo(w.server.URL + "/")
	ctx, c := t.Context(), w.client
	_, err := c.ComponentToken(ctx, "ticket@@@wrong")
	wantCode(t, err, 61006, auth.ErrTicketRejected)
	if err := c.StartTickets(ctx); err != nil {
		t.Fatal(err)
	}
	ticket := <-w.got
	if ticket.err != nil || ticket.push.Event != auth.PushTicket || ticket.path != "/wechat/component" || !strings.HasPrefix(string(ticket.body), "<xml><AppId>") {
		t.Fatalf("got %+v", ticket)
	}
	token, err := c.ComponentToken(ctx, ticket.push.Secret)
	if err != nil {
		t.Fatal(err)
	}

	const merchant = sandbox.MerchantPrefix + "7"
	w.order(`{"event":"authorized","appId":"`+merchant+`"}`, 200)
	granted := <-w.got
	if granted.err != nil || granted.push.Event != auth.PushAuthorized || granted.push.AppID != merchant {
		t.Fatalf("got %+v", granted)
	}
	a, err := c.QueryAuthorization(ctx, token.Value, granted.push.Secret)
	if err != nil || a.AppID != merchant {
		t.Fatal(a.AppID, err)
	}
	_, err = c.QueryAuthorization(ctx, token.Value, "queryauthcode@@@wrong")
	wantCode(t, err, 61009, auth.ErrNotAuthorized)
	renewed, err := c.AuthorizerToken(ctx, token.Value, merchant, a.RefreshToken)
	if err != nil || renewed.Token.Value != a.Token.Value || renewed.RefreshToken == "" {
		t.Error(err)
	}
	_, err = c.AuthorizerToken(ctx, token.Value, sandbox.MerchantPrefix+"8", a.RefreshToken)
	wantCode(t, err, 61023, auth.ErrNotAuthorized)
	_, err = c.AuthorizerToken(ctx, a.Token.Value, merchant, a.RefreshToken)
	wantCode(t, err, 40001, auth.ErrTokenRejected)

	alice, err := c.ComponentCodeToSession(ctx, token.Value, merchant, "alice~1")
	if err != nil || alice.OpenID == w.login("alice").OpenID || alice.UnionID != w.login("alice").UnionID {
		t.Error(alice.OpenID, err)
	}
	_, err = c.ComponentCodeToSession(ctx, token.Value, merchant, "alice~1")
	wantCode(t, err, 40163, auth.ErrCodeRejected)
	_, err = c.ComponentCodeToSession(ctx, token.Value, "wxstranger", "alice~2")
	wantCode(t, err, 61003, auth.ErrNotAuthorized)
	if got, err := c.CheckText(ctx, a.Token.Value, alice.OpenID, "x"); err != nil || got != auth.VerdictPass {
		t.Errorf("with the merchant's token: %v, %v", got, err)
	}
	if _, err := c.PhoneNumber(ctx, a.Token.Value, merchant, "phone~13800138000~1"); err != nil {
		t.Errorf("with the merchant's token: %v", err)
	}
	if _, err := c.CheckPicture(ctx, a.Token.Value, alice.OpenID, "http://a.example/x"); err != nil {
		t.Error(err)
	}
	if got := <-w.got; got.err != nil || got.push.AppID != merchant || got.path != "/wechat/push/"+merchant || got.push.Verdict != auth.VerdictPass {
		t.Errorf("got %+v", got)
	}

	w.order(`{"event":"unauthorized","appId":"`+merchant+`"}`, 200)
	if got := <-w.got; got.err != nil || got.push.Event != auth.PushUnauthorized || got.push.AppID != merchant {
		t.Errorf("got %+v", got)
	}
	_, err = c.ComponentCodeToSession(ctx, token.Value, merchant, "alice~3")
	wantCode(t, err, 61003, auth.ErrNotAuthorized)
	_, err = c.AuthorizerToken(ctx, token.Value, merchant, a.RefreshToken)
	wantCode(t, err, 61003, auth.ErrNotAuthorized)
	_, err = c.CheckText(ctx, a.Token.Value, alice.OpenID, "x")
	wantCode(t, err, 61003, auth.ErrNotAuthorized)
	w.order(`{"event":"updateauthorized","appId":"`+merchant+`"}`, 200)
	if _, err = c.ComponentCodeToSession(ctx, token.Value, merchant, "alice~4"); err != nil {
		t.Errorf("authorised again: %v", err)
	}
	w.clock.add(13 * time.Hour)
	_, err = c.ComponentToken(ctx, ticket.push.Secret)
	wantCode(t, err, 61005, auth.ErrTicketRejected)
}
