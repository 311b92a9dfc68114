package auth

import (
	"testing"
	"time"
)

func TestImportWeChatProfile(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		now := c.now()
		w.wechat.openData = map[string]OpenData{
			"all":       {OpenID: testApp + "-ming", Nickname: " 小明 ", Gender: 1, Country: "中国", City: "深圳", At: now},
			"else":      {Nickname: "大明", Gender: 2, Province: "广东", At: now},
			"anonymous": {Nickname: "微信用户", At: now},
			"hong":      {OpenID: testApp + "-hong", Nickname: "红", At: now},
			"old":       {Nickname: "老", At: now.Add(-11 * time.Minute)},
			"ahead":     {Nickname: "新", At: now.Add(2 * time.Minute)},
			"raw":       {Nickname: "raw"},
		}
		sealed := func(name string) ImportWeChatProfileInput {
			return ImportWeChatProfileInput{EncryptedData: &name, IV: ptr("iv")}
		}
		imported := func(in ImportWeChatProfileInput) *User {
			t.Helper()
			p, err := c.ImportWeChatProfile(t.Context(), token, in)
			if err != nil {
				t.Fatal(err)
			}
			return p.User
		}
		u := imported(sealed("all"))
		if *u.Nickname != "小明" || *u.Gender != GenderMale || *u.Region.Country != "中国" || u.Region.Province != nil || *u.Region.City != "深圳" || u.Version != 2 {
			t.Errorf("the user is %+v", u)
		}
		// Only what is empty, unless told otherwise.
		if u = imported(sealed("else")); *u.Nickname != "小明" || u.Version != 2 {
			t.Errorf("overwrote: %+v", u)
		}
		in := sealed("else")
		in.Overwrite = true
		if u = imported(in); *u.Nickname != "大明" || *u.Gender != GenderFemale || u.Region.City != nil || *u.Region.Province != "广东" {
			t.Errorf("did not overwrite: %+v", u)
		}
		in = sealed("anonymous")
		in.Overwrite = true
		if u = imported(in); *u.Nickname != "大明" {
			t.Error("took the placeholder for a name")
		}
		if u = imported(ImportWeChatProfileInput{RawData: ptr("raw"), Signature: ptr("good"), Overwrite: true}); *u.Nickname != "raw" {
			t.Errorf("rawData: %+v", u)
		}
		for name, field := range map[string]string{"hong": "encryptedData", "old": "encryptedData", "ahead": "encryptedData", "garbage": "encryptedData"} {
			_, err := c.ImportWeChatProfile(t.Context(), token, sealed(name))
			mustBeInvalid(t, err, field)
		}
		for field, in := range map[string]ImportWeChatProfileInput{
			"rawData": {}, "signature": {RawData: ptr("raw")}, "iv": {EncryptedData: ptr("all")},
		} {
			_, err := c.ImportWeChatProfile(t.Context(), token, in)
			mustBeInvalid(t, err, field)
		}
		_, err := c.ImportWeChatProfile(t.Context(), token, ImportWeChatProfileInput{RawData: ptr("raw"), Signature: ptr("bad")})
		mustBe(t, err, ErrLogInAgain)
		w.wechat.staleKey = true
		_, err = c.ImportWeChatProfile(t.Context(), token, sealed("all"))
		mustBe(t, err, ErrUnauthenticated)
		mustBe(t, err, ErrLogInAgain)
	})
}

func TestSessionKeyHealth(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		check := func(reset, want bool) {
			t.Helper()
			if good, err := c.CheckSessionKey(t.Context(), token, reset); err != nil || good != want {
				t.Errorf("good %t, %v; want %t", good, err, want)
			}
		}
		check(false, true)
		w.clock.add(time.Second)
		check(true, true)
		key, _, _, err := c.sessionKeyOf(t.Context(), identityName{testApp, testApp + "-ming"})
		if err != nil || key != resetKey {
			t.Errorf("the new key was not kept: %v", err)
		}
		w.wechat.staleKey = true
		check(false, false)
		check(true, false)
		if _, err := c.CheckSessionKey(t.Context(), "", false); err == nil {
			t.Error("without a session")
		}
	})
}
