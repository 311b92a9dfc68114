package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"iter"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/breaker"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/miniprofile/miniprofile/graph"
	"github.com/miniprofile/miniprofile/observe"
	"github.com/miniprofile/miniprofile/server"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// TestNothingIsTold is invariant 1: whatever is done, and whichever call of the
// store, of the objects or of WeChat fails at it, no secret of any kind is in an
// answer, a line of the log, an error, a metric or a span. All is wired as serve
// wires it; WeChat is the sandbox, beyond a wire on which the failing call is
// answered by all the secrets there are.
func TestNothingIsTold(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	passed := map[string]bool{}
	t.Run("deeds", func(t *testing.T) {
		for name, deed := range deeds {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				try := func(f fault) map[string]int {
					h := newHouse(t)
					deed.before(h)
					h.fault.arm(f)
					deed.do(h)
					calls := h.fault.disarm()
					h.search(f.String())
					mu.Lock()
					defer mu.Unlock()
					for _, s := range h.secrets {
						passed[s.what] = true
					}
					return calls
				}
				calls, struck, tried := try(fault{}), 0, 0
				for _, f := range faults() {
					for f.nth = 1; f.nth <= calls[f.of] && !t.Failed(); f.nth++ {
						tried++
						if try(f)[f.of] >= f.nth {
							struck++
						}
					}
				}
				// A ticket that was asked for comes when it likes, so not quite all calls come again.
				if struck < tried*9/10 {
					t.Errorf("of %d faults %d have struck", tried, struck)
				}
				t.Logf("%d faults in calls %v", struck, calls)
			})
		}
	})
	for _, what := range []string{
		"AppSecret", "push token", "push key", "server secret", "login code", "phone code", "access token of WeChat", "component token",
		"merchant's token", "merchant's refresh token", "ticket", "authorisation code", "session_key", "openid", "unionid", "phone number",
		"access token", "refresh token", "encrypted data", "iv", "raw data", "signature", "signature of a push", "sealed push", "nickname",
		"purpose", "device", "upload",
	} {
		if !passed[what] {
			t.Errorf("no %s has ever passed: that none was told proves nothing", what)
		}
	}
}

// deeds are all that can be asked of the server. before is without faults.
var deeds = map[string]struct{ before, do func(h *house) }{
	"login": {nothing, func(h *house) {
		for range 2 { // the second is a repetition
			h.login(sandbox.AppID, "ming")
		}
		h.ask(`{ me { id } }`)
	}},
	"refresh": {signIn, func(h *house) {
		old := h.refresh
		for _, token := range []string{old, old, h.refresh, old} { // lost, stolen
			h.ask(`mutation { refreshSession(input: {refreshToken: "` + token + `"}) { tokens { accessToken refreshToken } } }`)
		}
		h.ask(`{ me { id } }`)
	}},
	"me": {func(h *house) { signIn(h); fill(h) }, func(h *house) {
		h.ask(`{ me { id export otherAccounts consents { purpose } audit { event } sessions { device } identities { openid } avatar { url } } }`)
	}},
	"profile": {signIn, func(h *house) {
		h.ask(`mutation { updateProfile(input: {nickname: "` + nickname + `", preferences: {a: "` + nickname + `"}, ` + h.consent("NICKNAME, PREFERENCES") + `}) { user { nickname } } }`)
		h.ask(`mutation { updateProfile(input: {gender: MALE, birthday: "no ` + nickname + `"}) { user { nickname } } }`)
		h.ask(`mutation { withdrawConsent(input: {scopes: [NICKNAME]}) { user { nickname } } }`)
	}},
	"picture": {signIn, func(h *house) {
		h.setPicture()
		h.jobs()
		h.get("/avatars/" + strings.TrimPrefix(h.picture, publicURL+"/avatars/"))
		if trace := h.found("trace id"); trace != "" {
			h.push(`{"event": "wxa_media_check", "suggest": "risky", "traceId": "` + trace + `"}`)
		}
		h.jobs() // the picture goes
	}},
	"direct upload": {signIn, func(h *house) {
		h.ask(`mutation { createAvatarUpload(input: {contentType: "image/png", size: 100000}) { id url } }`)
		h.upload()
		h.ask(`mutation { updateProfile(input: {avatarUploadId: "` + h.uploadID + `", ` + h.consent("AVATAR") + `}) { user { avatar { url } } } }`)
		h.clock.add(time.Hour)
		h.jobs()
	}},
	"open data": {signIn, func(h *house) {
		d := h.openData("nickname=" + nickname)
		h.ask(`mutation { importWeChatProfile(input: {encryptedData: "` + d.EncryptedData + `", iv: "` + d.IV + `", overwrite: true, ` + h.consent("NICKNAME, GENDER, REGION") + `}) { user { nickname } } }`)
		raw, _ := json.Marshal(d.RawData)
		h.ask(`mutation { importWeChatProfile(input: {rawData: ` + string(raw) + `, signature: "` + d.Signature + `", overwrite: true}) { user { nickname } } }`)
		h.ask(`mutation { importWeChatProfile(input: {rawData: "changed", signature: "` + d.Signature + `"}) { user { nickname } } }`)
		d = h.openData("stale=1")
		h.ask(`mutation { importWeChatProfile(input: {encryptedData: "` + d.EncryptedData + `", iv: "` + d.IV + `"}) { user { nickname } } }`)
	}},
	"session_key": {signIn, func(h *house) {
		for _, reset := range []bool{false, true} {
			h.clock.add(20 * time.Second)
			_, err := h.core.CheckSessionKey(h.t.Context(), h.token, reset)
			h.err(err)
		}
	}},
	"phone number": {signIn, func(h *house) {
		for range 2 {
			h.ask(`mutation { bindPhoneNumber(input: {code: "` + phoneCode + `", move: true, ` + h.consent("PHONE") + `}) { user { phone { number } } } }`)
		}
		d := h.openData("phone=" + phoneNumber)
		h.ask(`mutation { bindPhoneNumber(input: {encryptedData: "` + d.EncryptedData + `", iv: "` + d.IV + `"}) { user { phone { number } } } }`)
	}},
	"consent": {signIn, func(h *house) {
		h.ask(`mutation { recordConsent(input: {` + h.consent("NICKNAME") + `}) { user { id } } }`)
		h.ask(`mutation { withdrawConsent(input: {scopes: [NICKNAME]}) { user { id } } }`)
	}},
	"merge": {func(h *house) { signInAs(h, "hong"); fill(h); signIn(h) }, func(h *house) {
		h.ask(`mutation { mergeAccount(input: {code: "` + h.code("hong") + `"}) { merged } }`)
		h.jobs()
	}},
	"merge by the operator": {func(h *house) { signInAs(h, "hong"); fill(h); signIn(h) }, func(h *house) {
		for _, dry := range []bool{true, false} {
			_, err := h.core.MergeAccounts(h.t.Context(), h.users["ming"], h.users["hong"], dry)
			h.err(err)
		}
		h.jobs()
		_, err := auth.RetryDeadJobs(h.t.Context(), h.store, h.clock.now())
		h.err(err)
		_, err = h.core.SweepPictures(h.t.Context())
		h.err(err)
	}},
	"delete": {func(h *house) { signIn(h); fill(h) }, func(h *house) {
		h.ask(`mutation { deleteAccount(input: {code: "` + h.code("ming") + `"}) { erasedAt } }`)
		h.jobs()
	}},
	"logout": {signIn, func(h *house) { h.ask(`mutation { logout(input: {everywhere: true}) { ended } }`) }},
	"merchants": {nothing, func(h *house) {
		h.push(`{"event": "component_verify_ticket"}`)
		h.push(`{"event": "authorized"}`)
		h.jobs()
		h.login(merchant, "li")
		h.clock.add(13 * time.Hour) // all tokens are over, and the ticket
		h.login(merchant, "li")
		h.push(`{"event": "unauthorized"}`)
		h.jobs()
		h.login(merchant, "li")
	}},
	"pushes": {func(h *house) { signIn(h); fill(h) }, func(h *house) {
		h.push(`{"event": "user_authorization_revoke", "person": "ming-silent", "revokeInfo": "6"}`)
		h.push(`{"event": "user_authorization_revoke", "person": "ming-silent", "revokeInfo": "8", "format": "xml", "times": 2}`)
		h.jobs()
		h.push(`{"event": "user_info_modified", "person": "ming-silent"}`)
		h.push(`{"event": "user_authorization_cancellation", "person": "ming-silent"}`)
		h.jobs()
	}},
	"what is wrong": {signIn, func(h *house) {
		for _, forge := range []string{"signature", "key", "appid"} {
			h.push(`{"event": "user_info_modified", "person": "ming-silent", "forge": "` + forge + `"}`)
		}
		h.push(`{"event": "user_info_modified", "person": "ming-silent", "age": 3600}`)
		h.push(`{"event": "url_check"}`)
		h.ask(`{ me { "` + h.refresh + `" } }`)
		h.ask(`mutation { refreshSession(input: {refreshToken: "` + h.token + `"}) { tokens { accessToken } } }`)
		h.ask(`mutation { login(input: {code: "` + h.code("invalid") + `", appId: "` + sandbox.Secret + `"}) { created } }`)
		h.ask(`mutation { bindPhoneNumber(input: {code: "` + h.code("ming") + `", ` + h.consent("PHONE") + `}) { user { id } } }`)
		h.get("/graphql?query={me{id}}&access_token=" + h.token)
		h.get("/avatars/" + h.token)
		h.get("/readyz")
	}},
}

func nothing(*house) {}

func signIn(h *house) { signInAs(h, "ming") }

func signInAs(h *house, person string) {
	if h.login(sandbox.AppID, person); h.token == "" {
		h.t.Fatalf("no login: %s", h.answers.String())
	}
}

// fill gives the account all that it can have without a picture.
func fill(h *house) {
	h.ask(`mutation { updateProfile(input: {nickname: "` + nickname + `", birthday: "2001-02-03", ` + h.consent("NICKNAME, BIRTHDAY, PHONE") + `}) { user { id } } }`)
	h.ask(`mutation { bindPhoneNumber(input: {code: "` + phoneCode + `"}) { user { phone { number } } } }`)
	if h.found("phone number") == "" {
		h.t.Fatalf("no number was bound: %s", h.answers.String())
	}
}

const (
	publicURL   = "https://profile.example"
	merchant    = sandbox.MerchantPrefix + "1"
	nickname    = "planted-nickname"
	purpose     = "planted purpose"
	deviceName  = "planted device"
	phoneNumber = "13812345678"
	phoneCode   = "phone~" + phoneNumber + "~planted-phone-nonce"
)

// secret is a text that must not be told. The person's own may be in answers to them.
type secret struct {
	what, text string
	own        bool
}

// house is the server as serve wires it, and all that it lets out.
type house struct {
	t       *testing.T
	clock   *sandClock
	core    *auth.Core
	store   drivers.Store
	server  http.Handler
	sandbox *sandbox.Sandbox
	metrics *observe.Metrics
	traces  *observe.Traces
	fault   *armed

	answers logBuffer // what clients and WeChat were answered
	errs    logBuffer // errors, in all the ways to print them
	lines   *server.Log
	log     *logBuffer
	spans   *logBuffer

	person         string
	token, refresh string
	users          map[string]string // by person
	codes          int
	picture        string
	uploadID       string

	mu      sync.Mutex
	secrets []secret
}

// sandClock is a time that moves with each request: what a failure has left
// behind, such as a lease, holds nobody up.
type sandClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *sandClock) now() time.Time      { c.mu.Lock(); defer c.mu.Unlock(); return c.t }
func (c *sandClock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func newHouse(t *testing.T) *house {
	h := &house{t: t, log: &logBuffer{}, spans: &logBuffer{}, fault: &armed{}, users: map[string]string{}}
	h.clock = &sandClock{t: time.Now().UTC().Truncate(time.Microsecond)}
	serverSecrets := []string{"planted-server-secret-planted-server-secret", "planted-older-secret-planted-older-secret"}
	for _, s := range serverSecrets {
		h.hide("server secret", s)
	}
	h.hide("AppSecret", sandbox.Secret)
	h.hide("push token", sandbox.PushToken)
	h.hide("push key", sandbox.PushAESKey)

	h.sandbox = sandbox.New(h.clock.now, sandbox.AppID)
	api := httptest.NewServer(http.HandlerFunc(h.wire))
	t.Cleanup(api.Close)
	config := wechat.Config{Apps: map[string]wechat.Secret{sandbox.AppID: {}}, BaseURL: api.URL}
	simulate(&config)
	client, err := wechat.New(config)
	if err != nil {
		t.Fatal(err)
	}

	s := &serve{settings{Store: "memory:"}}
	h.lines = server.NewLog(h.log)
	log := h.lines.Logger(slog.LevelDebug, false)
	h.metrics = observe.NewMetrics("test")
	if h.traces, err = observe.NewTraces(t.Context(), "test", exporter{h.spans}); err != nil {
		t.Fatal(err)
	}
	space := memory.New()
	h.store = failingStore{space.OpenStore(), h.fault}
	limits, err := server.ParseLimits("on")
	if err != nil {
		t.Fatal(err)
	}
	h.core, err = s.newCore(plan{
		core: auth.Config{
			Issuer: publicURL, RequireConsent: true, CheckContent: true, DeletedAuditLife: time.Hour, Now: h.clock.now,
		},
		edge:   server.Config{Limits: limits},
		weChat: &weChat{client: client, apps: []string{sandbox.AppID}},
	}, &places{
		store: h.store, objects: breaker.Objects(failingObjects{space.OpenObjects(), h.fault}), secrets: serverSecrets,
	}, publicURL, h.metrics, observe.Both(h.traces.Watch(), h.metrics.Watch))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.core.Wait)
	h.server = server.New(server.Config{
		Core: h.core, Version: "test", Logger: log, GraphQL: graph.Options{Introspection: true, Watch: h.traces.Core()}, Sandbox: h.sandbox,
		Watch: watchRequests(h.metrics, h.traces), Refused: h.metrics.Limited, Limits: limits,
	})
	front := httptest.NewServer(http.HandlerFunc(h.door))
	t.Cleanup(front.Close)
	h.sandbox.PushTo(front.URL)
	return h
}

// hide says that a text must not be told.
func (h *house) hide(what, text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	own := slices.Contains([]string{"openid", "unionid", "phone number", "nickname", "purpose", "device", "raw data", "access token", "refresh token", "upload", "trace id"}, what)
	if s := (secret{what, text, own}); text != "" && !slices.Contains(h.secrets, s) {
		h.secrets = append(h.secrets, s)
	}
}

// found is the last secret of a kind, or nothing.
func (h *house) found(what string) (text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.secrets {
		if s.what == what {
			text = s.text
		}
	}
	return text
}

// kinds are what WeChat and the server call their secrets.
var kinds = map[string]string{
	"access_token": "access token of WeChat", "component_access_token": "component token", "authorizer_access_token": "merchant's token",
	"authorizer_refresh_token": "merchant's refresh token", "component_verify_ticket": "ticket", "authorization_code": "authorisation code",
	"session_key": "session_key", "openid": "openid", "unionid": "unionid", "phoneNumber": "phone number", "js_code": "login code", "code": "phone code",
	"trace_id": "trace id", "Encrypt": "sealed push",
	"encryptedData": "encrypted data", "iv": "iv", "rawData": "raw data", "signature": "signature", "msg_signature": "signature of a push",
}

// learn hides what JSON has of secrets.
func (h *house) learn(text []byte) {
	var v any
	if json.Unmarshal(text, &v) == nil {
		h.learnValue("", v)
	}
}

func (h *house) learnValue(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			h.learnValue(name, inner)
		}
	case []any:
		for _, inner := range v {
			h.learnValue("", inner)
		}
	case string:
		if what := kinds[name]; what != "" {
			h.hide(what, v)
		}
	}
}

func (h *house) learnQuery(q url.Values) {
	for name, values := range q {
		if what := kinds[name]; what != "" {
			h.hide(what, values[0])
		}
	}
}

// wire is between the client and the simulated WeChat: it learns what passes, and
// at the call that fails it tells all that it knows.
func (h *house) wire(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.learnQuery(r.URL.Query())
	h.learn(body)
	if how := h.fault.strikes("wechat"); how != nil {
		asked := r.Method + " " + r.URL.String() + " " + string(body)
		h.mu.Lock()
		for _, s := range h.secrets {
			asked += " " + s.text
		}
		h.mu.Unlock()
		how(w, asked)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorded := httptest.NewRecorder()
	h.sandbox.ServeHTTP(recorded, r)
	h.learn(recorded.Body.Bytes())
	maps.Copy(w.Header(), recorded.Header())
	w.WriteHeader(recorded.Code)
	w.Write(recorded.Body.Bytes())
}

// door is where the pushes of the simulated WeChat come in.
func (h *house) door(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.learnQuery(url.Values{"msg_signature": {r.URL.Query().Get("signature")}})
	h.learnQuery(url.Values{"msg_signature": {r.URL.Query().Get("msg_signature")}})
	h.learn(body)
	if _, after, ok := strings.Cut(string(body), "<Encrypt><![CDATA["); ok {
		sealed, _, _ := strings.Cut(after, "]]>")
		h.hide("sealed push", sealed)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.server.ServeHTTP(w, r)
}

// serve makes one request of a client.
func (h *house) serve(r *http.Request) []byte {
	h.clock.add(20 * time.Second)
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	fmt.Fprintln(&h.answers, w.Result().Header, w.Body)
	return w.Body.Bytes()
}

// ask sends an operation, and keeps what it gives.
func (h *house) ask(query string) {
	body, _ := json.Marshal(object{"query": query})
	r := httptest.NewRequest("POST", "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	h.send(r)
}

// session is what a login or a refresh gives.
type session struct {
	Tokens struct{ AccessToken, RefreshToken string }
	User   struct{ ID string }
}

func (h *house) send(r *http.Request) {
	if h.token != "" {
		r.Header.Set("Authorization", "Bearer "+h.token)
	}
	text := h.serve(r)
	var a struct {
		Data struct {
			Login, RefreshSession *session
			CreateAvatarUpload    *struct{ ID string }
			UpdateProfile         *struct {
				User struct{ Avatar *struct{ URL string } }
			}
		}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		h.t.Fatalf("%v: %s", err, text)
	}
	for _, given := range []*session{a.Data.Login, a.Data.RefreshSession} {
		if given != nil {
			h.token, h.refresh = given.Tokens.AccessToken, given.Tokens.RefreshToken
			h.hide("access token", h.token)
			h.hide("refresh token", h.refresh)
		}
	}
	if l := a.Data.Login; l != nil {
		h.users[h.person] = l.User.ID
	}
	if u := a.Data.CreateAvatarUpload; u != nil {
		h.uploadID = u.ID
		h.hide("upload", u.ID)
	}
	if u := a.Data.UpdateProfile; u != nil && u.User.Avatar != nil {
		h.picture = u.User.Avatar.URL
	}
}

func (h *house) code(person string) string {
	h.codes++
	code := fmt.Sprintf("%s~planted-login-nonce-%d", person, h.codes)
	h.hide("login code", code)
	return code
}

// login logs in as a person on whose pictures WeChat gives no verdict unasked.
func (h *house) login(app, person string) {
	h.person, h.token = person, ""
	h.hide("device", deviceName)
	code := h.code(person + "-silent")
	for range 2 { // a repetition
		h.ask(`mutation { login(input: {code: "` + code + `", requestId: "once", appId: "` + app + `", device: "` + deviceName + `"}) { tokens { accessToken refreshToken } user { id } } }`)
	}
}

func (h *house) consent(scopes string) string {
	h.hide("purpose", purpose)
	h.hide("nickname", nickname)
	return `consent: {scopes: [` + scopes + `], purpose: "` + purpose + `", policyVersion: "1"}`
}

// form makes a form with a picture.
func form(fields map[string]string, file string) (*bytes.Buffer, string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range fields {
		w.WriteField(name, value)
	}
	part, _ := w.CreateFormFile(file, "picture.png")
	png.Encode(part, image.NewGray(image.Rect(0, 0, 8, 8)))
	w.Close()
	return &b, w.FormDataContentType()
}

func (h *house) setPicture() {
	operations, _ := json.Marshal(object{
		"query":     `mutation ($avatar: Upload) { updateProfile(input: {avatar: $avatar, ` + h.consent("AVATAR") + `}) { user { avatar { url } } } }`,
		"variables": object{"avatar": nil},
	})
	body, contentType := form(map[string]string{"operations": string(operations), "map": `{"0": ["variables.avatar"]}`}, "0")
	r := httptest.NewRequest("POST", "/graphql", body)
	r.Header.Set("Content-Type", contentType)
	h.send(r)
}

// upload sends the file of a direct upload.
func (h *house) upload() {
	if h.uploadID == "" {
		return
	}
	body, contentType := form(nil, "file")
	r := httptest.NewRequest("POST", "/uploads/"+h.users[h.person]+"."+h.uploadID, body)
	r.Header.Set("Content-Type", contentType)
	h.serve(r)
}

func (h *house) get(path string) { h.serve(httptest.NewRequest("GET", path, nil)) }

// push has the simulated WeChat push something.
func (h *house) push(order string) {
	h.clock.add(20 * time.Second)
	w := httptest.NewRecorder()
	h.sandbox.ServeHTTP(w, httptest.NewRequest("POST", "/sandbox/push", strings.NewReader(order)))
	if w.Code != http.StatusOK {
		h.t.Fatalf("%s: %s", order, w.Body)
	}
	fmt.Fprintln(&h.answers, w.Body)
}

// openData is what a client of the person who is signed in has from WeChat.
func (h *house) openData(query string) (d struct{ RawData, Signature, EncryptedData, IV string }) {
	w := httptest.NewRecorder()
	h.sandbox.ServeHTTP(w, httptest.NewRequest("GET", "/sandbox/opendata?person="+h.person+"-silent&"+query, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || w.Code != http.StatusOK {
		h.t.Fatalf("%v: %s", err, w.Body)
	}
	h.learn(w.Body.Bytes())
	return d
}

// jobs runs what is due, and what that makes due.
func (h *house) jobs() {
	for range 3 {
		h.clock.add(20 * time.Second)
		_, err := h.core.RunDueJobs(h.t.Context(), func(err error) {
			h.err(err)
			logJob(h.lines.Logger(slog.LevelDebug, false), err)
		})
		h.err(err)
	}
}

func (h *house) err(err error) {
	if err != nil {
		fmt.Fprintf(&h.errs, "%v %+v %#v\n", err, err, err)
	}
}

// search looks for every secret in everything.
func (h *house) search(when string) {
	h.t.Helper()
	h.lines.Flush()
	if err := h.traces.Close(context.WithoutCancel(h.t.Context())); err != nil {
		h.t.Error(err)
	}
	page := httptest.NewRecorder()
	h.metrics.Admin().ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	out := map[string]string{
		"answers": h.answers.String(), "log": h.log.String(), "errors": h.errs.String(), "metrics": page.Body.String(), "spans": h.spans.String(),
	}
	for _, name := range []string{"answers", "log", "metrics", "spans"} {
		if out[name] == "" {
			h.t.Fatalf("%s: there are no %s to search", when, name)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.secrets {
		for where, text := range out {
			if s.own && where == "answers" {
				continue
			}
			for _, form := range forms(s.text) {
				if strings.Contains(text, form) {
					h.t.Errorf("%s: the %s show the %s (%s):\n%s", when, where, s.what, form, text)
					break
				}
			}
		}
	}
}

// forms are the ways in which a text may show: as it is, within a URL or JSON, and
// its end, where it is long.
func forms(text string) []string {
	quoted, _ := json.Marshal(text)
	all := []string{text, url.QueryEscape(text), string(quoted[1 : len(quoted)-1])}
	if len(text) >= 24 {
		all = append(all, text[len(text)-14:])
	}
	return all
}

// fault is which call of what is to fail, and how.
type fault struct {
	of  string // store, objects or wechat
	nth int
	how func(w http.ResponseWriter, tale string) // of wechat
	say string
}

func (f fault) String() string {
	if f.nth == 0 {
		return "no fault"
	}
	return strings.TrimSpace(fmt.Sprintf("call %d of the %s fails %s", f.nth, f.of, f.say))
}

// faults are all the ways to fail; WeChat tells all it knows in each of its own.
func faults() []fault {
	reply := func(status int, format string) func(http.ResponseWriter, string) {
		return func(w http.ResponseWriter, tale string) {
			quoted, _ := json.Marshal(tale)
			w.WriteHeader(status)
			fmt.Fprintf(w, format, quoted)
		}
	}
	all := []fault{{of: "store"}, {of: "objects"}}
	add := func(say string, how func(http.ResponseWriter, string)) {
		all = append(all, fault{of: "wechat", say: say, how: how})
	}
	for _, code := range []int{-1, 40001, 40029, 40164, 45009, 61003, 61006, 61010, 87009} {
		add(fmt.Sprint(code), reply(200, fmt.Sprintf(`{"errcode":%d,"errmsg":%%s}`, code)))
	}
	add("a page", reply(502, "%s"))
	add("wrong types", reply(200, `{"access_token":[%[1]s],"expires_in":%[1]s,"session_key":{"a":%[1]s},"openid":[%[1]s],"errcode":%[1]s,"phone_info":%[1]s,"result":%[1]s,"authorization_info":%[1]s}`))
	add("odd values", reply(200, `{"access_token":%[1]s,"component_access_token":%[1]s,"authorizer_access_token":%[1]s,"expires_in":7200,"session_key":%[1]s,"openid":%[1]s,"trace_id":%[1]s,`+
		`"phone_info":{"purePhoneNumber":%[1]s,"countryCode":%[1]s},"result":{"suggest":%[1]s},"authorization_info":{"authorizer_appid":%[1]s}}`))
	add("no answer", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) })
	return all
}

// armed is the fault of a house, while it is armed.
type armed struct {
	mu    sync.Mutex
	fault fault
	calls map[string]int // nil while nothing is armed
}

func (a *armed) arm(f fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fault, a.calls = f, map[string]int{}
}

// disarm ends the fault and returns how many calls there were.
func (a *armed) disarm() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := a.calls
	a.calls = nil
	return calls
}

// strikes counts a call and returns how it fails, or nil.
func (a *armed) strikes(of string) func(http.ResponseWriter, string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls == nil {
		return nil
	}
	a.calls[of]++
	switch {
	case a.fault.of != of || a.calls[of] != a.fault.nth:
		return nil
	case a.fault.how == nil:
		return func(http.ResponseWriter, string) {}
	}
	return a.fault.how
}

var errFire = errors.New("on fire")

func (a *armed) fails(of string) error {
	if a.strikes(of) != nil {
		return errFire
	}
	return nil
}

type failingStore struct {
	drivers.Store
	fault *armed
}

func (s failingStore) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if err := s.fault.fails("store"); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, keys...)
}

func (s failingStore) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := s.fault.fails("store"); err != nil {
		return err
	}
	return s.Store.Commit(ctx, ops...)
}

func (s failingStore) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	if err := s.fault.fails("store"); err != nil {
		return func(yield func(drivers.Record, error) bool) { yield(drivers.Record{}, err) }
	}
	return s.Store.Scan(ctx, kind, prefix, after)
}

type failingObjects struct {
	drivers.Objects
	fault *armed
}

func (o failingObjects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if err := o.fault.fails("objects"); err != nil {
		return err
	}
	return o.Objects.Put(ctx, key, r, size, contentType)
}

func (o failingObjects) Get(ctx context.Context, key string) (drivers.Object, error) {
	if err := o.fault.fails("objects"); err != nil {
		return drivers.Object{}, err
	}
	return o.Objects.Get(ctx, key)
}

func (o failingObjects) Delete(ctx context.Context, keys ...string) error {
	if err := o.fault.fails("objects"); err != nil {
		return err
	}
	return o.Objects.Delete(ctx, keys...)
}

func (o failingObjects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	if err := o.fault.fails("objects"); err != nil {
		return func(yield func(drivers.ObjectInfo, error) bool) { yield(drivers.ObjectInfo{}, err) }
	}
	return o.Objects.List(ctx, prefix, after)
}

// exporter writes down all that spans have.
type exporter struct{ to io.Writer }

func (e exporter) ExportSpans(_ context.Context, spans []sdk.ReadOnlySpan) error {
	for _, s := range spans {
		fmt.Fprintln(e.to, s.Name(), s.Attributes(), s.Events(), s.Links(), s.Status(), s.Resource(), s.SpanContext().TraceState())
	}
	return nil
}

func (exporter) Shutdown(context.Context) error { return nil }

// TestWrongSettingsAreNotQuoted: what is wrong with a setting is said without the
// setting, by the server that does not start and by check.
func TestWrongSettingsAreNotQuoted(t *testing.T) {
	t.Parallel()
	if err := buildBinary(); err != nil {
		t.Fatal(err)
	}
	const planted = "pLanted5ecret"
	tattler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s %s %s</Message></Error>", planted, r.Header.Get("Authorization"), r.URL)
	}))
	defer tattler.Close()
	host := strings.TrimPrefix(tattler.URL, "http://")
	for _, setting := range []string{
		"MINIPROFILE_STORE=postgres://user:" + planted + "@db.example/x",
		"MINIPROFILE_STORE=firestore://user:" + planted + "@project",
		"MINIPROFILE_OBJECTS=minio://user:" + planted + "@" + host + "/bucket?tls=false",
		"MINIPROFILE_OBJECTS=minio://" + host + "/bucket?tls=false&secret=" + planted,
		"MINIPROFILE_OBJECTS=minio://" + host + "/bucket?tls=false",
		"MINIPROFILE_SECRET=" + planted,
		"WECHAT_APPS=" + planted,
		"WECHAT_APPS=wxa:" + planted + ",wxa:" + planted,
		"WECHAT_APPS=wxa:" + planted + "\x01",
		"WECHAT_PUSH=wxa:" + planted + ":" + planted,
		"WECHAT_COMPONENT=wxc:" + planted + ":" + planted + ":" + planted,
		"WECHAT_APPS=wxa:" + planted + " WECHAT_BASE_URL=http://user:" + planted + "@127.0.0.1:1",
	} {
		for _, command := range []string{"serve", "check"} {
			t.Run(command+" "+strings.ReplaceAll(setting, planted, "…"), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				c := exec.CommandContext(ctx, binary, command)
				c.Dir = dir
				c.Env = append(strings.Fields(setting), "HOME="+dir, "MINIPROFILE_LISTEN=127.0.0.1:0", "MINIO_ACCESS_KEY=key"+planted, "MINIO_SECRET_KEY="+planted)
				out, err := c.CombinedOutput()
				if err == nil || ctx.Err() != nil {
					t.Errorf("nothing is wrong with it: %v\n%s", err, out)
				}
				if len(out) == 0 || strings.Contains(string(out), planted) {
					t.Errorf("said:\n%s", out)
				}
			})
		}
	}
}
