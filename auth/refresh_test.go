package auth

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func (c *Core) mustRefresh(t testing.TB, token string) Tokens {
	t.Helper()
	p, err := c.RefreshSession(t.Context(), RefreshSessionInput{token})
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	return p.Tokens
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	first := c.mustLogin(t, "ming~1").Tokens
	w.clock.add(20 * time.Minute)
	if _, err := c.Me(t.Context(), first.AccessToken); err == nil {
		t.Fatal("an expired access token works")
	}
	second := c.mustRefresh(t, first.RefreshToken)
	if second.RefreshToken == first.RefreshToken {
		t.Fatal("the refresh token did not change")
	}
	if want := c.now().Add(RefreshTokenLife); !second.RefreshTokenExpiresAt.Equal(want) {
		t.Errorf("expires %v, want %v", second.RefreshTokenExpiresAt, want)
	}
	if want := c.now().Add(AccessTokenLife); !second.AccessTokenExpiresAt.Equal(want) {
		t.Errorf("access token expires %v, want %v", second.AccessTokenExpiresAt, want)
	}
	if _, err := c.Me(t.Context(), second.AccessToken); err != nil {
		t.Fatal(err)
	}
	// The answer got lost: the one before gives the newest again, any number of times.
	for range 3 {
		if again := c.mustRefresh(t, first.RefreshToken); again.RefreshToken != second.RefreshToken {
			t.Fatal("a repeated refresh gave another token")
		}
	}
	// A session that is refreshed in time lives on.
	w.clock.add(RefreshTokenLife - time.Second)
	third := c.mustRefresh(t, second.RefreshToken)
	w.clock.add(RefreshTokenLife)
	_, err := c.RefreshSession(t.Context(), RefreshSessionInput{third.RefreshToken})
	mustBe(t, err, ErrUnauthenticated)
}

func TestAnOldRefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	p := c.mustLogin(t, "ming~1")
	second := c.mustRefresh(t, p.Tokens.RefreshToken)
	third := c.mustRefresh(t, second.RefreshToken)
	other := c.mustLogin(t, "ming~2")
	_, err := c.RefreshSession(t.Context(), RefreshSessionInput{p.Tokens.RefreshToken})
	mustBe(t, err, ErrUnauthenticated)
	_, err = c.RefreshSession(t.Context(), RefreshSessionInput{third.RefreshToken})
	mustBe(t, err, ErrUnauthenticated)
	_, err = w.replica(t).Me(t.Context(), third.AccessToken)
	mustBe(t, err, ErrUnauthenticated)
	me, err := c.Me(t.Context(), other.Tokens.AccessToken)
	if err != nil {
		t.Fatal("another session ended too: ", err)
	}
	audit, err := c.Audit(t.Context(), me)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range audit {
		if e.Event == RefreshTokenReused && *e.SessionID == p.User.sid {
			return
		}
	}
	t.Error("the audit does not say so")
}

func TestRefreshesAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	w := newWorld()
	replicas := []*Core{w.replica(t), w.replica(t)}
	first := replicas[0].mustLogin(t, "ming~1").Tokens
	var mu sync.Mutex
	got := map[string]bool{}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			p, err := replicas[i%2].RefreshSession(t.Context(), RefreshSessionInput{first.RefreshToken})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got[p.Tokens.RefreshToken] = true
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("%d different refresh tokens", len(got))
	}
}

// A store that was put back to an earlier state must not throw people out.
func TestARefreshTokenNewerThanTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	first := c.mustLogin(t, "ming~1").Tokens
	session, _, _ := parseRefreshToken(first.RefreshToken)
	backup := w.records(t, kindSessions)[0]
	third := c.mustRefresh(t, c.mustRefresh(t, first.RefreshToken).RefreshToken)
	now := w.records(t, kindSessions)[0]
	store := w.space.OpenStore()
	if err := store.Commit(t.Context(), replaceWith(now, backup)); err != nil {
		t.Fatal(err)
	}
	fourth := c.mustRefresh(t, third.RefreshToken)
	if _, counter, _ := parseRefreshToken(fourth.RefreshToken); counter != 4 {
		t.Errorf("counter %d of session %s", counter, session)
	}
}

func TestBadRefreshTokensChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	good := c.mustLogin(t, "ming~1").Tokens
	other := c.mustLogin(t, "hong~1").Tokens
	mac := func(token string) string { return token[strings.LastIndex(token, ".")+1:] }
	body := strings.TrimSuffix(good.RefreshToken, mac(good.RefreshToken))
	before := w.records(t, kindSessions)
	for _, bad := range []string{
		"", "x", "r1", strings.Repeat(".", 5000), strings.Repeat("a", 1<<20), good.AccessToken,
		body, body + mac(other.RefreshToken), body + strings.ToUpper(mac(good.RefreshToken)), good.RefreshToken + "=", good.RefreshToken + " ",
		strings.Replace(good.RefreshToken, ".1.", ".01.", 1), strings.Replace(good.RefreshToken, ".1.", ".2.", 1),
		strings.Replace(good.RefreshToken, ".1.", ".-1.", 1), strings.Replace(good.RefreshToken, ".1.", ".99999999999999999999.", 1),
		strings.Replace(good.RefreshToken, "r1.", "r2.", 1), strings.ReplaceAll(good.RefreshToken, "a", "b"),
	} {
		if bad == good.RefreshToken {
			continue
		}
		_, err := c.RefreshSession(t.Context(), RefreshSessionInput{bad})
		mustBe(t, err, ErrUnauthenticated)
		if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	for i, r := range w.records(t, kindSessions) {
		if r.Revision != before[i].Revision {
			t.Error("a bad token changed a session")
		}
	}
	c.mustRefresh(t, good.RefreshToken)
}

// A session of a lost secret sends its client to log in again, and says why.
func TestASessionOfAnotherSecret(t *testing.T) {
	t.Parallel()
	w := newWorld()
	before := w.replica(t).mustLogin(t, "ming~1").Tokens
	w.secrets = []string{strings.Repeat("n", MinSecret)}
	c := w.replica(t)
	_, err := c.Me(t.Context(), before.AccessToken)
	mustBe(t, err, ErrUnauthenticated)
	_, err = c.RefreshSession(t.Context(), RefreshSessionInput{before.RefreshToken})
	mustBe(t, err, ErrUnauthenticated)
	mustBe(t, err, ErrSealed)
	after := c.mustLogin(t, "ming~2").Tokens
	if c.mustRefresh(t, after.RefreshToken).RefreshToken == "" {
		t.Error("no refresh after a login")
	}
}

func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	w := newWorld()
	old := w.replica(t).mustLogin(t, "ming~1").Tokens
	w.secrets = append([]string{strings.Repeat("n", MinSecret)}, w.secrets...)
	c := w.replica(t)
	if _, err := c.Me(t.Context(), old.AccessToken); err != nil {
		t.Error("a token of the old secret: ", err)
	}
	fresh := c.mustRefresh(t, old.RefreshToken)
	if n := strings.Count(string(c.JWKS()), `"kid"`); n != 2 {
		t.Errorf("%d public keys", n)
	}
	w.secrets = w.secrets[:1]
	c = w.replica(t)
	if _, err := c.Me(t.Context(), fresh.AccessToken); err != nil {
		t.Error("a token of the new secret: ", err)
	}
	c.mustRefresh(t, fresh.RefreshToken) // the refresh before has sealed the session anew
	_, err := c.Me(t.Context(), old.AccessToken)
	mustBe(t, err, ErrUnauthenticated)
}

func FuzzParseRefreshToken(f *testing.F) {
	f.Add("r1.aaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbb.1.x")
	f.Fuzz(func(t *testing.T, token string) {
		session, counter, err := parseRefreshToken(token)
		if err != nil {
			mustBe(t, err, ErrUnauthenticated)
			return
		}
		if _, _, ok := splitSession(session); !ok || counter < 1 {
			t.Errorf("accepted session %q, counter %d", session, counter)
		}
	})
}
