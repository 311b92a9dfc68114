package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/miniprofile/miniprofile/observe"
	"github.com/miniprofile/miniprofile/server"
)

// openTraces opens the traces that the usual variables ask for, nil where they ask
// for none. stop sends what is left.
func openTraces(ctx context.Context, log *slog.Logger) (t *observe.Traces, stop func(), err error) {
	t, err = observe.OpenTraces(ctx, version, func(err error) { log.Warn("traces", "error", err.Error()) })
	return t, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := t.Close(ending); err != nil {
			log.Warn("traces", "error", err.Error())
		}
	}, err
}

// watchRequests counts requests, and traces them, but not those about the server's health.
func watchRequests(metrics *observe.Metrics, traces *observe.Traces) func(*http.Request, string) (context.Context, func(server.Request)) {
	return func(r *http.Request, route string) (context.Context, func(server.Request)) {
		metrics.Began()
		traces := traces
		if server.Health(route) {
			traces = nil
		}
		ctx, end := traces.Request(r, route)
		return ctx, func(done server.Request) {
			metrics.Answered(done.Route, done.Field, done.Code, done.Picture, done.Took)
			end(done.Field, done.Code, done.Status)
		}
	}
}

// serveAdmin serves the metrics and profiles, if that is asked for.
func (s *settings) serveAdmin(metrics *observe.Metrics, log *slog.Logger) (stop func() error, err error) {
	if s.AdminListen == "" {
		return func() error { return nil }, nil
	}
	listener, err := listen("MINIPROFILE_ADMIN_LISTEN", s.AdminListen)
	if err != nil {
		return nil, err
	}
	if !listener.Addr().(*net.TCPAddr).IP.IsLoopback() {
		log.Warn("the admin address shows the inside of the server to whoever reaches it", "admin", listener.Addr().String())
	}
	log.Info("serving metrics", "url", "http://"+reachable(listener.Addr())+"/metrics")
	h := &http.Server{Handler: metrics.Admin(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	go h.Serve(listener)
	return h.Close, nil
}
