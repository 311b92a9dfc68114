package auth

import (
	"testing"
)

// A plain push is signed but for its body: who has seen one go by cannot send
// another under its signature, whatever the first one was, and however it came twice.
func TestASignatureIsTakenOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		c.update(t, token, UpdateProfileInput{Nickname: set("ming")})
		send := func(p Push) {
			t.Helper()
			p.At, p.OpenID = c.now(), testApp+"-ming"
			query, body := pushed(t, p)
			if err := w.replica(t).Push(t.Context(), testApp, query, body); err != nil {
				t.Fatal(err)
			}
			c.runJobs(t)
		}
		forged := func(signature string) {
			t.Helper()
			send(Push{Event: PushRevoked, Revoked: []int{6}, ID: "forged with " + signature, Signature: signature})
			if me, err := c.Me(t.Context(), token); err != nil || me.Nickname == nil {
				t.Errorf("under %s a forged push was believed: %v", signature, err)
			}
		}
		send(Push{Event: PushRevoked, Revoked: []int{8}, ID: "1", Signature: "one"})
		forged("one")
		send(Push{Event: PushRevoked, Revoked: []int{8}, ID: "1", Signature: "two"}) // the first, delivered again
		forged("two")
		send(Push{ID: "2", Signature: "three"}) // for somebody else
		forged("three")
		// A sealed one has none to take, and a true one does what it should.
		send(Push{ID: "3"})
		send(Push{Event: PushRevoked, Revoked: []int{6}, ID: "4", Signature: "four"})
		if me, err := c.Me(t.Context(), token); err != nil || me.Nickname != nil {
			t.Errorf("a true push was not believed: %v", err)
		}
		if n := len(w.records(t, kindPushes)); n != 4+2 {
			t.Errorf("%d records of pushes", n)
		}
	})
}
