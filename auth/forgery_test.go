package auth

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"
)

// sealed is encryptedData for fakeWeChat.
func sealed(data string) ImportWeChatProfileInput {
	return ImportWeChatProfileInput{EncryptedData: &data, IV: ptr("iv"), Overwrite: true}
}

// A key that did not fit is gone: so a client learns once a login that data does
// not fit, and cannot find out by trying what does.
func TestASessionKeyAnswersNoOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		w.wechat.openData, w.wechat.unfit = map[string]OpenData{"good": {Nickname: "good", At: c.now()}}, "guess"
		p := c.mustLogin(t, "ming~1")
		for name, in := range map[string]ImportWeChatProfileInput{
			"encryptedData": sealed("guess"), "rawData": {RawData: ptr("guess"), Signature: ptr("bad")},
		} {
			if _, err := c.ImportWeChatProfile(t.Context(), p.Tokens.AccessToken, sealed("good")); err != nil {
				t.Fatal(err)
			}
			for _, in := range []ImportWeChatProfileInput{in, in, sealed("good"), sealed("malformed")} {
				_, err := w.replica(t).ImportWeChatProfile(t.Context(), p.Tokens.AccessToken, in)
				if mustBe(t, err, ErrLogInAgain); !errors.Is(err, ErrUnauthenticated) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if good, err := c.CheckSessionKey(t.Context(), p.Tokens.AccessToken, true); good || err != nil {
				t.Errorf("%s: a forgotten key is good: %t, %v", name, good, err)
			}
			// A login brings another, also one by a clock that is behind.
			w.clock.add(-time.Second)
			p = c.mustLogin(t, "ming~"+name)
		}
	})
}

// Many guesses at once are no way around it: what fits is told only while the key
// that it fits is there.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(t *testing.T, c *Core, token string){
		"another guess": func(t *testing.T, c *Core, token string) {
			_, err := c.ImportWeChatProfile(t.Context(), token, sealed("guess"))
			mustBe(t, err, ErrLogInAgain)
		},
		"a login": func(t *testing.T, c *Core, _ string) { c.mustLogin(t, "ming~2") },
	} {
		for _, data := range []string{"good", "malformed", "guess"} {
			w := newWorld()
			c := w.replica(t)
			w.wechat.openData, w.wechat.unfit = map[string]OpenData{"good": {Nickname: "good", At: c.now()}}, "guess"
			token := c.mustLogin(t, "ming~1").Tokens.AccessToken
			w.clock.add(time.Second)
			w.wechat.opening = func(string) {
				w.wechat.opening = nil
				meanwhile(t, c, token)
			}
			_, err := c.ImportWeChatProfile(t.Context(), token, sealed(data))
			mustBe(t, err, ErrLogInAgain)
			if me, err := c.Me(t.Context(), token); err != nil || me.Nickname != nil {
				t.Errorf("%s, %s: %v, %v", name, data, me.Nickname, err)
			}
			// The login's key was not the one that did not fit.
			good, err := c.CheckSessionKey(t.Context(), token, false)
			if err != nil || good != (name == "a login") {
				t.Errorf("%s, %s: the key is good: %t, %v", name, data, good, err)
			}
		}
	}
}

// While nothing can be written no key can be forgotten, so none is asked.
func TestNoGuessesWhileReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	token := w.replica(t).mustLogin(t, "ming~1").Tokens.AccessToken
	w.readOnly, w.wechat.unfit = true, "guess"
	c := w.replica(t)
	for _, data := range []string{"guess", "malformed"} {
		_, err := c.ImportWeChatProfile(t.Context(), token, sealed(data))
		mustBe(t, err, ErrReadOnly)
	}
}

// That encrypted data fits the session_key proves nothing: WeChat says whether it made it.
func TestForgedPhoneNumber(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		owner := c.mustLogin(t, "hong~1").Tokens.AccessToken
		c.bind(t, owner, byCode("phone~13800138000~1"))
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		data := base64.StdEncoding.EncodeToString([]byte("sixteen bytes ..")) // of what WeChat knows as one of the two
		in := BindPhoneNumberInput{EncryptedData: &data, IV: ptr("iv")}
		told := func(number string) {
			w.wechat.openData = map[string]OpenData{data: {Phone: &Phone{"86", number}, At: c.now()}}
		}
		told("13900139000")
		w.wechat.made = func(string) bool { return false }
		_, err := c.BindPhoneNumber(t.Context(), token, in)
		mustBeInvalid(t, err, "encryptedData")
		w.wechat.madeFails = ErrMisconfigured
		_, err = c.BindPhoneNumber(t.Context(), token, in)
		mustBe(t, err, ErrMisconfigured)
		if me, err := c.Me(t.Context(), token); err != nil || me.Phone != nil {
			t.Errorf("bound %v, %v", me.Phone, err)
		}
		w.wechat.madeFails = nil
		for i, known := range []string{data, "sixteen bytes .."} {
			told([]string{"13900139001", "13900139002"}[i])
			w.wechat.made = func(form string) bool { return form == known }
			w.wechat.expire() // the token is renewed, as for any call
			if u := c.bind(t, token, in); u.Phone.Number != w.wechat.openData[data].Phone.Number {
				t.Errorf("bound %v", u.Phone)
			}
		}
		// It never takes a number from anybody, not even one that WeChat vouches for.
		told("13800138000")
		_, err = c.BindPhoneNumber(t.Context(), token, in)
		mustBeInvalid(t, err, "move")
		in.Move = true
		_, err = c.BindPhoneNumber(t.Context(), token, in)
		mustBeInvalid(t, err, "move")
		if me, err := c.Me(t.Context(), owner); err != nil || me.Phone == nil {
			t.Errorf("the owner has lost the number: %v", err)
		}
	})
}
