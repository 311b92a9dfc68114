package auth

import (
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// A revocation that is worked on late deletes what was there when WeChat sent it,
// and not what the person has agreed to since.
func TestALateRevocation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		consent *ConsentInput // given with the new nickname
		after   time.Duration // the revocation
		undated bool          // WeChat did not say when it was
		stays   bool
	}{
		{"the same consent again", consentTo(ScopeNickname), 5 * time.Minute, false, true},
		{"another consent", &ConsentInput{[]ConsentScope{ScopeNickname}, "another purpose", "v2"}, 5 * time.Minute, false, true},
		{"no consent", nil, 5 * time.Minute, false, false},
		{"a consent to something else", consentTo(ScopeGender), 5 * time.Minute, false, false},
		{"within what clocks may differ", consentTo(ScopeNickname), time.Minute, false, false},
		{"without a time", consentTo(ScopeNickname), 5 * time.Minute, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onEachDriver(t, func(t *testing.T, w *world) {
				c := w.replica(t)
				token := c.mustLogin(t, "ming~1").Tokens.AccessToken
				c.update(t, token, UpdateProfileInput{Nickname: set("old"), Avatar: set(upload(testPicture(t, 1))), Consent: consentTo(ScopeNickname, ScopeAvatar)})
				w.clock.add(time.Minute)
				push := Push{Event: PushRevoked, OpenID: testApp + "-ming", Revoked: []int{6}, ID: "1"}
				if !test.undated {
					push.At = c.now()
				}
				if err := c.takeLater(t, push); err != nil {
					t.Fatal(err)
				}
				w.clock.add(test.after)
				c.update(t, token, UpdateProfileInput{Nickname: set("new"), Consent: test.consent})
				c.runJobs(t)
				me, err := c.Me(t.Context(), token)
				if err != nil || (me.Nickname != nil) != test.stays || me.Avatar != nil {
					t.Errorf("nickname %v, avatar %v, %v", me.Nickname, me.Avatar, err)
				}
				for _, consent := range c.consents(t, token) {
					if stays := consent.Scope == ScopeGender || consent.Scope == ScopeNickname && test.stays; stays != (consent.WithdrawnAt == nil) {
						t.Errorf("%+v", consent)
					}
				}
			})
		})
	}
}

// takeLater files the job of a push.
func (c *Core) takeLater(t testing.TB, p Push) error {
	t.Helper()
	p.AppID = testApp
	text := encode(pushForm(p))
	return c.store.Commit(t.Context(), newJob(jobPush, c.now(), sealedPush{c.seals.seal(pushPlace, string(text))}))
}

// Who closes their WeChat account is signed out everywhere, also of an account that
// is another person's too; the other stays signed in.
func TestAClosedWeChatAccountHasNoSessions(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{testApp, "wxtwo"}
		c := w.replica(t)
		c.mustLoginTo(t, testApp, "hong~1")
		ming := c.mustLoginTo(t, testApp, "ming~1")
		c.mustMerge(t, ming.Tokens.AccessToken, "hong~2")
		c.runJobs(t)
		hong, old, other := c.mustLoginTo(t, testApp, "hong~3"), c.mustLoginTo(t, testApp, "hong~4"), c.mustLoginTo(t, "wxtwo", "hong~5")
		if hong.User.ID != ming.User.ID || other.User.ID == ming.User.ID {
			t.Fatal("not merged as it should be")
		}
		// A session of an older version knows its app alone, which ming is in too.
		for _, r := range w.records(t, kindSessions) {
			if session, _ := decode[sessionRecord](r); r.Key.ID == ming.User.ID+"."+old.User.sid {
				session.Person = ""
				w.put(t, r, session)
			}
		}
		// A crash after the sessions and before the rest: the job runs again.
		faulty := &faultyStore{dead: true}
		w.wrapStore = func(s drivers.Store) drivers.Store { faulty.Store = s; return faulty }
		closed := Push{Event: PushCancelled, AppID: testApp, OpenID: testApp + "-hong", At: c.now(), ID: "1"}
		for nth := 1; ; nth++ {
			faulty.nth, faulty.calls = nth, 0
			err := w.replica(t).pushCancelled(t.Context(), closed)
			if faulty.calls < nth {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
		}
		_, err := c.Me(t.Context(), hong.Tokens.AccessToken)
		mustBe(t, err, ErrUnauthenticated)
		_, err = c.RefreshSession(t.Context(), RefreshSessionInput{hong.Tokens.RefreshToken})
		mustBe(t, err, ErrUnauthenticated)
		for _, p := range []*LoginPayload{ming, old, other} {
			if _, err := c.Me(t.Context(), p.Tokens.AccessToken); err != nil {
				t.Errorf("one who stays is signed out: %v", err)
			}
		}
		if n := len(w.records(t, kindSessions)); n != 3 {
			t.Errorf("%d sessions", n)
		}
	})
}
