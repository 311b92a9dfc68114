package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	testToken     = "t0ken-t0ken_5ec0de5ec0de"
	testKey       = "o0q0otL8aEzpcZL/FT9WsQ=="
	testOpenID    = "oGZUI0egBJY1zhBYw2KhdUfwVJJE"
	testComponent = "wxc0mponent0000000"
	testMerchant  = "wxmerchant00000001"
	testAESKey    = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// newPlatform is newClient with a component, whose secrets are testSecret too.
func newPlatform(t testing.TB, baseURL string, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{
		Apps:      map[string]Secret{testApp: NewSecret(testSecret)},
		Component: &ComponentConfig{AppID: testComponent, Secret: NewSecret(testSecret), PushKeys: PushKeys{Token: NewSecret("AAAAA"), AESKey: NewSecret(testAESKey)}},
		BaseURL:   baseURL, Timeout: timeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(overNetwork(c).CloseIdleConnections)
	return c
}

// calls are all calls but the login, each with what it must send and a good reply.
// A call gives what it got, the error apart.
var calls = map[string]struct {
	call   func(context.Context, *Client) (any, error)
	method string
	path   string
	query  url.Values
	body   string
	reply  string
	want   any
	zero   any
}{
	"stable_token": {
		call:   func(ctx context.Context, c *Client) (any, error) { return c.AccessToken(ctx, testApp) },
		method: "POST", path: "/cgi-bin/stable_token",
		body:  `{"grant_type":"client_credential","appid":"` + testApp + `","secret":"` + testSecret + `"}`,
		reply: `{"access_token":"` + testToken + `","expires_in":7200}`,
		want:  auth.Token{Value: testToken, Life: 2 * time.Hour}, zero: auth.Token{},
	},
	"checksession": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.CheckSessionKey(ctx, testToken, testOpenID, testKey)
		},
		method: "GET", path: "/wxa/checksession",
		query: url.Values{"access_token": {testToken}, "openid": {testOpenID}, "sig_method": {"hmac_sha256"}, "signature": {signWith(testKey, "")}},
		reply: `{"errcode":0,"errmsg":"ok"}`, want: true, zero: false,
	},
	"resetusersessionkey": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.ResetSessionKey(ctx, testToken, testOpenID, testKey)
		},
		method: "GET", path: "/wxa/resetusersessionkey",
		query: url.Values{"access_token": {testToken}, "openid": {testOpenID}, "sig_method": {"hmac_sha256"}, "signature": {signWith(testKey, "")}},
		reply: `{"errcode":0,"errmsg":"ok","openid":"` + testOpenID + `","session_key":"HyVFkGl5F5OQWJZZaNzBBg=="}`,
		want:  "HyVFkGl5F5OQWJZZaNzBBg==", zero: "",
	},
	"getuserphonenumber": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.PhoneNumber(ctx, testToken, testApp, testCode)
		},
		method: "POST", path: "/wxa/business/getuserphonenumber", query: url.Values{"access_token": {testToken}},
		body:  `{"code":"` + testCode + `"}`,
		reply: `{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":86,"watermark":{"timestamp":1637744274,"appid":"` + testApp + `"}}}`,
		want:  auth.Phone{CountryCode: "86", Number: "13800138000"}, zero: auth.Phone{},
	},
	"checkencryptedmsg": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.MadeEncrypted(ctx, testToken, "abc")
		},
		method: "POST", path: "/wxa/business/checkencryptedmsg", query: url.Values{"access_token": {testToken}},
		body:  `{"encrypted_msg_hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}`,
		reply: `{"errcode":0,"errmsg":"ok","vaild":true,"create_time":1637744274}`, want: true, zero: false,
	},
	"msg_sec_check": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.CheckText(ctx, testToken, testOpenID, "<小明>&\u2028\x01")
		},
		method: "POST", path: "/wxa/msg_sec_check", query: url.Values{"access_token": {testToken}},
		body:  `{"content":"<小明>&  ","version":2,"scene":1,"openid":"` + testOpenID + `"}`,
		reply: `{"errcode":0,"errmsg":"ok","trace_id":"x","result":{"suggest":"risky","label":20001},"detail":[{"strategy":"content_model","errcode":0,"suggest":"pass","label":100,"prob":90}]}`,
		want:  auth.VerdictRisky, zero: auth.Verdict(""),
	},
	"media_check_async": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.CheckPicture(ctx, testToken, testOpenID, "https://a.example/x?a=1&b=<2>")
		},
		method: "POST", path: "/wxa/media_check_async", query: url.Values{"access_token": {testToken}},
		body:  `{"media_url":"https://a.example/x?a=1&b=<2>","media_type":2,"version":2,"scene":1,"openid":"` + testOpenID + `"}`,
		reply: `{"errcode":0,"errmsg":"ok","trace_id":"967e945cd8a3e458f3c74dcb886068e9"}`,
		want:  "967e945cd8a3e458f3c74dcb886068e9", zero: "",
	},
	"api_start_push_ticket": {
		call:   func(ctx context.Context, c *Client) (any, error) { return nil, c.StartTickets(ctx) },
		method: "POST", path: "/cgi-bin/component/api_start_push_ticket",
		body:  `{"component_appid":"` + testComponent + `","component_secret":"` + testSecret + `"}`,
		reply: `{"errcode":0,"errmsg":"ok"}`,
	},
	"api_component_token": {
		call:   func(ctx context.Context, c *Client) (any, error) { return c.ComponentToken(ctx, "ticket@@@"+testCode) },
		method: "POST", path: "/cgi-bin/component/api_component_token",
		body:  `{"component_appid":"` + testComponent + `","component_appsecret":"` + testSecret + `","component_verify_ticket":"ticket@@@` + testCode + `"}`,
		reply: `{"component_access_token":"` + testToken + `","expires_in":"7200"}`,
		want:  auth.Token{Value: testToken, Life: 2 * time.Hour}, zero: auth.Token{},
	},
	"api_query_auth": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.QueryAuthorization(ctx, testToken, testCode)
		},
		method: "POST", path: "/cgi-bin/component/api_query_auth", query: url.Values{"component_access_token": {testToken}},
		body:  `{"component_appid":"` + testComponent + `","authorization_code":"` + testCode + `"}`,
		reply: `{"authorization_info":{"authorizer_appid":"` + testMerchant + `","authorizer_access_token":"a","expires_in":7200,"authorizer_refresh_token":"refreshtoken@@@r","func_info":[{"funcscope_category":{"id":18}}]}}`,
		want:  auth.Authorization{AppID: testMerchant, Token: auth.Token{Value: "a", Life: 2 * time.Hour}, RefreshToken: "refreshtoken@@@r"}, zero: auth.Authorization{},
	},
	"api_authorizer_token": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.AuthorizerToken(ctx, testToken, testMerchant, "refreshtoken@@@"+testCode)
		},
		method: "POST", path: "/cgi-bin/component/api_authorizer_token", query: url.Values{"component_access_token": {testToken}},
		body:  `{"component_appid":"` + testComponent + `","authorizer_appid":"` + testMerchant + `","authorizer_refresh_token":"refreshtoken@@@` + testCode + `"}`,
		reply: `{"authorizer_access_token":"a","expires_in":7200,"authorizer_refresh_token":"new"}`,
		want:  auth.Authorization{AppID: testMerchant, Token: auth.Token{Value: "a", Life: 2 * time.Hour}, RefreshToken: "new"}, zero: auth.Authorization{},
	},
	"component/jscode2session": {
		call: func(ctx context.Context, c *Client) (any, error) {
			return c.ComponentCodeToSession(ctx, testToken, testMerchant, testCode)
		},
		method: "GET", path: "/sns/component/jscode2session",
		query: url.Values{"appid": {testMerchant}, "js_code": {testCode}, "grant_type": {"authorization_code"},
			"component_appid": {testComponent}, "component_access_token": {testToken}},
		reply: goodReply,
		want:  auth.WeChatSession{OpenID: testOpenID, UnionID: "ocMvos6NjeKLIBqg5Mr9QjxrP1FA", SessionKey: "tiihtNczf5v6AKRyjwEUhQ=="}, zero: auth.WeChatSession{},
	},
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for name, row := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if r.Method != row.method || r.URL.Path != row.path || r.URL.RawQuery != row.query.Encode() || string(body) != row.body || err != nil {
					t.Errorf("got %s %s %s", r.Method, r.URL, body)
				}
				if typ := r.Header.Get("Content-Type"); (typ == "application/json") != (row.body != "") || r.ContentLength != int64(len(row.body)) {
					t.Errorf("Content-Type %q, length %d", typ, r.ContentLength)
				}
				w.Header().Set("Content-Type", "text/plain")
				fmt.Fprint(w, row.reply)
			})
			got, err := row.call(t.Context(), newPlatform(t, base, 0))
			if err != nil || got != row.want {
				t.Errorf("got %#v, %v", got, err)
			}
		})
	}
}

// checkFailed wants a failed call to give nothing, and an error without a secret.
func checkFailed(t *testing.T, got, zero any, err error, want ...error) {
	t.Helper()
	checkError(t, err, want...)
	if got != zero {
		t.Errorf("got %#v", got)
	}
	for _, hidden := range []string{testToken, testKey, testToken[:12], testOpenID, "a.example", "小明"} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), hidden) {
			t.Errorf("%q shows %q", err, hidden)
		}
	}
}

// TestHostileReplies has every call meet what no server should answer.
func TestHostileReplies(t *testing.T) {
	t.Parallel()
	tell := func(r *http.Request) string { return echo(r) + testToken + testKey + testOpenID }
	for name, h := range map[string]http.HandlerFunc{
		"closes":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"garbage":    func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>", tell(r)) },
		"empty":      func(http.ResponseWriter, *http.Request) {},
		"broken off": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"errmsg":"`, tell(r)) },
		"truncated": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9999")
			fmt.Fprint(w, tell(r))
		},
		"error page": func(w http.ResponseWriter, r *http.Request) { http.Error(w, tell(r), http.StatusBadGateway) },
		"a list":     func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `["`, testToken, `"]`) },
		"wrong types": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"access_token":7,"expires_in":{},"component_access_token":[],"authorization_info":"x","authorizer_access_token":1,`+
				`"phone_info":[],"result":"pass","trace_id":{},"session_key":[],"openid":{},"errcode":[]}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		},
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		},
		"not HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "%s\r\n\r\n", tell(r))
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			asked := 0
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked++
				mu.Unlock()
				h(w, r)
			})
			c := newPlatform(t, base, time.Minute)
			for call, row := range calls {
				got, err := row.call(t.Context(), c)
				if err == nil {
					t.Errorf("%s: got %#v", call, got)
					continue
				}
				checkFailed(t, got, row.zero, err, auth.ErrUpstream)
			}
			mu.Lock()
			defer mu.Unlock()
			if asked != len(calls) {
				t.Errorf("%d requests for %d calls", asked, len(calls))
			}
		})
	}
}

func TestCallsTimeOut(t *testing.T) {
	t.Parallel()
	for how, begin := range map[string]func(http.ResponseWriter, string){
		"no answer": func(http.ResponseWriter, string) {},
		"no end": func(w http.ResponseWriter, reply string) {
			fmt.Fprint(w, reply)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		for name, row := range calls {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				base := serve(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // else nobody sees the caller hang up
					begin(w, row.reply)
					<-r.Context().Done()
				})
				got, err := row.call(t.Context(), newPlatform(t, base, 500*time.Millisecond))
				checkFailed(t, got, row.zero, err, auth.ErrUpstream)
			})
		}
	}
}

// TestCallsSentOnce: a connection that dies under a call does not repeat it, whether
// it was new or has been used before.
func TestCallsSentOnce(t *testing.T) {
	t.Parallel()
	for name, row := range calls {
		for _, keep := range []int{0, 1} {
			t.Run(fmt.Sprint(name, keep), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				seen := 0
				addr := listen(t, func(conn net.Conn) {
					for i := 0; ; i++ {
						n, err := conn.Read(make([]byte, 64<<10))
						if n == 0 || err != nil {
							return
						}
						mu.Lock()
						seen++
						mu.Unlock()
						if i == keep {
							return
						}
						fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(row.reply), row.reply)
					}
				})
				c := newPlatform(t, "http://"+addr, time.Minute)
				for range keep {
					if _, err := row.call(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				}
				got, err := row.call(t.Context(), c)
				checkFailed(t, got, row.zero, err, auth.ErrUpstream)
				mu.Lock()
				defer mu.Unlock()
				if seen != keep+1 {
					t.Errorf("%d requests", seen)
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	every := map[int]error{-1: auth.ErrUpstream, 45011: auth.ErrRateLimited, 45009: auth.ErrRateLimited, 40164: auth.ErrMisconfigured, 7: auth.ErrUpstream}
	byToken := map[int]error{40001: auth.ErrTokenRejected, 40014: auth.ErrTokenRejected, 42001: auth.ErrTokenRejected}
	for name, own := range map[string]map[int]error{
		"stable_token":             {40001: auth.ErrMisconfigured, 40125: auth.ErrMisconfigured, 40243: auth.ErrMisconfigured, 50004: auth.ErrMisconfigured},
		"checksession":             {40003: auth.ErrMisconfigured, 87008: auth.ErrMisconfigured},
		"resetusersessionkey":      {87007: auth.ErrSessionKeyStale, 87009: auth.ErrSessionKeyStale},
		"getuserphonenumber":       {40029: auth.ErrCodeRejected, 40163: auth.ErrCodeRejected, 40013: auth.ErrCodeRejected},
		"checkencryptedmsg":        {40097: auth.ErrMisconfigured, 47001: auth.ErrMisconfigured},
		"msg_sec_check":            {61010: auth.ErrNotSeen, 44991: auth.ErrRateLimited, 43104: auth.ErrMisconfigured},
		"media_check_async":        {61010: auth.ErrNotSeen, 87020: auth.ErrRateLimited, 40004: auth.ErrMisconfigured},
		"api_start_push_ticket":    {40001: auth.ErrMisconfigured, 40013: auth.ErrMisconfigured, 61011: auth.ErrMisconfigured},
		"api_component_token":      {61005: auth.ErrTicketRejected, 61006: auth.ErrTicketRejected, 61004: auth.ErrMisconfigured},
		"api_query_auth":           {61003: auth.ErrNotAuthorized, 61009: auth.ErrNotAuthorized, 61010: auth.ErrNotAuthorized},
		"api_authorizer_token":     {61003: auth.ErrNotAuthorized, 61023: auth.ErrNotAuthorized},
		"component/jscode2session": {40029: auth.ErrCodeRejected, 40226: auth.ErrBlocked, 61003: auth.ErrNotAuthorized, 61007: auth.ErrNotAuthorized},
	} {
		row, tables := calls[name], []map[int]error{every, own}
		if row.query != nil {
			tables = append(tables, byToken)
		}
		for _, table := range tables {
			for code, want := range table {
				base := serve(t, func(w http.ResponseWriter, r *http.Request) {
					message, _ := json.Marshal(echo(r) + testToken + ", rid: 6733f0a1-1b2c3d4e-5f607182")
					fmt.Fprintf(w, `{"errcode":"%d","errmsg":%s}`, code, message)
				})
				got, err := row.call(t.Context(), newPlatform(t, base, time.Minute))
				var e *Error
				if !errors.As(err, &e) || e.Code != code || e.API != name || e.RID != "6733f0a1-1b2c3d4e-5f607182" {
					t.Errorf("%s %d: %+v", name, code, err)
					continue
				}
				checkFailed(t, got, row.zero, err, want)
			}
		}
	}
}

// TestKeyIsNotCurrent: a stale key is the answer of one call and an error of the other.
func TestKeyIsNotCurrent(t *testing.T) {
	t.Parallel()
	for _, code := range []int{87007, 87009} {
		c := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"errcode":%d}`, code) }), 0)
		if current, err := c.CheckSessionKey(t.Context(), testToken, testOpenID, testKey); current || err != nil {
			t.Errorf("%d: %v, %v", code, current, err)
		}
	}
}

// TestCallsNeverMade: what cannot succeed is refused here, without a request.
func TestCallsNeverMade(t *testing.T) {
	t.Parallel()
	base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
	c, plain, ctx := newPlatform(t, base, 0), newClient(t, base, 0), t.Context()
	refused := func(_ any, err error) error { return err }
	long := strings.Repeat("c", MaxToken+1)
	for _, row := range []struct {
		err, want error
	}{
		{refused(c.AccessToken(ctx, "wxanother")), auth.ErrMisconfigured},
		{refused(c.ResetSessionKey(ctx, testToken, testOpenID, testSecret)), auth.ErrSessionKeyStale},
		{refused(c.PhoneNumber(ctx, testToken, testApp, "")), auth.ErrCodeRejected},
		{refused(c.PhoneNumber(ctx, testToken, testApp, strings.Repeat("c", auth.MaxCode+1))), auth.ErrCodeRejected},
		{refused(c.ComponentToken(ctx, "")), auth.ErrTicketRejected},
		{refused(c.ComponentToken(ctx, long)), auth.ErrTicketRejected},
		{refused(c.QueryAuthorization(ctx, testToken, "")), auth.ErrNotAuthorized},
		{refused(c.AuthorizerToken(ctx, testToken, "a b", "x")), auth.ErrNotAuthorized},
		{refused(c.AuthorizerToken(ctx, testToken, testMerchant, "")), auth.ErrNotAuthorized},
		{refused(c.ComponentCodeToSession(ctx, testToken, "", testCode)), auth.ErrNotAuthorized},
		{refused(c.ComponentCodeToSession(ctx, testToken, testMerchant, "")), auth.ErrCodeRejected},
		{plain.StartTickets(ctx), auth.ErrMisconfigured},
		{refused(plain.ComponentToken(ctx, "t")), auth.ErrMisconfigured},
		{refused(plain.QueryAuthorization(ctx, "t", "c")), auth.ErrMisconfigured},
		{refused(plain.AuthorizerToken(ctx, "t", testMerchant, "r")), auth.ErrMisconfigured},
		{refused(plain.ComponentCodeToSession(ctx, "t", testMerchant, testCode)), auth.ErrMisconfigured},
	} {
		checkError(t, row.err, row.want)
	}
	if current, err := c.CheckSessionKey(ctx, testToken, testOpenID, ""); current || err != nil {
		t.Errorf("no key: %v, %v", current, err)
	}
	if got, err := c.CheckText(ctx, testToken, testOpenID, " \n\u2028\x00"); got != auth.VerdictPass || err != nil {
		t.Errorf("blank text: %v, %v", got, err)
	}
	var invalid *auth.InvalidError
	if _, err := c.CheckText(ctx, testToken, testOpenID, strings.Repeat("长", MaxText+1)); !errors.As(err, &invalid) {
		t.Errorf("long text: %v", err)
	}
	if c.Component() != testComponent || plain.Component() != "" {
		t.Errorf("components %q and %q", c.Component(), plain.Component())
	}
}

func TestOddReplies(t *testing.T) {
	t.Parallel()
	const phone = `{"phone_info":{"phoneNumber":%s,"purePhoneNumber":%s,"countryCode":%s,"watermark":{"timestamp":"1637744274","appid":%q}}}`
	upstream := []error{auth.ErrUpstream}
	for _, row := range []struct {
		call, reply string
		want        any // nil: an error, one of is
		is          []error
	}{
		{"getuserphonenumber", fmt.Sprintf(phone, `"+85261234567"`, `"61234567"`, `"852"`, testApp), auth.Phone{CountryCode: "852", Number: "61234567"}, nil},
		{"getuserphonenumber", fmt.Sprintf(phone, `13800138000`, `13800138000`, `"+86"`, testApp), auth.Phone{CountryCode: "86", Number: "13800138000"}, nil},
		{"getuserphonenumber", fmt.Sprintf(phone, `"1"`, `"13800138000"`, `86`, "wxother"), nil, []error{auth.ErrCodeRejected}},
		{"getuserphonenumber", fmt.Sprintf(phone, `"1"`, `"13800138000"`, `""`, testApp), nil, upstream},
		{"getuserphonenumber", fmt.Sprintf(phone, `"1"`, `"1380 013"`, `86`, testApp), nil, upstream},
		{"getuserphonenumber", fmt.Sprintf(phone, `"1"`, `"1234567890123456"`, `86`, testApp), nil, upstream},
		{"getuserphonenumber", fmt.Sprintf(phone, `null`, `null`, `8.6`, testApp), nil, upstream},
		{"getuserphonenumber", `{"errcode":0}`, nil, upstream},
		{"getuserphonenumber", `{"phone_info":{"purePhoneNumber":"13800138000","countryCode":"86"}}`, nil, []error{auth.ErrCodeRejected}},
		{"stable_token", `{"access_token":"t","expires_in":1e3}`, nil, upstream},
		{"stable_token", `{"access_token":"t","expires_in":0}`, nil, upstream},
		{"stable_token", `{"access_token":"t","expires_in":-7}`, nil, upstream},
		{"stable_token", `{"access_token":"a b","expires_in":7200}`, nil, upstream},
		{"stable_token", `{"access_token":"","expires_in":7200}`, nil, upstream},
		{"stable_token", `{"access_token":"t","expires_in":9223372036854775807}`, auth.Token{Value: "t", Life: maxLife}, nil},
		{"stable_token", `{"access_token":"` + strings.Repeat("t", MaxToken+1) + `","expires_in":7200}`, nil, upstream},
		{"msg_sec_check", `{"errcode":0,"result":{"suggest":"PASS"}}`, auth.VerdictPass, nil},
		{"msg_sec_check", `{"errcode":0,"result":{"suggest":"review","label":21000},"detail":null}`, auth.VerdictReview, nil},
		{"msg_sec_check", `{"errcode":0,"result":{"suggest":"ponder"}}`, auth.VerdictReview, nil},
		{"msg_sec_check", `{"errcode":0,"errmsg":"ok"}`, nil, upstream},
		{"media_check_async", `{"errcode":0,"trace_id":""}`, nil, upstream},
		{"media_check_async", `{"errcode":0,"trace_id":"a b"}`, nil, upstream},
		{"resetusersessionkey", `{"errcode":0,"openid":"other","session_key":"HyVFkGl5F5OQWJZZaNzBBg=="}`, nil, upstream},
		{"resetusersessionkey", `{"errcode":0,"openid":"` + testOpenID + `","session_key":"short"}`, nil, upstream},
		{"api_query_auth", `{"authorization_info":{"authorizer_appid":"a b","authorizer_access_token":"a","expires_in":7200,"authorizer_refresh_token":"r"}}`, nil, upstream},
		{"api_query_auth", `{"authorization_info":{"authorizer_appid":"wx1","authorizer_access_token":"a","expires_in":7200}}`, nil, upstream},
		{"api_query_auth", `{}`, nil, upstream},
		{"api_authorizer_token", `{"authorizer_access_token":"a","expires_in":7200}`,
			auth.Authorization{AppID: testMerchant, Token: auth.Token{Value: "a", Life: 2 * time.Hour}, RefreshToken: "refreshtoken@@@" + testCode}, nil},
		{"api_authorizer_token", `{"expires_in":7200}`, nil, upstream},
	} {
		c := newPlatform(t, serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, row.reply) }), 0)
		got, err := calls[row.call].call(t.Context(), c)
		if row.want != nil {
			if err != nil || got != row.want {
				t.Errorf("%s %s: %#v, %v", row.call, row.reply, got, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s %s: %#v", row.call, row.reply, got)
			continue
		}
		checkFailed(t, got, calls[row.call].zero, err, row.is...)
		var e *Error
		if errors.As(err, &e); e.Code != 0 || row.is[0] == auth.ErrUpstream && e.Status != http.StatusOK {
			t.Errorf("%s %s: %+v", row.call, row.reply, e)
		}
	}
}

// TestSignature is vector T1 of WeChat's documentation.
func TestSignature(t *testing.T) {
	t.Parallel()
	if got := signWith("o0q0otL8aEzpcZL/FT9WsQ==", `{"foo":"bar"}`); got != "654571f79995b2ce1e149e53c0a33dc39c0a74090db514261454e8dbe432aa0b" {
		t.Errorf("got %s", got)
	}
}

// FuzzReplies has every call read the same bytes.
func FuzzReplies(f *testing.F) {
	for _, row := range calls {
		f.Add(200, []byte(row.reply))
	}
	f.Add(200, []byte(`{"errcode":"40001","errmsg":"rid: 6733f0a1-1b2c3d4e-5f607182"}`))
	f.Add(412, []byte("\xef\xbb\xbf{\"result\":{\"suggest\":\"\x00\xff\"},\"phone_info\":{\"countryCode\":1e3}}"))
	var mu sync.Mutex
	var status int
	var reply []byte
	c := newPlatform(f, serve(f, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(status)
		_, _ = w.Write(reply)
	}), time.Minute)
	f.Fuzz(func(t *testing.T, code int, body []byte) {
		mu.Lock()
		status, reply = 200+(code%400+400)%400, body
		mu.Unlock()
		for name, row := range calls {
			got, err := row.call(t.Context(), c)
			if err == nil {
				continue
			}
			if got != row.zero || len(err.Error()) > 250 {
				t.Fatalf("%s: %#v, %v", name, got, err)
			}
			checkFailed(t, got, row.zero, err, sentinelOf(err))
		}
	})
}

// sentinelOf is the error of package auth that err is, or one that it is not.
func sentinelOf(err error) error {
	for _, is := range []error{auth.ErrCodeRejected, auth.ErrBlocked, auth.ErrRateLimited, auth.ErrUpstream, auth.ErrMisconfigured,
		auth.ErrTokenRejected, auth.ErrSessionKeyStale, auth.ErrNotSeen, auth.ErrTicketRejected, auth.ErrNotAuthorized} {
		if errors.Is(err, is) {
			return is
		}
	}
	return errors.New("none")
}
