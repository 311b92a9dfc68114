package auth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (c *Core) mustMerge(t testing.TB, token, code string) *MergeAccountPayload {
	t.Helper()
	p, err := c.MergeAccount(t.Context(), token, MergeAccountInput{Code: code})
	if err != nil {
		t.Fatalf("merge: %v", err)
	}
	return p
}

func TestMergeAccount(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		old := w.full(t, c, "hong", "13900139000")
		c.update(t, old.Tokens.AccessToken, UpdateProfileInput{Gender: set(GenderFemale), Preferences: set(json.RawMessage(`{"a":1}`)), Consent: consentTo(ScopeGender)})
		w.clock.add(time.Minute)
		keep := c.mustLogin(t, "ming~1")
		c.update(t, keep.Tokens.AccessToken, UpdateProfileInput{Nickname: set("小明")})
		_, err := c.MergeAccount(t.Context(), keep.Tokens.AccessToken, MergeAccountInput{Code: "ming~2"})
		mustBeInvalid(t, err, "code") // the same person
		_, err = c.MergeAccount(t.Context(), keep.Tokens.AccessToken, MergeAccountInput{Code: "nobody~1"})
		mustBeInvalid(t, err, "code")
		_, err = c.MergeAccount(t.Context(), keep.Tokens.AccessToken, MergeAccountInput{Code: "hong~2", AppID: ptr("wxelse")})
		mustBeInvalid(t, err, "appId")
		_, err = c.MergeAccount(t.Context(), "", MergeAccountInput{Code: "hong~2"})
		mustBe(t, err, ErrUnauthenticated)

		p := c.mustMerge(t, keep.Tokens.AccessToken, "hong~3")
		u := p.User
		if u.ID != keep.User.ID || p.Merged != old.User.ID || *u.Nickname != "小明" || *u.Gender != GenderFemale || *u.Birthday != "2001-02-03" ||
			u.Phone == nil || u.Avatar == nil || string(u.Preferences) != `{"a":1}` || len(u.Identities) != 2 || !u.CreatedAt.Equal(old.User.CreatedAt) {
			t.Errorf("the user is %+v", u)
		}
		_, err = w.replica(t).Me(t.Context(), old.Tokens.AccessToken)
		mustBe(t, err, ErrUnauthenticated)
		_, err = w.replica(t).RefreshSession(t.Context(), RefreshSessionInput{old.Tokens.RefreshToken})
		mustBe(t, err, ErrUnauthenticated)
		if again := c.mustLogin(t, "hong~4"); again.User.ID != u.ID || again.Created {
			t.Errorf("the other person logs in to %+v", again.User)
		}
		c.runJobs(t)
		w.mustAgreeOnPhones(t, 1)
		// The consents came along with what they cover, and nothing else.
		var scopes []ConsentScope
		for _, consent := range c.consents(t, keep.Tokens.AccessToken) {
			scopes = append(scopes, consent.Scope)
		}
		if !slices.Equal(scopes, []ConsentScope{ScopeGender, ScopePhone}) {
			t.Errorf("consents to %v", scopes)
		}
		// The audit of both is one.
		audit, err := c.Audit(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		created := 0
		for _, e := range audit {
			if e.Event == UserCreated {
				created++
			}
		}
		if created != 2 {
			t.Errorf("%d beginnings in the audit", created)
		}
		for _, kind := range []string{kindUsers, kindIdentities, kindSessions, kindConsents, kindAudit} {
			for _, r := range w.records(t, kind) {
				if strings.Contains(r.Key.ID+string(r.Data), old.User.ID) {
					t.Errorf("%v names the account that is no more", r.Key)
				}
			}
		}
	})
}

// Both go on until they are merged; then neither knows of another any more.
func TestTwoAccountsOfOnePerson(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{testApp, "wxtwo", "wxthree"}
		c := w.replica(t)
		var accounts []*LoginPayload
		for i, app := range w.apps {
			c.mustLoginTo(t, app, fmt.Sprintf("li~0%d", i))
			accounts = append(accounts, c.mustLoginTo(t, app, fmt.Sprintf("li+l~1%d", i)))
		}
		others := func(p *LoginPayload) int {
			t.Helper()
			me, err := c.Me(t.Context(), p.Tokens.AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			return len(me.OtherAccounts)
		}
		if others(accounts[0]) != 2 || others(accounts[1]) != 1 || others(accounts[2]) != 1 {
			t.Errorf("they know of %d, %d, %d others", others(accounts[0]), others(accounts[1]), others(accounts[2]))
		}
		// A chain: the second takes the first, which holds the unionid; then the third takes the second.
		merge := func(into *LoginPayload, app, code string) {
			t.Helper()
			if _, err := c.MergeAccount(t.Context(), into.Tokens.AccessToken, MergeAccountInput{Code: code, AppID: &app}); err != nil {
				t.Fatal(err)
			}
		}
		merge(accounts[1], testApp, "li+l~2")
		merge(accounts[2], testApp, "li+l~3") // before the job of the first has run
		for i, app := range w.apps {
			if p := c.mustLoginTo(t, app, fmt.Sprintf("li+l~4%d", i)); p.User.ID != accounts[2].User.ID {
				t.Errorf("%s leads to another account", app)
			}
		}
		c.runJobs(t)
		c.runJobs(t)
		if n := len(w.records(t, kindUsers)); n != 1 || others(accounts[2]) != 0 {
			t.Errorf("%d users, %d others", n, others(accounts[2]))
		}
		for _, kind := range []string{kindIdentities, kindUnions} {
			for _, r := range w.records(t, kind) {
				if o, _ := decode[owned](r); o.User != accounts[2].User.ID {
					t.Errorf("%v is %s's", r.Key, o.User)
				}
			}
		}
	})
}

// Two accounts that each want to swallow the other: one does, and nothing is lost.
func TestMergesAtOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		a, b := w.full(t, c, "ming", "13800138000"), w.full(t, c, "hong", "13900139000")
		var wg sync.WaitGroup
		for i := range 4 {
			one, two := w.replica(t), w.replica(t)
			wg.Go(func() {
				one.MergeAccount(t.Context(), a.Tokens.AccessToken, MergeAccountInput{Code: fmt.Sprintf("hong~m%d", i)})
			})
			wg.Go(func() {
				two.MergeAccount(t.Context(), b.Tokens.AccessToken, MergeAccountInput{Code: fmt.Sprintf("ming~m%d", i)})
			})
			wg.Go(func() { one.Login(t.Context(), LoginInput{Code: fmt.Sprintf("hong~l%d", i)}) })
		}
		wg.Wait()
		c.runJobs(t)
		c.runJobs(t)
		x, y := c.mustLogin(t, "ming~end"), c.mustLogin(t, "hong~end")
		if x.User.ID != y.User.ID || len(w.records(t, kindUsers)) != 1 || len(y.User.Identities) != 2 {
			t.Errorf("users %s and %s of %d", x.User.ID, y.User.ID, len(w.records(t, kindUsers)))
		}
		w.mustAgreeOnPhones(t, 1)
	})
}

// One replica merges an account that another deletes: one of them comes too late,
// and nothing of the account is left by itself.
func TestMergeAndDeleteAtOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, before *world) {
		c := before.replica(t)
		a, b := before.full(t, c, "ming", "13800138000"), before.full(t, c, "hong", "13900139000")
		for range 8 {
			w := before.again(t)
			one, two := w.replica(t), w.replica(t)
			var merged, deleted error
			var wg sync.WaitGroup
			wg.Go(func() {
				_, merged = one.MergeAccount(t.Context(), a.Tokens.AccessToken, MergeAccountInput{Code: "hong~merge"})
			})
			wg.Go(func() {
				_, deleted = two.DeleteAccount(t.Context(), b.Tokens.AccessToken, DeleteAccountInput{"hong~delete"})
			})
			wg.Wait()
			if (merged == nil) == (deleted == nil) {
				t.Fatalf("merge: %v; delete: %v", merged, deleted)
			}
			one.runJobs(t)
			two.runJobs(t)
			w.clock.add(time.Hour) // the picture that was replaced
			two.runJobs(t)
			for _, kind := range Kinds {
				for _, r := range w.records(t, kind) {
					if kind != kindCodes && strings.Contains(r.Key.ID+string(r.Data), b.User.ID) {
						t.Errorf("%v names the account that is no more", r.Key)
					}
				}
			}
			w.mustAgreeOnPhones(t, 1)
			if len(w.records(t, kindUsers)) != 1 || len(w.blobs(t)) != 2 {
				t.Errorf("%d users, blobs %v", len(w.records(t, kindUsers)), w.blobs(t))
			}
			if next := two.mustLogin(t, "hong~next"); next.Created != (deleted == nil) || !next.Created && next.User.ID != a.User.ID {
				t.Errorf("deleted: %t, and the next login gives %+v", deleted == nil, next)
			}
		}
	})
}

func TestMergeByTheOperator(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		keep, other := c.mustLogin(t, "ming~1"), w.full(t, c, "hong", "13900139000")
		before := w.records(t, kindUsers)
		report, err := c.MergeAccounts(t.Context(), keep.User.ID, other.User.ID, true)
		if err != nil || !slices.Equal(report.Takes, []string{"nickname", "avatar", "phone", "birthday"}) || report.Identities != 2 {
			t.Errorf("%+v, %v", report, err)
		}
		for i, r := range w.records(t, kindUsers) {
			if r.Revision != before[i].Revision {
				t.Error("a dry run wrote")
			}
		}
		for _, ids := range [][2]string{{keep.User.ID, newID()}, {"x", other.User.ID}} {
			_, err = c.MergeAccounts(t.Context(), ids[0], ids[1], false)
			mustBe(t, err, ErrNotFound)
		}
		if _, err = c.MergeAccounts(t.Context(), keep.User.ID, keep.User.ID, false); err == nil {
			t.Error("merged an account with itself")
		}
		if _, err = c.MergeAccounts(t.Context(), keep.User.ID, other.User.ID, false); err != nil {
			t.Fatal(err)
		}
		if p := c.mustLogin(t, "hong~2"); p.User.ID != keep.User.ID {
			t.Error("not merged")
		}
		_, err = c.MergeAccounts(t.Context(), keep.User.ID, other.User.ID, false)
		mustBe(t, err, ErrNotFound)
	})
}
