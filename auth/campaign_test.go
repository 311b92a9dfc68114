package auth

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/firestore"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

// TestUnderFaults is a campaign: on two replicas over Firestore's double, with a
// fifth of all RPCs failing in all ways, 32 clients log in, refresh and update, and
// repeat what failed as a client should. No effect is lost or comes twice, nobody
// honest is signed out, nobody becomes two users, no code is sent twice, and all
// they ever see is ErrUpstream. When the faults end, all is as fast as before.
func TestUnderFaults(t *testing.T) {
	server, err := double.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Create("campaign", "(default)")
	t.Setenv("FIRESTORE_EMULATOR_HOST", server.Addr())
	w := newWorld()
	now := time.Now()
	w.clock = &clock{t: now}
	var stores []drivers.Store
	w.wrapStore = func(drivers.Store) drivers.Store {
		s, err := firestore.OpenStore(t.Context(), &url.URL{Scheme: "firestore", Host: "campaign"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		stores = append(stores, s)
		return s
	}
	replicas := []*Core{w.replica(t), w.replica(t)}
	calm := measure(t, replicas[0], "calm-before")

	server.Fail(double.Weather(7, 0.2, double.Faults...))
	clients := make([]*honest, 32)
	var wg sync.WaitGroup
	for i := range clients {
		clients[i] = &honest{t: t, id: i, replicas: replicas}
		wg.Go(func() { clients[i].live(t.Context()) })
	}
	wg.Wait()
	server.Fail(nil)

	if w.wechat.mostSent() > 1 {
		t.Error("a code was sent twice")
	}
	users := map[string]string{}
	for _, c := range clients {
		me, err := c.core().Me(t.Context(), c.tokens.AccessToken)
		if err != nil {
			t.Errorf("client %d is signed out: %v", c.id, err)
			continue
		}
		if other, ok := users[c.person()]; ok && other != me.ID {
			t.Errorf("%s became two users", c.person())
		}
		users[c.person()] = me.ID
		if _, err := c.core().RefreshSession(t.Context(), RefreshSessionInput{c.tokens.RefreshToken}); err != nil {
			t.Errorf("client %d cannot refresh: %v", c.id, err)
		}
		// Each change took effect once: the audit has one entry for each version.
		n := 0
		for record, err := range stores[0].Scan(t.Context(), kindAudit, me.ID+".", "") {
			if err != nil {
				t.Fatal(err)
			}
			if r, _ := decode[auditRecord](record); r.Event == ProfileUpdated {
				n++
			}
		}
		if me.Version != 1+n {
			t.Errorf("version %d after %d changes", me.Version, n)
		}
		if me.Nickname == nil || !c.named[*me.Nickname] && !named(clients, c.person(), *me.Nickname) {
			t.Errorf("client %d: nickname %v was never acknowledged", c.id, me.Nickname)
		}
	}
	if len(users) != 8 {
		t.Errorf("%d users for 8 people", len(users))
	}
	if after := measure(t, replicas[1], "calm-after"); after > 10*calm+time.Second {
		t.Errorf("20 logins took %v before the faults and %v after them", calm, after)
	}
}

// measure times a few logins.
func measure(t *testing.T, c *Core, person string) time.Duration {
	t.Helper()
	began := time.Now()
	for i := range 20 {
		c.mustLogin(t, fmt.Sprintf("%s~%d", person, i))
	}
	return time.Since(began)
}

// honest is a client that does what the API's errors tell it. Four of them are
// one person.
type honest struct {
	t        *testing.T
	id       int
	replicas []*Core
	calls    int
	tokens   Tokens
	named    map[string]bool // nicknames that were acknowledged
}

func (h *honest) person() string { return fmt.Sprintf("person%d", h.id%8) }

// core is another replica each time, as behind a load balancer.
func (h *honest) core() *Core { h.calls++; return h.replicas[h.calls%len(h.replicas)] }

func named(clients []*honest, person, nickname string) bool {
	for _, c := range clients {
		if c.person() == person && c.named[nickname] {
			return true
		}
	}
	return false
}

// insist repeats f while its outcome is unknown.
func (h *honest) insist(what string, f func() error) error {
	for range 100 {
		err := f()
		if !errors.Is(err, ErrUpstream) {
			return err
		}
	}
	return fmt.Errorf("%s: failed 100 times", what)
}

func (h *honest) live(ctx context.Context) {
	h.named = map[string]bool{}
	for n := 0; ; n++ {
		in := LoginInput{Code: fmt.Sprintf("%s+union-%s~%d-%d", h.person(), h.person(), h.id, n), RequestID: ptr(fmt.Sprintf("request-%d-%d", h.id, n))}
		err := h.insist("login", func() error {
			p, err := h.core().Login(ctx, in)
			if err == nil {
				h.tokens = p.Tokens
			}
			return err
		})
		if err == nil {
			break
		}
		if !errors.Is(err, ErrCodeRejected) || n == 20 { // the code is spent: wx.login gives another
			h.t.Errorf("client %d: login: %v", h.id, err)
			return
		}
	}
	for step := range 5 {
		if err := h.insist("refresh", func() error {
			p, err := h.core().RefreshSession(ctx, RefreshSessionInput{h.tokens.RefreshToken})
			if err == nil {
				h.tokens = p.Tokens
			}
			return err
		}); err != nil {
			h.t.Errorf("client %d: refresh: %v", h.id, err)
		}
		name := fmt.Sprintf("name %d %d", h.id, step)
		if err := h.insist("update", func() error {
			_, err := h.core().UpdateProfile(ctx, h.tokens.AccessToken, UpdateProfileInput{Nickname: set(name)})
			return err
		}); err != nil {
			h.t.Errorf("client %d: update: %v", h.id, err)
		}
		h.named[name] = true
	}
}
