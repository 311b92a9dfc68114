package minio

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   3 * time.Second,
		ResponseHeaderTimeout: 10 * time.Second, // counted from when the request was sent
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   64,
		DisableCompression:    true, // it would take away the length, and change the bytes
	}
}

// listener hears what minio-go does not pass on, and what it takes wrongly.
type listener struct{ http.RoundTripper }

var (
	errCut   = errors.New("the service closed the connection") // minio-go makes of io.EOF a text with the URL
	errNotS3 = errors.New("the answer is not S3's: what stands at that host?")
)

func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errCut
	case err != nil:
		return nil, err
	}
	if wait, ok := r.Context().Value(waitKey{}).(*time.Duration); ok {
		*wait = retryAfter(resp, time.Now())
	}
	// minio-go reads an HTML page as the list of an empty bucket.
	if r.URL.Query().Has("list-type") && resp.StatusCode == http.StatusOK && !strings.Contains(resp.Header.Get("Content-Type"), "xml") {
		resp.Body.Close()
		return nil, errNotS3
	}
	return resp, nil
}

// waitKey is the context key of a *time.Duration: where to write down how long
// the last answer said to wait.
type waitKey struct{}

func withWait(ctx context.Context, wait *time.Duration) context.Context {
	return context.WithValue(ctx, waitKey{}, wait)
}

// retryAfter returns how long an answer says to wait, or zero.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if resp.StatusCode != http.StatusServiceUnavailable && resp.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}
