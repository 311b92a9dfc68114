package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/observe"
	"github.com/miniprofile/miniprofile/playground"
	"github.com/miniprofile/miniprofile/server"
)

// serve is the command that serves the API.
type serve struct{ settings }

// Run serves until ctx ends, then stops without losing a request.
func (s *serve) Run(ctx context.Context) (err error) {
	lines := server.NewLog(os.Stderr)
	defer lines.Flush()
	log := s.logger(lines)
	plan, err := s.plan(log)
	if err != nil {
		return err
	}
	s.warn(log, plan)
	listener, err := listen(s.listens())
	if err != nil {
		return err
	}
	defer listener.Close()
	metrics := observe.NewMetrics(version)
	stopAdmin, err := s.serveAdmin(metrics, log)
	if err != nil {
		return err
	}
	defer stopAdmin()
	traces, stopTraces, err := openTraces(ctx, log)
	if err != nil {
		return err
	}
	defer stopTraces()
	places, err := s.openToServe(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	publicURL := plan.publicURL(listener.Addr())
	core, err := s.newCore(plan, places, publicURL, metrics, observe.Both(traces.Watch(), metrics.Watch))
	if err != nil {
		return err
	}
	defer core.Wait()
	defer s.work(ctx, core, places, log)()
	config := plan.edge
	config.Core, config.Refused, config.Playground = core, metrics.Limited, s.playground(plan.weChat)
	config.Watch, config.GraphQL.Watch = watchRequests(metrics, traces), traces.Core()
	err = s.newServer(config, plan.weChat, listener.Addr(), publicURL).Run(ctx, listener)
	log.Info("stopped")
	return err
}

// logger makes the log that the settings ask for.
func (s *settings) logger(lines *server.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(s.LogLevel)) // one of those that there are
	return lines.Logger(level, s.LogFormat == "text" || s.LogFormat == "auto" && terminal(os.Stderr))
}

// terminal reports whether somebody reads f as it is written.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// warn tells the operator what serves and perhaps should not.
func (s *settings) warn(log *slog.Logger, p plan) {
	w := p.weChat
	if server.TrustsAll(p.edge.Proxies) {
		log.Warn("a network of all addresses is among the trusted proxies: " + trustsAll)
	}
	for _, text := range unknownSettings(os.Environ()) {
		log.Warn(text)
	}
	if w.sandbox != nil {
		log.Warn("WeChat is simulated: whoever can reach this server can log in as anyone. For the real one, "+s.leaveSandbox()+".", "apps", w.apps)
	}
	if len(w.plain) > 0 {
		log.Warn(plainPushes, "apps", w.plain)
	}
}

// trustsAll is what there is to say of a network of all addresses among the trusted proxies.
const trustsAll = "every client is believed to be at the address that it writes into X-Forwarded-For, so no limit by address holds: name the proxies alone in MINIPROFILE_TRUSTED_PROXIES"

// openToServe opens the places to serve from, and tells of a store that it made: where
// a volume is not mounted, an empty one looks like any other start.
func (s *settings) openToServe(ctx context.Context, log *slog.Logger) (*places, error) {
	path := folder(s.Store)
	_, err := os.Stat(filepath.Join(path, file.StoreName))
	made := path != "" && errors.Is(err, os.ErrNotExist)
	places, err := s.openServing(ctx)
	if err == nil && made {
		level := slog.LevelInfo
		if !s.simulated() {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "made a new, empty store: if there was one, this is the wrong folder, or its volume is not mounted", "path", path)
	}
	return places, err
}

func (s *settings) openServing(ctx context.Context) (*places, error) {
	switch {
	case s.ReadOnly:
		return s.open(ctx, stores.reading(), objects.reading())
	case s.CreateBucket:
		return s.open(ctx, stores.usual(), objects.making())
	}
	return s.open(ctx, stores.usual(), objects.usual())
}

// newCore makes the core over the places, watched.
func (s *settings) newCore(plan plan, places *places, publicURL string, metrics *observe.Metrics, watch observe.Watch) (*auth.Core, error) {
	config, w := plan.core, plan.weChat
	config.PublicURL, config.Secrets, config.JobDone = publicURL, places.secrets, metrics.JobDone
	config.Store = observe.Store(places.store, scheme(s.Store), watch)
	config.Objects = observe.Objects(places.objects, scheme(s.objects()), watch)
	config.WeChat, config.Apps = server.LimitWeChat(observe.WeChat(w.client, watch), plan.edge.Limits.WeChat, metrics.Limited), w.apps
	return auth.New(config)
}

// work runs jobs, and looks at what is left of an earlier time, until the function
// that it returns is called.
func (s *settings) work(ctx context.Context, core *auth.Core, places *places, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	working.Go(func() { core.RunJobs(ctx, func(err error) { logJob(log, err) }) })
	working.Go(func() { s.lookBack(ctx, places, log) })
	return func() { cancel(); working.Wait() }
}

// lookBack tells of jobs that were given up, and of sessions that no secret opens.
func (s *settings) lookBack(ctx context.Context, places *places, log *slog.Logger) {
	if dead, err := auth.DeadJobs(ctx, places.store); err == nil && dead > 0 {
		log.Error("jobs were given up, see miniprofile jobs", "dead", dead)
	}
	if _, err := auth.CheckSecrets(ctx, places.store, places.secrets); errors.Is(err, auth.ErrSealed) {
		path, _ := secretFile(s.Store)
		if path == "" {
			path = "the secret"
		}
		log.Error(fmt.Sprintf("%v: restore %s, or set MINIPROFILE_SECRET to what it was; till then, those people have to log in again", err, path))
	}
}

// logJob tells of a job that failed; that of a dead one is an error.
func logJob(log *slog.Logger, err error) {
	level := slog.LevelWarn
	if errors.Is(err, auth.ErrJobDead) {
		level = slog.LevelError
	}
	line := []any{"error", err.Error()}
	if errors.Is(err, auth.ErrMisconfigured) {
		line = append(line, "do", "run miniprofile check")
	}
	log.Log(context.Background(), level, "job failed", line...)
}

// newServer makes the server, and the sandbox's way to it, and says so.
func (s *settings) newServer(config server.Config, w *weChat, at net.Addr, publicURL string) *server.Server {
	if w.sandbox != nil {
		config.Sandbox = w.sandbox
	}
	h := server.New(config)
	if w.sandbox != nil {
		w.sandbox.PushInto(h, publicURL)
	}
	config.Logger.Info("serving", "version", version, "listen", at.String(), "url", publicURL, "graphql", publicURL+"/graphql",
		"store", drivers.Redact(s.Store), "objects", drivers.Redact(s.objects()), "sandbox", w.sandbox != nil, "readOnly", s.ReadOnly)
	if config.Playground != nil {
		config.Logger.Info("playground", "url", publicURL+playground.Path)
	}
	return h
}
