package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	testApp    = "wx0123456789abcdef"
	testSecret = "5ec0de5ec0de-5ec0de5ec0de5ec0de5"
	testCode   = "c0de-c0de+of/a?person&=%"
	goodReply  = `{"session_key":"tiihtNczf5v6AKRyjwEUhQ==","openid":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","unionid":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA"}`
)

func newClient(t testing.TB, baseURL string, timeout time.Duration) *Client {
	t.Helper()
	c, err := New(Config{Apps: map[string]Secret{testApp: NewSecret(testSecret)}, BaseURL: baseURL, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(overNetwork(c).CloseIdleConnections)
	return c
}

// overNetwork is what a client without Config.Transport calls through.
func overNetwork(c *Client) *http.Transport { return c.transport.(*http.Transport) }

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// checkError wants err to be an *Error that is all of want and none of the
// other sentinels, and to show no secret in any way that it can be printed.
func checkError(t *testing.T, err error, want ...error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v is no *Error", err, err)
	}
	for _, w := range want {
		if !errors.Is(err, w) {
			t.Errorf("error %q is not %q", err, w)
		}
	}
	for _, other := range []error{auth.ErrCodeRejected, auth.ErrBlocked, auth.ErrRateLimited, auth.ErrUpstream,
		auth.ErrMisconfigured, auth.ErrNotSent, auth.ErrTokenRejected, auth.ErrSessionKeyStale, auth.ErrNotSeen,
		auth.ErrTicketRejected, auth.ErrNotAuthorized, auth.ErrPushRejected, context.Canceled, context.DeadlineExceeded} {
		wanted := false
		for _, w := range want {
			wanted = wanted || w == other
		}
		if !wanted && errors.Is(err, other) {
			t.Errorf("error %q is %q too", err, other)
		}
	}
	checkSilent(t, err)
}

func checkSilent(t *testing.T, v any) {
	t.Helper()
	encoded, _ := json.Marshal(v)
	shown := []string{string(encoded)}
	var show func(v any)
	show = func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
		switch e := v.(type) {
		case interface{ Unwrap() error }:
			show(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				show(inner)
			}
		}
	}
	show(v)
	for _, s := range shown {
		for _, hidden := range []string{testSecret, testCode} {
			for _, form := range []string{hidden, url.QueryEscape(hidden), fmt.Sprintf("%x", hidden), hidden[:12]} {
				if strings.Contains(s, form) {
					t.Errorf("%q shows %q", s, form)
				}
			}
		}
	}
}

func TestCodeToSession(t *testing.T) {
	t.Parallel()
	var raw string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		raw = r.Method + " " + r.URL.Path
		q := r.URL.Query()
		want := url.Values{"appid": {testApp}, "secret": {testSecret}, "js_code": {testCode}, "grant_type": {"authorization_code"}}
		if q.Encode() != want.Encode() {
			t.Errorf("query is %v", q)
		}
		if r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Close {
			t.Errorf("a bare GET that keeps the connection is wanted, got %+v", r)
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		fmt.Fprint(w, goodReply)
	})
	got, err := newClient(t, base+"/some/way/", 0).CodeToSession(t.Context(), testApp, testCode)
	want := auth.WeChatSession{OpenID: "oGZUI0egBJY1zhBYw2KhdUfwVJJE", UnionID: "ocMvos6NjeKLIBqg5Mr9QjxrP1FA", SessionKey: "tiihtNczf5v6AKRyjwEUhQ=="}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if raw != "GET /some/way/sns/jscode2session" {
		t.Errorf("request was %s", raw)
	}
}

// echo is as tactless as a server can be: all that it was asked, in its answer.
func echo(r *http.Request) string { return r.URL.String() + " " + testSecret + " " + testCode }

func TestServerFaults(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"closes":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"garbage":      func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "<html>", echo(r)) },
		"empty":        func(http.ResponseWriter, *http.Request) {},
		"error page":   func(w http.ResponseWriter, r *http.Request) { http.Error(w, echo(r), http.StatusBadGateway) },
		"good but 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, goodReply) },
		"truncated JSON": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, goodReply[:len(goodReply)-9])
		},
		"truncated body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, goodReply)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/sns/jscode2session" {
				t.Errorf("followed a redirect to %s", r.URL)
			}
			http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
		},
		"endless body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		},
		"not HTTP": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "%s\r\n\r\n", echo(r))
			conn.Close()
		},
		"bad header": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", strings.ReplaceAll(echo(r), ":", ""))
			conn.Close()
		},
		"huge header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 64<<10))
		},
		"status of words": func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", echo(r))
			conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, serve(t, h), time.Minute)
			got, err := c.CodeToSession(t.Context(), testApp, testCode)
			checkError(t, err, auth.ErrUpstream)
			if got != (auth.WeChatSession{}) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, goodReply)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"slow drip": func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				fmt.Fprint(w, " ")
				_ = http.NewResponseController(w).Flush()
				<-tick.C
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, h)
			err := patiently(func(timeout time.Duration) error {
				_, err := newClient(t, base, timeout).CodeToSession(t.Context(), testApp, testCode)
				return err
			})
			checkError(t, err, auth.ErrUpstream)

			err = patiently(func(timeout time.Duration) error {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				_, err := newClient(t, base, time.Hour).CodeToSession(ctx, testApp, testCode)
				return err
			})
			checkError(t, err, auth.ErrUpstream, context.DeadlineExceeded)
		})
	}
}

// patiently gives a call more and more time until something is sent: on a busy
// machine a little may be over before.
func patiently(call func(timeout time.Duration) error) (err error) {
	for timeout := 200 * time.Millisecond; timeout < time.Minute; timeout *= 4 {
		if err = call(timeout); !errors.Is(err, auth.ErrNotSent) {
			break
		}
	}
	return err
}

func TestCancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	base := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(errors.New(echo(r)))
		<-r.Context().Done()
	})
	_, err := newClient(t, base, time.Minute).CodeToSession(ctx, testApp, testCode)
	checkError(t, err, auth.ErrUpstream, context.Canceled)
}

func TestNotSent(t *testing.T) {
	t.Parallel()
	call := func(c *Client, ctx context.Context) error {
		_, err := c.CodeToSession(ctx, testApp, testCode)
		return err
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		// A connection has this port, so that nobody comes to listen there meanwhile.
		conn, err := net.Dial("tcp", listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		err = call(newClient(t, "http://"+conn.LocalAddr().String(), time.Minute), t.Context())
		checkError(t, err, auth.ErrUpstream, auth.ErrNotSent)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("%q does not tell the operator that the connection was refused", err)
		}
	})
	t.Run("ended before", func(t *testing.T) {
		t.Parallel()
		base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		checkError(t, call(newClient(t, base, time.Minute), ctx), auth.ErrUpstream, auth.ErrNotSent, context.Canceled)
	})
	t.Run("untrusted certificate", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
		s.Config.ErrorLog = discardLog
		s.StartTLS()
		t.Cleanup(s.Close)
		err := call(newClient(t, s.URL, time.Minute), t.Context())
		checkError(t, err, auth.ErrUpstream, auth.ErrNotSent)
		if !strings.Contains(err.Error(), "x509") {
			t.Errorf("%q does not tell the operator of the certificate", err)
		}
	})
	t.Run("no TLS there", func(t *testing.T) {
		t.Parallel()
		base := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") })
		err := call(newClient(t, "https"+strings.TrimPrefix(base, "http"), time.Minute), t.Context())
		checkError(t, err, auth.ErrUpstream, auth.ErrNotSent)
	})
	t.Run("TLS handshake without end", func(t *testing.T) {
		t.Parallel()
		l := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
		err := call(newClient(t, "https://"+l, 500*time.Millisecond), t.Context())
		checkError(t, err, auth.ErrUpstream, auth.ErrNotSent)
	})
	t.Run("old TLS", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
		s.Config.ErrorLog = discardLog
		s.TLS = oldTLS
		s.StartTLS()
		t.Cleanup(s.Close)
		c := newClient(t, s.URL, time.Minute)
		overNetwork(c).TLSClientConfig.RootCAs = pool(s)
		checkError(t, call(c, t.Context()), auth.ErrUpstream, auth.ErrNotSent)
	})
}

func TestNeverAsked(t *testing.T) {
	t.Parallel()
	c := newClient(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked") }), 0)
	_, err := c.CodeToSession(t.Context(), "wxanother", testCode)
	checkError(t, err, auth.ErrMisconfigured)
	_, err = c.CodeToSession(t.Context(), testApp, "")
	checkError(t, err, auth.ErrCodeRejected)
	_, err = c.CodeToSession(t.Context(), testApp, strings.Repeat(testCode, 100))
	checkError(t, err, auth.ErrCodeRejected)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	apps := map[string]Secret{testApp: NewSecret(testSecret)}
	for name, config := range map[string]Config{
		"no apps":          {},
		"bad appid":        {Apps: map[string]Secret{testSecret + " ": NewSecret(testSecret)}},
		"empty secret":     {Apps: map[string]Secret{testApp: {}}},
		"negative timeout": {Apps: apps, Timeout: -1},
		"other scheme":     {Apps: apps, BaseURL: "ftp://" + testSecret},
		"no scheme":        {Apps: apps, BaseURL: testSecret},
		"no host":          {Apps: apps, BaseURL: "https:///" + testSecret},
		"only a port":      {Apps: apps, BaseURL: "https://:443/"},
		"password":         {Apps: apps, BaseURL: "https://user:" + testSecret + "@host"},
		"query":            {Apps: apps, BaseURL: "https://host?x=" + testSecret},
		"fragment":         {Apps: apps, BaseURL: "https://host#" + testSecret},
		"unparsable":       {Apps: apps, BaseURL: "https://host:" + testSecret},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(config); err == nil {
				t.Error("accepted")
			} else {
				checkSilent(t, err)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := newClient(t, "", 0)
	if c.base.String() != "https://api.weixin.qq.com/" || c.timeout != 5*time.Second {
		t.Errorf("base %s, timeout %s", c.base, c.timeout)
	}
	checkSilent(t, c)
	checkSilent(t, *c)
}

func TestReason(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"dial: cannot resolve the host: no such host":     &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x"}},
		"connection closed":                               io.ErrUnexpectedEOF,
		"the connection failed, or what came is not HTTP": errors.New("malformed: " + testCode),
	} {
		if got := reason(err); got != want {
			t.Errorf("%v gives %q", err, got)
		}
	}
}

// TestRemedies: a refusal that the operator can do something about names the app
// and says in our words what it is and what to do; no other does.
func TestRemedies(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		40001: "AppSecret is wrong", 40125: "AppSecret is wrong", 40013: "AppID is wrong", 40164: "IP allow-list",
		40243: "frozen", 48001: "granted", 40029: "", -1: "", 7: "",
	} {
		base := serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"errcode":%d,"errmsg":"words of WeChat's"}`, code)
		})
		c, err := New(Config{Apps: map[string]Secret{"wxa": NewSecret("s3cret")}, BaseURL: base})
		if err != nil {
			t.Fatal(err)
		}
		_, login := c.CodeToSession(t.Context(), "wxa", "code")
		_, token := c.AccessToken(t.Context(), "wxa")
		for _, err := range []error{login, token} {
			var e *Error
			if !errors.As(err, &e) || code == 40001 && e.Code != code {
				t.Fatalf("%d: %v", code, err)
			}
			text := err.Error()
			if !strings.Contains(text, " of wxa: ") || !strings.Contains(text, want) || strings.Contains(text, "words") || strings.Contains(text, "s3cret") {
				t.Errorf("%d: %s", code, text)
			}
			if (e.Advice() != "") != (want != "") {
				t.Errorf("%d: the advice is %q", code, e.Advice())
			}
		}
	}
	for code, remedy := range remedies {
		if !errors.Is(code2Session.meaning(code), auth.ErrMisconfigured) || remedy.is == "" || remedy.do == "" {
			t.Errorf("%d has a remedy and is no fault of the configuration, or says nothing", code)
		}
	}
}
