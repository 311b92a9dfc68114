package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// largest is a store that knows the largest commit to it.
type largest struct {
	drivers.Store
	ops int
}

func (s *largest) Commit(ctx context.Context, ops ...drivers.Op) error {
	s.ops = max(s.ops, len(ops))
	return s.Store.Commit(ctx, ops...)
}

// The largest merge there can be, whose picture waits for its verdict, is one commit.
func TestTheLargestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.checks(false)
	c := w.replica(t)
	other := c.mustLogin(t, "hong~1").Tokens.AccessToken
	c.update(t, other, UpdateProfileInput{
		Nickname: set("n"), Avatar: set(upload(testPicture(t, 1))), Gender: set(GenderMale), Birthday: set("2001-02-03"),
		Region: set(Region{City: ptr("深圳")}), Preferences: set(json.RawMessage(`{"a":1}`)), Consent: consentTo(scopes...),
	})
	c.bind(t, other, byCode("phone~13800138000~1"))
	w.clock.add(time.Second)
	store := &largest{}
	w.wrapStore = func(s drivers.Store) drivers.Store { store.Store = s; return store }
	c = w.replica(t)
	keep := c.mustLogin(t, "ming~1").Tokens.AccessToken
	store.ops = 0
	u := c.mustMerge(t, keep, "hong~2").User
	if u.Avatar == nil || u.Phone == nil || len(c.consents(t, keep)) != len(scopes) {
		t.Errorf("the user is %+v", u)
	}
	if store.ops != 16 || store.ops > drivers.MaxOps {
		t.Errorf("the commit has %d ops", store.ops)
	}
}

// A picture that waits for its verdict goes on waiting in the account that stays:
// a verdict counts, whenever it comes, and so does that none comes.
func TestAMergeDoesNotSaveAPictureFromItsVerdict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		byOperator bool
		verdict    Verdict // pushed after the merge has been finished, or none
		want       AvatarStatus
	}{
		{"risky", false, VerdictRisky, ""}, {"pass", false, VerdictPass, AvatarAccepted}, {"none", false, "", ""},
		{"risky, by the operator", true, VerdictRisky, ""}, {"none, by the operator", true, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.checks(false)
			c := w.replica(t)
			other := c.mustLogin(t, "hong~1")
			c.update(t, other.Tokens.AccessToken, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
			c.runJobs(t) // the picture is sent: trace-1
			w.clock.add(time.Second)
			keep := c.mustLogin(t, "ming~1")
			if test.byOperator {
				if _, err := c.MergeAccounts(t.Context(), keep.User.ID, other.User.ID, false); err != nil {
					t.Fatal(err)
				}
			} else {
				c.mustMerge(t, keep.Tokens.AccessToken, "hong~2")
			}
			c.runJobs(t)
			if n := len(w.records(t, kindUsers)); n != 1 {
				t.Fatalf("%d users: the merge is not finished", n)
			}
			if got := c.avatar(t, keep.Tokens.AccessToken); got != AvatarPending || len(w.wechat.pictures) != 2 {
				t.Fatalf("the status is %q, sent %v", got, w.wechat.pictures)
			}
			if test.verdict != "" {
				w.verdict(t, c, 2, test.verdict, "v")
			} else {
				w.clock.add(DefaultPictureTimeout)
				c.runJobs(t)
			}
			c.runJobs(t)
			if got := c.avatar(t, c.mustLogin(t, "ming~9").Tokens.AccessToken); got != test.want || len(w.blobs(t)) > 0 != (test.want != "") {
				t.Errorf("the status is %q, blobs %v", got, w.blobs(t))
			}
		})
	}
}

// Who has withdrawn a consent does not get that data back by a merge: it goes.
func TestAMergeDoesNotUndoAWithdrawal(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		other := w.full(t, c, "hong", "13900139000")
		w.clock.add(time.Second)
		keep := c.mustLogin(t, "ming~1").Tokens.AccessToken
		c.update(t, keep, UpdateProfileInput{Birthday: set("1999-09-09"), Consent: consentTo(ScopeAvatar, ScopePhone, ScopeBirthday)})
		if _, err := c.WithdrawConsent(t.Context(), keep, WithdrawConsentInput{[]ConsentScope{ScopeAvatar, ScopePhone, ScopeBirthday}}); err != nil {
			t.Fatal(err)
		}
		own := ConsentInput{Scopes: []ConsentScope{ScopeNickname}, Purpose: "own", PolicyVersion: "v2"}
		if _, err := c.RecordConsent(t.Context(), keep, RecordConsentInput{own}); err != nil {
			t.Fatal(err)
		}
		if u := c.mustMerge(t, keep, "hong~2").User; u.Avatar != nil || u.Phone != nil || u.Birthday != nil || *u.Nickname != "nick of hong" {
			t.Errorf("the user is %+v", u)
		}
		c.runJobs(t)
		w.mustAgreeOnPhones(t, 0)
		if len(w.blobs(t)) != 0 {
			t.Errorf("left: %v", w.blobs(t))
		}
		for _, consent := range c.consents(t, keep) {
			if own := consent.Scope == ScopeNickname; (consent.WithdrawnAt == nil) != own || own && consent.PolicyVersion != "v2" {
				t.Errorf("%+v", consent)
			}
		}
		for _, r := range w.records(t, kindUsers) {
			if r.Key.ID == other.User.ID {
				t.Error("the other account is there")
			}
		}
	})
}

// An access token is not enough to bring another person into an account for ever:
// its session must be of a login just now, however often it was refreshed.
func TestAMergeNeedsALoginJustNow(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	victim := c.mustLogin(t, "ming~1")
	c.mustLogin(t, "thief~1")
	w.clock.add(mergeTime + time.Second)
	refreshed, err := c.RefreshSession(t.Context(), RefreshSessionInput{victim.Tokens.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{victim.Tokens.AccessToken, refreshed.Tokens.AccessToken} {
		_, err := c.MergeAccount(t.Context(), token, MergeAccountInput{Code: "thief~2"})
		mustBe(t, err, ErrUnauthenticated)
		mustBe(t, err, ErrLogInAgain)
	}
	if w.wechat.sent[testApp+"thief~2"] != 0 {
		t.Error("the code was spent for nothing")
	}
	if p := c.mustLogin(t, "thief~3"); p.User.ID == victim.User.ID {
		t.Error("the thief logs in to the victim's account")
	}
	fresh := c.mustLogin(t, "ming~2").Tokens.AccessToken
	w.clock.add(mergeTime)
	c.mustMerge(t, fresh, "thief~2")
}

// An account that was erased while a job moved another's audit to it keeps none.
func TestAnErasureOvertakesTheEndOfAMerge(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		plain := w.replica(t) // which keeps no audit of the deleted
		keep, other := plain.mustLogin(t, "ming~1"), plain.mustLogin(t, "hong~1")
		plain.mustMerge(t, keep.Tokens.AccessToken, "hong~2")
		var once sync.Once
		w.wrapStore = func(s drivers.Store) drivers.Store {
			return commitHook{s, func(ops []drivers.Op) {
				if op := ops[0]; op.Key.Kind == kindAudit && op.Data == nil && strings.HasPrefix(op.Key.ID, other.User.ID) {
					once.Do(func() {
						plain.mustDelete(t, keep.Tokens.AccessToken, "ming~2")
						plain.runJobs(t)
					})
				}
			}}
		}
		c := w.replica(t)
		c.runJobs(t)
		w.clock.add(time.Hour)
		c.runJobs(t)
		for _, kind := range []string{kindAudit, kindUsers} {
			if left := w.records(t, kind); len(left) != 0 {
				t.Errorf("left is %v", left)
			}
		}
	})
}

// What calls remember of an account is shared: merges of it at once do not write there.
func TestMergesShareWhatIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	keep := c.mustLogin(t, "ming~1")
	for i := range 4 {
		c.mustLogin(t, fmt.Sprintf("p%d~1", i))
	}
	for _, r := range w.records(t, kindUsers) {
		if r.Key.ID == keep.User.ID {
			u, err := decode[userRecord](r)
			if err != nil {
				t.Fatal(err)
			}
			u.Others = []string{newID(), newID(), newID()} // decoded into room for four
			w.put(t, r, u)
		}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if _, err := c.MergeAccount(t.Context(), keep.Tokens.AccessToken, MergeAccountInput{Code: fmt.Sprintf("p%d~2", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// stumblesOnce is a store whose first Get of one user alone fails.
type stumblesOnce struct {
	drivers.Store
	mu   sync.Mutex
	user string
}

func (s *stumblesOnce) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.user != "" && len(keys) == 1 && keys[0] == userKey(s.user) {
		s.user = ""
		return nil, errors.New("away for a moment")
	}
	return s.Store.Get(ctx, keys...)
}

// One account is merged into another and that into a third, and the job of the
// first merge fails for a moment: nothing of the first is lost on the way.
func TestMergesInAChain(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{"wxa", "wxb"}
		store := &stumblesOnce{}
		w.wrapStore = func(s drivers.Store) drivers.Store { store.Store = s; return store }
		c := w.replica(t)
		merge := func(by *LoginPayload, code string) {
			t.Helper()
			if _, err := c.MergeAccount(t.Context(), by.Tokens.AccessToken, MergeAccountInput{Code: code}); err != nil {
				t.Fatal(err)
			}
		}
		first := c.mustLoginTo(t, "wxa", "anna+U~1")
		c.mustLoginTo(t, "wxb", "anna+U~2")
		second, third := c.mustLoginTo(t, "wxa", "bert~1"), c.mustLoginTo(t, "wxa", "carl~1")
		merge(second, "anna+U~3")
		merge(third, "bert~2")
		store.mu.Lock()
		store.user = first.User.ID
		store.mu.Unlock()
		c.runJobs(t)
		w.clock.add(2 * time.Second)
		c.runJobs(t)
		if p := c.mustLoginTo(t, "wxb", "anna+U~4"); p.Created || p.User.ID != third.User.ID {
			t.Errorf("came to %s, want %s", p.User.ID, third.User.ID)
		}
		if n := len(w.records(t, kindUsers)); n != 1 {
			t.Errorf("%d users", n)
		}
		me, err := c.Me(t.Context(), third.Tokens.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		audit, err := c.Audit(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		beginnings := 0
		for _, e := range audit {
			if e.Event == UserCreated {
				beginnings++
			}
		}
		if beginnings != 3 {
			t.Errorf("the audit tells of %d beginnings", beginnings)
		}
	})
}

// An account that is erased is known to nobody, also when the one it knew was merged
// away, and that merge ends first.
func TestAnErasureMeetsAMerge(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.apps = []string{testApp, "wxtest0000000002"}
	c := w.replica(t)
	c.mustLoginTo(t, testApp, "from~1")
	x := c.mustLoginTo(t, w.apps[1], "x+u~1")
	c.mustLoginTo(t, testApp, "from+u~2") // the unionid is x's: they know one another
	a := c.mustLoginTo(t, testApp, "a~1")
	merged, err := c.MergeAccount(t.Context(), a.Tokens.AccessToken, MergeAccountInput{Code: "from~3"})
	if err != nil || len(merged.User.OtherAccounts) != 1 {
		t.Fatalf("%+v, %v", merged, err)
	}
	w.clock.add(time.Second) // so that the job of the merge comes first
	c.mustDelete(t, x.Tokens.AccessToken, "x+u~4")
	for range 3 {
		c.runJobs(t)
	}
	me, err := c.Me(t.Context(), a.Tokens.AccessToken)
	if err != nil || len(me.OtherAccounts) != 0 || len(w.records(t, kindUsers)) != 1 {
		t.Errorf("%d users; the one knows %v, %v", len(w.records(t, kindUsers)), me.OtherAccounts, err)
	}
}

// A record that cannot be read holds up its own merge and no other.
func TestADamagedAccountHoldsUpNoOtherMerge(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	hong := c.mustLogin(t, "hong~1")
	c.mustMerge(t, c.mustLogin(t, "ming~1").Tokens.AccessToken, "hong~2")
	records, err := c.get(t.Context(), userKey(hong.User.ID))
	if err != nil {
		t.Fatal(err)
	}
	w.put(t, records[0], map[string]string{"version": "edited by hand"})
	li := c.mustLogin(t, "li~1")
	c.mustMerge(t, c.mustLogin(t, "wang~1").Tokens.AccessToken, "li~2")
	for range 3 {
		if _, err := c.RunDueJobs(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		w.clock.add(time.Hour)
	}
	if records, err = c.get(t.Context(), userKey(li.User.ID)); err != nil || records[0].Exists() {
		t.Errorf("the merge of others is not finished: %v", err)
	}
}
