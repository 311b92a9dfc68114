package wechat

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	// DefaultBaseURL is where WeChat's API is.
	DefaultBaseURL = "https://api.weixin.qq.com"
	// DefaultTimeout is the time for one call, from dialling to the last byte.
	DefaultTimeout = 5 * time.Second
	// MaxReply bounds a reply, in bytes; those to a login have a few hundred.
	MaxReply = 64 << 10
)

// Config is what a Client must know. There is at least one app, or a component.
type Config struct {
	Apps      map[string]Secret   // AppSecret by AppID
	Push      map[string]PushKeys // by AppID; of any apps
	Component *ComponentConfig    // the third-party platform; may be nil
	BaseURL   string              // http or https, may have a path; default DefaultBaseURL
	Timeout   time.Duration       // for one call; default DefaultTimeout
	// Transport carries the calls where WeChat is simulated in this process; nil
	// means the network. It repeats nothing, and tells an httptrace when it has
	// got a connection, as http.Transport does.
	Transport http.RoundTripper
}

// Client calls WeChat's API. Any number of goroutines may use it, and one is
// enough for a process: it keeps connections open.
type Client struct {
	apps      map[string]Secret
	doors     map[string]*door // by AppID, the component's too
	component *ComponentConfig // nil where there is none
	base      *url.URL
	timeout   time.Duration
	transport http.RoundTripper
}

var _ auth.WeChat = (*Client)(nil)

// New makes a client, and opens no connection yet. An error is a fault in the
// configuration and quotes nothing of it.
func New(config Config) (*Client, error) {
	c := &Client{apps: map[string]Secret{}, doors: map[string]*door{}, timeout: config.Timeout}
	for appID, secret := range config.Apps {
		if err := checkApp(appID, secret.reveal()); err != nil {
			return nil, fmt.Errorf("wechat: an app: %w", err)
		}
		c.apps[appID] = secret
	}
	for appID, keys := range config.Push {
		if !auth.IsAppID(appID) {
			return nil, fmt.Errorf("wechat: an app of push: %w", errAppID)
		}
		opened, err := newDoor(appID, keys)
		if err != nil {
			return nil, fmt.Errorf("wechat: an app of push: %w", err)
		}
		c.doors[appID] = opened
	}
	if config.Component != nil {
		own := *config.Component
		opened, err := own.check()
		switch {
		case err != nil:
			return nil, fmt.Errorf("wechat: the component: %w", err)
		case c.doors[own.AppID] != nil:
			return nil, errors.New("wechat: the component is an app of push too")
		}
		c.component, c.doors[own.AppID] = &own, opened
	}
	if len(c.apps) == 0 && c.component == nil {
		return nil, errors.New("wechat: no app")
	}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.timeout < 0 {
		return nil, errors.New("wechat: the timeout is negative")
	}
	var err error
	if c.base, err = ParseBaseURL(cmp.Or(config.BaseURL, DefaultBaseURL)); err != nil {
		return nil, fmt.Errorf("wechat: %w", err)
	}
	if c.transport = config.Transport; c.transport == nil {
		c.transport = network(c.timeout)
	}
	return c, nil
}

// ParseBaseURL reads the setting WECHAT_BASE_URL. An error quotes nothing.
func ParseBaseURL(s string) (*url.URL, error) {
	b, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("the base URL is not a URL") // err would quote it
	case b.Scheme != "http" && b.Scheme != "https":
		return nil, errors.New("the base URL begins with neither http:// nor https://")
	case b.Hostname() == "":
		return nil, errors.New("the base URL has no host")
	case b.User != nil:
		return nil, errors.New("the base URL has a user or password")
	case b.RawQuery != "" || b.ForceQuery || b.Fragment != "":
		return nil, errors.New("the base URL has a query or fragment")
	}
	return b.JoinPath("/"), nil // of a URL without any path, JoinPath makes a relative one
}

// network makes the transport to the real WeChat.
func network(timeout time.Duration) *http.Transport {
	// HTTP/1.1 alone: HTTP/2 in net/http repeats a request that the server's
	// GOAWAY or REFUSED_STREAM concerns.
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		Protocols:           &http1,
		DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: timeout,
		MaxIdleConnsPerHost: 64,
		// Short: what a server closes while we write to it is lost, as we
		// never repeat it.
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 32 << 10,
		DisableCompression:     true,
	}
}

// unrepeatable is an empty body that net/http cannot rewind. Without one,
// http.Transport sends a GET a second time when a connection that it had kept
// open dies under the first; see Request.isReplayable and rewindBody there.
// http.NoBody would not do.
type unrepeatable struct{}

func (unrepeatable) Read([]byte) (int, error) { return 0, io.EOF }
func (unrepeatable) Close() error             { return nil }

// WriteTo saves io.Copy its buffer of 32 KiB a request.
func (unrepeatable) WriteTo(io.Writer) (int64, error) { return 0, nil }

// ask makes one request and reads the reply into v. A nil body makes it a GET;
// any other is sent by POST, as JSON whose text is raw UTF-8. What
// hidden holds gets into no error.
func (c *Client) ask(ctx context.Context, at *endpoint, query url.Values, body any, v reply, hidden ...string) error {
	var sent []byte
	if body != nil {
		sent = encode(body)
	}
	status, got, err := c.send(ctx, at.name, at.path, query, sent)
	if err != nil {
		return err
	}
	return read(at, status, got, v, hidden...)
}

// encode writes v as JSON without \u003c and its like, which WeChat refuses (40033).
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // of strings and numbers: cannot be
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// send makes one request, a GET without content and a POST with, and returns HTTP
// status and body, whatever the status is. It follows no redirect. An error is an
// *Error that is auth.ErrUpstream, and auth.ErrNotSent when no connection was had.
func (c *Client) send(ctx context.Context, api, path string, query url.Values, content []byte) (int, []byte, error) {
	timed, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var connected atomic.Bool
	timed = httptrace.WithClientTrace(timed, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    u,
		Header: http.Header{"User-Agent": {"miniprofile"}},
		Body:   unrepeatable{},
		// Says that the body, of unknown length to net/http, is to be sent as
		// it is, which is not at all. Unsaid, net/http tries for 200 ms to read
		// from the body, and failing that sends a chunked GET.
		TransferEncoding: []string{"identity"},
	}).WithContext(timed)
	if content != nil {
		// Without GetBody, net/http cannot rewind this one either.
		req.Method, req.Body, req.TransferEncoding = http.MethodPost, io.NopCloser(bytes.NewReader(content)), nil
		req.ContentLength = int64(len(content))
		req.Header.Set("Content-Type", "application/json")
	}

	failed := func(status int, reason string) error {
		err := &Error{API: api, Status: status, Reason: reason, is: []error{auth.ErrUpstream}}
		if !connected.Load() {
			err.is = append(err.is, auth.ErrNotSent)
		}
		if ended := ctx.Err(); ended != nil {
			err.is = append(err.is, ended)
		}
		return err
	}
	// The transport itself, not an http.Client: that follows redirects, and
	// puts the URL into its errors.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return 0, nil, failed(0, reason(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxReply+1))
	switch {
	case err != nil:
		return 0, nil, failed(resp.StatusCode, "reply broken off: "+reason(err))
	case len(body) > MaxReply:
		return 0, nil, failed(resp.StatusCode, "reply too long")
	}
	return resp.StatusCode, body, nil
}

// reason puts an error of the network into words that can hold nothing of the
// request or the reply. net/http quotes from both, so its own text is out.
func reason(err error) string {
	var (
		op    *net.OpError
		dns   *net.DNSError
		errno syscall.Errno
		cert  *tls.CertificateVerificationError
		tlsNo tls.RecordHeaderError
		timed interface{ Timeout() bool }
	)
	at := ""
	if errors.As(err, &op) {
		at = op.Op + ": "
	}
	switch {
	case errors.Is(err, context.Canceled):
		return at + "cancelled"
	case errors.As(err, &dns):
		return at + "cannot resolve the host: " + dns.Err
	case errors.As(err, &cert):
		return cert.Error()
	case errors.As(err, &tlsNo):
		return "TLS: " + tlsNo.Msg
	case op != nil && (op.Op == "remote error" || op.Op == "local error"):
		return at + op.Err.Error() // an alert of TLS
	case errors.As(err, &timed) && timed.Timeout():
		return at + "timed out"
	case errors.As(err, &errno):
		return at + errno.Error()
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return at + "connection closed"
	}
	return at + "the connection failed, or what came is not HTTP"
}
