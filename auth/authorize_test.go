package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// stopping is a WeChat at whose answer about a merchant something happens.
type stopping struct {
	*fakeWeChat
	then func()
}

func (s stopping) QueryAuthorization(ctx context.Context, token, code string) (Authorization, error) {
	fresh, err := s.fakeWeChat.QueryAuthorization(ctx, token, code)
	s.then()
	return fresh, err
}

// failing is a store that fails some commits of one kind of records.
type failing struct {
	drivers.Store
	kind  string
	times int
}

func (s *failing) Commit(ctx context.Context, ops ...drivers.Op) error {
	if s.times > 0 && ops[0].Key.Kind == s.kind {
		s.times--
		return errFault
	}
	return s.Store.Commit(ctx, ops...)
}

// The code of an authorisation works once: what it gave is stored though the server
// stops or the store stumbles; and where it is lost all the same, the error says what
// to do, each time.
func TestAnAuthorisationIsKeptOrSaidToBeLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		stops bool // the server, when WeChat has answered
		fails int  // commits of the store from then on
		lost  bool
	}{
		{"the server stops", true, 0, false}, {"the store stumbles", false, storeTries - 1, false}, {"the store fails", false, storeTries, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.platform()
			w.push(t, w.replica(t), Push{Event: PushTicket, Secret: "good"})
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			store := &failing{kind: kindTokens}
			w.wrapStore = func(s drivers.Store) drivers.Store { store.Store = s; return store }
			w.configure = func(config *Config) {
				config.WeChat = stopping{w.wechat, func() {
					store.times = test.fails
					if test.stops {
						stop()
					}
				}}
			}
			push := Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", At: w.clock.now()}
			err := w.replica(t).authorize(ctx, push)
			if w.wrapStore = nil; (err != nil) != test.lost {
				t.Fatalf("got %v", err)
			}
			w.configure = nil
			c := w.replica(t)
			if !test.lost {
				if _, err := c.Login(t.Context(), merchantLogin("wxshop", "ming~1")); err != nil {
					t.Error(err)
				}
				return
			}
			for _, err := range []error{err, c.authorize(t.Context(), push)} {
				if err == nil || !strings.Contains(err.Error(), "merchant wxshop") || !strings.Contains(err.Error(), "must authorise") || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// slowAuthorization lets something happen between WeChat's answer and its use.
type slowAuthorization struct {
	WeChat
	meanwhile func()
}

func (w slowAuthorization) QueryAuthorization(ctx context.Context, token, code string) (Authorization, error) {
	a, err := w.WeChat.QueryAuthorization(ctx, token, code)
	w.meanwhile()
	return a, err
}

// An authorisation that is worked on slowly does not take the place of a newer one.
func TestTheNewestAuthorisationStays(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.platform()
		c := w.replica(t)
		w.push(t, c, Push{Event: PushTicket, Secret: "good"})
		before := w.clock.now()
		w.clock.add(time.Minute)
		stored := func() (data string) {
			for _, r := range w.records(t, kindTokens) {
				if r.Key == tokenKey(tokenOfMerchant, "wxshop") {
					data = string(r.Data)
				}
			}
			return data
		}
		var newer string
		w.configure = func(config *Config) {
			config.WeChat = slowAuthorization{w.wechat, func() {
				w.wechat.mu.Lock()
				delete(w.wechat.sent, "querywxshop") // the fake's codes are AppIDs: this is a second one
				w.wechat.mu.Unlock()
				if err := c.authorize(t.Context(), Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", At: w.clock.now()}); err != nil {
					t.Error(err)
				}
				newer = stored()
			}}
		}
		if err := w.replica(t).authorize(t.Context(), Push{Event: PushAuthorized, AppID: "wxshop", Secret: "wxshop", At: before}); err != nil {
			t.Fatal(err)
		}
		if newer == "" || stored() != newer {
			t.Errorf("%s was replaced by %s", newer, stored())
		}
	})
}
