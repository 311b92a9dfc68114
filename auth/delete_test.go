package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func (c *Core) mustDelete(t testing.TB, token, code string) time.Time {
	t.Helper()
	p, err := c.DeleteAccount(t.Context(), token, DeleteAccountInput{code})
	if err != nil {
		t.Fatalf("delete account: %v", err)
	}
	return p.ErasedAt
}

// mustHoldNothingOf fails if anything in the store or the objects could lead to a
// person: only the audit is left, without sessions, and what expires by itself.
func (w *world) mustHoldNothingOf(t testing.TB, uid string, words ...string) {
	t.Helper()
	for _, kind := range []string{kindUsers, kindIdentities, kindUnions, kindSessions, kindConsents, kindPhones, kindJobs, kindDeadJobs, kindAudit, kindChecks} {
		for _, r := range w.records(t, kind) {
			text := r.Key.ID + " " + string(r.Data)
			if kind != kindAudit && strings.Contains(text, uid) {
				t.Errorf("%v names the account: %s", r.Key, r.Data)
			}
			if kind == kindAudit && strings.Contains(text, uid) && strings.Contains(text, `"session"`) {
				t.Errorf("the audit names a session: %s", r.Data)
			}
			for _, word := range words {
				if strings.Contains(text, word) {
					t.Errorf("%v holds %q", r.Key, word)
				}
			}
		}
	}
	if blobs := w.blobs(t); len(blobs) > 0 {
		t.Errorf("pictures are left: %v", blobs)
	}
}

func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.DeletedAuditLife = time.Hour }
		c := w.replica(t)
		p := w.full(t, c, "ming+m", "13800138000")
		second := c.mustLogin(t, "ming+m~2")
		_, err := c.DeleteAccount(t.Context(), p.Tokens.AccessToken, DeleteAccountInput{"hong~1"})
		mustBeInvalid(t, err, "code")
		_, err = c.DeleteAccount(t.Context(), p.Tokens.AccessToken, DeleteAccountInput{"ming+m~2"})
		mustBe(t, err, ErrCodeRejected) // used for a login
		_, err = c.DeleteAccount(t.Context(), "", DeleteAccountInput{"ming+m~3"})
		mustBe(t, err, ErrUnauthenticated)
		if at := c.mustDelete(t, p.Tokens.AccessToken, "ming+m~4"); !at.Equal(c.now()) {
			t.Errorf("erased at %v", at)
		}
		// Dead at once, on every replica, before any job has run.
		for _, tokens := range []Tokens{p.Tokens, second.Tokens} {
			_, err := w.replica(t).Me(t.Context(), tokens.AccessToken)
			if mustBe(t, err, ErrUnauthenticated); errors.Is(err, ErrDeletionPending) {
				t.Errorf("no login restores it, but: %v", err)
			}
			_, err = w.replica(t).RefreshSession(t.Context(), RefreshSessionInput{tokens.RefreshToken})
			mustBe(t, err, ErrUnauthenticated)
		}
		_, err = c.Login(t.Context(), LoginInput{Code: "ming+m~2", RequestID: ptr("x")})
		mustBe(t, err, ErrCodeRejected)
		// Who logs in before the job has run is new, and the job leaves them alone.
		next := c.mustLogin(t, "ming+m~5")
		if !next.Created || next.User.ID == p.User.ID || next.User.Phone != nil {
			t.Errorf("the next user is %+v", next.User)
		}
		c.runJobs(t)
		c.runJobs(t)
		w.mustHoldNothingOf(t, p.User.ID, "nick of", "13800138000", "2001-02-03")
		if _, err := c.Me(t.Context(), next.Tokens.AccessToken); err != nil {
			t.Errorf("the next user: %v", err)
		}
		if again := c.mustLogin(t, "ming+m~6"); again.User.ID != next.User.ID || len(w.records(t, kindUnions)) != 1 {
			t.Error("the identity was not freed for the next user")
		}
		// The audit stays for an hour.
		n := 0
		for _, r := range w.records(t, kindAudit) {
			if strings.HasPrefix(r.Key.ID, p.User.ID) {
				n++
				if r.Expires.After(c.now().Add(time.Hour)) {
					t.Errorf("the audit is kept until %v", r.Expires)
				}
			}
		}
		if n < 4 {
			t.Errorf("%d entries of the audit", n)
		}
	})
}

func TestADeletedAccountCanBeRestored(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.DeletionDelay = 24 * time.Hour }
		c := w.replica(t)
		p := w.full(t, c, "ming+m", "13800138000")
		w.clock.add(time.Second)
		c.mustDelete(t, p.Tokens.AccessToken, "ming+m~2")
		c.runJobs(t)
		// Its clients are told not to log in by themselves; nobody else is told anything.
		_, err := c.Me(t.Context(), p.Tokens.AccessToken)
		mustBe(t, err, ErrUnauthenticated)
		mustBe(t, err, ErrDeletionPending)
		_, err = c.RefreshSession(t.Context(), RefreshSessionInput{p.Tokens.RefreshToken})
		mustBe(t, err, ErrUnauthenticated)
		mustBe(t, err, ErrDeletionPending)
		_, err = c.RefreshSession(t.Context(), RefreshSessionInput{p.Tokens.RefreshToken + "x"})
		if mustBe(t, err, ErrUnauthenticated); errors.Is(err, ErrDeletionPending) {
			t.Errorf("without a good token: %v", err)
		}
		w.clock.add(23 * time.Hour)
		back := c.mustLogin(t, "ming+m~3")
		if back.Created || back.User.ID != p.User.ID || back.User.Phone == nil || *back.User.Nickname != "nick of ming+m" {
			t.Errorf("came back as %+v", back.User)
		}
		// A session that was dead stays dead.
		_, err = c.RefreshSession(t.Context(), RefreshSessionInput{p.Tokens.RefreshToken})
		if mustBe(t, err, ErrUnauthenticated); errors.Is(err, ErrDeletionPending) {
			t.Errorf("of an account that was restored: %v", err)
		}
		if sessions, err := c.Sessions(t.Context(), back.User); err != nil || len(sessions) != 1 {
			t.Errorf("%d sessions, %v", len(sessions), err)
		}
		// The job of the deletion that was taken back does nothing.
		w.clock.add(2 * time.Hour)
		c.runJobs(t)
		back = c.mustLogin(t, "ming+m~4")
		if back.User.ID != p.User.ID {
			t.Error("the job has deleted a restored account")
		}
		c.mustDelete(t, back.Tokens.AccessToken, "ming+m~5")
		w.clock.add(24 * time.Hour)
		_, err = c.RefreshSession(t.Context(), RefreshSessionInput{back.Tokens.RefreshToken})
		if mustBe(t, err, ErrUnauthenticated); errors.Is(err, ErrDeletionPending) {
			t.Errorf("no login restores it any more, but: %v", err)
		}
		if next := c.mustLogin(t, "ming+m~6"); !next.Created {
			t.Error("restored too late")
		}
		c.runJobs(t)
		c.runJobs(t)
		w.mustHoldNothingOf(t, p.User.ID, "nick of", "13800138000")
		for _, r := range w.records(t, kindAudit) {
			if strings.HasPrefix(r.Key.ID, p.User.ID) {
				t.Errorf("the audit is kept: %s", r.Data)
			}
		}
	})
}

// Many who restore at once, with the deletion in between, come to one account.
func TestManyRestoreAtOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.DeletionDelay = time.Hour }
		c := w.replica(t)
		p := c.mustLogin(t, "ming~1")
		w.clock.add(time.Second)
		c.mustDelete(t, p.Tokens.AccessToken, "ming~2")
		w.clock.add(time.Second)
		var wg sync.WaitGroup
		tokens := make([]string, 16)
		for i := range tokens {
			replica := w.replica(t)
			wg.Go(func() {
				got, err := replica.Login(t.Context(), LoginInput{Code: fmt.Sprintf("ming~r%d", i)})
				if err != nil || got.User.ID != p.User.ID {
					t.Errorf("%v, %v", got, err)
					return
				}
				tokens[i] = got.Tokens.AccessToken
			})
		}
		wg.Wait()
		for _, token := range tokens {
			if _, err := c.Me(t.Context(), token); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestExport(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		p := w.full(t, c, "ming+m", "13800138000")
		me, err := c.Me(t.Context(), p.Tokens.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		text, err := c.Export(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			me.ID, "nick of ming+m", "13800138000", "2001-02-03", me.Avatar.URL(AvatarSmall), me.Avatar.URL(AvatarLarge),
			testApp + "-ming", `"unionid":"m"`, "to greet you", "PHONE_BOUND", `"sessions":[{`, `"preferences":{}`,
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("lacks %s: %s", want, text)
			}
		}
		// Every text that is stored under the user, or its owner, is in it, but secrets.
		for _, kind := range []string{kindUsers, kindIdentities, kindConsents, kindAudit, kindSessions} {
			for _, r := range w.records(t, kind) {
				var fields map[string]any
				if json.Unmarshal(r.Data, &fields) != nil {
					t.Fatal("no JSON")
				}
				for name, value := range fields {
					s, ok := value.(string)
					if !ok || name == "sessionKey" || name == "key" || name == "person" || strings.HasSuffix(s, "Z") {
						continue
					}
					if quoted, _ := json.Marshal(s); !strings.Contains(string(text), string(quoted)) {
						t.Errorf("lacks %s of %v", name, r.Key)
					}
				}
			}
		}
		for _, r := range append(w.records(t, kindIdentities), w.records(t, kindSessions)...) {
			var secret struct{ SessionKey, Key string }
			json.Unmarshal(r.Data, &secret)
			if s := secret.SessionKey + secret.Key; s == "" || strings.Contains(string(text), s) {
				t.Errorf("has a secret of %v", r.Key)
			}
		}
	})
}

// TestKillsBetweenAnySteps kills the process between any two calls of the store
// in a deletion and in a merge, and in the jobs that finish them. What comes
// after, on another replica, ends as if nothing had happened; on files, that one
// finds what was on the disk at that moment.
func TestKillsBetweenAnySteps(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		act  func(t *testing.T, c *Core, a, b *LoginPayload) error
		ends func(t *testing.T, w *world, c *Core, a, b *LoginPayload, acted bool)
	}{
		"delete": {
			func(t *testing.T, c *Core, a, _ *LoginPayload) error {
				_, err := c.DeleteAccount(t.Context(), a.Tokens.AccessToken, DeleteAccountInput{"ming+m~2"})
				return err
			},
			func(t *testing.T, w *world, c *Core, a, b *LoginPayload, acted bool) {
				if _, err := c.Me(t.Context(), a.Tokens.AccessToken); err == nil {
					if acted {
						t.Error("an acknowledged deletion did not happen")
					}
					c.mustDelete(t, a.Tokens.AccessToken, "ming+m~3")
				}
				for range 3 {
					c.runJobs(t)
				}
				w.mustHoldNothingOf(t, a.User.ID, "nick of ming", "13800138000")
				if next := c.mustLogin(t, "ming+m~4"); !next.Created {
					t.Error("the person is not free to come again")
				}
			},
		},
		"merge": {
			func(t *testing.T, c *Core, a, _ *LoginPayload) error {
				_, err := c.MergeAccount(t.Context(), a.Tokens.AccessToken, MergeAccountInput{Code: "hong+h~2"})
				return err
			},
			func(t *testing.T, w *world, c *Core, a, b *LoginPayload, acted bool) {
				if _, err := c.Me(t.Context(), b.Tokens.AccessToken); err == nil {
					if acted {
						t.Error("an acknowledged merge did not happen")
					}
					if _, err := c.MergeAccount(t.Context(), a.Tokens.AccessToken, MergeAccountInput{Code: "hong+h~3"}); err != nil {
						t.Fatal(err)
					}
				}
				// Before and after the job: both persons are the one account.
				for i := range 3 {
					for _, person := range []string{"ming+m", "hong+h"} {
						p := c.mustLogin(t, fmt.Sprintf("%s~end%d", person, i))
						if p.User.ID != a.User.ID || p.Created || len(p.User.Identities) != 2 || *p.User.Nickname != "nick of ming+m" || p.User.Region == nil || p.User.Phone == nil {
							t.Fatalf("%s is %+v", person, p.User)
						}
					}
					c.runJobs(t)
				}
				w.clock.add(time.Hour) // the pictures that were replaced
				c.runJobs(t)
				if n := len(w.records(t, kindUsers)); n != 1 {
					t.Errorf("%d users", n)
				}
				w.mustAgreeOnPhones(t, 1)
				if len(w.blobs(t)) != 2 || len(w.records(t, kindJobs)) != 0 {
					t.Errorf("blobs %v, jobs %v", w.blobs(t), w.records(t, kindJobs))
				}
				for _, kind := range []string{kindIdentities, kindUnions, kindSessions, kindConsents, kindAudit} {
					for _, r := range w.records(t, kind) {
						if strings.Contains(r.Key.ID+string(r.Data), b.User.ID) {
							t.Errorf("%v names the account that is no more", r.Key)
						}
					}
				}
			},
		},
	} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, after %v", name, after), func(t *testing.T) {
				t.Parallel()
				onEachDriver(t, func(t *testing.T, before *world) {
					c := before.replica(t)
					a := before.full(t, c, "ming+m", "13800138000")
					b := c.mustLogin(t, "hong+h~1")
					other := UpdateProfileInput{Nickname: set("other"), Region: set(Region{City: ptr("深圳")}), Consent: consentTo(ScopeRegion)}
					if name == "merge" {
						other.Avatar = set(upload(testPicture(t, 2)))
					}
					c.update(t, b.Tokens.AccessToken, other)
					before.clock.add(time.Second)
					nth := 0
					for killed := true; killed && !t.Failed(); {
						nth++
						t.Run(fmt.Sprint("call ", nth), func(t *testing.T) {
							w := before.again(t)
							dying := &faultyStore{nth: nth, after: after, dead: true, dies: func() { w.killed(t) }}
							w.wrapStore = func(s drivers.Store) drivers.Store { dying.Store = s; return dying }
							victim := w.replica(t)
							err := test.act(t, victim, a, b)
							if err != nil && !errors.Is(err, ErrUpstream) {
								t.Fatal(err)
							}
							for range 2 {
								victim.RunDueJobs(t.Context(), nil)
							}
							w.wrapStore = nil
							w.clock.add(2 * jobLease) // what the dead one had leased
							test.ends(t, w, w.replica(t), a, b, err == nil)
							killed = dying.calls >= nth
						})
					}
					if nth < 15 {
						t.Errorf("only %d calls", nth)
					}
				})
			})
		}
	}
}

// A session that a deletion has ended stays dead when the account is restored,
// whatever the clocks of the replicas say, and whichever version began the deletion.
func TestARestoredAccountHasNoOldSessions(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) { config.DeletionDelay = 24 * time.Hour }
		c := w.replica(t)
		w.configure = func(config *Config) {
			config.DeletionDelay = 24 * time.Hour
			config.Now = func() time.Time { return w.clock.now().Add(5 * time.Second) }
		}
		ahead := w.replica(t)
		p := c.mustLogin(t, "ming~1")
		thief := ahead.mustLogin(t, "ming~2") // begins after the deletion, by its own clock
		w.clock.add(time.Second)
		c.mustDelete(t, p.Tokens.AccessToken, "ming~3")
		for round := range 2 {
			back := c.mustLogin(t, fmt.Sprintf("ming~back%d", round))
			if back.User.ID != p.User.ID {
				t.Fatal("not restored")
			}
			for _, replica := range []*Core{c, ahead, w.replica(t)} {
				for _, tokens := range []Tokens{p.Tokens, thief.Tokens} {
					_, err := replica.Me(t.Context(), tokens.AccessToken)
					mustBe(t, err, ErrUnauthenticated)
					_, err = replica.RefreshSession(t.Context(), RefreshSessionInput{tokens.RefreshToken})
					mustBe(t, err, ErrUnauthenticated)
				}
				if _, err := replica.Me(t.Context(), back.Tokens.AccessToken); err != nil {
					t.Error(err)
				}
			}
			if list, err := c.Sessions(t.Context(), back.User); err != nil || len(list) != 1 {
				t.Errorf("%d sessions, %v", len(list), err)
			}
			if text, err := c.Export(t.Context(), back.User); err != nil || strings.Contains(string(text), `"sessions":[{`) && strings.Count(string(text), `"expiresAt"`) != 1 {
				t.Errorf("exported %s, %v", text, err)
			}
			_, err := c.Logout(t.Context(), back.Tokens.AccessToken, LogoutInput{SessionID: &thief.User.sid})
			mustBeInvalid(t, err, "sessionId")
			// Once more, as a version would that knows of no epochs.
			record := w.records(t, kindUsers)[0]
			user, _ := decode[userRecord](record)
			user.Deletion = &deletionRecord{At: c.now(), Due: c.now().Add(time.Hour)}
			w.put(t, record, user)
			thief = back
		}
	})
}

// A login under way, or one that is repeated, gives no session of an account that
// was deleted and restored meanwhile.
func TestALoginOfBeforeIsNotRepeatedAfterARestoration(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.configure = func(config *Config) { config.DeletionDelay = time.Hour }
	c := w.replica(t)
	in := LoginInput{Code: "ming~1", RequestID: ptr("request-1")}
	p, err := c.Login(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	c.mustDelete(t, p.Tokens.AccessToken, "ming~2")
	c.mustLogin(t, "ming~3")
	_, err = c.Login(t.Context(), in)
	mustBe(t, err, ErrCodeRejected)
}

// commitHook watches commits before they happen.
type commitHook struct {
	drivers.Store
	before func(ops []drivers.Op)
}

func (h commitHook) Commit(ctx context.Context, ops ...drivers.Op) error {
	h.before(ops)
	return h.Store.Commit(ctx, ops...)
}

// mustBeOneAccount fails unless a login that came while an account was being erased
// made a new user with a living session, whom later logins find.
func (w *world) mustBeOneAccount(t *testing.T, c *Core, old, new *LoginPayload, code string) {
	t.Helper()
	if new.User.ID == old.User.ID || !new.Created {
		t.Error("an account that was being erased was restored")
	}
	if _, err := c.Me(t.Context(), new.Tokens.AccessToken); err != nil {
		t.Errorf("an acknowledged session: %v", err)
	}
	if again := c.mustLogin(t, code); again.User.ID != new.User.ID {
		t.Error("the next login made a second user")
	}
	c.runJobs(t)
	if users, identities := len(w.records(t, kindUsers)), len(w.records(t, kindIdentities)); users != 1 || identities != 1 {
		t.Errorf("%d users, %d identities", users, identities)
	}
	w.mustHoldNothingOf(t, old.User.ID, "13800138000", "2001-02-03")
}

// Where nothing can be restored no clock is asked: a login on a replica that is
// behind comes to a new user, also in the midst of the erasure.
func TestALoginDuringAnErasure(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.configure = func(config *Config) {
			config.Now = func() time.Time { return w.clock.now().Add(-time.Second) }
		}
		behind := w.replica(t)
		w.configure = nil
		var once sync.Once
		var got *LoginPayload
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			return deleteHook{o, func(next func() error) error {
				once.Do(func() { got = behind.mustLogin(t, "ming+m~2") })
				return next()
			}}
		}
		c := w.replica(t)
		p := w.full(t, c, "ming+m", "13800138000")
		w.clock.add(time.Minute)
		c.mustDelete(t, p.Tokens.AccessToken, "ming+m~1")
		user, err := decode[userRecord](w.records(t, kindUsers)[0])
		if err != nil || user.Nickname != nil || user.Birthday != nil {
			t.Errorf("the deletion left %+v, %v", user, err)
		}
		c.runJobs(t)
		w.mustBeOneAccount(t, c, p, got, "ming+m~3")
	})
}

// A login that has read the account while it could be restored, and commits when
// its erasure has begun, restores nothing.
func TestALoginThatIsTooLateForARestoration(t *testing.T) {
	t.Parallel()
	for _, union := range []string{"", "+m"} {
		t.Run("ming"+union, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.configure = func(config *Config) { config.DeletionDelay = 24 * time.Hour }
			c := w.replica(t)
			p := w.full(t, c, "ming"+union, "13800138000")
			c.mustDelete(t, p.Tokens.AccessToken, "ming"+union+"~1")
			w.clock.add(24*time.Hour - time.Millisecond)
			ready, erasing, entered := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var once, second sync.Once
			w.wrapStore = func(s drivers.Store) drivers.Store {
				return commitHook{s, func(ops []drivers.Op) {
					for _, op := range ops {
						if op.Key.Kind == kindSessions {
							once.Do(func() { close(ready); <-erasing })
						}
					}
				}}
			}
			slow := w.replica(t)
			w.wrapStore = nil
			w.wrapObjects = func(o drivers.Objects) drivers.Objects {
				return deleteHook{o, func(next func() error) error {
					second.Do(func() { close(erasing); <-entered })
					return next()
				}}
			}
			worker := w.replica(t)
			var got *LoginPayload
			go func() {
				defer close(entered)
				var err error
				if got, err = slow.Login(t.Context(), LoginInput{Code: "ming" + union + "~2"}); err != nil {
					t.Error(err)
				}
			}()
			select {
			case <-ready:
			case <-entered:
			}
			w.clock.add(time.Millisecond)
			worker.runJobs(t)
			if !t.Failed() {
				w.mustBeOneAccount(t, c, p, got, "ming"+union+"~3")
			}
		})
	}
}

// Who logs in when the deletion is due, before the job has begun, is new; then a
// replica whose clock is behind does not restore the account either, by another
// mini program of it.
func TestADueAccountIsNotRestoredElsewhere(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{"wxone", "wxtwo"}
		delayed := func(config *Config) { config.DeletionDelay = 24 * time.Hour }
		w.configure = func(config *Config) {
			delayed(config)
			config.Now = func() time.Time { return w.clock.now().Add(-time.Minute) }
		}
		behind := w.replica(t)
		w.configure = delayed
		c := w.replica(t)
		old := c.mustLoginTo(t, "wxone", "ming+m~1")
		c.mustLoginTo(t, "wxtwo", "ming+m~1")
		c.mustDelete(t, old.Tokens.AccessToken, "ming+m~2")
		w.clock.add(24 * time.Hour)
		next := c.mustLoginTo(t, "wxone", "ming+m~3")
		elsewhere := behind.mustLoginTo(t, "wxtwo", "ming+m~4")
		if !next.Created || elsewhere.User.ID != next.User.ID {
			t.Errorf("came to %s, then to %s; deleted was %s", next.User.ID, elsewhere.User.ID, old.User.ID)
		}
		c.runJobs(t)
		w.mustHoldNothingOf(t, old.User.ID)
		if users, identities := len(w.records(t, kindUsers)), len(w.records(t, kindIdentities)); users != 1 || identities != 2 {
			t.Errorf("%d users, %d identities", users, identities)
		}
	})
}

// An erasure takes what still names an account that was merged into the erased one.
func TestAnErasureTakesWhatAMergeHasLeft(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	other := w.full(t, c, "hong+h", "13900139000")
	keep := c.mustLogin(t, "ming+m~1")
	c.mustMerge(t, keep.Tokens.AccessToken, "hong+h~1")
	c.mustDelete(t, keep.Tokens.AccessToken, "ming+m~2")
	if err := c.eraseAccount(t.Context(), ofUser{keep.User.ID}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{kindIdentities, kindUnions, kindPhones} {
		if n := len(w.records(t, kind)); n != 0 {
			t.Errorf("%d %s are left", n, kind)
		}
	}
	w.clock.add(sweepTime) // the job that looks after the picture that moved
	c.runJobs(t)
	w.mustHoldNothingOf(t, keep.User.ID)
	w.mustHoldNothingOf(t, other.User.ID, "nick of hong", "13900139000")
}

// slowStore takes its time for each call.
type slowStore struct {
	drivers.Store
	takes time.Duration
}

func (s slowStore) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if err := pause(ctx, s.takes); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, keys...)
}

func (s slowStore) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := pause(ctx, s.takes); err != nil {
		return err
	}
	return s.Store.Commit(ctx, ops...)
}

// fileAudit files entries of an audit, a second apart, the last at a moment.
func (w *world) fileAudit(t testing.TB, uid string, n int, last time.Time) {
	t.Helper()
	for n > 0 {
		var ops []drivers.Op
		for range min(n, drivers.MaxOps) {
			n--
			at := last.Add(-time.Duration(n) * time.Second)
			ops = append(ops, audited(uid, auditRecord{At: at, Event: ProfileUpdated, Session: newID(), Fields: []string{"nickname"}}))
		}
		if err := w.openStore().Commit(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
}

// However long an audit is and however slow the store, an account is erased, and
// merged: what is over for one attempt goes on with the next, and has not failed.
// What could lead to the person goes first.
func TestALongAuditIsErasedAndMoved(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		kind    string
		entries int // for more than jobAttempts attempts
		do      func(t *testing.T, c *Core, p *LoginPayload)
		ends    func(t *testing.T, w *world, p *LoginPayload, entries int)
	}{
		"erased": {jobEraseAccount, 3200,
			func(t *testing.T, c *Core, p *LoginPayload) { c.mustDelete(t, p.Tokens.AccessToken, "ming~2") },
			func(t *testing.T, w *world, p *LoginPayload, _ int) { w.mustHoldNothingOf(t, p.User.ID) }},
		"moved": {jobFinishMerge, 1500,
			func(t *testing.T, c *Core, _ *LoginPayload) {
				c.mustMerge(t, c.mustLogin(t, "hong~1").Tokens.AccessToken, "ming~2")
			},
			func(t *testing.T, w *world, p *LoginPayload, entries int) {
				if n := len(w.records(t, kindAudit)); n < entries {
					t.Errorf("%d entries came along", n)
				}
				for _, r := range w.records(t, kindAudit) {
					if strings.HasPrefix(r.Key.ID, p.User.ID) {
						t.Fatal("an entry stayed behind")
					}
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.configure = func(config *Config) { config.DeletedAuditLife, config.Now = time.Hour, time.Now }
				c := w.replica(t)
				p := c.mustLogin(t, "ming~1")
				w.fileAudit(t, p.User.ID, end.entries, c.now())
				end.do(t, c, p)
				w.wrapStore = func(s drivers.Store) drivers.Store { return slowStore{s, 3 * time.Second} }
				slow := w.replica(t)
				attempts, failures := 0, 0
				slow.jobDone = func(kind string, _ time.Duration, err error) {
					attempts++
					if err != nil {
						failures++
					}
					if n := len(w.records(t, kindUsers)) + len(w.records(t, kindIdentities)); kind == jobEraseAccount && n != 0 {
						t.Errorf("after attempt %d %d users and identities are left", attempts, n)
					}
				}
				for len(w.records(t, kindJobs)) > 0 && failures < 2 {
					next, err := slow.RunDueJobs(t.Context(), nil)
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(next)
				}
				// Time may be over between the last entry and the end, which counts, once.
				if attempts <= jobAttempts || failures > 1 {
					t.Errorf("%d attempts, %d of them failed", attempts, failures)
				}
				end.ends(t, w, p, end.entries)
			})
		})
	}
}

// hooked is a store that calls after when a commit is done.
type hooked struct {
	drivers.Store
	after func(ops []drivers.Op)
}

func (h hooked) Commit(ctx context.Context, ops ...drivers.Op) error {
	err := h.Store.Commit(ctx, ops...)
	h.after(ops)
	return err
}

// A clock that is put back when the job has been taken does not end a deletion.
func TestADeletionOutlivesAClock(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var back time.Duration
	w.configure = func(config *Config) {
		now := config.Now
		config.DeletionDelay, config.Now = time.Hour, func() time.Time { return now().Add(-back) }
	}
	w.wrapStore = func(s drivers.Store) drivers.Store {
		return hooked{s, func(ops []drivers.Op) {
			if ops[0].Key.Kind == kindJobs && ops[0].If != "" {
				back = time.Second
			}
		}}
	}
	c := w.replica(t)
	c.mustDelete(t, c.mustLogin(t, "ming~1").Tokens.AccessToken, "ming~2")
	w.clock.add(time.Hour)
	c.runJobs(t)
	if back == 0 || len(w.records(t, kindUsers)) != 1 {
		t.Fatalf("the clock is %v back, %d users", back, len(w.records(t, kindUsers)))
	}
	w.clock.add(time.Minute)
	c.runJobs(t)
	if n := len(w.records(t, kindUsers)); n != 0 {
		t.Errorf("%d users, jobs: %v", n, w.records(t, kindJobs))
	}
}
