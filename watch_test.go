package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// The admin address shows metrics of real requests, and only it does.
func TestAdmin(t *testing.T) {
	t.Parallel()
	c := startChild(t, t.TempDir(), "MINIPROFILE_ADMIN_LISTEN=127.0.0.1:0")
	admin := strings.TrimSuffix(c.logged(`"serving metrics","url":"http://`), "/metrics")
	if a, err := c.ask("", loginText, object{"input": object{"code": "ada~1"}}); err != nil || a.Data.Login.User.ID == "" {
		t.Fatalf("%v %+v", err, a)
	}
	page := func(address string) (int, string) {
		r, err := http.Get("http://" + address)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(text)
	}
	status, text := page(admin + "/metrics")
	for _, want := range []string{
		`miniprofile_requests_total{code="OK",operation="login",route="/graphql"} 1`,
		`miniprofile_wechat_calls_total{api="jscode2session",errcode="0"} 1`,
		`miniprofile_store_calls_total{driver="file",method="commit",result="ok"}`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if status != 200 || !strings.Contains(text, want) {
			t.Errorf("%d, no %s in\n%s", status, want, text)
		}
	}
	if status, _ := page(admin + "/debug/pprof/goroutine?debug=1"); status != 200 {
		t.Error(status)
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if status, _ := page(c.address + path); status != 404 {
			t.Errorf("%s is served to clients: %d", path, status)
		}
	}
	c.stop()
}
