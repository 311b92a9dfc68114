package minio

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	s3 "github.com/minio/minio-go/v7"

	"github.com/miniprofile/miniprofile/drivers"
)

func TestParse(t *testing.T) {
	for rawURL, want := range map[string]place{
		"minio://minio.internal:9000/b-1.x": {host: "minio.internal:9000", bucket: "b-1.x", secure: true},
		"minio://h/bucket/":                 {host: "h", bucket: "bucket", secure: true},
		"minio://[::1]:9000/bucket?tls=true&region=eu-west-1&prefix=prod/avatars&lookup=dns": {
			host: "[::1]:9000", bucket: "bucket", secure: true, region: "eu-west-1", prefix: "prod/avatars/", lookup: s3.BucketLookupDNS},
		"minio://h/bucket?tls=false&prefix=a/&lookup=path": {host: "h", bucket: "bucket", prefix: "a/", lookup: s3.BucketLookupPath},
	} {
		if got, err := parse(parseURL(t, rawURL)); err != nil || got != want {
			t.Errorf("%s\n got %+v, %v\nwant %+v", rawURL, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for rawURL, want := range map[string]string{ // want: part of the error
		"minio:":                         "want minio://HOST[:PORT]/BUCKET",
		"minio:bucket":                   "want minio://HOST[:PORT]/BUCKET",
		"minio://host":                   "want minio://HOST[:PORT]/BUCKET",
		"minio://host/":                  "want minio://HOST[:PORT]/BUCKET",
		"minio://:9000/bucket":           "want minio://HOST[:PORT]/BUCKET",
		"minio:///bucket":                "want minio://HOST[:PORT]/BUCKET",
		"minio://key:hunter2@h/bucket":   "credentials in the URL: set MINIO_ACCESS_KEY",
		"minio://h/bu_cket":              `bucket "bu_cket"`,
		"minio://h/BUCKET":               `bucket "BUCKET"`,
		"minio://h/bucket/prefix":        `bucket "bucket/prefix"`,
		"minio://h/bucket?prefix=":       `prefix is ""`,
		"minio://h/bucket?prefix=A":      `prefix is "A"`,
		"minio://h/bucket?prefix=/a":     `prefix is "/a"`,
		"minio://h/bucket?prefix=a//":    `prefix is "a//"`,
		"minio://h/bucket?prefix=../a":   `prefix is "../a"`,
		"minio://h/bucket?tls=no":        `tls is "no", want true or false`,
		"minio://h/bucket?tls=":          `tls is "", want true or false`,
		"minio://h/bucket?lookup=auto":   `lookup is "auto", want dns or path`,
		"minio://h/bucket?ssl=true":      `unknown parameter "ssl", known are lookup, prefix, region, tls`,
		"minio://h/bucket?secret=hunter": `unknown parameter "secret"`,
	} {
		_, err := OpenObjects(t.Context(), parseURL(t, rawURL))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s\n got %v\nwant %s", rawURL, err, want)
		}
	}
}

// noCredentials takes away all that the machine may have.
func noCredentials(t *testing.T) {
	for _, name := range []string{"MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "MINIO_ACCESS_KEY_FILE", "MINIO_SECRET_KEY_FILE", "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY",
		"AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "absent"))
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+nobody(t)) // not the metadata service of the machine that tests
}

func writeFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCredentials(t *testing.T) {
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"AccessKeyId":"role","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	defer role.Close()
	for name, c := range map[string]struct {
		env  map[string]string
		want string // the access key, or part of the error
	}{
		"own":      {map[string]string{"MINIO_ACCESS_KEY": "own", "MINIO_SECRET_KEY": "s", "AWS_ACCESS_KEY_ID": "aws", "AWS_SECRET_ACCESS_KEY": "s"}, "own"},
		"files":    {map[string]string{"MINIO_ACCESS_KEY_FILE": writeFile(t, "filed\n"), "MINIO_SECRET_KEY_FILE": writeFile(t, "s\n")}, "filed"},
		"mixed":    {map[string]string{"MINIO_ACCESS_KEY": "mixed", "MINIO_SECRET_KEY_FILE": writeFile(t, "s\n")}, "mixed"},
		"aws":      {map[string]string{"AWS_ACCESS_KEY_ID": "aws", "AWS_SECRET_ACCESS_KEY": "s"}, "aws"},
		"aws file": {map[string]string{"AWS_SHARED_CREDENTIALS_FILE": writeFile(t, "[x]\naws_access_key_id = shared\naws_secret_access_key = s\n"), "AWS_PROFILE": "x"}, "shared"},
		"role":     {map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": role.URL}, "role"},
		"none":     {nil, "no credentials: set MINIO_ACCESS_KEY"},
		"half":     {map[string]string{"MINIO_ACCESS_KEY": "own", "AWS_ACCESS_KEY_ID": "aws", "AWS_SECRET_ACCESS_KEY": "s"}, "only one of MINIO_ACCESS_KEY and MINIO_SECRET_KEY"},
		"both":     {map[string]string{"MINIO_ACCESS_KEY": "own", "MINIO_SECRET_KEY": "s", "MINIO_SECRET_KEY_FILE": writeFile(t, "s")}, "MINIO_SECRET_KEY and MINIO_SECRET_KEY_FILE are both set"},
		"absent":   {map[string]string{"MINIO_ACCESS_KEY": "own", "MINIO_SECRET_KEY_FILE": "/absent"}, "MINIO_SECRET_KEY_FILE: open /absent"},
	} {
		t.Run(name, func(t *testing.T) {
			noCredentials(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			transport := newTransport()
			defer transport.CloseIdleConnections()
			got := ""
			keys, err := findCredentials(t.Context(), transport)
			if err != nil {
				got = err.Error()
			} else if v, err := keys.GetWithContext(nil); err == nil {
				got = v.AccessKeyID
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestOpenErrors: what is wrong with a bucket is said at the start, with what to do.
func TestOpenErrors(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		here := "minio://" + host + "/absent"
		real := !strings.HasSuffix(t.Name(), "gofakes3") // it looks at no credentials
		wantOpen(t, here+"?tls=false", "it does not exist: make it, or start with --create-bucket")
		if _, err := OpenObjects(t.Context(), parseURL(t, here+"?tls=false")); !errors.Is(err, ErrNoBucket) {
			t.Errorf("%v is not ErrNoBucket", err)
		}
		wantOpen(t, here+"?tls=false&region="+region, "it does not exist: make it, or start with --create-bucket")
		wantOpen(t, here, "the service does not speak TLS: add tls=false to the URL")
		if !real {
			return
		}
		wantOpen(t, here+"?tls=false&region=us-east-1", "it is in another region")
		t.Run("wrong secret", func(t *testing.T) {
			t.Setenv("MINIO_SECRET_KEY", "hunter2hunter2")
			wantOpen(t, here+"?tls=false", "the secret key is wrong")
		})
		t.Run("wrong key", func(t *testing.T) {
			t.Setenv("MINIO_ACCESS_KEY", "hunter2hunter2")
			wantOpen(t, here+"?tls=false", "the service does not know the access key")
		})
	})
}

func wantOpen(t *testing.T, rawURL, want string) {
	t.Helper()
	began := time.Now()
	o, err := OpenObjects(t.Context(), parseURL(t, rawURL))
	if err == nil {
		o.Close()
	}
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s\n got %v\nwant %s", rawURL, err, want)
	}
	if took := time.Since(began); took > patience/2 { // who waits in vain takes all of it
		t.Errorf("%s: it took %v to say %v", rawURL, took, err)
	}
}

// TestOpenErrorsOfNoServer: what no server that we can start does.
func TestOpenErrorsOfNoServer(t *testing.T) {
	setCredentials(t)
	wantOpen(t, "minio://"+nobody(t)+"/bucket?tls=false", "nothing listens at 127.0.0.1:")
	absent := newTransport() // asks neither a resolver nor the machine's proxy, which may say something else
	absent.Proxy, absent.DialContext = nil, func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "absent.invalid", IsNotFound: true}}
	}
	if _, err := open(t.Context(), place{host: "absent.invalid", bucket: "bucket", secure: true}, absent, false); err == nil || !strings.Contains(err.Error(), "there is no such host") {
		t.Errorf("a host that is not there: %v", err)
	}

	says := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	skewed := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog()),
		gofakes3.WithTimeSource(gofakes3.FixedTimeSource(time.Now().Add(-time.Hour)))).Server()
	for name, c := range map[string]struct {
		handler http.Handler
		want    string
	}{
		"clock":     {skewed, "this machine's clock and the service's differ by minutes: set the clock"},
		"forbidden": {says(403, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`), "these credentials may not list it"},
		"redirect":  {says(301, `<Error><Code>PermanentRedirect</Code><Message>x</Message></Error>`), "it is in another region"},
		"ended":     {says(400, `<Error><Code>ExpiredToken</Code><Message>x</Message></Error>`), "the credentials are temporary and have ended"},
		"ill":       {says(500, "hunter\n2"), "the service is not well: look at its logs (500"},
		"no S3":     {says(200, "<html>welcome</html>"), "the answer is not S3's"},
		"proxy":     {says(404, "<html>nobody"), "bucket bucket: "},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			wantOpen(t, "minio://"+strings.TrimPrefix(server.URL, "http://")+"/bucket?tls=false&region=x", c.want)
		})
	}

	secured := httptest.NewUnstartedServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	secured.Config.ErrorLog = log.New(io.Discard, "", 0)
	secured.StartTLS()
	defer secured.Close()
	host := strings.TrimPrefix(secured.URL, "https://")
	wantOpen(t, "minio://"+host+"/bucket?tls=false", "the service speaks TLS: take tls=false out of the URL")
	wantOpen(t, "minio://"+host+"/bucket", "nobody we know has signed the service's certificate")

	// And with the certificate known, all is well over TLS.
	transport := newTransport()
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(secured.Certificate())
	o, err := open(t.Context(), place{host: host, bucket: "bucket", secure: true}, transport, true)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if err := o.Put(t.Context(), "a", strings.NewReader("x"), 1, "text/plain"); err != nil {
		t.Error(err)
	}
}

// TestOpenSilence: a service that takes connections and says nothing.
func TestOpenSilence(t *testing.T) {
	setCredentials(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes them
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := place{host: l.Addr().String(), bucket: "bucket", region: "x"}
	transport := newTransport()
	transport.ResponseHeaderTimeout = 50 * time.Millisecond
	if _, err := open(t.Context(), p, transport, true); err == nil || !strings.Contains(err.Error(), "does not answer: look at the network") {
		t.Errorf("silence: %v", err)
	}
	transport = newTransport()
	transport.TLSHandshakeTimeout = 50 * time.Millisecond
	p.secure = true
	if _, err := open(t.Context(), p, transport, true); err == nil || !strings.Contains(err.Error(), "does not answer: look at the network") {
		t.Errorf("silence in the TLS handshake: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := open(ctx, p, newTransport(), true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence until the deadline: %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		text   string
		want   time.Duration
	}{
		{503, "", 0}, {503, "7", 7 * time.Second}, {429, "60", time.Minute}, {500, "7", 0}, {200, "7", 0}, {503, "-7", 0}, {503, "soon", 0}, {503, "1e3", 0},
		{503, "99999999999", 0}, {503, "Sun, 22 Nov 2026 12:01:00 GMT", time.Minute}, {503, "Sun, 22 Nov 2026 11:00:00 GMT", 0},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.text}}}
		if got := retryAfter(resp, now); got != c.want {
			t.Errorf("%d, %q: %v, want %v", c.status, c.text, got, c.want)
		}
	}
}

// TestCreateObjects: with it a missing bucket is made, once, whoever comes first.
func TestCreateObjects(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		opener := newBucket(t, host, "")
		opened := make(chan error)
		for range 4 {
			go func() {
				o, err := opener()
				if err == nil {
					err = o.Close()
				}
				opened <- err
			}()
		}
		for range 4 {
			if err := <-opened; err != nil {
				t.Error(err)
			}
		}
	})
}

var (
	_ drivers.Opener[drivers.Objects] = OpenObjects
	_ drivers.Opener[drivers.Objects] = CreateObjects
)
