package server

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
	"github.com/miniprofile/miniprofile/playground"
)

// Config is what a Server is made of.
type Config struct {
	Core    *auth.Core
	Version string // told at /
	// Introspection lets clients ask for the GraphQL schema; see graph.Options.
	Introspection bool
	// Playground is served at /playground, and browsers that come to / are sent
	// there; nil means that there is none.
	Playground *playground.Handler
	// Sandbox, when set, answers what comes to /sandbox/: the simulated WeChat.
	Sandbox http.Handler
	// Logger gets the access log and what goes wrong; nil means slog.Default.
	Logger *slog.Logger
}

// Server answers all requests. It may be used by any number of goroutines.
type Server struct {
	core     *auth.Core
	graph    *graph.Handler
	index    []byte
	ready    readiness
	sandbox  http.Handler
	log      *slog.Logger
	page     *playground.Handler // or nil
	draining atomic.Bool         // after Run was told to end
}

// New makes a Server. It opens nothing and starts nothing.
func New(config Config) *Server {
	s := &Server{core: config.Core, sandbox: config.Sandbox, log: config.Logger, page: config.Playground}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.graph = graph.New(config.Core, graph.Options{Introspection: config.Introspection, Logger: s.log})
	s.ready.check = config.Core.Ready
	index := map[string]string{
		"name": "miniprofile", "version": config.Version, "graphql": "/graphql", "schema": "/schema.graphql",
		"jwks": "/.well-known/jwks.json", "health": "/healthz", "ready": "/readyz",
	}
	if s.page != nil {
		index["playground"] = playground.Path
	}
	s.index, _ = json.Marshal(index)
	return s
}

// handler answers a request; the exchange is its http.ResponseWriter.
type handler func(x *exchange, r *http.Request)

// route returns the handler of a path, and what the log calls it.
func (s *Server) route(path string) (string, handler) {
	switch path {
	case "/graphql":
		return path, func(x *exchange, r *http.Request) { s.graph.Serve(x, r, &x.call) }
	case "/schema.graphql":
		return path, reading(s.schema)
	case "/.well-known/jwks.json":
		return path, reading(s.jwks)
	case "/healthz":
		return path, reading(s.healthz)
	case "/readyz":
		return path, reading(s.readyz)
	case "/":
		return path, reading(s.pointers)
	}
	if strings.HasPrefix(path, avatarsPath) {
		return avatarsPath + "{name}", reading(s.avatar)
	}
	if strings.HasPrefix(path, uploadsPath) {
		return uploadsPath + "{name}", s.upload
	}
	if s.page != nil && s.page.Has(path) {
		return playground.Path, reading(func(x *exchange, r *http.Request) { s.page.ServeHTTP(x, r) })
	}
	if appID, ok := strings.CutPrefix(path, pushPath); ok && appID != "" {
		return pushPath + "{appid}", func(x *exchange, r *http.Request) { s.push(x, r, appID) }
	}
	if path == componentPath {
		return path, func(x *exchange, r *http.Request) { s.push(x, r, "") }
	}
	if s.sandbox != nil && strings.HasPrefix(path, sandboxPath) {
		return sandboxPath, func(x *exchange, r *http.Request) { s.sandbox.ServeHTTP(x, r) }
	}
	return "none", func(x *exchange, _ *http.Request) { x.fail(graph.FaultOf(auth.ErrNotFound)) }
}

// reading lets only GET and HEAD pass.
func reading(h handler) handler {
	return func(x *exchange, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			x.Header().Set("Allow", "GET, HEAD")
			x.fail(*graph.MethodNotAllowed("This is read by GET."))
			return
		}
		h(x, r)
	}
}

var nosniff = []string{"nosniff"}

// ServeHTTP answers one request and logs it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	x := &exchange{ResponseWriter: w}
	x.call.RequestID = requestID(r)
	h := w.Header()
	h["X-Request-Id"] = []string{x.call.RequestID}
	h["X-Content-Type-Options"] = nosniff
	if s.draining.Load() {
		h.Set("Connection", "close")
	}
	route, handle := s.route(r.URL.Path)
	defer func() {
		if value := recover(); value != nil {
			if value == http.ErrAbortHandler {
				panic(value)
			}
			s.panicked(x, r, value)
		}
		s.access(r, x, route, time.Since(start))
	}()
	handle(x, r)
}

// panicked logs a panic, and answers if nothing has been answered yet.
func (s *Server) panicked(x *exchange, r *http.Request, value any) {
	kind, stack := graph.Panic(value)
	s.log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request", x.call.RequestID),
		slog.String("panic", kind), slog.Any("stack", stack))
	if x.status != 0 {
		panic(http.ErrAbortHandler) // the client must see that the answer is not whole
	}
	x.fail(graph.FaultOf(fmt.Errorf("panic: %s", kind)))
}

// access writes the line of a request.
func (s *Server) access(r *http.Request, x *exchange, route string, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status >= 500:
		level = slog.LevelError
	case route == "/healthz" || route == "/readyz":
		level = slog.LevelDebug
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	var attrs [8]slog.Attr
	line := append(attrs[:0],
		slog.String("request", x.call.RequestID), slog.String("method", method(r.Method)), slog.String("route", route),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Float64("ms", float64(took.Microseconds())/1000))
	if x.call.Operation != "" {
		line = append(line, slog.String("operation", x.call.Operation))
	}
	if x.call.Code != "" {
		line = append(line, slog.String("code", x.call.Code))
	}
	s.log.LogAttrs(r.Context(), level, "request", line...)
}

// method returns a method that may stand in the log: it is the client's text.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "other"
}

// requestID returns the id that the client or a proxy chose, if it is a decent one.
func requestID(r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) == 1 && len(ids[0]) >= 8 && len(ids[0]) <= 64 &&
		!strings.ContainsFunc(ids[0], notInID) {
		return ids[0]
	}
	const digits = "0123456789abcdefghijklmnopqrstuv"
	var id [13]byte // an id need not be hard to guess
	n := rand.Uint64()
	for i := range id {
		id[i] = digits[n&31]
		n >>= 5
	}
	return string(id[:])
}

func notInID(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '.' || r == '_' || r == '-')
}

// exchange is one request on its way: the http.ResponseWriter that remembers for
// the log what was answered.
type exchange struct {
	http.ResponseWriter
	call   graph.Call
	status int
	bytes  int64
}

// WriteHeader is http.ResponseWriter's.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write is http.ResponseWriter's.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// fail answers by a fault.
func (x *exchange) fail(f graph.Fault) {
	x.call.Code = f.Code
	graph.WriteFault(x, f, x.call.RequestID)
}
