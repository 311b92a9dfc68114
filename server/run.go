package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of connections.
const (
	headerTime = 10 * time.Second  // to send the head of a request
	readTime   = 60 * time.Second  // to send a request: a picture of 10 MiB at 1.4 Mbit/s
	writeTime  = 120 * time.Second // from the head of a request to the end of its answer
	idleTime   = 120 * time.Second // between two requests
	maxHeader  = 16 << 10          // bytes of a head
	drainTime  = 3 * time.Second   // for idle connections, after being told to end
	finishTime = 20 * time.Second  // for requests in flight, after that: Kubernetes kills after 30
)

// Run serves what listener accepts until ctx ends, then stops without losing a
// request: it accepts no more, answers what comes on open connections with
// Connection: close, and returns nil when they are closed. Connections on which
// nothing comes within 3 seconds it closes, and requests that take longer than 20
// seconds more it breaks off, and tells the log: any client can stall, so that is no
// error. It closes the listener.
//
// A client may send on an idle connection in the very moment it is closed; HTTP
// knows no cure but that the client tries again.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	var open atomic.Int64
	closed := make(chan struct{}, 1)
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
		ErrorLog: log.New(errorLog{s.log}, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed, http.StateHijacked:
				open.Add(-1)
				select {
				case closed <- struct{}{}:
				default:
				}
			}
		},
	}
	served := make(chan error, 1)
	if s.tls != nil {
		h.TLSConfig = s.tls.config()
		go func() { served <- h.ServeTLS(listener, "", "") }()
	} else {
		go func() { served <- h.Serve(listener) }()
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.draining.Store(true)
	listener.Close()
	<-served // nothing is accepted any more
	drained := time.NewTimer(s.drain)
	defer drained.Stop()
	for waiting := true; waiting && open.Load() > 0; {
		select {
		case <-closed:
		case <-drained.C:
			waiting = false
		}
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.finish)
	defer cancel()
	if err := h.Shutdown(finish); err != nil && !errors.Is(err, net.ErrClosed) {
		broken := s.inFlight.Load()
		h.Close()
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop: %w", err)
		}
		s.log.Warn("requests in flight were broken off", "requests", broken, "after", s.drain+s.finish)
	}
	return nil
}

// errorLog takes the complaints of net/http, which are of connections. Of a failed
// handshake it does not say why: that may be the client's own words, and anyone can
// make any number of them.
type errorLog struct{ log *slog.Logger }

func (e errorLog) Write(text []byte) (int, error) {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	if handshake := "TLS handshake error"; strings.Contains(line, handshake) {
		e.log.Debug("http", "error", handshake)
		return len(text), nil
	}
	e.log.Warn("http", "error", line)
	return len(text), nil
}
