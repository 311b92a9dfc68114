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
)

// token asks for the test app's access token.
func (c *Core) mustToken(t testing.TB) string {
	t.Helper()
	var got string
	if err := c.withToken(t.Context(), testApp, func(token string) error { got = token; return nil }); err != nil {
		t.Fatalf("access token: %v", err)
	}
	return got
}

// Many callers on many replicas that start at once fetch one token.
func TestReplicasShareOneToken(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		got := make([]string, 32)
		for i := range got {
			c := w.replica(t)
			wg.Go(func() { got[i] = c.mustToken(t) })
		}
		wg.Wait()
		for _, token := range got {
			if token != got[0] {
				t.Errorf("tokens %s and %s", token, got[0])
			}
		}
		if n := w.wechat.fetched(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		for _, r := range w.records(t, kindTokens) {
			if strings.Contains(string(r.Data), "secret-token") {
				t.Errorf("not sealed: %s", r.Data)
			}
		}
	})
}

// A token is renewed before it ends, by one caller, while the others use the old one.
func TestATokenIsRenewedEarly(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		first := w.replica(t).mustToken(t)
		w.clock.add(2*time.Hour - renewEarly - time.Second)
		if got := w.replica(t).mustToken(t); got != first || w.wechat.fetched() != 1 {
			t.Errorf("renewed too early, %d fetches", w.wechat.fetched())
		}
		w.clock.add(2 * time.Second)
		var wg sync.WaitGroup
		var mu sync.Mutex
		fresh := 0
		for range 32 {
			c := w.replica(t)
			wg.Go(func() {
				if c.mustToken(t) != first {
					mu.Lock()
					fresh++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n := w.wechat.fetched(); n != 2 || fresh == 0 {
			t.Errorf("%d fetches, %d have the new token", n, fresh)
		}
		// WeChat may give an old token with little life: no storm then either.
		w = w.fresh(t)
		w.wechat.tokenLife = 5 * time.Minute
		for range 10 {
			w.replica(t).mustToken(t)
		}
		if n := w.wechat.fetched(); n != 1 {
			t.Errorf("%d fetches of a token that lives short", n)
		}
	})
}

// WeChat refuses a token: one renewal for all, one repetition of each call.
func TestARejectedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.replica(t).mustToken(t)
		w.wechat.expire()
		var wg sync.WaitGroup
		for range 16 {
			c := w.replica(t)
			wg.Go(func() {
				calls := 0
				err := c.withToken(t.Context(), testApp, func(token string) error { calls++; return w.wechat.uses(token) })
				if err != nil || calls > 2 {
					t.Errorf("%d calls, %v", calls, err)
				}
			})
		}
		wg.Wait()
		if n := w.wechat.fetched(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		// It refuses the new one too: no third call.
		calls := 0
		err := w.replica(t).withToken(t.Context(), testApp, func(string) error { calls++; return ErrTokenRejected })
		mustBe(t, err, ErrUpstream)
		if calls != 2 || errors.Is(err, ErrTokenRejected) {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// While WeChat gives no token, each second one caller asks; an old one is used on.
func TestATokenThatCannotBeFetched(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.wechat.tokenFails = fmt.Errorf("%w: away", ErrUpstream)
		for range 20 {
			err := w.replica(t).withToken(t.Context(), testApp, func(string) error { return nil })
			mustBe(t, err, ErrUpstream)
		}
		if n := w.wechat.fetched(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		w.clock.add(tokenPause)
		w.wechat.tokenFails = nil
		old := w.replica(t).mustToken(t)
		w.clock.add(2*time.Hour - time.Minute)
		w.wechat.tokenFails = ErrUpstream
		if got := w.replica(t).mustToken(t); got != old {
			t.Errorf("got %s", got)
		}
		w.clock.add(2 * time.Minute)
		err := w.replica(t).withToken(t.Context(), testApp, func(string) error { return nil })
		mustBe(t, err, ErrUpstream)
	})
}

// A replica that dies while it renews holds the others up no longer than its lease.
func TestATokenWhoseRenewerDied(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		c.mustToken(t)
		record := w.records(t, kindTokens)[0]
		r, _ := decode[tokenRecord](record)
		r.Token, r.Lease, r.Until = "", newID(), ptr(c.now().Add(tokenLease))
		w.put(t, record, r)
		ctx, cancel := context.WithTimeout(t.Context(), 10*tokenPoll)
		defer cancel()
		mustBe(t, c.withToken(ctx, testApp, func(string) error { return nil }), ErrUpstream)
		w.clock.add(tokenLease)
		c.mustToken(t)
	})
}

// Tokens sealed with a secret that is gone are fetched anew.
func TestATokenOfAnotherSecret(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.replica(t).mustToken(t)
		w.secrets = []string{strings.Repeat("n", MinSecret)}
		w.replica(t).mustToken(t)
		if n := w.wechat.fetched(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// A token that WeChat has given is not lost because the store stumbles.
func TestAFreshTokenOutlivesAStumble(t *testing.T) {
	t.Parallel()
	w := newWorld()
	store := &failing{kind: kindTokens}
	w.wrapStore = func(s drivers.Store) drivers.Store {
		store.Store = s
		return hooked{store, func(ops []drivers.Op) {
			if ops[0].Key.Kind == kindTokens && ops[0].If == "" {
				store.times = storeTries - 1 // after the lease
			}
		}}
	}
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	if _, err := c.BindPhoneNumber(t.Context(), token, BindPhoneNumberInput{Code: set("phone~13800138000~1")}); err != nil || store.times != 0 {
		t.Errorf("%v; the store has still to fail %d times", err, store.times)
	}
}
