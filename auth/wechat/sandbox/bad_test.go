package sandbox_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
)

// TestBadCalls: what our client never sends is refused with WeChat's number for it.
func TestBadCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sandbox.PushTo(w.server.URL)
	alice := w.login("alice").OpenID
	if err := w.client.StartTickets(t.Context()); err != nil {
		t.Fatal(err)
	}
	ticket := (<-w.got).push.Secret
	component, err := w.client.ComponentToken(t.Context(), ticket)
	if err != nil {
		t.Fatal(err)
	}
	own, platform := "access_token="+url.QueryEscape(w.token()), "component_access_token="+url.QueryEscape(component.Value)
	const (
		text    = "/wxa/msg_sec_check?"
		picture = "/wxa/media_check_async?"
		check   = "/wxa/checksession?"
		compo   = "/cgi-bin/component/"
		as      = `"component_appid":"` + sandbox.ComponentAppID + `"`
	)
	who := `"openid":"` + alice + `"`
	for _, row := range []struct {
		method, target, body string
		want                 int
	}{
		{"GET", "/cgi-bin/stable_token", ``, 43002},
		{"POST", "/cgi-bin/stable_token", ``, 44002},
		{"POST", "/cgi-bin/stable_token", `grant_type=client_credential`, 47001},
		{"POST", "/cgi-bin/stable_token", strings.Repeat(" ", 70000), 47001},
		{"POST", "/cgi-bin/stable_token", `{"grant_type":"x"}`, 40002},
		{"POST", "/cgi-bin/stable_token", `{"grant_type":"client_credential"}`, 41002},
		{"POST", "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"wxother","secret":"x"}`, 40013},
		{"POST", "/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"` + sandbox.AppID + `","secret":"x"}`, 40125},
		{"GET", text + own, ``, 43002},
		{"POST", text + own, `{"content":"\u4e2d","version":2,"scene":1,` + who + `}`, 40033},
		{"POST", text + own, `{"content":"x","version":1,"scene":1,` + who + `}`, 40097},
		{"POST", text + own, `{"content":"x","version":2,"scene":5,` + who + `}`, 40129},
		{"POST", text + own, `{"content":"x","version":2,"scene":1}`, 40003},
		{"POST", text + own, `{"content":"","version":2,"scene":1,` + who + `}`, 44002},
		{"POST", text + own, `{"content":"` + strings.Repeat("长", 2501) + `","version":2,"scene":1,` + who + `}`, 45002},
		{"POST", text, `{}`, 41001},
		{"POST", text + "access_token=x", `{}`, 40001},
		{"POST", text + strings.TrimPrefix(platform, "component_"), `{}`, 40001},
		{"POST", picture + own, `{"media_url":"http://a/x","media_type":1,"version":2,"scene":1,` + who + `}`, 40004},
		{"POST", picture, ``, 41001},
		{"POST", check + own, ``, 43001},
		{"GET", check, ``, 41001},
		{"GET", check + own, ``, 87008},
		{"GET", check + own + "&sig_method=hmac_sha256", ``, 40003},
		{"GET", check + own + "&sig_method=hmac_sha256&openid=" + alice, ``, 87009},
		{"POST", "/wxa/business/getuserphonenumber?" + own, `{}`, 40029},
		{"POST", "/wxa/business/getuserphonenumber", `{}`, 41001},
		{"GET", compo + "api_start_push_ticket", ``, 43002},
		{"POST", compo + "api_start_push_ticket", `{}`, 41018},
		{"POST", compo + "api_start_push_ticket", `{"component_appid":"` + sandbox.AppID + `"}`, 61011},
		{"POST", compo + "api_start_push_ticket", `{` + as + `,"component_appsecret":"` + sandbox.Secret + `"}`, 40125},
		{"POST", compo + "api_component_token", `{` + as + `,"component_verify_ticket":"` + ticket + `"}`, 40125},
		{"POST", compo + "api_component_token", `{}`, 41018},
		{"POST", compo + "api_query_auth", `{}`, 41001},
		{"POST", compo + "api_query_auth?" + platform, `{}`, 41018},
		{"POST", compo + "api_authorizer_token", `{}`, 41001},
		{"POST", compo + "api_authorizer_token?" + platform, `{` + as + `,"authorizer_appid":"` + sandbox.AppID + `"}`, 61003},
		{"POST", "/sns/component/jscode2session?" + platform, ``, 43001},
		{"GET", "/sns/component/jscode2session", ``, 41001},
		{"GET", "/sns/component/jscode2session?" + platform, ``, 41018},
	} {
		r := httptest.NewRecorder()
		w.sandbox.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), row.method, row.target, strings.NewReader(row.body)))
		if r.Code != http.StatusOK || !strings.HasPrefix(r.Body.String(), `{"errcode":`+strconv.Itoa(row.want)+`,`) {
			t.Errorf("%s %.80s %.80s: %d %s, want %d", row.method, row.target, row.body, r.Code, r.Body, row.want)
		}
	}
	for _, target := range []string{"/sandbox/push", "/sandbox/fail"} {
		r := httptest.NewRecorder()
		w.sandbox.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		if r.Code != http.StatusMethodNotAllowed {
			t.Errorf("GET %s: %d", target, r.Code)
		}
	}
}
