package graph

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/miniprofile/miniprofile/auth"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Options are what a Handler may be told.
type Options struct {
	// Introspection lets clients ask for the schema, and names what they may have
	// meant when they ask for what is not in it. For development.
	Introspection bool
	// PostOnly refuses queries by GET, for where addresses are logged or cached.
	PostOnly bool
	// Logger gets what the operator must know; nil means slog.Default. An error
	// that is INTERNAL to clients is logged once, whole, with its request id.
	Logger *slog.Logger
	// Watch, when it is not nil, is told of each call of the core as it begins, by
	// the name of the field, as Query.me. It returns the context of the call and a
	// func that is told the code of its error, or nothing.
	Watch func(ctx context.Context, field string) (context.Context, func(code string))
	// Trusted documents may be asked for by their hashes; may be nil.
	Trusted *Manifest
	// OnlyTrusted refuses all other documents, before they are parsed.
	OnlyTrusted bool
	// Origins are those of pages that may send multipart requests across sites, as
	// https://h5.example.com.
	Origins []string
	// Admit, when it is not nil, is asked before an operation is carried out, with
	// its access token and how many logins it has. A Fault refuses it.
	Admit func(call *Call, accessToken string, logins int) *Fault
}

// Handler answers requests of GraphQL over HTTP, at whatever path it is asked:
// POST of JSON or of a multipart form, GET of queries. All its answers are JSON,
// in the form that the client's Accept prefers. Each error has a code and the
// request id. It may be used by any number of goroutines.
type Handler struct {
	core    Core
	checker *checker
	cache   *cache[*document]
	// persisted has the texts of documents by their hashes: automatic persisted queries.
	persisted *cache[[]byte]
	exec      graphql.ExecutableSchema
	uploads   *uploads
	cross     *http.CrossOriginProtection
	options   Options
	log       *slog.Logger
}

// New makes a Handler over a core.
func New(core Core, options Options) *Handler {
	h := &Handler{
		core: core, checker: newChecker(options.Introspection), cache: newCache[*document](), persisted: newCache[[]byte](),
		uploads: newUploads(), cross: http.NewCrossOriginProtection(),
		options: options, log: options.Logger,
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	for _, origin := range options.Origins {
		if err := h.cross.AddTrustedOrigin(origin); err != nil {
			panic(err) // whoever set it checked it
		}
	}
	h.exec = NewExecutableSchema(Config{Schema: h.checker.schema, Resolvers: resolvers{core}})
	return h
}

// Schema returns the text of schema.graphqls.
func Schema() string { return sources[0].Input }

// Call is one request on its way: what the caller of Serve tells of it, and what
// Serve finds out for the access log.
type Call struct {
	RequestID string     // told
	Client    netip.Addr // told, for Admit and the share of uploads
	Operation string     // the name of the operation that was carried out, or empty
	Code      string     // of the first error, or empty
	// Field is the root field of the schema that was asked for, several where there
	// were more, schema where it was the schema; empty where nothing is carried out.
	Field   string
	Picture bool // whether a file came with it

	token    string // of the Authorization header
	panicked atomic.Bool
}

// callKey is the key of the *Call in a resolver's context.
type callKey struct{}

func accessToken(ctx context.Context) string { return ctx.Value(callKey{}).(*Call).token }

// ServeHTTP is Serve with a request id of its own, in the header X-Request-Id.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := &Call{RequestID: rand.Text()}
	w.Header().Set("X-Request-Id", call.RequestID)
	h.Serve(w, r, call)
}

// Serve answers a request. It may panic where it is wrong itself, before it has
// answered; a panic of the core becomes the error INTERNAL.
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, call *Call) {
	m := negotiate(r)
	if m == nil {
		call.fail(w, &Fault{Status: http.StatusNotAcceptable, Code: "NOT_ACCEPTABLE", Message: "The answer is application/json or application/graphql-response+json."})
		return
	}
	w.Header()["Content-Type"] = m.values
	s := scratches.Get().(*scratch)
	defer s.free()
	var q request
	var fault *Fault
	switch {
	case r.Method == http.MethodGet && !h.options.PostOnly:
		q, fault = readGet(r.URL)
	case r.Method == http.MethodPost:
		var boundary, kind string
		switch kind, boundary = mediaType(r); {
		case r.Header.Get("Content-Encoding") != "":
			fault = unsupported("The body must not be encoded.")
		case kind == "application/json":
			q, fault = s.readJSON(r)
		case kind == "multipart/form-data" && boundary != "":
			var free func()
			if free, fault = h.admit(r, call.Client); fault == nil {
				defer free()
				q, fault = h.upload(r, boundary, call)
			}
		default:
			fault = unsupported("The body must be application/json or multipart/form-data, in UTF-8.")
		}
	default:
		w.Header().Set("Allow", h.methods())
		fault = MethodNotAllowed("GraphQL is served by " + h.methods() + ".")
	}
	if fault != nil {
		call.fail(w, fault)
		return
	}
	defer q.close()
	h.carryOut(w, r, call, m, s, &q)
}

// methods are those by which GraphQL is served; by GET only queries are.
func (h *Handler) methods() string {
	if h.options.PostOnly {
		return "POST"
	}
	return "GET, POST"
}

// admit lets a multipart request pass, and makes room for it, or not. A browser
// sends one across sites without asking first.
func (h *Handler) admit(r *http.Request, client netip.Addr) (free func(), fault *Fault) {
	if h.cross.Check(r) != nil {
		return nil, &Fault{Status: http.StatusForbidden, Code: "BAD_REQUEST", Message: "A page of another site must not send this."}
	}
	return h.uploads.admit(r, client)
}

func (h *Handler) upload(r *http.Request, boundary string, call *Call) (request, *Fault) {
	q, fault, err := h.uploads.readMultipart(r.Body, boundary)
	if err == nil {
		return q, fault
	}
	f := FaultOf(err)
	h.report(r.Context(), call, &f, err)
	return q, &f
}

// carryOut checks a request and carries it out.
func (h *Handler) carryOut(w http.ResponseWriter, r *http.Request, call *Call, m *media, s *scratch, q *request) {
	d, faults := h.document(q)
	if faults != nil {
		h.refuse(w, call, m, faults...)
		return
	}
	operation := d.ast.Operations.ForName(q.operation)
	if operation == nil {
		h.refuse(w, call, m, invalid("The operationName must name an operation of the document."))
		return
	}
	if q.get && operation.Operation != ast.Query {
		w.Header().Set("Allow", "POST")
		call.fail(w, MethodNotAllowed("By GET, only queries are carried out."))
		return
	}
	var variables map[string]any
	if len(operation.VariableDefinitions) > 0 || len(q.files) > 0 {
		c := coercer{schema: h.checker.schema, words: h.checker.words, document: d, files: maps.Clone(q.files)}
		var fault *Fault
		if variables, fault = c.variables(operation, q.variables); fault != nil {
			h.refuse(w, call, m, fault)
			return
		}
	}
	if d.numbers != nil {
		if variables == nil {
			variables = map[string]any{}
		}
		maps.Copy(variables, d.numbers)
	}
	if len(operation.Name) <= 64 {
		call.Operation = operation.Name
	}
	call.Field, call.Picture = d.asks[operation].field, len(q.files) > 0
	call.token = bearer(r)
	if h.options.Admit != nil {
		if fault := h.options.Admit(call, call.token, d.asks[operation].logins); fault != nil {
			h.refuse(w, call, m, fault)
			return
		}
	}
	ctx := context.WithValue(r.Context(), callKey{}, call)
	out := append(s.out[:0], '{')
	if p := d.plans[operation]; p != nil {
		out = h.run(ctx, call, p, variables, out)
	} else {
		ctx = graphql.WithOperationContext(ctx, &graphql.OperationContext{
			Doc: d.ast, Operation: operation, OperationName: operation.Name, Variables: variables,
			DisableIntrospection: !h.options.Introspection, RecoverFunc: h.recovered,
			ResolverMiddleware: h.resolve, RootResolverMiddleware: directRoot,
		})
		ctx = graphql.WithResponseContext(ctx, h.present, h.recovered)
		response := h.exec.Exec(ctx)(ctx)
		out = call.errors(out, graphql.GetErrors(ctx))
		out = append(append(out, `"data":`...), response.Data...)
	}
	s.out = append(out, '}', '\n')
	send(w, http.StatusOK, s.out)
}

// run carries out a plan and appends the members of the answer.
func (h *Handler) run(ctx context.Context, call *Call, p *plan, variables map[string]any, out []byte) []byte {
	data, err := h.ask(ctx, call, p, variables)
	if err == nil {
		return append(data(append(out, p.head...)), '}')
	}
	placed := &gqlerror.Error{Err: err, Path: p.path, Locations: []gqlerror.Location{p.at}}
	out = call.errors(out, gqlerror.List{h.present(ctx, placed)})
	return append(out, p.failed...)
}

// ask makes a plan's call of the core; a panic of it is an error.
func (h *Handler) ask(ctx context.Context, call *Call, p *plan, variables map[string]any) (data func([]byte) []byte, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = h.recovered(ctx, value)
		}
	}()
	if h.options.Watch == nil {
		return p.call(ctx, h.core, call.token, variables)
	}
	ctx, end := h.options.Watch(ctx, p.field)
	code := internal.Code // of a panic
	defer func() { end(code) }()
	data, err = p.call(ctx, h.core, call.token, variables)
	code = codeOf(err)
	return data, err
}

// errors appends the member errors, if there are any, and notes the first one's code.
func (call *Call) errors(out []byte, errs gqlerror.List) []byte {
	if len(errs) == 0 {
		return out
	}
	call.Code, _ = errs[0].Extensions["code"].(string)
	text, err := json.Marshal(errs)
	if err != nil {
		panic(err)
	}
	return append(append(append(out, `"errors":`...), text...), ',')
}

// resolve calls the resolver of a field; those that call the core are watched.
func (h *Handler) resolve(ctx context.Context, next graphql.Resolver) (any, error) {
	if h.options.Watch == nil {
		return next(ctx)
	}
	f := graphql.GetFieldContext(ctx)
	if !f.IsResolver {
		return next(ctx)
	}
	ctx, end := h.options.Watch(ctx, f.Object+"."+f.Field.Name)
	code := internal.Code // of a panic
	defer func() { end(code) }()
	v, err := next(ctx)
	code = codeOf(err)
	return v, err
}

// codeOf is the code that a client sees of err, or nothing.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return FaultOf(err).Code
}

func directRoot(ctx context.Context, next graphql.RootResolver) graphql.Marshaler { return next(ctx) }

// bearer returns the access token of a request, or nothing.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// present makes the error of a field what the client sees.
func (h *Handler) present(ctx context.Context, err error) *gqlerror.Error {
	call := ctx.Value(callKey{}).(*Call)
	fault := FaultOf(err)
	h.report(ctx, call, &fault, err)
	shown := fault.present(call.RequestID)
	var place *gqlerror.Error
	if errors.As(err, &place) {
		shown.Path, shown.Locations = place.Path, place.Locations
	}
	return shown
}

// report logs what the operator must know of an error that a client gets as fault.
func (h *Handler) report(ctx context.Context, call *Call, fault *Fault, err error) {
	level, do := slog.LevelError, ""
	switch {
	case errors.Is(err, errPanicked), errors.Is(err, context.Canceled):
		return
	case fault.Code == "UPSTREAM_UNAVAILABLE":
		level = slog.LevelWarn
	case fault.Code == "UPSTREAM_MISCONFIGURED":
		do = "run miniprofile check"
	case errors.Is(err, auth.ErrSealed):
		do = "restore the secret"
	case fault.Code != internal.Code:
		return
	}
	line := []slog.Attr{slog.String("request", call.RequestID), slog.String("code", fault.Code), slog.String("error", cause(err).Error())}
	if do != "" {
		line = append(line, slog.String("do", do))
	}
	h.log.LogAttrs(ctx, level, "request failed", line...)
}

// recovered logs a panic of the core: the first one of a request, for there may be one
// in each field.
func (h *Handler) recovered(ctx context.Context, value any) error {
	call := ctx.Value(callKey{}).(*Call)
	if call.panicked.CompareAndSwap(false, true) {
		kind, stack := Panic(value)
		h.log.LogAttrs(ctx, slog.LevelError, "panic", slog.String("request", call.RequestID),
			slog.String("panic", kind), slog.Any("stack", stack))
	}
	return errPanicked
}

// fail answers a request that is none of GraphQL's.
func (call *Call) fail(w http.ResponseWriter, fault *Fault) {
	call.Code = fault.Code
	WriteFault(w, *fault, call.RequestID)
}

// refuse answers a request that is GraphQL's but is not carried out.
func (h *Handler) refuse(w http.ResponseWriter, call *Call, m *media, faults ...*Fault) {
	call.Code = faults[0].Code
	status := faults[0].Status
	if !m.strict && call.Code != "BAD_REQUEST" {
		status = http.StatusOK
	}
	if after := faults[0].RetryAfter; after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(faults[0].seconds(), 10))
	}
	var a answer
	for _, f := range faults {
		a.Errors = append(a.Errors, f.present(call.RequestID))
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a); err != nil {
		panic(err)
	}
	send(w, status, b.Bytes())
}

var noStore = []string{"no-store"}

// send answers in one write.
func send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	w.Write(body)
}

// scratch is memory for one request at a time.
type scratch struct{ in, out []byte }

var scratches = sync.Pool{New: func() any { return &scratch{make([]byte, 0, 2<<10), make([]byte, 0, 2<<10)} }}

// free gives the memory to the next request, unless it is very much.
func (s *scratch) free() {
	if cap(s.in)+cap(s.out) <= 256<<10 {
		scratches.Put(s)
	}
}

func (s *scratch) readJSON(r *http.Request) (request, *Fault) {
	if r.ContentLength > MaxBody {
		return request{}, tooLarge(MaxBody)
	}
	var fault *Fault
	if s.in, fault = readBody(r.Body, s.in[:0], MaxBody); fault != nil {
		return request{}, fault
	}
	return parseBody(s.in)
}
