package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// platform gives the world a third-party platform, and no app of its own.
func (w *world) platform() {
	w.apps = nil
	w.wechat.component = "wxplatform"
}

func merchantLogin(app, code string) LoginInput { return LoginInput{Code: code, AppID: &app} }

func TestMerchantsLogIn(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.platform()
		c := w.replica(t)
		_, err := c.Login(t.Context(), merchantLogin("wxshop", "ming~1"))
		mustBeInvalid(t, err, "appId")
		_, err = c.Login(t.Context(), LoginInput{Code: "ming~1"})
		mustBeInvalid(t, err, "appId")
		if w.wechat.mostSent() != 0 {
			t.Error("a code was sent for nobody")
		}
		w.push(t, c, Push{Event: PushTicket, AppID: "wxplatform", Secret: "good-ticket-secret"})
		// The fake's code of an authorisation is the merchant's AppID.
		w.push(t, c, Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", ID: "1"})
		p, err := w.replica(t).Login(t.Context(), merchantLogin("wxshop", "ming~1"))
		if err != nil || p.User.Identities[0] != (Identity{"wxshop", "wxshop-ming"}) {
			t.Fatalf("%+v, %v", p, err)
		}
		// The merchant's token serves its people.
		c.bind(t, p.Tokens.AccessToken, byCode("phone~13800138000~1"))
		w.clock.add(3 * time.Hour)
		p, err = c.Login(t.Context(), merchantLogin("wxshop", "ming~2"))
		if err != nil {
			t.Fatal(err)
		}
		c.bind(t, p.Tokens.AccessToken, byCode("phone~13800138001~1"))
		if w.wechat.mostSent() > 1 {
			t.Error("a code was sent twice")
		}
		for _, kind := range []string{kindTokens, kindJobs, kindPushes} {
			for _, r := range w.records(t, kind) {
				for _, secret := range []string{"good-ticket-secret", "secret-token", "secret-refresh"} {
					if strings.Contains(string(r.Data), secret) {
						t.Errorf("%v is not sealed", r.Key)
					}
				}
			}
		}
		// The merchant takes it back; a push of before comes late.
		w.push(t, c, Push{Event: PushUnauthorized, AppID: "wxshop", ID: "2"})
		_, err = c.Login(t.Context(), merchantLogin("wxshop", "ming~3"))
		mustBeInvalid(t, err, "appId")
		w.clock.add(time.Second)
		w.wechat.sent = map[string]int{}
		w.push(t, c, Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", ID: "3"})
		query, body := pushed(t, Push{Event: PushUnauthorized, AppID: "wxshop", At: c.now().Add(-time.Second), ID: "4"})
		if err := c.Push(t.Context(), "", query, body); err != nil {
			t.Fatal(err)
		}
		c.runJobs(t)
		if _, err = c.Login(t.Context(), merchantLogin("wxshop", "ming~4")); err != nil {
			t.Errorf("an old push has undone a new authorisation: %v", err)
		}
	})
}

// Many replicas at once, when all tokens are over, fetch one of the platform and
// one of the merchant.
func TestReplicasShareTheTokensOfThePlatform(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.platform()
		c := w.replica(t)
		w.push(t, c, Push{Event: PushTicket, AppID: "wxplatform", Secret: "good-ticket-secret"})
		w.push(t, c, Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", ID: "1"})
		w.clock.add(3 * time.Hour)
		before := w.wechat.fetched()
		var wg sync.WaitGroup
		for i := range 16 {
			replica := w.replica(t)
			wg.Go(func() {
				p, err := replica.Login(t.Context(), merchantLogin("wxshop", fmt.Sprintf("person%d~1", i)))
				if err == nil {
					_, err = replica.BindPhoneNumber(t.Context(), p.Tokens.AccessToken, byCode(fmt.Sprintf("phone~138001380%02d~1", i)))
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := w.wechat.fetched() - before; n != 2 || w.wechat.mostSent() > 1 {
			t.Errorf("%d tokens were fetched, a code was sent %d times", n, w.wechat.mostSent())
		}
	})
}

// The platform's token is refused: the code is not sent again, the client gets
// another one; the next login has a new token.
func TestAMerchantsCodeIsSentOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.platform()
		c := w.replica(t)
		w.push(t, c, Push{Event: PushTicket, Secret: "good"})
		w.push(t, c, Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", ID: "1"})
		w.wechat.expire()
		_, err := c.Login(t.Context(), merchantLogin("wxshop", "ming~1"))
		mustBe(t, err, ErrCodeRejected)
		if n := w.wechat.sent["triedwxshopming~1"]; n != 1 {
			t.Errorf("sent %d times", n)
		}
		if _, err = c.Login(t.Context(), merchantLogin("wxshop", "ming~2")); err != nil {
			t.Error(err)
		}
	})
}

// Without a ticket, or with one that is too old, tickets are asked for, once in a while.
func TestLostTicketsAreAskedFor(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		for _, ticket := range []string{"", "stale"} {
			w := w.fresh(t)
			w.platform()
			c := w.replica(t)
			if ticket != "" {
				w.push(t, c, Push{Event: PushTicket, Secret: ticket})
			}
			ask := func(replica *Core) error {
				return replica.withComponent(t.Context(), func(string) error { return nil })
			}
			var wg sync.WaitGroup
			for range 8 {
				replica := w.replica(t)
				wg.Go(func() { mustBe(t, ask(replica), ErrUpstream) })
			}
			wg.Wait()
			if w.wechat.tickets != 1 {
				t.Errorf("asked %d times", w.wechat.tickets)
			}
			w.clock.add(time.Minute)
			mustBe(t, ask(c), ErrUpstream)
			w.clock.add(ticketAgain)
			mustBe(t, ask(c), ErrUpstream)
			if w.wechat.tickets != 2 {
				t.Errorf("asked %d times", w.wechat.tickets)
			}
			w.clock.add(time.Minute)
			w.push(t, c, Push{Event: PushTicket, Secret: "good"})
			if err := ask(c); err != nil {
				t.Error(err)
			}
			// An older ticket does not take its place.
			query, body := pushed(t, Push{Event: PushTicket, Secret: "old", At: c.now().Add(-time.Minute)})
			if err := c.Push(t.Context(), "", query, body); err != nil {
				t.Error(err)
			}
			w.wechat.expire()
			w.clock.add(3 * time.Hour)
			if err := ask(c); err != nil {
				t.Error(err)
			}
		}
	})
}

// Also when no new token can be had after WeChat has refused the old one: the code
// was sent.
func TestAMerchantsCodeThatWasRefusedIsSpent(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.platform()
		c := w.replica(t)
		w.push(t, c, Push{Event: PushTicket, Secret: "good"})
		w.push(t, c, Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", ID: "1"})
		w.wechat.expire()
		w.wechat.tokenFails = errors.Join(ErrUpstream, ErrNotSent)
		for range 2 {
			_, err := c.Login(t.Context(), merchantLogin("wxshop", "ming~1"))
			mustBe(t, err, ErrCodeRejected)
			w.wechat.tokenFails = nil
			w.clock.add(time.Minute)
		}
		if n := w.wechat.sent["triedwxshopming~1"]; n != 1 {
			t.Errorf("the code was sent %d times", n)
		}
	})
}
