package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// fake is a core that answers what a test says and remembers what it was asked.
type fake struct {
	err   error // of all calls
	panic any   // by all calls
	user  *auth.User

	mu    sync.Mutex
	calls []string
	login auth.LoginInput
	input auth.UpdateProfileInput
	file  []byte // of the last upload
	token string // of the last call
}

func (f *fake) called(name, token string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, name)
	f.token = token
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

func (f *fake) Login(_ context.Context, in auth.LoginInput) (*auth.LoginPayload, error) {
	f.login = in
	return &auth.LoginPayload{Tokens: someTokens, User: f.user, Created: true}, f.called("login", "")
}

var someTokens = auth.Tokens{
	AccessToken: "access", AccessTokenExpiresAt: time.Unix(1_800_000_000, 123_000_000),
	RefreshToken: "refresh", RefreshTokenExpiresAt: time.Unix(1_900_000_000, 0),
}

func (f *fake) RefreshSession(_ context.Context, in auth.RefreshSessionInput) (*auth.RefreshSessionPayload, error) {
	return &auth.RefreshSessionPayload{Tokens: someTokens}, f.called("refreshSession "+in.RefreshToken, "")
}

func (f *fake) Logout(_ context.Context, token string, in auth.LogoutInput) (*auth.LogoutPayload, error) {
	return &auth.LogoutPayload{Ended: 1}, f.called(fmt.Sprintf("logout %t %t", in.SessionID != nil, in.Everywhere), token)
}

func (f *fake) CreateAvatarUpload(_ context.Context, token string, in auth.CreateAvatarUploadInput) (*auth.CreateAvatarUploadPayload, error) {
	return &auth.CreateAvatarUploadPayload{ID: "up", MaxBytes: in.Size}, f.called("createAvatarUpload", token)
}

func (f *fake) UpdateProfile(_ context.Context, token string, in auth.UpdateProfileInput) (*auth.UpdateProfilePayload, error) {
	f.input = in
	if to := in.Avatar.To; to != nil {
		f.file, _ = io.ReadAll(to)
		if int64(len(f.file)) != to.Size {
			return nil, fmt.Errorf("size %d of %d bytes", to.Size, len(f.file))
		}
	}
	return &auth.UpdateProfilePayload{User: f.user}, f.called("updateProfile", token)
}

func (f *fake) ImportWeChatProfile(_ context.Context, token string, in auth.ImportWeChatProfileInput) (*auth.ImportWeChatProfilePayload, error) {
	return &auth.ImportWeChatProfilePayload{User: f.user}, f.called(fmt.Sprintf("import %t", in.Overwrite), token)
}

func (f *fake) BindPhoneNumber(_ context.Context, token string, in auth.BindPhoneNumberInput) (*auth.BindPhoneNumberPayload, error) {
	return &auth.BindPhoneNumberPayload{User: f.user}, f.called(fmt.Sprintf("bind %t %t %t", in.Code.Given, in.Code.To != nil, in.Move), token)
}

func (f *fake) RecordConsent(_ context.Context, token string, in auth.RecordConsentInput) (*auth.RecordConsentPayload, error) {
	return &auth.RecordConsentPayload{User: f.user}, f.called(fmt.Sprintf("record %+v", in.Consent), token)
}

func (f *fake) WithdrawConsent(_ context.Context, token string, in auth.WithdrawConsentInput) (*auth.WithdrawConsentPayload, error) {
	return &auth.WithdrawConsentPayload{User: f.user}, f.called(fmt.Sprintf("withdraw %v", in.Scopes), token)
}

func (f *fake) MergeAccount(_ context.Context, token string, in auth.MergeAccountInput) (*auth.MergeAccountPayload, error) {
	return &auth.MergeAccountPayload{User: f.user, Merged: "u2"}, f.called("merge "+in.Code, token)
}

func (f *fake) DeleteAccount(_ context.Context, token string, in auth.DeleteAccountInput) (*auth.DeleteAccountPayload, error) {
	return &auth.DeleteAccountPayload{}, f.called("delete "+in.Code, token)
}

func (f *fake) Consents(context.Context, *auth.User) ([]*auth.Consent, error) {
	return []*auth.Consent{{Scope: auth.ScopePhone, Purpose: "delivery", PolicyVersion: "1"}}, f.called("consents", "")
}

func (f *fake) Export(context.Context, *auth.User) (json.RawMessage, error) {
	return json.RawMessage(`{"id":"u1"}`), f.called("export", "")
}

func (f *fake) Me(_ context.Context, token string) (*auth.User, error) {
	return f.user, f.called("me", token)
}

func (f *fake) Sessions(context.Context, *auth.User) ([]*auth.Session, error) {
	return nil, f.called("sessions", "")
}

func (f *fake) Audit(context.Context, *auth.User) ([]*auth.AuditEntry, error) {
	return []*auth.AuditEntry{{Event: auth.LoggedIn}}, f.called("audit", "")
}

// harness is a Handler over a fake core, and its log.
type harness struct {
	*Handler
	*fake
	log bytes.Buffer
}

func start(options Options) *harness {
	name := "Ada \"\\\n\x01 李 <&>"
	h := &harness{fake: &fake{user: &auth.User{
		ID: "u1", Version: 3, Nickname: &name, Preferences: json.RawMessage(`{"a":1.50}`),
		Identities: []auth.Identity{{AppID: "app", OpenID: "open"}},
		CreatedAt:  time.Date(2026, 11, 22, 9, 30, 0, 123456789, time.FixedZone("", 8*3600)),
	}}}
	options.Logger = slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Handler = New(h.fake, options)
	return h
}

// reply is an answer, decoded.
type reply struct {
	*http.Response
	body   string
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Path       []any
		Locations  []any
		Extensions map[string]any
	}
}

// code is the code of the first error, or empty.
func (a reply) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

// send sends a request and checks what all answers have in common.
func (h *harness) send(t testing.TB, r *http.Request) reply {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := reply{Response: w.Result(), body: w.Body.String()}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("no JSON: %v: %q", err, a.body)
	}
	if length := a.Header.Get("Content-Length"); length != fmt.Sprint(len(a.body)) {
		t.Errorf("Content-Length %s of %d bytes", length, len(a.body))
	}
	if len(a.Errors) == 0 && a.Data == nil {
		t.Errorf("neither data nor errors: %s", a.body)
	}
	for _, e := range a.Errors {
		if code, _ := e.Extensions["code"].(string); code == "" || e.Extensions["requestId"] != a.Header.Get("X-Request-Id") {
			t.Errorf("code or request id is missing: %s", a.body)
		}
	}
	return a
}

// post sends a body of JSON.
func (h *harness) post(t testing.TB, body string, headers ...string) reply {
	t.Helper()
	return h.send(t, newRequest("POST", "/graphql", body, append([]string{"Content-Type", "application/json"}, headers...)...))
}

func newRequest(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// operation makes a body.
func operation(text string, variables ...string) string {
	b, _ := json.Marshal(text)
	if len(variables) == 0 {
		return `{"query":` + string(b) + `}`
	}
	return `{"query":` + string(b) + `,"variables":` + variables[0] + `}`
}

// part is one of a multipart body; a file has a file name.
type part struct{ name, file, text string }

func form(parts ...part) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		head := fmt.Sprintf(`form-data; name=%q`, p.name)
		if p.file != "" {
			head += fmt.Sprintf(`; filename=%q`, p.file)
		}
		pw, _ := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {head}})
		io.WriteString(pw, p.text)
	}
	w.Close()
	return b.String(), w.FormDataContentType()
}

func (h *harness) form(t testing.TB, parts ...part) reply {
	t.Helper()
	body, contentType := form(parts...)
	return h.send(t, newRequest("POST", "/graphql", body, "Content-Type", contentType, "Authorization", "Bearer token"))
}
