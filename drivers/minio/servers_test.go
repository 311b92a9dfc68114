package minio

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/miniprofile/miniprofile/drivers"
)

// What the servers in the tests know.
const (
	accessKey = "miniprofile-test"
	secretKey = "miniprofile-test-secret"
	region    = "eu-west-1"
)

func setCredentials(t testing.TB) {
	t.Setenv("MINIO_ACCESS_KEY", accessKey)
	t.Setenv("MINIO_SECRET_KEY", secretKey)
}

// fakeServer starts an S3 in this process and returns its address.
func fakeServer(t testing.TB) (host string) {
	t.Helper()
	fake := gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog()))
	server := httptest.NewServer(fake.Server())
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// minioServer starts a MinIO and returns its address.
func minioServer(t testing.TB) (host string) {
	t.Helper()
	binary := findBinary(t, "minio", "MINIPROFILE_TEST_MINIO", "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c")
	return startServer(t, func(host string) *exec.Cmd {
		cmd := exec.Command(binary, "server", "--address", host, t.TempDir())
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_REGION=" + region}
		return cmd
	}, "API: ")
}

// versityServer starts a versitygw over a folder and returns its address.
func versityServer(t testing.TB) (host string) {
	t.Helper()
	binary := findBinary(t, "versitygw", "MINIPROFILE_TEST_VERSITYGW", "github.com/versity/versitygw/cmd/versitygw@v1.8.0")
	return startServer(t, func(host string) *exec.Cmd {
		cmd := exec.Command(binary, "--port", host, "--access", accessKey, "--secret", secretKey, "--region", region, "posix", t.TempDir())
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		return cmd
	}, "") // it says its host
}

func findBinary(t testing.TB, name, variable, pkg string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		path, _ = exec.LookPath(name)
	}
	if path == "" {
		missing := fmt.Sprintf("no %s on PATH and no path in %s: go install %s", name, variable, pkg)
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// nobody returns an address at which nobody listens, and nobody will before the
// test ends: a connection has the port.
func nobody(t testing.TB) (host string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().String()
}

// startServer starts a server at a port that is free, waits until it says the mark
// and its host and answers requests, and stops it at the end of the test. Where
// somebody else took the port meanwhile, the server ends, and is started at another.
func startServer(t testing.TB, command func(host string) *exec.Cmd, mark string) (host string) {
	t.Helper()
	said := ""
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host = l.Addr().String()
		l.Close()
		ok := false
		if said, ok = runServer(t, command(host), host, mark); ok {
			return host
		}
	}
	t.Fatalf("it does not start:\n%s", said)
	return ""
}

// runServer is one try of startServer; when the server ends it returns what that said.
func runServer(t testing.TB, cmd *exec.Cmd, host, mark string) (text string, ok bool) {
	t.Helper()
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	died := make(chan struct{})
	go func() {
		cmd.Wait()
		close(died)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-died
	})
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	client := &http.Client{Timeout: 5 * time.Second} // who has its port may never answer
	for {
		select {
		case <-died:
			return said.String(), false
		case <-ticker.C:
			// A MinIO that listens answers 503 until it is ready, then 403 as versitygw does.
			resp, err := client.Get("http://" + host)
			if err != nil {
				continue
			}
			resp.Body.Close()
			text = said.String()
			if resp.StatusCode != http.StatusServiceUnavailable && strings.Contains(text, mark) && strings.Contains(text, host) {
				return text, true
			}
		}
	}
}

// output is what a server says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

var places atomic.Int64

// newBucket returns a function that opens a bucket of its own, made the first time.
func newBucket(t testing.TB, host, parameters string) func() (drivers.Objects, error) {
	bucket := fmt.Sprintf("bucket%d", places.Add(1))
	ctx := t.Context()
	return func() (drivers.Objects, error) {
		return CreateObjects(ctx, parseURL(t, "minio://"+host+"/"+bucket+"?tls=false&"+parameters))
	}
}

func parseURL(t testing.TB, rawURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// openBucket opens a new bucket for one test.
func openBucket(t testing.TB, host string) *objects {
	t.Helper()
	o, err := newBucket(t, host, "")()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o.(*objects)
}

// servers are all that the tests know.
var servers = []struct {
	name  string
	start func(testing.TB) (host string)
}{
	{"gofakes3", fakeServer},
	{"MinIO", minioServer},
	{"versitygw", versityServer},
}

// onAll runs a test on each server.
func onAll(t *testing.T, test func(t *testing.T, host string)) {
	setCredentials(t)
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) { test(t, s.start(t)) })
	}
}

// empty deletes all objects at u.
func empty(t testing.TB, u *url.URL) {
	ctx := context.WithoutCancel(t.Context())
	o, err := OpenObjects(ctx, u)
	if err != nil {
		t.Error(err)
		return
	}
	defer o.Close()
	var keys []string
	for info, err := range o.List(ctx, "", "") {
		if err != nil {
			t.Error(err)
			return
		}
		keys = append(keys, info.Key)
	}
	if err := o.Delete(ctx, keys...); err != nil {
		t.Error(err)
	}
}
