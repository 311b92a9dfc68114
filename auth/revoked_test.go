package auth

import (
	"testing"
	"time"
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
