package auth

import (
	"fmt"
	"testing"

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
	if n := ended(two, LogoutInput{SessionID: &three.User.session}); n != 1 {
		t.Errorf("ended %d", n)
	}
	dead(three)
	for _, id := range []string{three.User.session, stranger.User.session, "", "nonsense", "a.b", newID()} {
		_, err := here.Logout(t.Context(), two.Tokens.AccessToken, LogoutInput{SessionID: &id})
		mustBeInvalid(t, err, "sessionId")
	}
	_, err := here.Logout(t.Context(), two.Tokens.AccessToken, LogoutInput{SessionID: &two.User.session, Everywhere: true})
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
