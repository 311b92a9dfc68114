package auth

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// pushed makes a push as fakeWeChat knows it.
func pushed(t testing.TB, p Push) (url.Values, []byte) {
	t.Helper()
	body, err := json.Marshal(pushForm(p))
	if err != nil {
		t.Fatal(err)
	}
	return url.Values{"signature": {"good"}}, body
}

// push has WeChat push something now, and does what it demands.
func (w *world) push(t testing.TB, c *Core, p Push) {
	t.Helper()
	address := ""
	if p.AppID == "" {
		p.AppID = testApp
	}
	switch p.Event {
	case PushTicket, PushAuthorized, PushUnauthorized:
	default:
		address = p.AppID
	}
	p.At = c.now()
	query, body := pushed(t, p)
	if err := c.Push(t.Context(), address, query, body); err != nil {
		t.Fatalf("push: %v", err)
	}
	c.runJobs(t)
	c.runJobs(t) // those that the first made
}

// full makes a user with all data.
func (w *world) full(t testing.TB, c *Core, person, number string) *LoginPayload {
	t.Helper()
	p := c.mustLogin(t, person+"~"+newID())
	c.update(t, p.Tokens.AccessToken, UpdateProfileInput{
		Nickname: set("nick of " + person), Avatar: set(upload(testPicture(t, 1))), Birthday: set("2001-02-03"), Consent: consentTo(ScopeNickname, ScopePhone),
	})
	p.User = c.bind(t, p.Tokens.AccessToken, byCode("phone~"+number+"~"+newID()))
	return p
}

func TestPushesDeleteWhatWasTakenBack(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		for i, test := range []struct {
			push                    Push
			nickname, avatar, phone bool // stay
			event                   AuditEvent
		}{
			{Push{Event: PushRevoked, Revoked: []int{6}}, false, false, true, WeChatRevoked},
			{Push{Event: PushRevoked, Revoked: []int{8}}, true, true, false, WeChatRevoked},
			{Push{Event: PushRevoked, Revoked: []int{19}}, false, true, true, WeChatRevoked},
			{Push{Event: PushRevoked, Revoked: []int{20}}, true, false, true, WeChatRevoked},
			{Push{Event: PushRevoked, Revoked: []int{8, 19, 20, 6, 999}}, false, false, false, WeChatRevoked},
			{Push{Event: PushRevoked, Revoked: []int{1, 13, 301}}, true, true, true, ""},
			{Push{Event: PushInfoModified}, false, false, true, WeChatCleaned},
		} {
			w.clock.add(time.Second)
			person := string(rune('a' + i))
			p := w.full(t, c, person, "1380013800"+person)
			test.push.OpenID, test.push.ID = testApp+"-"+person, person
			w.clock.add(time.Second)
			w.push(t, c, test.push)
			me, err := c.Me(t.Context(), p.Tokens.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			if (me.Nickname != nil) != test.nickname || (me.Avatar != nil) != test.avatar || (me.Phone != nil) != test.phone || me.Birthday == nil {
				t.Errorf("%v: nickname %v, avatar %v, phone %v", test.push.Revoked, me.Nickname, me.Avatar, me.Phone)
			}
			audit, err := c.Audit(t.Context(), me)
			if err != nil || test.event != "" && audit[0].Event != test.event {
				t.Errorf("%v: the audit begins with %+v, %v", test.push.Revoked, audit[0], err)
			}
			for _, consent := range c.consents(t, p.Tokens.AccessToken) {
				if stays := consent.Scope == ScopeNickname && test.nickname || consent.Scope == ScopePhone && test.phone; stays != (consent.WithdrawnAt == nil) {
					t.Errorf("%v: %+v", test.push.Revoked, consent)
				}
			}
		}
		// Without a person, or of an unknown one, nothing happens.
		before := w.records(t, kindUsers)
		w.push(t, c, Push{Event: PushInfoModified, ID: "none"})
		w.push(t, c, Push{Event: PushRevoked, OpenID: "nobody", Revoked: []int{6}, ID: "nobody"})
		w.push(t, c, Push{Event: PushCancelled, ID: "nothing"})
		w.push(t, c, Push{Event: "", ID: "else"})
		for i, r := range w.records(t, kindUsers) {
			if r.Revision != before[i].Revision {
				t.Error("a user changed")
			}
		}
		if n, err := DeadJobs(t.Context(), c.store); n > 0 || err != nil || len(w.records(t, kindJobs)) > 0 {
			t.Errorf("jobs are left: %v", w.records(t, kindJobs))
		}
	})
}

// A push is stored once, however often and wherever it comes, in the clear nowhere.
func TestAPushIsTakenOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		query, body := pushed(t, Push{Event: PushRevoked, OpenID: "openid-in-push", Revoked: []int{6}, At: c.now(), ID: "one"})
		var wg sync.WaitGroup
		for range 16 {
			replica := w.replica(t)
			wg.Go(func() {
				if err := replica.Push(t.Context(), testApp, query, body); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		jobs := w.records(t, kindJobs)
		if len(jobs) != 1 || strings.Contains(string(jobs[0].Data), "openid-in-push") {
			t.Errorf("jobs %s", jobs)
		}
		c.runJobs(t)
		if err := c.Push(t.Context(), testApp, query, body); err != nil {
			t.Error(err)
		}
		if n := len(w.records(t, kindJobs)); n != 0 {
			t.Errorf("%d jobs after a repetition", n)
		}
	})
}

func TestPushesThatAreNotWeChats(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		query, body := pushed(t, Push{Event: PushRevoked, At: c.now()})
		mustBe(t, c.Push(t.Context(), testApp, url.Values{}, body), ErrPushRejected)
		mustBe(t, c.Push(t.Context(), testApp, query, []byte("no")), ErrPushRejected)
		mustBe(t, c.Push(t.Context(), "", query, body), ErrPushRejected) // no platform here
		if _, err := c.EchoPush("", query); !errors.Is(err, ErrPushRejected) {
			t.Error(err)
		}
		// A ticket is the platform's business alone.
		query, body = pushed(t, Push{Event: PushTicket, Secret: "good", At: c.now()})
		mustBe(t, c.Push(t.Context(), testApp, query, body), ErrPushRejected)
		if n := len(w.records(t, kindPushes)) + len(w.records(t, kindJobs)) + len(w.records(t, kindTokens)); n > 0 {
			t.Errorf("%d records", n)
		}
	})
}

// Who closes their WeChat account is erased; where the account is also that of
// another WeChat account, only what was the closed one's.
func TestPushOfAClosedWeChatAccount(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{testApp, "wxtwo"}
		w.configure = func(config *Config) { config.DeletionDelay = time.Hour }
		c := w.replica(t)
		one := c.mustLoginTo(t, testApp, "ming+m~1")
		two := c.mustLoginTo(t, "wxtwo", "ming+m~2")
		other := c.mustLoginTo(t, "wxtwo", "hong+h~1")
		if _, err := c.MergeAccount(t.Context(), one.Tokens.AccessToken, MergeAccountInput{Code: "hong+h~2", AppID: ptr("wxtwo")}); err != nil {
			t.Fatal(err)
		}
		c.runJobs(t)
		_ = other
		w.push(t, c, Push{Event: PushCancelled, OpenID: testApp + "-ming", ID: "1"})
		w.push(t, c, Push{Event: PushCancelled, OpenID: testApp + "-ming", ID: "2"})
		heir := c.mustLoginTo(t, "wxtwo", "hong+h~3")
		if u := heir.User; u.ID != one.User.ID || len(u.Identities) != 1 {
			t.Errorf("the other's account has become %+v", u)
		}
		if n := len(w.records(t, kindIdentities)); n != 1 {
			t.Errorf("%d identities", n)
		}
		for _, p := range []*LoginPayload{one, two} { // the closed one's, in either app
			_, err := c.Me(t.Context(), p.Tokens.AccessToken)
			mustBe(t, err, ErrUnauthenticated)
		}
		w.push(t, c, Push{Event: PushCancelled, AppID: "wxtwo", OpenID: "wxtwo-hong", ID: "3"})
		_, err := c.Me(t.Context(), heir.Tokens.AccessToken)
		mustBe(t, err, ErrUnauthenticated)
		for _, kind := range []string{kindUsers, kindIdentities, kindUnions, kindSessions} {
			if n := len(w.records(t, kind)); n != 0 {
				t.Errorf("%d %s are left", n, kind)
			}
		}
	})
}
