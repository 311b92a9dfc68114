package sandbox

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptrace"
)

// RoundTrip answers a request from this process as ServeHTTP would one from the
// network, without a socket: a Sandbox is an http.RoundTripper, for
// wechat.Config.Transport. A connection closed without an answer is io.EOF.
func (s *Sandbox) RoundTrip(r *http.Request) (*http.Response, error) { return within{s}.RoundTrip(r) }

// within is an http.RoundTripper to a handler of this process.
type within struct{ http.Handler }

func (h within) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if r.Body == nil {
		r = r.WithContext(r.Context())
		r.Body = http.NoBody // as a server promises its handlers
	}
	defer r.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	w := &recorded{status: http.StatusOK, header: http.Header{}}
	defer func() {
		switch v := recover(); {
		case v == http.ErrAbortHandler:
			resp, err = nil, io.EOF
		case v != nil:
			panic(v)
		}
		if ended := r.Context().Err(); ended != nil {
			resp, err = nil, ended
		}
	}()
	h.ServeHTTP(w, r)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorded is an answer as a handler writes it.
type recorded struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (w *recorded) Header() http.Header         { return w.header }
func (w *recorded) WriteHeader(status int)      { w.status = status }
func (w *recorded) Write(p []byte) (int, error) { return w.body.Write(p) }
