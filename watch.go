package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/observe"
	"github.com/miniprofile/miniprofile/server"
)

// watched puts a watch around the store and the objects.
func (s *settings) watched(store drivers.Store, objects drivers.Objects, watch observe.Watch) (drivers.Store, drivers.Objects) {
	scheme := func(rawURL string) string { before, _, _ := strings.Cut(rawURL, ":"); return before }
	return observe.Store(store, scheme(s.Store), watch), observe.Objects(objects, scheme(s.objects()), watch)
}

// traces are those that the usual variables ask for, or nil.
func traces(ctx context.Context, log *slog.Logger) (*observe.Traces, error) {
	return observe.OpenTraces(ctx, version, func(err error) { log.Warn("traces", "error", err.Error()) })
}

// watchAll counts what is behind the server, and traces it if that is asked for.
func watchAll(metrics *observe.Metrics, traces *observe.Traces) observe.Watch {
	if traces == nil {
		return metrics.Watch
	}
	return observe.Both(traces.Watch, metrics.Watch)
}

// watchCore traces calls of the core if that is asked for.
func watchCore(traces *observe.Traces) func(context.Context, string) (context.Context, func(string)) {
	if traces == nil {
		return nil
	}
	return traces.Core
}

// watchRequests counts requests, and traces them if that is asked for.
func watchRequests(metrics *observe.Metrics, traces *observe.Traces) func(*http.Request, string) (context.Context, func(server.Request)) {
	return func(r *http.Request, route string) (context.Context, func(server.Request)) {
		metrics.Began()
		ctx, end := r.Context(), func(string, string, int) {}
		if traces != nil {
			ctx, end = traces.Request(r, route)
		}
		return ctx, func(done server.Request) {
			metrics.Answered(done.Route, done.Field, done.Code, done.Picture, done.Took)
			end(done.Field, done.Code, done.Status)
		}
	}
}

// serveAdmin serves the metrics and profiles, if that is asked for.
func (s *settings) serveAdmin(metrics *observe.Metrics, log *slog.Logger) (stop func() error, err error) {
	if s.Admin == "" {
		return func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", s.Admin)
	if err != nil {
		return nil, fmt.Errorf("MINIPROFILE_ADMIN_LISTEN: %w", err)
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Warn("the admin address shows the inside of the server to whoever reaches it", "admin", listener.Addr().String())
	}
	log.Info("serving metrics", "url", "http://"+reachable(listener.Addr())+"/metrics")
	h := &http.Server{Handler: metrics.Admin(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go h.Serve(listener)
	return h.Close, nil
}
