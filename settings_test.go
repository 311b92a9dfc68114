package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	realApp    = "WECHAT_APPS=wx0123456789abcdef:0123456789abcdef0123456789abcdef"
	goodSecret = "MINIPROFILE_SECRET=b7b0e2d1c5a94f3386721f0e9d8c7b6a"
)

// refused runs the real program with settings that it must not start with, and
// returns what it says. It has made nothing then.
func refused(t *testing.T, settings ...string) (code int, text string) {
	t.Helper()
	dir := t.TempDir()
	cmd := program(t, dir)
	cmd.Env = append(cmd.Env, settings...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatalf("%v: it serves\n%s", settings, out)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v: it has made %v", settings, left)
	}
	if strings.Count(string(out), "\n") > 4 {
		t.Errorf("%v: too many words:\n%s", settings, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestWrongSettings: a setting that is wrong is named, with what to do, before
// anything is made.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		settings string
		want     []string
	}{
		{"MINIPROFILE_LOG_LEVEL=loud", []string{"MINIPROFILE_LOG_LEVEL (--log-level) must be one of"}},
		{"MINIPROFILE_OLD_PICTURES=10d", []string{"MINIPROFILE_OLD_PICTURES", "as 240h"}},
		{"MINIPROFILE_OLD_PICTURES=-1m", []string{"MINIPROFILE_OLD_PICTURES: -1m0s is less than nothing"}},
		{"MINIPROFILE_DELETED_AUDIT=4321h", []string{"MINIPROFILE_DELETED_AUDIT", "4320h"}},
		{"MINIPROFILE_MAX_IN_FLIGHT=many", []string{"MINIPROFILE_MAX_IN_FLIGHT (--max-in-flight)"}},
		{"MINIPROFILE_MAX_IN_FLIGHT=0", []string{"MINIPROFILE_MAX_IN_FLIGHT: less than 1"}},
		{"MINIPROFILE_RATE_LIMITS=bad", []string{"MINIPROFILE_RATE_LIMITS: there is no limit"}},
		{"MINIPROFILE_TRUSTED_PROXIES=bad MINIPROFILE_SANDBOX_ANYWHERE=true", []string{"MINIPROFILE_TRUSTED_PROXIES: "}},
		{"MINIPROFILE_CORS_ORIGINS=https://h5.example.com/", []string{"MINIPROFILE_CORS_ORIGINS: ", "origin 1 has a slash at the end"}},
		{"MINIPROFILE_TLS_CERT=missing.pem MINIPROFILE_TLS_KEY=missing.pem", []string{"MINIPROFILE_TLS_CERT, MINIPROFILE_TLS_KEY: ", "no such file"}},
		{"MINIPROFILE_TRUSTED_DOCUMENTS=missing.json", []string{"MINIPROFILE_TRUSTED_DOCUMENTS: ", "no such file"}},
		{"MINIPROFILE_ONLY_TRUSTED=true", []string{"MINIPROFILE_ONLY_TRUSTED: needs MINIPROFILE_TRUSTED_DOCUMENTS"}},
		{"MINIPROFILE_LISTEN=8080", []string{"MINIPROFILE_LISTEN: 8080 is no address: want HOST:PORT, or :PORT"}},
		{"MINIPROFILE_ADMIN_LISTEN=localhost:nowhere", []string{"MINIPROFILE_ADMIN_LISTEN: localhost:nowhere is no address"}},
		{"MINIPROFILE_AVATAR_URL=cdn.example.com", []string{"MINIPROFILE_AVATAR_URL: want an address as https://"}},
		{"MINIPROFILE_SECRET=short", []string{"MINIPROFILE_SECRET: number 1 has 5 characters"}},
		{"MINIPROFILE_SECRET_FILE=missing", []string{"MINIPROFILE_SECRET_FILE: ", "no such file"}},
		{"MINIPROFILE_AVATAR_URL=https://cdn.example.com", []string{"MINIPROFILE_AVATAR_URL: pictures in file:data are read through this server alone"}},
		{"MINIPROFILE_OBJECTS=minio://h:9000/pictures?tls=maybe", []string{"MINIPROFILE_OBJECTS: ", `tls is "maybe"`}},
		{"MINIPROFILE_STORE=file: MINIPROFILE_OBJECTS=minio://h MINIPROFILE_OLD_PICTURES=-1m", []string{"MINIPROFILE_STORE: ", "needs a path", "MINIPROFILE_OBJECTS: ", "want minio://", "MINIPROFILE_OLD_PICTURES: "}},
		{"MINIPROFILE_STORE=/var/lib/miniprofile", []string{"miniprofile: error: MINIPROFILE_STORE: "}},
		{"MINIPROFILE_STORE=nowhere:x", []string{"MINIPROFILE_STORE: ", "known are file, firestore, memory"}},
		{"MINIPROFILE_STORE=firestore://demo-project MINIPROFILE_SECRET=0123456789abcdef0123456789abcdef " + realApp, []string{"MINIPROFILE_OBJECTS: is needed: firestore: holds no pictures"}},
		{"MINIPROFILE_STORE=firestore://demo-project MINIPROFILE_OBJECTS=nowhere:x " + realApp, []string{"MINIPROFILE_SECRET: is needed", "MINIPROFILE_OBJECTS: ", "known are file, memory, minio"}},
		{"WECHAT_BASE_URL=api.weixin.qq.com " + realApp, []string{"WECHAT_BASE_URL: ", "or sandbox"}},
		{"WECHAT_APPS=secret-without-an-appid", []string{"WECHAT_APPS: app 1 is not of the form"}},
		{"WECHAT_APPS=", []string{"WECHAT_APPS: is set, but empty"}},
		{"WECHAT_PUSH=wxother:token " + realApp, []string{"WECHAT_PUSH: ", "those are wx0123456789abcdef"}},
		{"MINIPROFILE_CONTENT_CHECK=wechat " + realApp, []string{"MINIPROFILE_CONTENT_CHECK: ", "WECHAT_PUSH", "MINIPROFILE_PUBLIC_URL", "no push of wx0123456789abcdef, no public URL"}},
		{"MINIPROFILE_CONTENT_CHECK=wechat MINIPROFILE_PUBLIC_URL=https://api.example.com " + realApp, []string{"no push of wx0123456789abcdef\n"}},
		// All that is wrong is told at once.
		{"MINIPROFILE_RATE_LIMITS=bad MINIPROFILE_PUBLIC_URL=ftp://x WECHAT_APPS=x", []string{"MINIPROFILE_RATE_LIMITS", "MINIPROFILE_PUBLIC_URL", "WECHAT_APPS"}},
	} {
		_, text := refused(t, strings.Fields(row.settings)...)
		for _, want := range row.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", row.settings, want, text)
			}
		}
		for _, secret := range []string{"0123456789abcdef0123456789abcdef", "secret-without-an-appid", "wxother"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: shows a secret:\n%s", row.settings, text)
			}
		}
	}
}

// TestSandboxStaysAtHome: where WECHAT_APPS got lost, nobody can be anyone.
func TestSandboxStaysAtHome(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		"MINIPROFILE_LISTEN=:8080":                       "on :8080 (MINIPROFILE_LISTEN)",
		"PORT=8080":                                      "on :8080 (PORT)",
		"MINIPROFILE_LISTEN=192.0.2.1:8080":              "on 192.0.2.1:8080",
		"MINIPROFILE_PUBLIC_URL=https://api.example.com": "as api.example.com (MINIPROFILE_PUBLIC_URL)",
		"MINIPROFILE_TRUSTED_PROXIES=127.0.0.1":          "MINIPROFILE_TRUSTED_PROXIES",
		"MINIPROFILE_STORE=firestore://demo-project MINIPROFILE_SECRET=0123456789abcdef0123456789abcdef MINIPROFILE_OBJECTS=file:data": "on a firestore: store (MINIPROFILE_STORE)",
		"MINIPROFILE_LISTEN=:8080 WECHAT_BASE_URL=sandbox " + realApp:                                                                  "unset WECHAT_BASE_URL, or set MINIPROFILE_SANDBOX_ANYWHERE=true",
	} {
		code, text := refused(t, strings.Fields(settings)...)
		if code != 1 || !strings.Contains(text, want) || !strings.Contains(text, "set MINIPROFILE_SANDBOX_ANYWHERE=true") {
			t.Errorf("%s: exit code %d\n%s", settings, code, text)
		}
	}
	c := startChild(t, t.TempDir(), "MINIPROFILE_TRUSTED_PROXIES=127.0.0.1", "MINIPROFILE_PUBLIC_URL=https://api.example.com/", "MINIPROFILE_SANDBOX_ANYWHERE=true")
	c.logged(`"url":"https://api.example.com"`)
	c.stop()
	c = startChild(t, t.TempDir(), "MINIPROFILE_PUBLIC_URL=http://localhost:1234")
	c.stop()
}

func TestParsePublicURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://api.example.com": "https://api.example.com", "https://api.example.com/": "https://api.example.com",
		"http://localhost:8080/path/": "http://localhost:8080/path", "https://[::1]:8080": "https://[::1]:8080",
		"": "", "api.example.com": "", "ftp://x": "", "https://": "", "https:///x": "", "https://:8080": "", "https://a@b": "",
		"https://x?": "", "https://x?a=b": "", "https://x#a": "", "https://x:port": "", "https:x": "",
	} {
		if got, err := parsePublicURL(text); got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestUnknownSettings(t *testing.T) {
	t.Parallel()
	got := unknownSettings([]string{
		"PATH=/bin", "MINIPROFILE_STORE=x", "MINIPROFILE_SECRET_FILE=x", "MINIPROFILE_TEST_OBJECTS=x", "WECHAT_APPS=x", "MINIPROFILE_SERVICE_HOST=10.0.0.1",
		"MINIPROFILE_SERVICE_PORT_HTTP=80", "MINIPROFILE_PORT=tcp://10.0.0.1:80", "MINIPROFILE_PORT_80_TCP_ADDR=10.0.0.1",
		"MINIPROFILE_PUBLICURL=x", "MINIPROFILE_SECRETS_FILE=x", "WECHAT_APP=a:secret", "MINIPROFILE_SOMETHING_ELSE=x",
	})
	want := []string{
		"MINIPROFILE_PUBLICURL is no setting: did you mean MINIPROFILE_PUBLIC_URL?",
		"MINIPROFILE_SECRETS_FILE is no setting: did you mean MINIPROFILE_SECRET_FILE?",
		"MINIPROFILE_SOMETHING_ELSE is no setting",
		"WECHAT_APP is no setting: did you mean WECHAT_APPS?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestInUse: what listens already is told by the setting to change.
func TestInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address := l.Addr().(*net.TCPAddr)
	next := fmt.Sprintf("MINIPROFILE_LISTEN=127.0.0.1:%d", address.Port+1)
	if _, text := refused(t, "MINIPROFILE_LISTEN="+address.String()); !strings.Contains(text, "is in use: set "+next) {
		t.Error(text)
	}
	if _, err := listen("PORT", address.String()); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), fmt.Sprint("set PORT=", address.Port+1)) {
		t.Error(err)
	}
	code, out, _ := run(t, t.TempDir(), "check", "--listen", address.String(), "--admin-listen", address.String())
	if code != 0 || strings.Count(out, "warn  address") != 2 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// TestLostSecret: a store that holds accounts gets no new secret; with another one
// it serves, says so, and people log in again.
func TestLostSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	a, err := c.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	path := filepath.Join(dir, "data", "secret")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "check"} {
		code, out, errs := run(t, dir, command, "--listen", "127.0.0.1:0")
		if code != 1 || !strings.Contains(out+errs, path+" is missing") || !strings.Contains(out+errs, "MINIPROFILE_SECRET") {
			t.Errorf("%s: exit code %d\n%s%s", command, code, out, errs)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a new secret was made: %v", err)
	}
	c = startChild(t, dir, goodSecret)
	refresh := object{"input": object{"refreshToken": a.Data.Login.Tokens.RefreshToken}}
	if a, err = c.ask("", refreshText, refresh); err != nil || len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != "UNAUTHENTICATED" {
		t.Errorf("refresh: %+v, %v", a, err)
	}
	c.signIn("ming~2")
	c.logged("1 of 1 sessions are sealed with another secret: restore " + path)
	c.logged("the session is sealed with another secret")
	c.stop()
}

// TestNothingIsMade: commands in a wrong folder make no store and do not say that
// all is well.
func TestNothingIsMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := strings.Repeat("a", 26)
	for _, command := range []string{"jobs", "jobs --retry", "merge " + id + " " + id} {
		code, out, errs := run(t, dir, strings.Fields(command)...)
		if code != 1 || !strings.Contains(errs, filepath.Join(dir, "data", "store.db")) || out != "" {
			t.Errorf("%s: exit code %d\n%s%s", command, code, out, errs)
		}
	}
	code, out, errs := run(t, dir, "check")
	if code != 0 || !strings.Contains(out, "warn  store                            there is no "+filepath.Join(dir, "data", "store.db")) || !strings.Contains(out, "file:/var/lib/miniprofile") {
		t.Errorf("check: exit code %d\n%s%s", code, out, errs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// TestJobsNeedTheStoreAlone: neither the secret nor the objects.
func TestJobsNeedTheStoreAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, _, done := openPlace(t, filepath.Join(dir, "data"))
	dead := drivers.Create(drivers.Key{Kind: "deadjobs", ID: "0"}, []byte(`{"kind":"push","args":{},"attempts":20}`), time.Time{})
	if err := store.Commit(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	done()
	for _, step := range []struct {
		args, want string
		code       int
	}{{"jobs", "1 jobs were given up", 1}, {"jobs --retry", "1 jobs are due again", 0}, {"jobs", "0 jobs were given up", 0}} {
		code, out, errs := run(t, dir, append(strings.Fields(step.args), "--objects=minio://127.0.0.1:1/nowhere")...)
		if code != step.code || !strings.Contains(out+errs, step.want) {
			t.Errorf("%s: exit code %d\n%s%s", step.args, code, out, errs)
		}
	}
}

// TestMergeNamesTheID that is none.
func TestMergeNamesTheID(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	a, err := c.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	if code, _, errs := run(t, dir, "merge", a.Data.Login.User.ID, "nonsense"); code != 1 || !strings.Contains(errs, `"nonsense" is no id`) {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}

// TestMemoryNeedsNothing: a store that is gone with the process makes its secret.
func TestMemoryNeedsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir, "MINIPROFILE_STORE=memory:")
	c.signIn("ming~1")
	c.stop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// TestDamagedStore: it is told for what it is.
func TestDamagedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "store.db"), []byte(strings.Repeat("no store", 4096)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"serve", "check"} {
		code, out, errs := run(t, dir, command, "--listen", "127.0.0.1:0")
		if code != 1 || !strings.Contains(out+errs, "damaged: restore the backup") {
			t.Errorf("%s: exit code %d\n%s%s", command, code, out, errs)
		}
	}
}

// writeCertificate writes cert.pem and key.pem, of a certificate that nobody knows.
func writeCertificate(t *testing.T, dir string, end time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: end.Add(-2 * time.Hour), NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSandboxOverTLS: the sandbox's pushes come also where the server has a
// certificate that nobody knows.
func TestSandboxOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeCertificate(t, dir, time.Now().Add(time.Hour))
	cmd := program(t, dir)
	cmd.Env = append(cmd.Env, "MINIPROFILE_LISTEN=127.0.0.1:0", "MINIPROFILE_TLS_CERT=cert.pem", "MINIPROFILE_TLS_KEY=key.pem")
	c := &child{t: t, cmd: cmd, log: &logBuffer{}, exited: make(chan error, 1)}
	cmd.Stderr = c.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.exited <- cmd.Wait() }()
	address := "https://" + c.logged(`"url":"https://`)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	r, err := client.Post(address+"/sandbox/push", "application/json", strings.NewReader(`{"event": "url_check"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || !strings.Contains(strings.ReplaceAll(string(body), " ", ""), `"echoed":true`) {
		t.Errorf("%d %s, %v", r.StatusCode, body, err)
	}
	c.stop()
}

// TestSecondSignal: whoever does not want to wait for what is under way signals again.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	c := startChild(t, t.TempDir())
	// A request that does not end: its body never comes.
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for signals := 0; ; signals++ {
		select {
		case err := <-c.exited:
			if signals < 2 || !strings.Contains(fmt.Sprint(err), "signal: interrupt") {
				t.Errorf("after %d signals: %v\n%s", signals, err, c.log)
			}
			return
		case <-timeout:
			t.Fatalf("it does not end\n%s", c.log)
		case <-poll.C:
			_ = c.cmd.Process.Signal(syscall.SIGINT) // it may have ended
		}
	}
}

// TestPlainPushes: whoever configures a push without its key reads what
// that means, for this app and not for one with a key.
func TestPlainPushes(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A", 43)
	c := startChild(t, t.TempDir(), "WECHAT_APPS=wxplain:secret,wxsealed:secret", "WECHAT_PUSH=wxplain:pushtoken,wxsealed:pushtoken:"+key)
	c.stop()
	log := c.log.String()
	if strings.Count(log, "in plain text") != 1 || !strings.Contains(log, `"apps":["wxplain"]`) || strings.Contains(log, "pushtoken") {
		t.Errorf("the log is\n%s", log)
	}
}

// TestSecretsBetweenSpaces: white space around a secret is none of it, wherever several
// stand. Otherwise the older ones would open nothing, and everybody be signed out.
func TestSecretsBetweenSpaces(t *testing.T) {
	t.Parallel()
	older, newer := strings.Repeat("older", 7), strings.Repeat("newer", 7)
	dir := t.TempDir()
	c := startChild(t, dir, "MINIPROFILE_SECRET="+older)
	a, err := c.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil {
		t.Fatal(err)
	}
	c.stop()
	refresh := func(secrets ...string) {
		t.Helper()
		c := startChild(t, dir, secrets...)
		token := cmp.Or(a.Data.RefreshSession.Tokens.RefreshToken, a.Data.Login.Tokens.RefreshToken)
		if a, err = c.ask("", refreshText, object{"input": object{"refreshToken": token}}); err != nil || len(a.Errors) > 0 {
			t.Fatalf("with %q: %+v, %v", secrets, a, err)
		}
		c.stop()
	}
	refresh("MINIPROFILE_SECRET=" + newer + ", " + older + "\n")
	if err := os.WriteFile(filepath.Join(dir, "data", "secret"), []byte(older+",\n"+newer+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refresh()
	if code, _, errs := run(t, dir, "--secret", newer+", "); code != 1 || !strings.Contains(errs, "number 2 has 0") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
