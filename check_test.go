package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// TestCheckCommand: what the command finds about settings that are right and
// wrong, and its exit codes; it leaves nothing behind and shows no secret.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startChild(t, dir).stop() // makes store and secret
	code, out, errs := run(t, dir, "check", "--json", "--listen", "127.0.0.1:0")
	var r struct {
		OK       bool
		Findings []struct{ Name, Status, Do string }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || !r.OK {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	found := map[string]string{}
	for _, f := range r.Findings {
		found[f.Name] = f.Status
	}
	for name, status := range map[string]string{
		"address": "ok", "store: place": "ok", "store: conflict": "ok", "jobs": "ok", "objects: get": "ok", "secret: file": "ok", "WeChat": "warn", "WeChat: wxsandbox0000000": "ok", "WeChat: token": "ok", "public URL": "warn",
	} {
		if found[name] != status {
			t.Errorf("%s is %q, want %s", name, found[name], status)
		}
	}
	if left := inventory(t, filepath.Join(dir, "data")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	secret, err := os.ReadFile(filepath.Join(dir, "data", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	const appSecret = "0123456789abcdef0123456789abcdef"
	for _, wrong := range []struct{ args, want string }{
		{"--secret short", "number 1 has 5 characters"},
		{"--public-url ftp://x", "MINIPROFILE_PUBLIC_URL: want an address"},
		{"--rate-limits bad", "MINIPROFILE_RATE_LIMITS: "},
		{"--tls-cert missing.pem", "MINIPROFILE_TLS_CERT, "},
		{"--trusted-proxies bad", "MINIPROFILE_TRUSTED_PROXIES: "},
		{"--cors-origins bad", "MINIPROFILE_CORS_ORIGINS: "},
		{"--trusted-documents missing", "MINIPROFILE_TRUSTED_DOCUMENTS: "},
		{"--only-trusted", "MINIPROFILE_ONLY_TRUSTED: "},
		{"--avatar-url cdn", "MINIPROFILE_AVATAR_URL: want an address"},
		{"--avatar-url https://cdn.example.com", "MINIPROFILE_AVATAR_URL: pictures in file:data"},
		{"--listen 8080", "MINIPROFILE_LISTEN: "},
		{"--listen :8080", "the sandbox"},
		{"--admin-listen 8080", "MINIPROFILE_ADMIN_LISTEN: "},
		{"--public-url https://x.invalid --content-check wechat --apps wxa:" + appSecret + " --wechat-base-url http://127.0.0.1:1", "MINIPROFILE_CONTENT_CHECK: "},
		{"--wechat-base-url http://127.0.0.1:1 --apps wxa:" + appSecret, "fail  WeChat: wxa"},
		{"--store other:x", "unknown scheme"},
		{"--store firestore://demo-project --objects memory: --apps wxa:" + appSecret + " --wechat-base-url sandbox --sandbox-anywhere", "MINIPROFILE_SECRET: is needed"},
	} {
		code, out, errs := run(t, dir, append([]string{"check"}, strings.Fields(wrong.args)...)...)
		if !strings.Contains(errs, " findings failed") {
			t.Errorf("%s: %s", wrong.args, errs)
		}
		if code != 1 || !strings.Contains(out, wrong.want) || !strings.Contains(out, "\n      -> ") {
			t.Errorf("%s: exit code %d\n%s%s", wrong.args, code, out, errs)
		}
		if strings.Contains(out+errs, appSecret) || strings.Contains(out+errs, strings.TrimSpace(string(secret))) {
			t.Errorf("%s shows a secret:\n%s%s", wrong.args, out, errs)
		}
	}
	// A job that was given up is something that is wrong.
	store, _, done := openPlace(t, filepath.Join(dir, "data"))
	dead := drivers.Create(drivers.Key{Kind: "deadjobs", ID: "0"}, []byte(`{"kind":"push","args":{},"attempts":20}`), time.Time{})
	if err := store.Commit(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	done()
	if code, out, _ := run(t, dir, "check"); code != 1 || !strings.Contains(out, "1 were given up") || !strings.Contains(out, "jobs --retry") {
		t.Errorf("with a dead job: exit code %d\n%s", code, out)
	}
	if code, out, _ := run(t, dir, "check", "--apps", "wxa:"+appSecret, "--wechat-base-url", "sandbox"); !strings.Contains(out, "-> unset WECHAT_BASE_URL") {
		t.Errorf("the sandbox with an app: exit code %d\n%s", code, out)
	}
	if code, out, errs := run(t, dir, "jobs", "--retry"); code != 0 {
		t.Fatal(out, errs)
	}
	// Beside a running server the store is locked, and that is what it says; all
	// else is tried.
	c := startChild(t, dir)
	if code, out, _ := run(t, dir, "check"); code != 0 || !strings.Contains(out, "in use by a running server") || !strings.Contains(out, "ok    objects: delete") || !strings.Contains(out, "ok    secret: file") {
		t.Errorf("beside a server: exit code %d\n%s", code, out)
	}
	c.stop()
}
