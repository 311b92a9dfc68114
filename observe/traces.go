package observe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Traces tells an OpenTelemetry collector of each request: one span for it, one
// for each call of the core within it, one for each call of store, objects and
// WeChat within those. Any number of goroutines may use it. The nil Traces tells
// nobody.
//
// The spans are made here and not by otelhttp, because that tells what clients
// sent: the path and the User-Agent.
type Traces struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	take     propagation.TraceContext
}

// OpenTraces makes Traces as the usual variables say: OTEL_EXPORTER_OTLP_ENDPOINT
// and its kin. It returns nil when they do not ask for any. failed is told when
// the collector cannot be reached; its error names no address.
func OpenTraces(ctx context.Context, version string, failed func(error)) (*Traces, error) {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_TRACES_EXPORTER") == "none" ||
		os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, nil
	}
	protocol := cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	if protocol != "http/protobuf" {
		return nil, errors.New("traces: OTEL_EXPORTER_OTLP_PROTOCOL is not http/protobuf, the only one that is spoken")
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, errors.New("traces: the OTEL_EXPORTER_OTLP_… variables are wrong") // err may quote them
	}
	otel.SetLogger(logr.Discard()) // else it writes lines of its own
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { failed(undelivered(err)) }))
	return NewTraces(ctx, version, exporter)
}

// NewTraces makes Traces that go to exporter. Its errors quote nothing.
func NewTraces(ctx context.Context, version string, exporter sdk.SpanExporter) (*Traces, error) {
	of, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "miniprofile"), attribute.String("service.version", version)), resource.WithFromEnv())
	if err != nil {
		return nil, errors.New("traces: OTEL_RESOURCE_ATTRIBUTES is wrong")
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(of))
	return &Traces{provider: provider, tracer: provider.Tracer("github.com/miniprofile/miniprofile")}, nil
}

// undelivered is why traces were not taken, without the address, which may hold a key.
func undelivered(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return fmt.Errorf("traces are not delivered: %w", failed.Err)
	}
	return errors.New("traces are not delivered: the collector refuses them")
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if err := t.provider.Shutdown(ctx); err != nil {
		return undelivered(err)
	}
	return nil
}

// Request begins the span of a request, within the caller's if there is a
// traceparent.
func (t *Traces) Request(r *http.Request, route string) (context.Context, func(field, code string, status int)) {
	if t == nil {
		return r.Context(), func(string, string, int) {}
	}
	ctx := t.take.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	// Its tracestate is a text of the client's.
	ctx = trace.ContextWithRemoteSpanContext(ctx, trace.SpanContextFromContext(ctx).WithTraceState(trace.TraceState{}))
	ctx, span := t.tracer.Start(ctx, route, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("http.route", route)))
	return ctx, func(field, code string, status int) {
		span.SetAttributes(attribute.Int("http.response.status_code", status))
		if field != "" {
			span.SetAttributes(attribute.String("graphql.field", field))
		}
		end(span, code, status >= 500)
	}
}

// Core returns a func that begins the span of a call of the core, for
// graph.Options.Watch; nil where there are no traces.
func (t *Traces) Core() func(ctx context.Context, field string) (context.Context, func(code string)) {
	if t == nil {
		return nil
	}
	return t.core
}

func (t *Traces) core(ctx context.Context, field string) (context.Context, func(code string)) {
	ctx, span := t.tracer.Start(ctx, field)
	return ctx, func(code string) {
		end(span, code, code == "INTERNAL" || code == "UPSTREAM_UNAVAILABLE" || code == "UPSTREAM_MISCONFIGURED")
	}
}

// Watch returns a Watch that traces what happens within a request; what jobs do is
// not told of. It is nil where there are no traces.
func (t *Traces) Watch() Watch {
	if t == nil {
		return nil
	}
	return t.watch
}

func (t *Traces) watch(ctx context.Context, w Work) (context.Context, func(string)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(string) {}
	}
	ctx, span := t.tracer.Start(ctx, w.Of+" "+w.Method, trace.WithSpanKind(trace.SpanKindClient))
	if w.Driver != "" {
		span.SetAttributes(attribute.String("driver", w.Driver))
	}
	return ctx, func(result string) {
		span.SetAttributes(attribute.String("result", result))
		if result == "error" || result == "none" {
			span.SetStatus(codes.Error, result)
		}
		span.End()
	}
}

// end ends a span with the code of an error, or nothing.
func end(span trace.Span, code string, failed bool) {
	if code != "" {
		span.SetAttributes(attribute.String("code", code))
	}
	if failed {
		span.SetStatus(codes.Error, code)
	}
	span.End()
}
