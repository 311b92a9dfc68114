package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/minio"
)

// unmakeable is a folder that nobody can make, whoever runs the test.
func unmakeable(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return "/sys/miniprofile" // refuses root too
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "miniprofile")
}

// TestCheckRefuses: where the server does not start, the check fails.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var l net.Listener
	for port := 20000 + os.Getpid()%10000; l == nil; port++ { // below those that the system gives to who asks for any
		l, _ = net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
	}
	address := l.Addr().String()
	l.Close()
	missing := unmakeable(t)
	for _, c := range []struct{ args, want, do string }{
		{"--listen 127.0.0.1:0 --store file:" + missing, "fail  store ", "whose is the folder?"},
		{"--listen 127.0.0.1:0 --store memory: --objects file:" + missing, "fail  objects ", "whose is the folder?"},
		{"--listen 127.0.0.1:0 --read-only", "fail  store ", "start once without MINIPROFILE_READ_ONLY"},
		{"--listen " + address + " --admin-listen " + address, "MINIPROFILE_ADMIN_LISTEN: " + address + " is taken by MINIPROFILE_LISTEN", "a port of its own"},
	} {
		args := strings.Fields(c.args)
		code, out, errs := run(t, dir, append([]string{"check"}, args...)...)
		if code != 1 || !strings.Contains(out, c.want) || !strings.Contains(out, c.do) {
			t.Errorf("%s: exit code %d\n%s%s", c.args, code, out, errs)
		}
		if code, _, errs := run(t, dir, append([]string{"serve"}, args...)...); code != 1 {
			t.Errorf("%s: the server ends by %d\n%s", c.args, code, errs)
		}
	}
	if code, out, errs := run(t, dir, "check", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"); code != 0 || !strings.Contains(out, "the server makes it at its first start") {
		t.Errorf("before the first start: exit code %d\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Error("the check makes a folder")
	}
}

// TestCertificateEnds: a certificate that has ended is told of at the start, and by the
// check.
func TestCertificateEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, time.Now().Add(-time.Hour))
	var s settings
	s.TLSCert, s.TLSKey = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var log bytes.Buffer
	_, _ = s.edge(slog.New(slog.NewTextHandler(&log, nil))) // the other settings are none
	if !strings.Contains(log.String(), "level=WARN msg=\"the TLS certificate ends within a week, or has ended") {
		t.Errorf("at the start: %s", &log)
	}
	code, out, errs := run(t, dir, "check", "--listen", "127.0.0.1:0", "--tls-cert", s.TLSCert, "--tls-key", s.TLSKey)
	if code != 1 || !strings.Contains(out, "fail  certificate ") || !strings.Contains(out, "renew it now") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// TestAdvice: what is said to do is what helps.
func TestAdvice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "short"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	denied := fmt.Errorf("open: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES})
	readOnly := &fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}
	full := &fs.PathError{Op: "mkdir", Path: "x", Err: syscall.ENOSPC}
	noBucket := fmt.Errorf("open: %w", minio.ErrNoBucket)
	var c, creates, reads checkAll
	creates.CreateBucket, reads.CreateBucket, reads.ReadOnly = true, true, true
	for i, a := range []struct{ got, want string }{
		{aboutSecret("", denied), "give it to the user that serves"},
		{aboutSecret(filepath.Join(dir, "short"), errors.New("too short")), "keep what is there"},
		{aboutSecret(filepath.Join(dir, "none"), errors.New("missing")), "restore "},
		{c.unopened("store", "file:x", denied, "see").Do, "whose is the folder?"},
		{c.unopened("store", "file:x", readOnly, "see").Do, "whose is the folder?"},
		{c.unopened("store", "file:x", full, "see").Do, "the disk is full"},
		{c.unopened("store", "file:x", errors.New("other"), "see").Do, "see"},
		{unusable("file:x"), "whose is the folder?"},
		{unusable("minio://h/b"), "the credentials"},
		{unusable("memory:"), "see the message"},
		{string(c.unopened("objects", "minio://h/b", noBucket, "see").Status), "fail"},
		{string(creates.unopened("objects", "minio://h/b", noBucket, "see").Status), "warn"},
		{string(reads.unopened("objects", "minio://h/b", noBucket, "see").Status), "fail"},
	} {
		if !strings.Contains(a.got, a.want) {
			t.Errorf("%d: %q, want %q", i, a.got, a.want)
		}
	}
}

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
