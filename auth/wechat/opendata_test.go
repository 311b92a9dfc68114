package wechat

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// The vectors T2 and T3 of WeChat's documentation.
const (
	rawSample    = `{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}`
	rawKey       = "HyVFkGl5F5OQWJZZaNzBBg=="
	rawSignature = "75e81ceda165f4ffa64f4068af58c64b8f54b88c"

	openApp    = "wx4f4bc4dec97d474b"
	openKey    = "tiihtNczf5v6AKRyjwEUhQ=="
	openIV     = "r7BXXKkLb8qrSNn05n0qiA=="
	openSealed = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
)

// sealOpen encrypts as the client of WeChat does.
func sealOpen(plain string) string {
	key, _ := base64.StdEncoding.DecodeString(openKey)
	iv, _ := base64.StdEncoding.DecodeString(openIV)
	pad := 16 - len(plain)%16
	return encryptCBC(key, iv, append([]byte(plain), bytes.Repeat([]byte{byte(pad)}, pad)...))
}

func TestOpenDataVector(t *testing.T) {
	t.Parallel()
	got, err := newClient(t, "", 0).OpenData(openApp, openKey, openSealed, openIV)
	want := auth.OpenData{
		OpenID: "oGZUI0egBJY1zhBYw2KhdUfwVJJE", UnionID: "ocMvos6NjeKLIBqg5Mr9QjxrP1FA", Nickname: "Band", Gender: 1,
		Country: "CN", Province: "Guangdong", City: "Guangzhou", At: time.Unix(1477314187, 0),
		AvatarURL: "http://wx.qlogo.cn/mmopen/vi_32/aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0",
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOpenPhone(t *testing.T) {
	t.Parallel()
	c := newClient(t, "", 0)
	for _, code := range []string{`"86"`, `86`, `"+86"`} {
		got, err := c.OpenData(openApp, openKey, sealOpen(`{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":`+code+`,"watermark":{"appid":"`+openApp+`","timestamp":7}}`), openIV)
		if err != nil || got.Phone == nil || *got.Phone != (auth.Phone{CountryCode: "86", Number: "13800138000"}) || got.At.Unix() != 7 {
			t.Errorf("%s: %+v, %v", code, got, err)
		}
	}
}

func TestOpenDataRefuses(t *testing.T) {
	t.Parallel()
	const mark = `"watermark":{"appid":"` + openApp + `","timestamp":7}`
	c := newClient(t, "", 0)
	iv := "AAAAAAAAAAAAAAAAAAAAAA=="
	for name, row := range map[string]struct {
		app, key, data, iv string
		field              string // of an InvalidError; "" when the key is stale
	}{
		"other key":          {openApp, rawKey, openSealed, openIV, ""},
		"no key":             {openApp, "", openSealed, openIV, ""},
		"key of 32 bytes":    {openApp, base64.StdEncoding.EncodeToString(make([]byte, 32)), openSealed, openIV, ""},
		"other iv":           {openApp, openKey, openSealed, iv, ""},
		"changed":            {openApp, openKey, "A" + openSealed[1:], openIV, ""},
		"cut by blocks":      {openApp, openKey, base64.StdEncoding.EncodeToString(decode(openSealed)[:384]), openIV, ""},
		"cut within a block": {openApp, openKey, base64.StdEncoding.EncodeToString(decode(openSealed)[:399]), openIV, "encryptedData"},
		"empty":              {openApp, openKey, "", openIV, "encryptedData"},
		"no base64":          {openApp, openKey, "{}", openIV, "encryptedData"},
		"endless":            {openApp, openKey, strings.Repeat("A", MaxOpenData+1), openIV, "encryptedData"},
		"no iv":              {openApp, openKey, openSealed, "", "iv"},
		"short iv":           {openApp, openKey, openSealed, "AAAA", "iv"},
		"long iv":            {openApp, openKey, openSealed, openKey + openKey, "iv"},
		"other app":          {"wxother", openKey, openSealed, openIV, "encryptedData"},
		"no watermark":       {openApp, openKey, sealOpen(`{"nickName":"x"}`), openIV, "encryptedData"},
		"no object":          {openApp, openKey, sealOpen(`[` + `"x"]`), openIV, "encryptedData"},
		"no JSON":            {openApp, openKey, sealOpen(`{"nickName":`), openIV, ""},
		"nothing":            {openApp, openKey, sealOpen(""), openIV, ""},
		"malformed openid":   {openApp, openKey, sealOpen(`{"openId":"a b",` + mark + `}`), openIV, "encryptedData"},
		"number that is no number": {openApp, openKey, sealOpen(`{"purePhoneNumber":"call me","countryCode":"86",` + mark + `}`), openIV,
			"encryptedData"},
		"padding of 17":  {openApp, openKey, encryptCBC(decode(openKey), decode(openIV), append([]byte(`{"a":7}        `), bytes.Repeat([]byte{17}, 17)...)), openIV, ""},
		"padding uneven": {openApp, openKey, encryptCBC(decode(openKey), decode(openIV), []byte("0123456789012\x02\x03\x03")), openIV, ""},
		"padding of 0":   {openApp, openKey, encryptCBC(decode(openKey), decode(openIV), make([]byte, 16)), openIV, ""},
	} {
		got, err := c.OpenData(row.app, row.key, row.data, row.iv)
		var invalid *auth.InvalidError
		switch {
		case got != (auth.OpenData{}):
			t.Errorf("%s: %+v", name, got)
		case row.field == "" && !errors.Is(err, auth.ErrSessionKeyStale):
			t.Errorf("%s: %v", name, err)
		case row.field != "" && (!errors.As(err, &invalid) || invalid.Field != row.field):
			t.Errorf("%s: %v", name, err)
		case strings.Contains(err.Error(), openKey), strings.Contains(err.Error(), openIV):
			t.Errorf("%s: %v shows a secret", name, err)
		}
	}
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestRawData(t *testing.T) {
	t.Parallel()
	c := newClient(t, "", 0)
	for _, signature := range []string{rawSignature, strings.ToUpper(rawSignature)} {
		got, err := c.RawData(rawKey, rawSample, signature)
		if err != nil || got.Nickname != "Band" || got.Gender != 1 || got.City != "Guangzhou" || !strings.HasPrefix(got.AvatarURL, "http://wx.qlogo.cn/") ||
			got.OpenID != "" || !got.At.IsZero() {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	for name, row := range map[string]struct {
		key, data, signature, field string
	}{
		"other key":         {openKey, rawSample, rawSignature, ""},
		"no key":            {"", rawSample, rawSignature, ""},
		"changed":           {rawKey, rawSample + " ", rawSignature, ""},
		"other signature":   {rawKey, rawSample, strings.Repeat("0", 40), ""},
		"short signature":   {rawKey, rawSample, rawSignature[:38], "signature"},
		"no signature":      {rawKey, rawSample, "", "signature"},
		"not hexadecimal":   {rawKey, rawSample, strings.Repeat("x", 40), "signature"},
		"endless":           {rawKey, strings.Repeat(" ", MaxOpenData+1), rawSignature, "rawData"},
		"signed but a list": {rawKey, `[1]`, sha1Hex(`[1]` + rawKey), "rawData"},
		"signed nothing":    {rawKey, ``, sha1Hex(rawKey), "rawData"},
	} {
		got, err := c.RawData(row.key, row.data, row.signature)
		var invalid *auth.InvalidError
		switch {
		case got != (auth.OpenData{}):
			t.Errorf("%s: %+v", name, got)
		case row.field == "" && !errors.Is(err, auth.ErrSessionKeyStale):
			t.Errorf("%s: %v", name, err)
		case row.field != "" && (!errors.As(err, &invalid) || invalid.Field != row.field):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func sha1Hex(s string) string { return signPush(s) }

func FuzzOpenData(f *testing.F) {
	f.Add(openApp, openKey, openSealed, openIV)
	f.Add(openApp, openKey, sealOpen("{}"), openIV)
	f.Add("", "", "", "")
	f.Add(openApp, openKey, "AAAAAAAAAAAAAAAAAAAAAA==", openIV)
	c := newClient(f, "", 0)
	f.Fuzz(func(t *testing.T, app, key, data, iv string) {
		got, err := c.OpenData(app, key, data, iv)
		checkOpened(t, got, err, key)
		got, err = c.OpenData(openApp, openKey, sealOpen(data), openIV)
		checkOpened(t, got, err, openKey)
		got, err = c.RawData(openKey, data, sha1Hex(data+openKey))
		checkOpened(t, got, err, openKey)
	})
}

func checkOpened(t *testing.T, got auth.OpenData, err error, key string) {
	t.Helper()
	var invalid *auth.InvalidError
	switch {
	case err == nil:
		if len(got.OpenID) > MaxID || !auth.VisibleASCII(got.OpenID+got.UnionID) || got.Gender < 0 || got.Gender > 2 {
			t.Fatalf("accepted %+v", got)
		}
	case !errors.Is(err, auth.ErrSessionKeyStale) && !errors.As(err, &invalid), got != (auth.OpenData{}):
		t.Fatalf("%T %v with %+v", err, err, got)
	case len(key) > 8 && strings.Contains(fmt.Sprint(err), key), len(err.Error()) > 100:
		t.Fatalf("%q", err)
	}
}
