package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestMain takes away the machine's proxy, which would answer for hosts that are not there.
func TestMain(m *testing.M) {
	for _, name := range []string{"http_proxy", "https_proxy"} {
		os.Unsetenv(name)
		os.Unsetenv(strings.ToUpper(name))
	}
	os.Exit(m.Run())
}

// want fails unless the report has a finding of a name with a status and a detail,
// and every finding that is not OK says what to do.
func want(t *testing.T, r Report, name string, status Status, detail string) {
	t.Helper()
	ok := false
	for _, f := range r {
		ok = ok || f.Name == name && f.Status == status && strings.Contains(f.Detail, detail)
		if (f.Status == OK) != (f.Do == "") {
			t.Errorf("%+v: status and advice do not fit", f)
		}
	}
	if !ok {
		t.Errorf("no %s %s with %q in %+v", status, name, detail, r)
	}
}

// broken is a store that gives in one way what it should not.
type broken struct {
	drivers.Store
	commit func(drivers.Store, []drivers.Op) error
	get    func([]drivers.Record)
}

func (b broken) Commit(ctx context.Context, ops ...drivers.Op) error {
	if b.commit != nil {
		if err := b.commit(b.Store, ops); err != nil {
			return err
		}
	}
	return b.Store.Commit(ctx, ops...)
}

func (b broken) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	found, err := b.Store.Get(ctx, keys...)
	if b.get != nil && err == nil {
		b.get(found)
	}
	return found, err
}

func TestStore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken
		finding string
		status  Status
		detail  string
	}{
		"good":    {broken{}, "store: complete", OK, ""},
		"refuses": {broken{commit: func(drivers.Store, []drivers.Op) error { return errors.New("disk full") }}, "store: write", Fail, "disk full"},
		"forgets": {broken{get: func(found []drivers.Record) { found[0] = drivers.Record{Key: found[0].Key} }}, "store: read", Fail, "give back"},
		"overwrites": {broken{commit: func(s drivers.Store, ops []drivers.Op) error { // whatever the condition
			found, err := s.Get(context.Background(), ops[0].Key)
			ops[0].If = found[0].Revision
			return err
		}}, "store: conflict", Fail, "outdated"},
		"full": {broken{commit: func(drivers.Store, []drivers.Op) error { return fmt.Errorf("commit: %w", syscall.ENOSPC) }}, "store: write", Fail, "no space left"},
		"half a copy": {broken{get: func(found []drivers.Record) {
			if found[0].Key.Kind == "copies" {
				found[0].Revision, found[0].Data = "x", json.RawMessage(`{"from":"there","done":{}}`)
			}
		}}, "store: complete", Fail, "unfinished copy from there"},
	} {
		space := memory.New()
		c.broken.Store = space.OpenStore()
		r := Store(t.Context(), c.broken, "see the message")
		want(t, r, c.finding, c.status, c.detail)
		if name == "full" && !strings.Contains(r[0].Do, "the disk is full") {
			t.Errorf("%s: %s", name, r[0].Do)
		}
		last := r[len(r)-1].Do
		for of, do := range map[string]string{"refuses": "see the message", "forgets": "another place", "overwrites": "another place", "half a copy": "copy again"} {
			if name == of && !strings.Contains(last, do) {
				t.Errorf("%s: %s", name, last)
			}
		}
		if r.Failed() != (c.status == Fail) {
			t.Errorf("%s: %+v", name, r)
		}
		if c.status == OK {
			for r, err := range space.OpenStore().Scan(t.Context(), Kind, "", "") {
				t.Errorf("%s: left behind: %v, %v", name, r, err)
			}
		}
	}
}

type brokenObjects struct {
	drivers.Objects
	body string // what is stored instead, when it is set
	keep bool   // deletes nothing
}

func (b brokenObjects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if b.body != "" {
		r, size = strings.NewReader(b.body), int64(len(b.body))
	}
	return b.Objects.Put(ctx, key, r, size, contentType)
}

func (b brokenObjects) Delete(ctx context.Context, keys ...string) error {
	if b.keep {
		return nil
	}
	return b.Objects.Delete(ctx, keys...)
}

func TestObjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		objects drivers.Objects
		finding string
		status  Status
	}{
		{memory.New().OpenObjects(), "objects: delete", OK},
		{drivers.ReadOnlyObjects(memory.New().OpenObjects()), "objects: put", Fail},
		{brokenObjects{memory.New().OpenObjects(), "other", false}, "objects: get", Fail},
		{brokenObjects{memory.New().OpenObjects(), "", true}, "objects: delete", Fail},
	} {
		want(t, Objects(t.Context(), c.objects, "see the message"), c.finding, c.status, "")
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	good := "b7b0e2d1c5a94f3386721f0e9d8c7b6a"
	want(t, Secrets(t.Context(), []string{good}, "", nil), "secret", OK, "32 characters")
	want(t, Secrets(t.Context(), []string{good, "short"}, "", nil), "secret", Fail, "number 2 has 5")
	want(t, Secrets(t.Context(), []string{strings.Repeat("ab", 20)}, "", nil), "secret", Warn, "")
	path := filepath.Join(t.TempDir(), "secret")
	want(t, Secrets(t.Context(), []string{good}, path, nil), "secret: file", Fail, "no such file")
	for mode, status := range map[os.FileMode]Status{0o600: OK, 0o400: OK, 0o640: Fail, 0o604: Fail} {
		if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want(t, Secrets(t.Context(), []string{good}, path, nil), "secret: file", status, fmt.Sprintf("%04o", mode))
		os.Remove(path)
	}

	// A session that another secret sealed.
	space := memory.New()
	core, err := auth.New(auth.Config{Store: space.OpenStore(), Objects: space.OpenObjects(), WeChat: fakeWeChat{}, Apps: []string{"wxa"}, Secrets: []string{good}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.Login(t.Context(), auth.LoginInput{Code: "c"}); err != nil {
		t.Fatal(err)
	}
	other := strings.ToUpper(good)
	want(t, Secrets(t.Context(), []string{good}, "", memory.New().OpenStore()), "secret: opens", OK, "nothing is sealed yet")
	want(t, Secrets(t.Context(), []string{good}, "", space.OpenStore()), "secret: opens", OK, "1 sessions")
	want(t, Secrets(t.Context(), []string{other, good}, "", space.OpenStore()), "secret: opens", OK, "")
	wrong := Secrets(t.Context(), []string{other}, "", space.OpenStore())
	want(t, wrong, "secret: opens", Fail, "1 of 1 sessions")
	if do := wrong[len(wrong)-1].Do; !strings.Contains(do, "another secret") {
		t.Errorf("advises %q", do)
	}
	closed := memory.New().OpenStore()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	away := Secrets(t.Context(), []string{good}, "", closed)
	want(t, away, "secret: opens", Fail, "closed")
	if do := away[len(away)-1].Do; !strings.Contains(do, "could not be read") {
		t.Errorf("of a store that is away it advises %q", do)
	}
	var b bytes.Buffer
	if err := errors.Join(wrong.Table(&b), wrong.JSON(&b)); err != nil || strings.Contains(b.String(), other) {
		t.Errorf("shows the secret: %s, %v", b.String(), err)
	}
}

type fakeWeChat struct {
	auth.WeChat
	err, token error
}

func (f fakeWeChat) CodeToSession(context.Context, string, string) (auth.WeChatSession, error) {
	return auth.WeChatSession{OpenID: "o", SessionKey: "c2Vzc2lvbi1rZXktMTIzNA=="}, f.err
}

func (f fakeWeChat) AccessToken(context.Context, string) (auth.Token, error) {
	return auth.Token{}, f.token
}

func TestWeChat(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status Status
		do     string
	}{
		{auth.ErrCodeRejected, OK, ""},
		{nil, Fail, "WECHAT_BASE_URL"},
		{fmt.Errorf("wechat: errcode 40125: %w", auth.ErrMisconfigured), Fail, "WECHAT_APPS"},
		{fmt.Errorf("%w: cannot resolve the host", auth.ErrUpstream), Fail, "WECHAT_BASE_URL"},
	} {
		r := WeChat(t.Context(), fakeWeChat{err: c.err}, []string{"wxa"})
		want(t, r, "WeChat: wxa", c.status, "")
		if !strings.Contains(r[0].Do, c.do) {
			t.Errorf("%v: %s", c.err, r[0].Do)
		}
	}
	r := WeChat(t.Context(), fakeWeChat{err: auth.ErrCodeRejected, token: fmt.Errorf("errcode 40164: %w", auth.ErrMisconfigured)}, []string{"wxa"})
	want(t, r, "WeChat: wxa", OK, "")
	want(t, r, "WeChat: token", Fail, "40164")
	if !strings.Contains(r[1].Do, "IP allow-list") {
		t.Errorf("a machine that is not on the list: %s", r[1].Do)
	}
	// The real client says what it is and what to do.
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"errcode":40125,"errmsg":"invalid appsecret, words of WeChat's"}`)
	}))
	defer refuses.Close()
	client, err := wechat.New(wechat.Config{Apps: map[string]wechat.Secret{"wxa": wechat.NewSecret("s")}, BaseURL: refuses.URL})
	if err != nil {
		t.Fatal(err)
	}
	r = WeChat(t.Context(), client, []string{"wxa"})
	want(t, r, "WeChat: wxa", Fail, "the AppSecret is wrong")
	if r.Failures() != 2 || !strings.Contains(r[0].Do, "copy the AppSecret") || strings.Contains(r[0].Detail, "words") {
		t.Errorf("%+v", r)
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	for off, status := range map[time.Duration]Status{0: OK, -20 * time.Second: Warn, 20 * time.Second: Warn, time.Hour: Fail, -time.Hour: Fail} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		}))
		detail := map[bool]string{true: "behind there's", false: "ahead of there's"}[off > 0]
		if off == 0 {
			detail = "as there's"
		}
		want(t, Clock(t.Context(), "there", s.URL), "clock", status, detail)
		s.Close()
	}
	if r := Clock(t.Context(), "there", "http://127.0.0.1:1"); r != nil {
		t.Errorf("without an answer: %+v", r)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	for left, status := range map[time.Duration]Status{time.Hour: OK, time.Minute: Warn, -time.Minute: Fail} {
		want(t, Report{Certificate(time.Now().Add(left), 30*time.Minute)}, "certificate", status, "UTC")
	}
}

func TestPublicURL(t *testing.T) {
	t.Parallel()
	answer := func(body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				io.WriteString(w, body)
			}
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tls.Close)
	ours := answer(`{"name":"miniprofile"}`)
	for _, c := range []struct {
		url     string
		sandbox bool
		name    string
		status  Status
		detail  string
	}{
		{"", true, "public URL", Warn, "not set"},
		{ours, true, "public URL", OK, ours},
		{ours, true, "public URL: answers", OK, "miniprofile"},
		{ours, false, "public URL", Fail, ours},
		{answer("<html>"), true, "public URL: answers", Warn, "not miniprofile"},
		{"http://127.0.0.1:1", true, "public URL: answers", Warn, "no answer"},
		{"https://x.invalid", false, "public URL: answers", Fail, "host is not known"},
		{tls.URL, false, "public URL: answers", Fail, "certificate is not good: x509: certificate signed by unknown authority"},
		{ours + "/api", true, "public URL: answers", Warn, "not miniprofile"},
	} {
		want(t, PublicURL(t.Context(), c.url, c.sandbox), c.name, c.status, c.detail)
	}
	for url, do := range map[string]string{answer("<html>"): "with the path as it is?", ours + "/api": "take /api away", tls.URL: "the whole chain"} {
		if r := PublicURL(t.Context(), url, true); !strings.Contains(r[1].Do, do) {
			t.Errorf("%s: %+v", url, r[1])
		}
	}
	for do, err := range map[string]error{
		"for this host": x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"},
		"renew":         &net.OpError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
		"the message":   errors.New("tls: handshake failure"),
	} {
		if got := aboutTLS(err); !strings.Contains(got, do) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := Report{
		{Name: "a", Status: OK, Detail: "fine", Took: 1500 * time.Microsecond},
		{Name: "b", Status: Warn, Detail: "hm", Do: "do <this>"},
	}
	r = append(r, TTL("project", "")...)
	var table, machine bytes.Buffer
	if err := errors.Join(r.Table(&table), r.JSON(&machine)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"ok    a                        1.5 ms  fine\n", "\n      -> do <this>\n", "--project=project --database='(default)'"} {
		if !strings.Contains(table.String(), line) {
			t.Errorf("no %q in\n%s", line, table.String())
		}
	}
	var got struct {
		OK       bool
		Findings []map[string]any
	}
	if err := json.Unmarshal(machine.Bytes(), &got); err != nil || !got.OK || len(got.Findings) != 3 || got.Findings[1]["do"] != "do <this>" || got.Findings[0]["ms"] != 1.5 {
		t.Errorf("%v: %s", err, machine.String())
	}
	if r = append(r, Finding{Status: Fail}); !r.Failed() {
		t.Error("a failure is none")
	}
}
