package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
	"github.com/miniprofile/miniprofile/playground"
)

const (
	avatarsPath = "/avatars/"
	uploadsPath = "/uploads/"
)

// bare lets a browser do nothing with an answer but show it.
const bare = "default-src 'none'; frame-ancestors 'none'; sandbox"

// avatar serves a picture. Its address never shows another one.
func (s *Server) avatar(x *exchange, r *http.Request) {
	object, err := s.core.Picture(r.Context(), strings.TrimPrefix(r.URL.Path, avatarsPath))
	if err != nil {
		s.failed(x, r, "picture", err, !errors.Is(err, auth.ErrNotFound) && r.Context().Err() == nil)
		return
	}
	defer object.Close()
	h := x.Header()
	h.Set("Content-Type", object.ContentType)
	h.Set("ETag", `"`+object.ETag+`"`)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Security-Policy", bare)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	http.ServeContent(&content{exchange: x}, r, "", object.Modified, object)
}

// content puts our errors in the place of those of http.ServeContent.
type content struct {
	*exchange
	failed bool
}

func (c *content) WriteHeader(status int) {
	if status < 400 {
		c.exchange.WriteHeader(status)
		return
	}
	c.failed = true
	for _, name := range []string{"Content-Type", "ETag", "Last-Modified"} {
		c.Header().Del(name)
	}
	fault := graph.Fault{Status: status, Code: "BAD_REQUEST", Message: "The condition or range does not fit."}
	if status >= 500 {
		fault = graph.FaultOf(errors.New("seek"))
	}
	c.fail(fault)
}

func (c *content) Write(b []byte) (int, error) {
	if c.failed {
		return len(b), nil
	}
	return c.exchange.Write(b)
}

// upload takes the file of a direct upload where the object storage cannot.
func (s *Server) upload(x *exchange, r *http.Request) {
	err := s.graph.ReceiveFile(r, x.call.Client, func(file io.ReadSeeker, size int64) error {
		return s.core.ReceiveUpload(r.Context(), strings.TrimPrefix(r.URL.Path, uploadsPath), file, size)
	})
	if err != nil {
		s.failed(x, r, "upload", err, graph.FaultOf(err).Status >= 500 && r.Context().Err() == nil)
		return
	}
	x.WriteHeader(http.StatusNoContent)
}

// failed answers a request that failed, and tells the log of it where the operator may
// have something to do.
func (s *Server) failed(x *exchange, r *http.Request, what string, err error, tell bool) {
	fault := graph.FaultOf(err)
	if tell {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, what+" failed", slog.String("request", x.call.RequestID),
			slog.String("code", fault.Code), slog.String("error", err.Error()))
	}
	x.fail(fault)
}

func (s *Server) schema(x *exchange, _ *http.Request) {
	x.page("text/plain; charset=utf-8", "public, max-age=300", []byte(graph.Schema()))
}

func (s *Server) jwks(x *exchange, _ *http.Request) {
	x.page("application/json", "public, max-age=300", s.core.JWKS())
}

// pointers tells programs where everything is, and leads browsers to the playground.
func (s *Server) pointers(x *exchange, r *http.Request) {
	if s.page != nil {
		x.Header().Add("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			playground.Lead(x)
			return
		}
	}
	x.page("application/json", "no-cache", s.index)
}

func (s *Server) healthz(x *exchange, _ *http.Request) {
	x.page("application/json", "no-store", []byte(`{"status":"ok"}`))
}

func (s *Server) tell(x *exchange, _ *http.Request) {
	x.page("application/json", "no-cache", s.version)
}

// readyz tells the state of each thing that the server depends on: by its name,
// and not what is wrong with it.
func (s *Server) readyz(x *exchange, r *http.Request) {
	state := struct {
		Status       string            `json:"status"`
		Dependencies map[string]string `json:"dependencies"`
	}{"ready", map[string]string{}}
	for name, err := range askAll(r.Context(), s.ready) {
		state.Dependencies[name] = "ready"
		if err != nil {
			state.Dependencies[name], state.Status = "not ready", "not ready"
		}
	}
	if s.draining.Load() {
		state.Status = "stopping"
	}
	if state.Status == "ready" {
		body, _ := json.Marshal(state)
		x.page("application/json", "no-store", body)
		return
	}
	x.failWith(graph.FaultOf(auth.ErrUpstream), state)
}

// page answers with something that always is the same.
func (x *exchange) page(contentType, cache string, body []byte) {
	h := x.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", cache)
	h.Set("Content-Security-Policy", bare)
	x.Write(body)
}
