package auth

import (
	"errors"
	"fmt"
	"testing"
)

// TestACodeIsGoodForOneThing: what a code was claimed for is filed as what came of
// it, and it is good for nothing else then, nor for the same again.
func TestACodeIsGoodForOneThing(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		hong := c.mustLogin(t, "hong~1")
		uses := map[string]func(code string) error{
			"a login": func(code string) error { _, err := c.Login(t.Context(), LoginInput{Code: code}); return err },
			"a proof for a merge": func(code string) error {
				_, err := c.MergeAccount(t.Context(), hong.Tokens.AccessToken, MergeAccountInput{Code: code})
				return err
			},
			"a proof for a deletion": func(code string) error {
				_, err := c.DeleteAccount(t.Context(), hong.Tokens.AccessToken, DeleteAccountInput{code})
				return err
			},
		}
		state := func(code string) string {
			t.Helper()
			records, err := c.get(t.Context(), loginCode(testApp, code, "").key)
			if err != nil || !records[0].Exists() {
				t.Fatalf("no record of %s, %v", code, err)
			}
			r, err := decode[codeRecord](records[0])
			if err != nil {
				t.Fatal(err)
			}
			return r.State
		}
		n := 0
		for first, use := range uses {
			n++
			code := fmt.Sprintf("nobody%d~1", n)
			var wrong *InvalidError
			if err := use(code); err != nil && !errors.As(err, &wrong) { // the proof is good, and of somebody else
				t.Fatalf("%s: %v", first, err)
			}
			if got := state(code); got != codeDone {
				t.Errorf("a code that was good for %s is filed as %s", first, got)
			}
			for second, use := range uses {
				if err := use(code); !errors.Is(err, ErrCodeRejected) {
					t.Errorf("%s after %s: %v", second, first, err)
				}
			}
		}
		w.wechat.fail = func(string) error { return ErrBlocked }
		for name, use := range uses {
			n++
			code := fmt.Sprintf("nobody%d~1", n)
			mustBe(t, use(code), ErrBlocked)
			if got := state(code); got != codeFailed {
				t.Errorf("a code that WeChat refused for %s is filed as %s", name, got)
			}
		}
		w.wechat.fail = nil
		// A phone button's code is another's, though it reads the same.
		if loginCode(testApp, "x", "").key == phoneCode(testApp, "x", "").key {
			t.Error("a phone button's code and a login's are one")
		}
	})
}
