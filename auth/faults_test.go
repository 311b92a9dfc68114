package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
	"testing"

	"github.com/miniprofile/miniprofile/drivers"
)

// faultyStore fails its nth call, before or after the effect.
type faultyStore struct {
	drivers.Store
	nth   int
	after bool
	dead  bool   // every call after the nth fails too, without an effect
	dies  func() // when set, called when the nth has failed
	calls int
}

var errFault = errors.New("the store is on fire")

func (s *faultyStore) fails() bool {
	s.calls++
	return s.calls == s.nth || s.dead && s.calls > s.nth
}

// fault is the error of a call that fails.
func (s *faultyStore) fault() error {
	if s.dies != nil && s.calls == s.nth {
		s.dies()
	}
	return errFault
}

func (s *faultyStore) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if s.fails() {
		return nil, s.fault()
	}
	return s.Store.Get(ctx, keys...)
}

func (s *faultyStore) Commit(ctx context.Context, ops ...drivers.Op) error {
	if !s.fails() {
		return s.Store.Commit(ctx, ops...)
	}
	if s.after && s.calls == s.nth {
		s.Store.Commit(ctx, ops...)
	}
	return s.fault()
}

func (s *faultyStore) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	if s.fails() {
		err := s.fault()
		return func(yield func(drivers.Record, error) bool) { yield(drivers.Record{}, err) }
	}
	return s.Store.Scan(ctx, kind, prefix, after)
}

// TestEveryStoreCallMayFail fails each call of each operation in turn, before
// and after its effect. The error is always ErrUpstream and shows no secret; the
// invariants hold; and when the client repeats the operation, it gets what it wanted.
func TestEveryStoreCallMayFail(t *testing.T) {
	t.Parallel()
	for name, operation := range map[string]func(ctx context.Context, c *Core, p *LoginPayload) error{
		"login": func(ctx context.Context, c *Core, _ *LoginPayload) error {
			_, err := c.Login(ctx, LoginInput{Code: "ming~again", RequestID: ptr("request-1")})
			return err
		},
		"refresh": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.RefreshSession(ctx, RefreshSessionInput{p.Tokens.RefreshToken})
			return err
		},
		"me": func(ctx context.Context, c *Core, p *LoginPayload) error {
			me, err := c.Me(ctx, p.Tokens.AccessToken)
			if err == nil {
				_, err = c.Sessions(ctx, me)
			}
			if err == nil {
				_, err = c.Audit(ctx, me)
			}
			return err
		},
		"update": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Nickname: set("new")})
			return err
		},
		"picture": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Avatar: set(upload(testPicture(t, 9)))})
			return err
		},
		"phone": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.BindPhoneNumber(ctx, p.Tokens.AccessToken, byCode("phone~13800138000~1"))
			var burnt *InvalidError
			if errors.As(err, &burnt) && burnt.Field == "code" {
				return ErrCodeRejected // the user taps again
			}
			return err
		},
		"consent": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.RecordConsent(ctx, p.Tokens.AccessToken, RecordConsentInput{*consentTo(scopes...)})
			if err == nil {
				_, err = c.WithdrawConsent(ctx, p.Tokens.AccessToken, WithdrawConsentInput{scopes})
			}
			return err
		},
		"session key": func(ctx context.Context, c *Core, p *LoginPayload) error {
			good, err := c.CheckSessionKey(ctx, p.Tokens.AccessToken, true)
			if err == nil && !good {
				return errors.New("a good key is said to be stale")
			}
			return err
		},
		"export": func(ctx context.Context, c *Core, p *LoginPayload) error {
			me, err := c.Me(ctx, p.Tokens.AccessToken)
			if err == nil {
				_, err = c.Export(ctx, me)
			}
			return err
		},
		"push": func(ctx context.Context, c *Core, _ *LoginPayload) error {
			body := encode(pushForm{Event: PushRevoked, OpenID: testApp + "-ming", Revoked: []int{6}, At: c.now(), ID: "1"})
			return c.Push(ctx, testApp, url.Values{"signature": {"good"}}, body)
		},
		"logout": func(ctx context.Context, c *Core, p *LoginPayload) error {
			_, err := c.Logout(ctx, p.Tokens.AccessToken, LogoutInput{Everywhere: true})
			return err
		},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %v", name, after), func(t *testing.T) {
				t.Parallel()
				for nth := 1; ; nth++ {
					w := newWorld()
					p := w.replica(t).mustLogin(t, "ming~1")
					faulty := &faultyStore{nth: nth, after: after}
					w.wrapStore = func(s drivers.Store) drivers.Store { faulty.Store = s; return faulty }
					err := operation(t.Context(), w.replica(t), p)
					w.wrapStore = nil
					if faulty.calls < nth {
						if err != nil {
							t.Fatalf("without a fault: %v", err)
						}
						return
					}
					if err != nil {
						mustBe(t, err, ErrUpstream)
						for _, secret := range []string{"ming~", p.Tokens.AccessToken, p.Tokens.RefreshToken, "c2Vzc2lvbi1rZXk", resetKey, "secret-token", "13800138000", w.secrets[0]} {
							if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
								t.Errorf("call %d: the error shows a secret: %v", nth, err)
							}
						}
					}
					w.clock.add(tokenLease) // the longest that one who is gone holds others up
					again := operation(t.Context(), w.replica(t), p)
					// What may be over for good is only what the client can begin anew.
					if again != nil && !errors.Is(again, ErrCodeRejected) && !(name == "logout" && errors.Is(again, ErrUnauthenticated)) {
						t.Errorf("call %d: repeated: %v", nth, again)
					}
					if w.wechat.mostSent() > 1 {
						t.Errorf("call %d: a code was sent twice", nth)
					}
					if n := len(w.records(t, kindUsers)); n != 1 {
						t.Errorf("call %d: %d users", nth, n)
					}
					w.clock.add(pictureLease)
					c := w.replica(t)
					c.runJobs(t)
					user, _ := decode[userRecord](w.records(t, kindUsers)[0])
					if n := len(w.blobs(t)); n != 0 && user.Avatar == nil || n != 2 && user.Avatar != nil {
						t.Errorf("call %d: blobs %v, avatar %v", nth, w.blobs(t), user.Avatar)
					}
				}
			})
		}
	}
}
