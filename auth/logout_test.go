package auth

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// replaceWith makes the op that puts old's content in the place of now.
func replaceWith(now, old drivers.Record) drivers.Op {
	return drivers.Replace(now, old.Data, old.Expires)
}

func TestLogout(t *testing.T) {
	t.Parallel()
	w := newWorld()
	here, there := w.replica(t), w.replica(t)
	one, two, three := here.mustLogin(t, "ming~1"), here.mustLogin(t, "ming~2"), here.mustLogin(t, "ming~3")
	stranger := here.mustLogin(t, "hong~1")
	dead := func(p *LoginPayload) {
		t.Helper()
		for _, c := range []*Core{here, there, w.replica(t)} {
			_, err := c.Me(t.Context(), p.Tokens.AccessToken)
			mustBe(t, err, ErrUnauthenticated)
			_, err = c.RefreshSession(t.Context(), RefreshSessionInput{p.Tokens.RefreshToken})
			mustBe(t, err, ErrUnauthenticated)
			_, err = c.UpdateProfile(t.Context(), p.Tokens.AccessToken, UpdateProfileInput{Nickname: set("ghost")})
			mustBe(t, err, ErrUnauthenticated)
			_, err = c.Logout(t.Context(), p.Tokens.AccessToken, LogoutInput{Everywhere: true})
			mustBe(t, err, ErrUnauthenticated)
		}
	}
	ended := func(p *LoginPayload, in LogoutInput) int {
		t.Helper()
		out, err := here.Logout(t.Context(), p.Tokens.AccessToken, in)
		if err != nil {
			t.Fatal(err)
		}
		return out.Ended
	}
	// Both replicas have seen all of them alive, and so remember their tokens.
	for _, p := range []*LoginPayload{one, two, three} {
		for _, c := range []*Core{here, there} {
			if _, err := c.Me(t.Context(), p.Tokens.AccessToken); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := ended(one, LogoutInput{}); n != 1 {
		t.Errorf("ended %d", n)
	}
	dead(one)
	if n := ended(two, LogoutInput{SessionID: &three.User.sid}); n != 1 {
		t.Errorf("ended %d", n)
	}
	dead(three)
	for _, id := range []string{three.User.sid, stranger.User.sid, "", "nonsense", "a.b", newID()} {
		_, err := here.Logout(t.Context(), two.Tokens.AccessToken, LogoutInput{SessionID: &id})
		mustBeInvalid(t, err, "sessionId")
	}
	_, err := here.Logout(t.Context(), two.Tokens.AccessToken, LogoutInput{SessionID: &two.User.sid, Everywhere: true})
	mustBeInvalid(t, err, "sessionId")
	var more []*LoginPayload
	for i := range 40 {
		more = append(more, here.mustLogin(t, fmt.Sprintf("ming~more%d", i)))
	}
	if n := ended(two, LogoutInput{Everywhere: true}); n != 41 {
		t.Errorf("ended %d, want 41", n)
	}
	dead(two)
	dead(more[0])
	dead(more[39])
	if _, err := here.Me(t.Context(), stranger.Tokens.AccessToken); err != nil {
		t.Error("a stranger was signed out: ", err)
	}
}

// Of more than MaxSessions sessions, those seen longest ago end: not those that began first.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		const logins = 140 // the last files a job
		var all []*LoginPayload
		for i := range logins {
			w.clock.add(time.Second)
			p := c.mustLogin(t, fmt.Sprintf("ming~%d", i))
			all = append(all, p)
			if i == 100 {
				w.clock.add(time.Second)
				all[0].Tokens = c.mustRefresh(t, all[0].Tokens.RefreshToken)
			}
		}
		other := c.mustLogin(t, "hong~1")
		if n := len(w.records(t, kindJobs)); n != logins/sessionsEvery {
			t.Errorf("%d jobs are filed", n)
		}
		c.runJobs(t)
		// 140 sessions, of which the first was seen after the 101st began.
		for i, p := range all {
			_, err := c.Me(t.Context(), p.Tokens.AccessToken)
			if ended := 0 < i && i <= logins-MaxSessions; ended != errors.Is(err, ErrUnauthenticated) {
				t.Errorf("session %d: %v", i, err)
			}
		}
		if _, err := c.Me(t.Context(), other.Tokens.AccessToken); err != nil {
			t.Errorf("another user's session: %v", err)
		}
		dropped := 0
		for _, record := range w.records(t, kindAudit) {
			if r, _ := decode[auditRecord](record); r.Event == SessionDropped {
				dropped++
			}
		}
		if dropped != logins-MaxSessions {
			t.Errorf("the audit tells of %d", dropped)
		}
		if list, err := c.Sessions(t.Context(), all[0].User); err != nil || len(list) != MaxSessions {
			t.Errorf("%d sessions, %v", len(list), err)
		}
	})
}

// A session that is used while the job decides stays.
func TestASessionInUseIsNotDropped(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	first := c.mustLogin(t, "ming~first")
	for i := range MaxSessions {
		w.clock.add(time.Second)
		c.mustLogin(t, fmt.Sprintf("ming~%d", i))
	}
	var once sync.Once
	w.wrapStore = func(s drivers.Store) drivers.Store {
		return commitHook{s, func([]drivers.Op) {
			once.Do(func() { first.Tokens = c.mustRefresh(t, first.Tokens.RefreshToken) })
		}}
	}
	if err := w.replica(t).boundSessions(t.Context(), ofUser{first.User.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Me(t.Context(), first.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
}
