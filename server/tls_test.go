package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// writeCertificate makes a certificate for 127.0.0.1 with a serial number, for a month.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) *x509.Certificate {
	t.Helper()
	return writeCertificateUntil(t, certFile, keyFile, serial, time.Now().Add(30*24*time.Hour))
}

func writeCertificateUntil(t *testing.T, certFile, keyFile string, serial int64, end time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	first := writeCertificate(t, certFile, keyFile, 1)
	var failures atomic.Int64
	var ends []time.Time // under certificate.mu
	certificate, err := OpenCertificate(certFile, keyFile, func(err error) {
		failures.Add(1)
		if strings.Contains(err.Error(), "PRIVATE") {
			t.Error(err)
		}
	}, func(end time.Time) { ends = append(ends, end) })
	if err != nil {
		t.Fatal(err)
	}
	h := start(t)
	h.Server = New(Config{Core: h.core, Certificate: certificate})
	address, stop, ended := h.run(t)
	dial := func(root *x509.Certificate, most uint16) (*http.Response, error) {
		pool := x509.NewCertPool()
		pool.AddCert(root)
		client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: most}}}
		defer client.CloseIdleConnections()
		r, err := client.Get("https://" + address + "/healthz")
		if err != nil {
			return nil, err
		}
		defer r.Body.Close()
		_, err = io.Copy(io.Discard, r.Body)
		return r, err
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r, err := dial(first, version)
		if err != nil || r.StatusCode != 200 || r.ProtoMajor != 2 || r.TLS.Version != version || r.Header.Get("Strict-Transport-Security") == "" {
			t.Fatalf("%v %+v", err, r)
		}
	}
	if _, err := dial(first, tls.VersionTLS11); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	lookAgain := func() { certificate.mu.Lock(); certificate.until = time.Time{}; certificate.mu.Unlock() }
	// What does not fit keeps the old one in service, and is told of once.
	if err := os.WriteFile(certFile, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		lookAgain()
		if _, err := dial(first, 0); err != nil {
			t.Error(err)
		}
	}
	if failures.Load() != 1 {
		t.Errorf("told of %d failures", failures.Load())
	}
	second := writeCertificate(t, certFile, keyFile, 2)
	lookAgain()
	if r, err := dial(second, 0); err != nil || r.TLS.PeerCertificates[0].SerialNumber.Int64() != 2 {
		t.Errorf("the new certificate does not serve: %v", err)
	}
	// One that ends soon is told of, once.
	third := writeCertificateUntil(t, certFile, keyFile, 3, time.Now().Add(CertificateNotice-time.Minute))
	for range 3 {
		lookAgain()
		if _, err := dial(third, 0); err != nil {
			t.Error(err)
		}
	}
	if end := certificate.End(); len(ends) != 1 || !ends[0].Equal(third.NotAfter) || !end.Equal(third.NotAfter) {
		t.Errorf("told of the ends %v of what ends at %v", ends, end)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, files := range [][2]string{{certFile, ""}, {"", keyFile}, {certFile, certFile}, {filepath.Join(dir, "none"), keyFile}} {
		if _, err := OpenCertificate(files[0], files[1], nil, nil); err == nil {
			t.Errorf("%v opens", files)
		}
	}
	if a := h.send(t, httptest.NewRequest("GET", "/healthz", nil)); a.Header.Get("Strict-Transport-Security") != "" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Error(a.Header)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const ours, theirs = "https://h5.example.com", "https://evil.example.com"
	if _, err := ParseOrigins([]string{ours, "http://localhost:8080"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "*", "null", "h5.example.com", ours + "/", ours + "/x", "ftp://x", "https://*.example.com", "https://H5.example.com", "https://a@b.c"} {
		if _, err := ParseOrigins([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	h := start(t)
	access, _ := h.login(t, "ada")
	h.Server = New(Config{Core: h.core, Origins: []string{ours}})
	preflight := func(origin string) reply {
		r := httptest.NewRequest("OPTIONS", "/graphql", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		return h.send(t, r)
	}
	a := preflight(ours)
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": ours, "Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Authorization, Content-Type",
		"Access-Control-Max-Age": "7200", "Vary": "Origin",
	} {
		if !strings.Contains(a.Header.Get(name), want) {
			t.Errorf("%s: %s", name, a.Header.Get(name))
		}
	}
	if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if a := preflight(theirs); a.StatusCode != 405 || a.Header.Get("Access-Control-Allow-Origin") != "" || a.Header.Get("Vary") != "Origin" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	// Errors can be read too, and multipart comes through from our pages alone.
	for origin, status := range map[string]int{ours: 200, theirs: 403} {
		r := from("1.1.1.1", access, `{ me { id } }`)
		r.Header.Set("Origin", origin)
		if a := h.send(t, r); (a.Header.Get("Access-Control-Allow-Origin") == origin) != (origin == ours) || a.StatusCode != 200 {
			t.Errorf("%s: %d %v", origin, a.StatusCode, a.Header)
		}
		u := uploadRequest(t, access, pngOf(t))
		u.Header.Set("Origin", origin)
		u.Header.Set("Sec-Fetch-Site", "cross-site")
		if a := h.send(t, u); a.StatusCode != status {
			t.Errorf("%s: %d %s", origin, a.StatusCode, a.body)
		}
		u = uploadRequest(t, access, pngOf(t)) // an older browser
		u.Header.Set("Origin", origin)
		if a := h.send(t, u); a.StatusCode != status {
			t.Errorf("%s: %d %s", origin, a.StatusCode, a.body)
		}
	}
	// That too many came, a page can read too.
	h.Server = New(Config{Core: h.core, Origins: []string{ours}, Limits: Limits{Address: Quota{1, time.Hour}}})
	preflight(ours)
	if a := preflight(ours); a.StatusCode != 429 || a.Header.Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	h.Server = New(Config{Core: h.core})
	if a := preflight(ours); a.StatusCode != 405 || a.Header.Get("Vary") != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
}

// A handshake that fails is no news, and what the client says in it is not told.
func TestFailedHandshakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	certificate, err := OpenCertificate(certFile, keyFile, func(err error) { t.Error(err) }, func(end time.Time) { t.Error(end) })
	if err != nil {
		t.Fatal(err)
	}
	var out lines
	log := NewLog(&out)
	h := start(t)
	h.Server = New(Config{Core: h.core, Certificate: certificate, Logger: log.Logger(slog.LevelDebug, false)})
	address, stop, ended := h.run(t)
	for range 3 {
		c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"what a client says"}})
		if err == nil {
			c.Close()
			t.Error("spoke a protocol that is not known")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	log.Flush()
	if text := out.String(); strings.Contains(text, "a client says") || strings.Contains(text, "WARN") || !strings.Contains(text, "TLS handshake error") {
		t.Errorf("log: %s", text)
	}
}
