package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// certificateLife is how long a certificate is served before its files are looked at again.
const certificateLife = 10 * time.Second

// Certificate is a certificate and its key in two files. It is read again when
// they change, as they do when it is renewed; while they cannot be read, or do
// not fit each other, the last good one serves.
type Certificate struct {
	certFile, keyFile string
	failed            func(error)
	ends              func(time.Time)

	mu    sync.Mutex
	now   *tls.Certificate
	stamp string    // of the files that now was read from
	until time.Time // when to look again
	bad   bool      // whether the last look failed
	told  time.Time // the end that ends was told last
}

// OpenCertificate reads a certificate, PEM with its chain, and its key. failed is
// told when a later reading fails, once until one succeeds; its error holds nothing of the key.
// ends is told, once, when the certificate that serves ends within CertificateNotice.
func OpenCertificate(certFile, keyFile string, failed func(error), ends func(time.Time)) (*Certificate, error) {
	if certFile == "" || keyFile == "" {
		return nil, errors.New("a certificate needs both its file and that of its key")
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, failed: failed, ends: ends}
	stamp, err := c.files()
	if err != nil {
		return nil, err
	}
	if err := c.read(stamp); err != nil {
		return nil, err
	}
	c.notice()
	return c, nil
}

// CertificateNotice is how long before its end a certificate should have been renewed.
const CertificateNotice = 7 * 24 * time.Hour

// End is when the certificate that serves ends.
func (c *Certificate) End() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now.Leaf.NotAfter
}

// notice tells of a certificate that ends soon.
func (c *Certificate) notice() {
	if end := c.now.Leaf.NotAfter; time.Until(end) < CertificateNotice && !end.Equal(c.told) {
		c.told = end
		c.ends(end)
	}
}

// files tells which state the files are in.
func (c *Certificate) files() (string, error) {
	stamp := ""
	for _, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return "", fmt.Errorf("certificate: %w", err)
		}
		stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), " ")
	}
	return stamp, nil
}

func (c *Certificate) read(stamp string) error {
	certificate, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	c.now, c.stamp, c.until = &certificate, stamp, time.Now().Add(certificateLife)
	return nil
}

// get is tls.Config.GetCertificate.
func (c *Certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Now().Before(c.until) {
		return c.now, nil
	}
	c.until = time.Now().Add(certificateLife)
	stamp, err := c.files()
	if err == nil && stamp != c.stamp {
		err = c.read(stamp)
	}
	if err != nil && !c.bad {
		c.failed(err)
	}
	c.bad = err != nil
	c.notice()
	return c.now, nil
}

func (c *Certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}
}
