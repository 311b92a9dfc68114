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

// watchRequests counts requests.
func watchRequests(metrics *observe.Metrics) func(*http.Request, string) (context.Context, func(server.Request)) {
	return func(r *http.Request, _ string) (context.Context, func(server.Request)) {
		metrics.Began()
		return r.Context(), func(done server.Request) {
			metrics.Answered(done.Route, done.Field, done.Code, done.Picture, done.Took)
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
