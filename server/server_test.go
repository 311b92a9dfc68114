package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
)

func pngOf(t testing.TB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 300, 200))
	for i := range 300 {
		m.Set(i, i%200, color.RGBA{uint8(i), 100, 50, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// upload sets nickname and picture in one request, the file first, as wx.uploadFile may send it.
func (h *harness) upload(t testing.TB, token string, picture []byte) reply {
	t.Helper()
	return h.send(t, uploadRequest(t, token, picture))
}

func uploadRequest(t testing.TB, token string, picture []byte) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	file, _ := w.CreateFormFile("avatar", "a.png")
	file.Write(picture)
	w.WriteField("map", `{"avatar":["variables.i.avatar"]}`)
	w.WriteField("operations", `{"query":"mutation U($i: UpdateProfileInput!) { updateProfile(input: $i) { user { version nickname avatar { url(size: SMALL) status } } } }","variables":{"i":{"avatar":null,"nickname":"Ada"}}}`)
	w.Close()
	r := httptest.NewRequest("POST", "/graphql", &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestFromLoginToLogout(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, refresh := h.login(t, "ada")
	if a := h.ask(t, access, `{ me { version nickname sessions { current } audit { event } } }`, nil); a.at(t, "me.nickname") != nil || a.at(t, "me.version") != 1.0 {
		t.Errorf("%s", a.body)
	}
	a := h.upload(t, access, pngOf(t))
	if a.at(t, "updateProfile.user.nickname") != "Ada" || a.at(t, "updateProfile.user.avatar.status") != "ACCEPTED" {
		t.Errorf("%s", a.body)
	}
	url := a.at(t, "updateProfile.user.avatar.url").(string)
	if a := h.send(t, httptest.NewRequest("GET", strings.TrimPrefix(url, publicURL), nil)); a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("%s: %d", url, a.StatusCode)
	}
	a = h.ask(t, "", `mutation($r: String!) { refreshSession(input: {refreshToken: $r}) { tokens { accessToken } } }`, map[string]any{"r": refresh})
	access = a.at(t, "refreshSession.tokens.accessToken").(string)
	if a := h.ask(t, access, `mutation { logout { ended } }`, nil); a.at(t, "logout.ended") != 1.0 {
		t.Errorf("%s", a.body)
	}
	if a := h.ask(t, access, `{ me { id } }`, nil); a.StatusCode != 200 || a.Errors[0].Extensions.Code != "UNAUTHENTICATED" || a.Data["me"] != nil {
		t.Errorf("%s", a.body)
	}
	for _, secret := range []string{access, refresh, "ada~", "Ada", "openid-ada"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// What is refused changes nothing.
func TestRefusedInput(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, _ := h.login(t, "ada")
	const update = `mutation($i: UpdateProfileInput!) { updateProfile(input: $i) { user { id } } }`
	before := h.ask(t, access, `{ me { version updatedAt audit { at } } }`, nil).body
	for _, c := range []struct {
		query       string
		variables   map[string]any
		code, field string
	}{
		{update, map[string]any{"i": map[string]any{"nickname": ""}}, "BAD_USER_INPUT", "nickname"},
		{update, map[string]any{"i": map[string]any{"nickname": strings.Repeat("x", 33), "gender": "MALE"}}, "BAD_USER_INPUT", "nickname"},
		{update, map[string]any{"i": map[string]any{"birthday": "1899-12-31"}}, "BAD_USER_INPUT", "birthday"},
		{update, map[string]any{"i": map[string]any{"region": map[string]any{"city": "\x00"}}}, "BAD_USER_INPUT", "region"},
		{update, map[string]any{"i": map[string]any{"preferences": map[string]any{"a": strings.Repeat("x", 17<<10)}}}, "BAD_USER_INPUT", "preferences"},
		{update, map[string]any{"i": map[string]any{"preferences": []int{}}}, "BAD_USER_INPUT", "preferences"},
		{update, map[string]any{"i": map[string]any{"nickname": "x", "ifVersion": 7}}, "CONFLICT", ""},
		{update, map[string]any{"i": map[string]any{"nickname": 5}}, "BAD_USER_INPUT", "nickname"},
		{`mutation { logout(input: {sessionId: "x"}) { ended } }`, nil, "BAD_USER_INPUT", "sessionId"},
		{`mutation { login(input: {code: ""}) { created } }`, nil, "BAD_USER_INPUT", "code"},
		{`mutation { login(input: {code: "used~1"}) { created } }`, nil, "LOGIN_CODE_REJECTED", ""},
		{`mutation { login(input: {code: "a~1", appId: "wx0"}) { created } }`, nil, "BAD_USER_INPUT", "appId"},
		{`mutation { refreshSession(input: {refreshToken: "r1.x"}) { tokens { accessToken } } }`, nil, "UNAUTHENTICATED", ""},
	} {
		a := h.ask(t, access, c.query, c.variables)
		if len(a.Errors) != 1 || a.StatusCode != 200 || a.Errors[0].Extensions.Code != c.code || a.Errors[0].Extensions.Field != c.field ||
			a.Errors[0].Extensions.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("%s %v: %d %s", c.query, c.variables, a.StatusCode, a.body)
		}
	}
	if a := h.upload(t, access, []byte("no picture")); a.Errors[0].Extensions.Field != "avatar" {
		t.Errorf("%s", a.body)
	}
	if after := h.ask(t, access, `{ me { version updatedAt audit { at } } }`, nil).body; !bytes.Equal(before, after) {
		t.Errorf("was %s\nis  %s", before, after)
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, c := range []struct {
		method, path string
		status       int
		contentType  string
		contains     string
	}{
		{"GET", "/", 200, "application/json", `"version":"test"`},
		{"HEAD", "/", 200, "application/json", ``},
		{"GET", "/healthz", 200, "application/json", `{"status":"ok"}`},
		{"GET", "/readyz", 200, "application/json", `{"status":"ready","dependencies":{"objects":"ready","store":"ready"}}`},
		{"GET", "/version", 200, "application/json", `{"version":"test"}`},
		{"GET", "/schema.graphql", 200, "text/plain; charset=utf-8", "type User {"},
		{"GET", "/.well-known/jwks.json", 200, "application/json", `"crv":"Ed25519"`},
		{"POST", "/healthz", 405, "application/json; charset=utf-8", "METHOD_NOT_ALLOWED"},
		{"POST", "/avatars/x", 405, "application/json; charset=utf-8", "METHOD_NOT_ALLOWED"},
		{"PUT", "/graphql", 405, "application/json; charset=utf-8", "METHOD_NOT_ALLOWED"},
		{"GET", "/nowhere", 404, "application/json; charset=utf-8", "NOT_FOUND"},
		{"GET", "/avatars/", 404, "application/json; charset=utf-8", "NOT_FOUND"},
		{"GET", "/avatars/a%2f..%2fb", 404, "application/json; charset=utf-8", "NOT_FOUND"},
		{"GET", "/avatars/aaaaaaaaaaaaaaaaaaaaaaaaaa-512.jpg", 404, "application/json; charset=utf-8", "NOT_FOUND"},
		{"GET", "//graphql", 404, "application/json; charset=utf-8", "NOT_FOUND"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		u, err := r.URL.Parse("http://x" + c.path)
		if err != nil {
			t.Fatal(err)
		}
		r.URL = u
		a := h.send(t, r)
		if a.StatusCode != c.status || a.Header.Get("Content-Type") != c.contentType || c.method != "HEAD" && !strings.Contains(string(a.body), c.contains) ||
			a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s: %d %v %s", c.method, c.path, a.StatusCode, a.Header, a.body)
		}
		if c.status >= 400 && a.Errors[0].Extensions.RequestID != a.Header.Get("X-Request-Id") {
			t.Errorf("%s", a.body)
		}
	}
	if got := h.send(t, httptest.NewRequest("GET", "/.well-known/jwks.json", nil)).Header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Error(got)
	}
}

func TestAvatar(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, _ := h.login(t, "ada")
	path := strings.TrimPrefix(h.upload(t, access, pngOf(t)).at(t, "updateProfile.user.avatar.url").(string), publicURL)
	get := func(method string, headers ...string) reply {
		r := httptest.NewRequest(method, path, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return h.send(t, r)
	}
	whole := get("GET")
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
		"Content-Security-Policy": bare, "Cross-Origin-Resource-Policy": "cross-origin", "Accept-Ranges": "bytes",
	} {
		if got := whole.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	etag := whole.Header.Get("ETag")
	if len(etag) < 3 || etag[0] != '"' || whole.StatusCode != 200 || !bytes.HasPrefix(whole.body, []byte("\xff\xd8")) {
		t.Fatalf("%d %s", whole.StatusCode, etag)
	}
	if a := get("GET", "If-None-Match", etag); a.StatusCode != 304 || len(a.body) > 0 {
		t.Error(a.StatusCode)
	}
	if a := get("GET", "Range", "bytes=2-5"); a.StatusCode != 206 || !bytes.Equal(a.body, whole.body[2:6]) {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a := get("HEAD"); a.StatusCode != 200 || len(a.body) > 0 {
		t.Error(a.StatusCode)
	}
	for status, header := range map[int][]string{416: {"Range", "bytes=9999999-"}, 412: {"If-Match", `"x"`}} {
		a := get("GET", header...)
		if a.StatusCode != status || a.Errors[0].Extensions.Code != "BAD_REQUEST" || a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	h := start(t)
	for id, kept := range map[string]bool{
		"abcDEF.1_2-3": true, strings.Repeat("x", 64): true,
		"": false, "short": false, strings.Repeat("x", 65): false, "with space": false, "new\nline9": false, "größe1234": false, `"quoted"`: false,
	} {
		r := httptest.NewRequest("GET", "/nowhere", nil)
		r.Header["X-Request-Id"] = []string{id}
		a := h.send(t, r)
		got := a.Header.Get("X-Request-Id")
		if (got == id) != kept || len(got) < 8 || a.Errors[0].Extensions.RequestID != got {
			t.Errorf("%q: %q %s", id, got, a.body)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	h := start(t)
	last := func() map[string]any {
		all := strings.Split(strings.TrimSpace(h.log.String()), "\n")
		var line map[string]any
		if err := json.Unmarshal([]byte(all[len(all)-1]), &line); err != nil {
			t.Fatal(err)
		}
		return line
	}
	a := h.ask(t, "tok", `query Mine { me { id } }`, nil)
	line := last()
	if line["level"] != "INFO" || line["route"] != "/graphql" || line["operation"] != "Mine" || line["code"] != "UNAUTHENTICATED" ||
		line["status"] != 200.0 || line["method"] != "POST" || line["bytes"] != float64(len(a.body)) || line["request"] != a.Header.Get("X-Request-Id") {
		t.Error(line)
	}
	h.ask(t, "", `query `+strings.Repeat("x", 65)+` { me { id } }`, nil)
	if line := last(); line["operation"] != nil {
		t.Error(line)
	}
	r := httptest.NewRequest("GET", "/avatars/secret?token=secret", nil)
	r.Method, r.Header["User-Agent"] = "SECRET", []string{"secret"}
	h.send(t, r)
	if line := last(); line["route"] != "/avatars/{name}" || line["method"] != "other" || line["code"] != "METHOD_NOT_ALLOWED" {
		t.Error(line)
	}
	h.send(t, httptest.NewRequest("GET", "/healthz", nil))
	if line := last(); line["level"] != "DEBUG" {
		t.Error(line)
	}
	if strings.Contains(strings.ToLower(h.log.String()), "secret") {
		t.Error(h.log.String())
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	h := start(t)
	serve := func(f func(x *exchange)) (reply, any) {
		var a reply
		value := func() (value any) {
			defer func() { value = recover() }()
			w := httptest.NewRecorder()
			x := &exchange{ResponseWriter: w}
			x.call.RequestID = "the-request"
			func() {
				defer func() {
					if value := recover(); value != nil {
						h.panicked(x, httptest.NewRequest("GET", "/", nil), value)
					}
				}()
				f(x)
			}()
			a.Response, a.body = w.Result(), w.Body.Bytes()
			json.Unmarshal(a.body, &a)
			return nil
		}()
		return a, value
	}
	a, _ := serve(func(*exchange) { panic("secret") })
	if a.StatusCode != 500 || a.Errors[0].Extensions.Code != "INTERNAL" || strings.Contains(string(a.body)+h.log.String(), "secret") || !strings.Contains(h.log.String(), "the-request") {
		t.Errorf("%d %s %s", a.StatusCode, a.body, h.log.String())
	}
	if _, value := serve(func(x *exchange) { x.Write([]byte("half")); panic("secret") }); value != http.ErrAbortHandler {
		t.Error(value)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		fail := errors.New("disk /secret/path on fire")
		told := make(chan error, 10)
		r := &readiness{check: func(context.Context) error {
			asked.Add(1)
			time.Sleep(time.Millisecond)
			return fail
		}, tell: func(err error) { told <- err }}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if err := r.ask(t.Context()); err != fail {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if asked.Load() != 1 {
			t.Errorf("asked %d times", asked.Load())
		}
		time.Sleep(readyLife + time.Millisecond)
		r.ask(t.Context())
		r.ask(t.Context())
		synctest.Wait()
		if asked.Load() != 2 || len(told) != 2 || <-told != fail || <-told != fail {
			t.Errorf("asked %d times", asked.Load())
		}
		stuck := make(chan struct{})
		r = &readiness{check: func(context.Context) error { <-stuck; return nil }}
		began := time.Now()
		if err := r.ask(t.Context()); !errors.Is(err, auth.ErrUpstream) || time.Since(began) != readyTime {
			t.Error(err, time.Since(began))
		}
		close(stuck)
	})
	h := start(t)
	h.store.Close()
	a := h.send(t, httptest.NewRequest("GET", "/readyz", nil))
	if a.StatusCode != 503 || a.Errors[0].Extensions.Code != "UPSTREAM_UNAVAILABLE" || a.Header.Get("Retry-After") != "1" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if !strings.Contains(string(a.body), `"extensions":{"status":"not ready","dependencies":{"objects":"ready","store":"not ready"}}`) || strings.Contains(string(a.body), "closed") {
		t.Errorf("%s", a.body)
	}
	h = start(t)
	h.draining.Store(true)
	if a := h.send(t, httptest.NewRequest("GET", "/readyz", nil)); a.StatusCode != 503 || a.Header.Get("Connection") != "close" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out lines
		log := NewLog(&out)
		logger := log.Logger(slog.LevelInfo, false)
		logger.Info("one")
		logger.Debug("none")
		if out.String() != "" {
			t.Error(out.String())
		}
		time.Sleep(logWait + time.Millisecond)
		if strings.Count(out.String(), "\n") != 1 {
			t.Error(out.String())
		}
		logger.With("a", 1).Info("two")
		logger.WithGroup("g").Warn("three", "b", 2)
		if got := out.String(); strings.Count(got, "\n") != 3 || !strings.Contains(got, `"g":{"b":2}`) {
			t.Error(got)
		}
		logger.Info("four")
		log.Flush()
		if strings.Count(out.String(), "\n") != 4 {
			t.Error(out.String())
		}
		for range 10 {
			logger.Info(strings.Repeat("x", logBytes/8))
		}
		if strings.Count(out.String(), "\n") < 10 {
			t.Error("the log gathers without bound")
		}
		log.Flush()
		before := len(out.String())
		log.Logger(slog.LevelInfo, true).Warn("five", "request", "id")
		if got := out.String()[before:]; !strings.Contains(got, "level=WARN msg=five request=id\n") {
			t.Error(got)
		}
	})
}

// Run ends under load without one failed request.
func TestGracefulEnd(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, _ := h.login(t, "ada")
	address, stop, ended := h.run(t)
	url := "http://" + address + "/graphql"

	const clients = 16
	var group sync.WaitGroup
	var answered atomic.Int64
	busy := make(chan struct{}, clients)
	for range clients {
		group.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			for n := 0; ; n++ {
				r, _ := http.NewRequest("POST", url, strings.NewReader(`{"query":"{ me { id } }"}`))
				r.GetBody = nil // or the transport would send it again, and hide a failure
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+access)
				a, err := client.Do(r)
				if err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				body, err := io.ReadAll(a.Body)
				a.Body.Close()
				if err != nil || a.StatusCode != 200 || !bytes.Contains(body, []byte(`"id"`)) {
					t.Errorf("request %d: %v %d %s", n, err, a.StatusCode, body)
				}
				answered.Add(1)
				if n == 20 {
					busy <- struct{}{}
				}
				if a.Close {
					return
				}
			}
		})
	}
	// One request that is half sent when the end comes.
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	body := `{"query":"{ me { id } }"}`
	io.WriteString(slow, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 25\r\n\r\n"+body[:10])
	for range clients {
		<-busy
	}
	stop()
	group.Wait()
	io.WriteString(slow, body[10:])
	answer, err := io.ReadAll(slow)
	if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
		t.Errorf("%v %s", err, answer)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("still listening")
	}
	t.Logf("%d requests", answered.Load())
}

// A client that stalls is broken off, and the stop is a clean one.
func TestStalledClient(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.drain, h.finish = time.Millisecond, time.Millisecond
	address, stop, ended := h.run(t)
	stalls, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer stalls.Close()
	// 100 Continue says that the body is being read.
	io.WriteString(stalls, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 25\r\nExpect: 100-continue\r\n\r\n")
	if line, err := bufio.NewReader(stalls).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if log := h.log.String(); !strings.Contains(log, `"level":"WARN","msg":"requests in flight were broken off","requests":1`) {
		t.Error(log)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := start(t).Run(t.Context(), listener); err == nil {
		t.Error("no error")
	}
}

// Each request is told of, however it ends, and in no word of a client's.
func TestWatch(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, _ := h.login(t, "ada")
	type key struct{}
	var told []Request
	var begun []string
	h.Server = New(Config{Core: h.core, Logger: slog.New(slog.DiscardHandler), Watch: func(r *http.Request, route string) (context.Context, func(Request)) {
		begun = append(begun, route)
		return context.WithValue(r.Context(), key{}, true), func(done Request) { told = append(told, done) }
	}, GraphQL: graph.Options{Watch: func(ctx context.Context, field string) (context.Context, func(string)) {
		if ctx.Value(key{}) == nil {
			t.Error("the context of the request does not reach the core")
		}
		return ctx, func(string) {}
	}}})
	h.ask(t, access, `query Secret { secret: me { id } }`, nil)
	h.ask(t, "", `{ me { id } }`, nil)
	h.upload(t, access, []byte("no picture"))
	h.send(t, httptest.NewRequest("SECRET", "/secret", nil))
	for i, want := range []Request{
		{Route: "/graphql", Field: "me", Status: 200},
		{Route: "/graphql", Field: "me", Status: 200, Code: "UNAUTHENTICATED"},
		{Route: "/graphql", Field: "updateProfile", Status: 200, Code: "BAD_USER_INPUT", Picture: true},
		{Route: "none", Status: 404, Code: "NOT_FOUND"},
	} {
		if told[i].Took <= 0 || begun[i] != want.Route {
			t.Errorf("%+v", told[i])
		}
		told[i].Took = 0
		if told[i] != want {
			t.Errorf("%+v, want %+v", told[i], want)
		}
	}
	if len(told) != 4 {
		t.Errorf("%d told", len(told))
	}
}
