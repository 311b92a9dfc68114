// Package spoil is a proxy that stands before an object storage in tests, and
// cuts, delays and corrupts what goes through it.
//
//	p := spoil.New(host)
//	defer p.Stop()
//	p.With(p.Only(http.MethodPut, spoil.Answer(507, "XMinioStorageFull")))
package spoil

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Proxy stands before a server and spoils what goes through it.
type Proxy struct {
	Host  string        // where it listens
	Good  http.Handler  // passes everything on
	Done  chan struct{} // closed when the proxy stops
	Calls atomic.Int64  // requests since the last With
	stop  func()

	mu    sync.Mutex
	spoil http.HandlerFunc // or nil
}

// New starts a proxy before the server at the address backend.
func New(backend string) *Proxy {
	p := &Proxy{Done: make(chan struct{})}
	transport := &http.Transport{DisableCompression: true}
	p.Good = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host // it is signed
		},
		Transport:    transport,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Calls.Add(1)
		p.mu.Lock()
		spoil := p.spoil
		p.mu.Unlock()
		if spoil == nil {
			spoil = p.Good.ServeHTTP
		}
		spoil(w, r)
	}))
	p.Host = strings.TrimPrefix(server.URL, "http://")
	p.stop = sync.OnceFunc(func() {
		close(p.Done)
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// Stop ends the proxy: from then on nothing listens there.
func (p *Proxy) Stop() { p.stop() }

// Refuse closes the connection without an answer.
func Refuse(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// With spoils what goes through from now on; nil spoils nothing.
func (p *Proxy) With(spoil http.HandlerFunc) {
	p.mu.Lock()
	p.spoil = spoil
	p.mu.Unlock()
	p.Calls.Store(0)
}

// Only spoils the requests of one method.
func (p *Proxy) Only(method string, spoil http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method {
			spoil(w, r)
			return
		}
		p.Good.ServeHTTP(w, r)
	}
}

// Once spoils the first request only.
func (p *Proxy) Once(spoil http.HandlerFunc) http.HandlerFunc {
	var first sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		mine := false
		first.Do(func() { mine = true })
		if mine {
			spoil(w, r)
			return
		}
		p.Good.ServeHTTP(w, r)
	}
}

// Answer reads the request and answers with an S3 error.
func Answer(status int, code string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>spoilt</Message></Error>", code)
	}
}

// CutRequest passes on the first n bytes of a request's body, then closes both
// connections.
func (p *Proxy) CutRequest(n int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, n), broken{}))
		p.Good.ServeHTTP(w, r)
		panic(http.ErrAbortHandler)
	}
}

// broken is a reader that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("cut") }

// Rewrite passes a request on and lets change the answer, whose body comes
// through what change returns.
func (p *Proxy) Rewrite(change func(h http.Header, body io.Writer) io.Writer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p.Good.ServeHTTP(&rewriter{ResponseWriter: w, change: change}, r)
	}
}

type rewriter struct {
	http.ResponseWriter
	change func(http.Header, io.Writer) io.Writer
	body   io.Writer
}

func (w *rewriter) WriteHeader(status int) {
	if w.body == nil {
		w.body = w.change(w.Header(), w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *rewriter) Write(p []byte) (int, error) { return w.body.Write(p) }

func (w *rewriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// After writes n bytes, flushes them, and calls then.
func After(w io.Writer, n int, then func()) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		if len(p) < n {
			n -= len(p)
			return w.Write(p)
		}
		w.Write(p[:n])
		w.(http.Flusher).Flush()
		then()
		return 0, io.ErrShortWrite
	})
}

// Flip changes the byte at n.
func Flip(w io.Writer, n int) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		p = slices.Clone(p)
		if 0 <= n && n < len(p) {
			p[n] ^= 1
		}
		n -= len(p)
		return w.Write(p)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
