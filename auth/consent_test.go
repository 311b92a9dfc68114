package auth

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func consentTo(scopes ...ConsentScope) *ConsentInput {
	return &ConsentInput{Scopes: scopes, Purpose: "to greet you", PolicyVersion: "v1"}
}

// mustLackConsent fails unless err says that a consent to field is missing.
func mustLackConsent(t testing.TB, err error, field string) {
	t.Helper()
	var at *FieldError
	if !errors.Is(err, ErrConsentRequired) || !errors.As(err, &at) || at.Field != field {
		t.Fatalf("got error %v, want that a consent to %s is missing", err, field)
	}
}

func (c *Core) consents(t testing.TB, token string) []*Consent {
	t.Helper()
	me, err := c.Me(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Consents(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestConsentIsDemanded(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.RequireConsent = true }
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		w.wechat.openData = map[string]OpenData{"data": {Nickname: "n", Gender: 1, At: c.now()}}

		_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set("n")})
		mustLackConsent(t, err, "nickname")
		_, err = c.UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		mustLackConsent(t, err, "avatar")
		_, err = c.BindPhoneNumber(t.Context(), token, byCode("phone~1~1"))
		mustLackConsent(t, err, "phone")
		_, err = c.ImportWeChatProfile(t.Context(), token, ImportWeChatProfileInput{EncryptedData: ptr("data"), IV: ptr("iv")})
		mustLackConsent(t, err, "nickname")
		if len(w.blobs(t)) != 0 || len(w.wechat.sent) > 1 || len(w.records(t, kindConsents)) != 0 {
			t.Error("something happened without a consent")
		}
		// To clear needs none.
		c.update(t, token, UpdateProfileInput{Nickname: cleared[string](), Avatar: cleared[Upload]()})

		// With the data, ...
		u := c.update(t, token, UpdateProfileInput{Nickname: set("小明"), Consent: consentTo(ScopeNickname)})
		if u.Nickname == nil {
			t.Error("not set")
		}
		// ... which holds for the next time, but not for another scope.
		c.update(t, token, UpdateProfileInput{Nickname: set("大明")})
		_, err = c.UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set("n"), Gender: set(GenderMale)})
		mustLackConsent(t, err, "gender")
		// By itself.
		if _, err := c.RecordConsent(t.Context(), token, RecordConsentInput{*consentTo(ScopeGender, ScopePhone, ScopeGender)}); err != nil {
			t.Fatal(err)
		}
		c.update(t, token, UpdateProfileInput{Gender: set(GenderMale)})
		c.bind(t, token, byCode("phone~1~1"))
		if n := len(c.consents(t, token)); n != 3 {
			t.Errorf("%d consents", n)
		}
		_, err = c.WithdrawConsent(t.Context(), token, WithdrawConsentInput{[]ConsentScope{ScopeGender}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.UpdateProfile(t.Context(), token, UpdateProfileInput{Gender: set(GenderMale)})
		mustLackConsent(t, err, "gender")
	})
}

func TestWithdrawingDeletesWhatWasCovered(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		region := Region{City: ptr("深圳")}
		c.update(t, token, UpdateProfileInput{
			Nickname: set("小明"), Avatar: set(upload(testPicture(t, 1))), Gender: set(GenderMale), Birthday: set("2001-02-03"),
			Region: set(region), Preferences: set(json.RawMessage(`{"a":1}`)), Consent: consentTo(scopes...),
		})
		c.bind(t, token, byCode("phone~13800138000~1"))
		w.clock.add(time.Second)
		p, err := c.WithdrawConsent(t.Context(), token, WithdrawConsentInput{[]ConsentScope{ScopeAvatar, ScopePhone}})
		if err != nil {
			t.Fatal(err)
		}
		if u := p.User; u.Avatar != nil || u.Phone != nil || u.Nickname == nil {
			t.Errorf("the user is %+v", u)
		}
		c.runJobs(t)
		if len(w.blobs(t)) != 0 || len(w.records(t, kindPhones)) != 0 {
			t.Errorf("left: %v, %v", w.blobs(t), w.records(t, kindPhones))
		}
		for _, consent := range c.consents(t, token) {
			taken := consent.Scope == ScopeAvatar || consent.Scope == ScopePhone
			if taken != (consent.WithdrawnAt != nil) || consent.Purpose != "to greet you" || consent.PolicyVersion != "v1" {
				t.Errorf("%+v", consent)
			}
		}
		w.clock.add(time.Second)
		// All of it, in one commit; again is no error, and writes nothing.
		w.clock.add(time.Second)
		for range 2 {
			if p, err = c.WithdrawConsent(t.Context(), token, WithdrawConsentInput{scopes}); err != nil {
				t.Fatal(err)
			}
		}
		if u := p.User; u.Nickname != nil || u.Gender != nil || u.Birthday != nil || u.Region != nil || string(u.Preferences) != "{}" {
			t.Errorf("the user is %+v", u)
		}
		audit, err := c.Audit(t.Context(), p.User)
		if err != nil || audit[0].Event != ConsentWithdrawn || !slices.Contains(audit[0].Fields, "nickname") || slices.Contains(audit[0].Fields, "phone") {
			t.Errorf("the audit begins with %+v, %v", audit[0], err)
		}
		// Granted anew.
		c.update(t, token, UpdateProfileInput{Nickname: set("again"), Consent: &ConsentInput{Scopes: scopes, Purpose: "p", PolicyVersion: "v2"}})
		for _, consent := range c.consents(t, token) {
			if consent.WithdrawnAt != nil || consent.PolicyVersion != "v2" {
				t.Errorf("%+v", consent)
			}
		}
	})
}

func TestConsentInput(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		for name, in := range map[string]ConsentInput{
			"no scope":   {Purpose: "p", PolicyVersion: "1"},
			"no purpose": {Scopes: scopes, PolicyVersion: "1"},
			"no version": {Scopes: scopes, Purpose: "p"},
			"unknown":    {Scopes: []ConsentScope{"SHOE_SIZE"}, Purpose: "p", PolicyVersion: "1"},
		} {
			if _, err := c.RecordConsent(t.Context(), token, RecordConsentInput{in}); err == nil {
				t.Errorf("%s: accepted", name)
			} else {
				mustBeInvalid(t, err, "consent")
			}
		}
		_, err := c.WithdrawConsent(t.Context(), token, WithdrawConsentInput{})
		mustBeInvalid(t, err, "scopes")
	})
}

// An update that counts on a consent loses against a withdrawal that was faster.
func TestWithdrawalWinsOverAnUpdateUnderWay(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.RequireConsent = true }
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		if _, err := c.RecordConsent(t.Context(), token, RecordConsentInput{*consentTo(ScopeAvatar)}); err != nil {
			t.Fatal(err)
		}
		// While the picture is being stored, the user withdraws.
		w.wrapObjects = slowPut(func() {
			if _, err := c.WithdrawConsent(t.Context(), token, WithdrawConsentInput{[]ConsentScope{ScopeAvatar}}); err != nil {
				t.Error(err)
			}
		})
		_, err := w.replica(t).UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		mustLackConsent(t, err, "avatar")
	})
}

// A consent that meets an erasure or a merge comes to nobody, or to the account that
// stays; none is left with an account that is no more.
func TestAConsentDuringAnErasureOrAMerge(t *testing.T) {
	t.Parallel()
	for _, merge := range []bool{false, true} {
		onEachDriver(t, func(t *testing.T, w *world) {
			plain := w.replica(t)
			keep, gone := plain.mustLogin(t, "ming~1"), plain.mustLogin(t, "hong~1")
			var once sync.Once
			w.wrapStore = func(s drivers.Store) drivers.Store {
				return commitHook{s, func(ops []drivers.Op) {
					if ops[0].Key.Kind != kindConsents {
						return
					}
					once.Do(func() {
						if merge {
							plain.mustMerge(t, keep.Tokens.AccessToken, "hong~2")
						} else {
							plain.mustDelete(t, gone.Tokens.AccessToken, "hong~2")
						}
						plain.runJobs(t)
					})
				}}
			}
			_, err := w.replica(t).RecordConsent(t.Context(), gone.Tokens.AccessToken, RecordConsentInput{*consentTo(ScopeNickname)})
			mustBe(t, err, ErrUnauthenticated)
			plain.runJobs(t)
			if left := w.records(t, kindConsents); len(left) != 0 {
				t.Errorf("left is %v", left)
			}
		})
	}
}
