package server

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"net/netip"
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
	// GraphQL is for package graph; its Logger, Origins and Admit are the server's.
	GraphQL graph.Options
	// Playground is served at /playground, and browsers that come to / are sent
	// there; nil means that there is none.
	Playground *playground.Handler
	// Sandbox, when set, answers what comes to /sandbox/: the simulated WeChat.
	Sandbox http.Handler
	// Logger gets the access log and what goes wrong; nil means slog.Default.
	Logger *slog.Logger
	// Watch, when it is not nil, is told of each request as it begins, with its
	// route. It returns the context of the request and a func that is told how it
	// ended.
	Watch func(r *http.Request, route string) (context.Context, func(Request))
	// Limits hold clients to quotas; the zero Limits to none.
	Limits Limits
	// Proxies are those whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// MaxInFlight is how many requests are answered at a time; those beyond are
	// refused at once. Zero means any number.
	MaxInFlight int
	// Origins are those whose pages may call the server, as https://h5.example.com.
	Origins []string
	// Certificate, when it is not nil, makes Run speak HTTPS, and HTTP/2.
	Certificate *Certificate
	// Refused, when it is not nil, is told of each request that is refused for a
	// limit: address, address_in_flight, login, user, app or load.
	Refused func(limit string)
}

// Request is what there is to tell of a request that was answered. Nothing in it
// is a text of the client.
type Request struct {
	Route   string // as /avatars/{name}
	Field   string // of the schema, where there is one; see graph.Call
	Code    string // of the first error, or empty
	Status  int
	Picture bool // whether it brought a picture
	Took    time.Duration
}

// Server answers all requests. It may be used by any number of goroutines.
type Server struct {
	core     *auth.Core
	graph    *graph.Handler
	index    []byte
	ready    map[string]*readiness // by the name of what is asked
	version  []byte
	sandbox  http.Handler
	page     *playground.Handler // or nil
	log      *slog.Logger
	watch    func(*http.Request, string) (context.Context, func(Request))
	clients  clients
	limiter  *limiter // nil where there are no limits
	refusals refusals
	origins  []string
	tls      *Certificate // nil for plain HTTP
	inFlight atomic.Int64
	most     int64       // in flight
	draining atomic.Bool // after Run was told to end

	drain, finish time.Duration // drainTime and finishTime, but in tests
}

// New makes a Server. It opens nothing and starts nothing.
func New(config Config) *Server {
	s := &Server{core: config.Core, sandbox: config.Sandbox, log: config.Logger, page: config.Playground, watch: config.Watch,
		drain: drainTime, finish: finishTime}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.clients, s.most = clients{config.Proxies}, int64(cmp.Or(config.MaxInFlight, math.MaxInt))
	s.refusals.log, s.refusals.told = s.log, config.Refused
	s.origins, s.tls = config.Origins, config.Certificate
	options := config.GraphQL
	options.Origins, options.Logger = config.Origins, s.log
	if s.limiter = newLimiter(config.Limits, config.Core, s.most, s.refusals.add); s.limiter != nil {
		options.Admit = s.limiter.operation
	}
	s.graph = graph.New(config.Core, options)
	s.ready = map[string]*readiness{"store": {check: config.Core.StoreReady}, "objects": {check: config.Core.ObjectsReady}}
	for name, r := range s.ready {
		r.tell = func(err error) { s.log.Warn("not ready", "dependency", name, "error", err.Error()) }
	}
	s.version, _ = json.Marshal(map[string]string{"version": config.Version})
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

// sandboxPath is where the simulated WeChat is told what to do.
const sandboxPath = "/sandbox/"

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
	case "/version":
		return path, reading(s.tell)
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
	h["Referrer-Policy"] = noReferrer
	if r.TLS != nil {
		h["Strict-Transport-Security"] = hsts
	}
	if s.draining.Load() {
		h.Set("Connection", "close")
	}
	route, handle := s.route(r.URL.Path)
	ended := func(Request) {}
	if s.watch != nil {
		var ctx context.Context
		if ctx, ended = s.watch(r, route); ctx != r.Context() {
			r = r.WithContext(ctx)
		}
	}
	defer func() {
		if value := recover(); value != nil {
			defer func() { ended(x.report(route, start)) }()
			if value == http.ErrAbortHandler {
				panic(value)
			}
			s.panicked(x, r, value)
			s.access(r, x, route, time.Since(start))
			return
		}
		done := x.report(route, start)
		s.access(r, x, route, done.Took)
		ended(done)
	}()
	preflight := s.cors(x, r) // first, so that pages can read that they are refused
	defer s.release(x)
	switch fault := s.admit(x, r, route, start); {
	case fault != nil:
		x.refused = true
		x.fail(*fault)
	case preflight:
		x.WriteHeader(http.StatusNoContent)
	default:
		handle(x, r)
	}
}

// busy is the answer to what is too much.
var busy = graph.Fault{Status: http.StatusServiceUnavailable, Code: "UPSTREAM_UNAVAILABLE", Message: "The server has too much to do.", RetryAfter: time.Second}

// admit refuses a request for a limit, or not; release is for when it is over.
// Those who ask for the server's health always hear of it.
func (s *Server) admit(x *exchange, r *http.Request, route string, now time.Time) *graph.Fault {
	if Health(route) {
		return nil
	}
	if s.limiter != nil {
		var believed bool
		if x.call.Client, believed = s.clients.address(r); !believed {
			s.refusals.disbelieve(x.call.Client)
		}
		var fault *graph.Fault
		if x.inFlight, fault = s.limiter.request(x.call.Client, now); fault != nil {
			return fault
		}
	}
	x.counted = true
	if s.inFlight.Add(1) > s.most {
		s.refusals.add("load", netip.Addr{})
		return &busy
	}
	return nil
}

func (s *Server) release(x *exchange) {
	if x.inFlight != nil {
		x.inFlight.Add(-1)
	}
	if x.counted {
		s.inFlight.Add(-1)
	}
}

// Health reports whether those ask at a route who watch over the server: they are
// always answered.
func Health(route string) bool {
	return route == "/healthz" || route == "/readyz" || route == "/version"
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

// report tells of an answered request.
func (x *exchange) report(route string, start time.Time) Request {
	return Request{Route: route, Field: x.call.Field, Code: x.call.Code, Status: x.status, Picture: x.call.Picture, Took: time.Since(start)}
}

// access writes the line of a request.
func (s *Server) access(r *http.Request, x *exchange, route string, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.refused, Health(route): // a flood must not become one of the log
		level = slog.LevelDebug
	case x.status >= 500:
		level = slog.LevelError
	}
	if !s.log.Enabled(r.Context(), level) {
		return
	}
	// A record of one's own: a Logger would look up the caller for each, and slog
	// formats a float by way of json.Marshal. Together they took a twentieth of a request.
	line := slog.NewRecord(time.Now(), level, "request", 0)
	line.AddAttrs(
		slog.String("request", x.call.RequestID), slog.String("method", method(r.Method)), slog.String("route", route),
		slog.Int("status", x.status), slog.Int64("bytes", x.bytes), slog.Int64("us", took.Microseconds()))
	if x.call.Operation != "" {
		line.AddAttrs(slog.String("operation", x.call.Operation))
	}
	if x.call.Code != "" {
		line.AddAttrs(slog.String("code", x.call.Code))
	}
	s.log.Handler().Handle(r.Context(), line)
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
	call    graph.Call
	status  int
	bytes   int64
	refused bool // for a limit
	counted bool // among those in flight

	inFlight *atomic.Int64 // of its address; may be nil
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

// failWith answers by a fault and adds the members of a struct to the answer.
func (x *exchange) failWith(f graph.Fault, members any) {
	x.call.Code = f.Code
	graph.WriteFaultWith(x, f, x.call.RequestID, members)
}
