package wechat

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

func TestEveryErrcode(t *testing.T) {
	t.Parallel()
	codes := maps.Clone(meanings)
	maps.Copy(codes, code2Session.means)
	codes[1], codes[-2] = auth.ErrUpstream, auth.ErrUpstream
	for code, want := range codes {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			status := 200
			c := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"errcode":%d,"errmsg":%q}`, code, echo(r)+", rid: 6733f0a1-1b2c3d4e-5f607182")
			}), time.Minute)
			for _, status = range []int{200, 400, 500} {
				_, err := c.CodeToSession(t.Context(), testApp, testCode)
				var e *Error
				if !errors.As(err, &e) {
					t.Fatal(err)
				}
				var later *auth.LaterError
				if errors.As(want, &later) {
					checkError(t, err, want, later.Err)
				} else {
					checkError(t, err, want)
				}
				if e.Code != code || e.Status != status || e.RID != "6733f0a1-1b2c3d4e-5f607182" {
					t.Errorf("got %+v", e)
				}
			}
		})
	}
}

func TestErrcodesOfLogin(t *testing.T) {
	t.Parallel()
	// Once more by hand: what a client of ours sees must not hang on a slip in the table.
	for code, want := range map[int]error{
		-1: auth.ErrUpstream, 40029: auth.ErrCodeRejected, 40163: auth.ErrCodeRejected, 40226: auth.ErrBlocked,
		45011: auth.ErrRateLimited, 45009: auth.ErrRateLimited, 40013: auth.ErrMisconfigured,
		40125: auth.ErrMisconfigured, 40164: auth.ErrMisconfigured,
	} {
		if err := code2Session.meaning(code); !errors.Is(err, want) {
			t.Errorf("%d means %v", code, err)
		}
	}
	for code, want := range map[int]time.Duration{45011: time.Minute, 45009: time.Hour, -1: time.Second, 40029: 0} {
		_, err := readSession(&code2Session, 200, []byte(fmt.Sprintf(`{"errcode":%d}`, code)), testSecret)
		if got := auth.RetryAfter(err); got != want {
			t.Errorf("%d: retry after %v", code, got)
		}
	}
}

func TestLenientReplies(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]string{
		"errcode 0":          `{"errcode":0,"errmsg":"ok",` + goodReply[1:],
		"errcode string":     `{"errcode":"0",` + goodReply[1:],
		"errcode null":       `{"errcode":null,"errmsg":null,` + goodReply[1:],
		"unknown fields":     `{"expires_in":7200,"x":{"y":[1]},` + goodReply[1:],
		"byte order mark":    "\xef\xbb\xbf" + goodReply,
		"control characters": "{\"errmsg\":\"o\x00\x01\tk\n\"," + goodReply[1:] + "\r\n",
		"bad UTF-8":          "{\"errmsg\":\"\xff\xc3(\"," + goodReply[1:],
		"errmsg of no text":  `{"errmsg":[1],` + goodReply[1:],
		"escaped slashes":    strings.Replace(goodReply, "tiih", `\u0074iih`, 1),
	} {
		got, err := readSession(&code2Session, 200, []byte(reply), testSecret)
		if err != nil || got.OpenID != "oGZUI0egBJY1zhBYw2KhdUfwVJJE" || got.SessionKey != "tiihtNczf5v6AKRyjwEUhQ==" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestLenientRefusals(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{
		`{"errcode":"40029"}`,
		`{"errcode":" 40029 ","errmsg":40029}`,
		`{"errcode":40029,"openid":0,"session_key":[]}`,
		`{"openid":false,"errcode":40029}`,
		"{\"errcode\":40029,\"errmsg\":\"\x07\xfe\"}",
	} {
		_, err := readSession(&code2Session, 200, []byte(reply), testSecret)
		checkError(t, err, auth.ErrCodeRejected)
	}
}

func TestBadSessions(t *testing.T) {
	t.Parallel()
	const key = `,"session_key":"tiihtNczf5v6AKRyjwEUhQ=="`
	for _, reply := range []string{
		``, `null`, `[]`, `"x"`, `{}`, `{"openid":"o"}`, `{"openid":""` + key + `}`, `{"openid":null` + key + `}`,
		`{"openid":1` + key + `}`, `{"openid":"o o"` + key + `}`, `{"openid":"ö"` + key + `}`,
		"{\"openid\":\"o\x00o\"" + key + "}", "{\"openid\":\"o\xff\"" + key + "}",
		`{"openid":"` + strings.Repeat("o", MaxID+1) + `"` + key + `}`,
		`{"openid":"o","unionid":"` + strings.Repeat("o", MaxID+1) + `"` + key + `}`,
		`{"openid":"o","unionid":" "` + key + `}`, `{"openid":"o","unionid":7` + key + `}`,
		`{"openid":"o","session_key":""}`, `{"openid":"o","session_key":"` + testSecret + `"}`,
		`{"openid":"o","session_key":"dGlpaHRO"}`, `{"openid":"o","session_key":"tiihtNczf5v6AKRyjwEUhQ"}`,
		`{"openid":"o","session_key":"tiihtNczf5v6AKRy\njwEUhQ=="}`,
		`{"errcode":"x","openid":"o"` + key + `}`, `{"errcode":1e99,"openid":"o"` + key + `}`,
		goodReply + goodReply,
	} {
		got, err := readSession(&code2Session, 200, []byte(reply), testSecret)
		if err == nil {
			t.Errorf("%s: got %+v", reply, got)
			continue
		}
		checkError(t, err, auth.ErrUpstream)
	}
	if _, err := readSession(&code2Session, 200, []byte(`{"openid":"`+strings.Repeat("o", MaxID)+`"`+key+`}`)); err != nil {
		t.Errorf("longest openid: %v", err)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"invalid code, rid: 6733f0a1-1b2c3d4e-5f607182": "6733f0a1-1b2c3d4e-5f607182",
		"invalid code rid:6733f0a1-1b2c3d4e-5f607182 ":  "6733f0a1-1b2c3d4e-5f607182",
		"invalid code":           "",
		"rid: ":                  "",
		"rid: " + testSecret:     "",
		"rid: 5ec0de5ec0de-5ec0": "", // a part of it
		"rid: 00-" + testSecret:  "",
		"rid: 6733f0a1-1b2c3d4e-5f607182\nERROR all is bad": "",
		"rid: " + strings.Repeat("0", 65):                   "",
	} {
		if got := ridOf(message, testSecret, testCode); got != want {
			t.Errorf("%q gives %q", message, got)
		}
	}
}

func FuzzReply(f *testing.F) {
	for _, seed := range []string{goodReply, `{"errcode":40029,"errmsg":"invalid code, rid: 6733f0a1-1b2c3d4e-5f607182"}`,
		`{"errcode":"-1"}`, "\xef\xbb\xbf{\"openid\":\"\x00\xff\"}", `[`, `{"errcode":1e3,"errmsg":{}}`} {
		f.Add(200, []byte(seed))
		f.Add(500, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		given := string(body)
		s, err := readSession(&code2Session, status, body, testSecret, testCode)
		if string(body) != given {
			t.Fatal("changed its input")
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || s != (auth.WeChatSession{}) {
				t.Fatalf("%T with %+v", err, s)
			}
			if e.Code == 0 && !errors.Is(err, auth.ErrUpstream) {
				t.Fatalf("%v", err)
			}
			if !errors.Is(err, code2Session.meaning(e.Code)) {
				t.Fatalf("%v is not %v", err, code2Session.meaning(e.Code))
			}
			if text := err.Error(); len(text) > 200 || strings.Contains(text, testSecret) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("%q", text)
			}
			return
		}
		if status != 200 || s.OpenID == "" || len(s.OpenID) > MaxID || len(s.UnionID) > MaxID ||
			!auth.VisibleASCII(s.OpenID+s.UnionID) || !isSessionKey(s.SessionKey) {
			t.Fatalf("accepted %+v", s)
		}
	})
}
