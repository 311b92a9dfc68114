package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/breaker"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/drivers/firestore"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/miniprofile/miniprofile/drivers/minio"
	"github.com/miniprofile/miniprofile/graph"
	"github.com/miniprofile/miniprofile/migrate"
	"github.com/miniprofile/miniprofile/observe"
	"github.com/miniprofile/miniprofile/playground"
	"github.com/miniprofile/miniprofile/server"
)

// The drivers, by the scheme of their URLs.
var (
	stores = map[string]drivers.Opener[drivers.Store]{
		"file":      file.OpenStore,
		"firestore": firestore.OpenStore,
		"memory":    memory.OpenStore,
	}
	objects = map[string]drivers.Opener[drivers.Objects]{
		"file":   file.OpenObjects,
		"memory": memory.OpenObjects,
		"minio":  minio.OpenObjects,
	}
)

// The same, for what is only read: a file: store can then be read by others too,
// and nothing is made where nothing is.
var (
	storesToRead  = with(stores, "file", file.OpenStoreForReading)
	objectsToRead = with(objects, "file", file.OpenObjectsForReading)
)

func with[T any](openers map[string]drivers.Opener[T], scheme string, opener drivers.Opener[T]) map[string]drivers.Opener[T] {
	openers = maps.Clone(openers)
	openers[scheme] = opener
	return openers
}

// serve is the command that serves the API.
type serve struct{ settings }

// Run serves until ctx ends, then stops without losing a request.
func (s *serve) Run(ctx context.Context) (err error) {
	lines := server.NewLog(os.Stderr)
	defer lines.Flush()
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return err
	}
	log := lines.Logger(level, s.LogFormat == "text" || s.LogFormat == "auto" && terminal(os.Stderr))

	listener, err := net.Listen("tcp", s.address())
	if err != nil {
		return err
	}
	defer listener.Close()
	openStore := stores
	if s.ReadOnly {
		openStore = storesToRead
	}
	store, err := drivers.Open(ctx, s.Store, openStore)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if err := migrate.Unfinished(ctx, store); errors.Is(err, migrate.ErrUnfinished) {
		return fmt.Errorf("%s: %w", drivers.Redact(s.Store), err)
	} else if err != nil {
		log.Warn("cannot tell whether the store was copied whole", "error", err.Error())
	}
	pictures, err := s.openObjects(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pictures.Close()) }()
	limits, proxies, err := s.limits()
	if err != nil {
		return err
	}
	certificate, origins, err := s.web(log)
	if err != nil {
		return err
	}
	trusted, err := s.trusted()
	if err != nil {
		return err
	}
	metrics := observe.NewMetrics(version)
	traces, err := traces(ctx, log)
	if err != nil {
		return err
	}
	if traces != nil {
		defer func() {
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			if err := traces.Close(ending); err != nil {
				log.Warn("traces", "error", err.Error())
			}
		}()
	}
	watch := watchAll(metrics, traces)
	store, pictures = s.watched(store, pictures, watch)
	secrets, err := s.secrets()
	if err != nil {
		return err
	}
	weChat, err := s.openWeChat(ctx, listener.Addr(), log)
	if err != nil {
		return err
	}

	publicURL, issuer := s.PublicURL, s.PublicURL
	if publicURL == "" {
		// The address may change with every start; who signed the tokens does not.
		publicURL, issuer = "http://"+reachable(listener.Addr()), "miniprofile"
		if certificate != nil {
			publicURL = "https://" + reachable(listener.Addr())
		}
	}
	core, err := auth.New(auth.Config{
		Store: store, Objects: pictures, WeChat: server.LimitWeChat(observe.WeChat(weChat.client, watch), limits.WeChat, metrics.Limited), Apps: weChat.apps, Secrets: secrets,
		Issuer: issuer, PublicURL: publicURL, AvatarURL: s.AvatarURL, OldPictureLife: s.OldPictures, JobDone: metrics.JobDone,
		ReadOnly:       s.ReadOnly,
		RequireConsent: s.RequireConsent, CheckContent: s.ContentCheck == "wechat", AcceptDoubtful: s.ContentDoubt == "accept",
		PictureTimeout: s.ContentTimeout, DeletionDelay: s.DeletionDelay, DeletedAuditLife: s.DeletedAudit,
	})
	if err != nil {
		return err
	}
	defer core.Wait()
	jobs, stopJobs := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	working.Go(func() { core.RunJobs(jobs, func(err error) { logJob(log, err) }) })
	defer working.Wait()
	defer stopJobs()

	stopAdmin, err := s.serveAdmin(metrics, log)
	if err != nil {
		return err
	}
	defer stopAdmin()

	log.Info("serving", "version", version, "url", publicURL, "graphql", publicURL+"/graphql",
		"store", drivers.Redact(s.Store), "objects", drivers.Redact(s.objects()), "sandbox", weChat.sandbox != nil, "readOnly", s.ReadOnly)
	config := server.Config{
		Core: core, Version: version, Introspection: s.introspection(weChat), PostOnly: s.GetQueries == "off", Playground: s.playground(weChat), Logger: log,
		Watch: watchRequests(metrics, traces), WatchCore: watchCore(traces), Refused: metrics.Limited,
		Trusted: trusted, OnlyTrusted: s.Trusted,
		Certificate: certificate, Origins: origins,
		Limits: limits, Proxies: proxies, MaxInFlight: s.InFlight,
	}
	if config.Playground != nil {
		log.Info("playground", "url", publicURL+playground.Path)
	}
	if weChat.sandbox != nil {
		weChat.sandbox.PushTo("http://" + reachable(listener.Addr()))
		config.Sandbox = weChat.sandbox
	}
	if dead, err := core.DeadJobs(ctx); err == nil && dead > 0 {
		log.Error("jobs were given up, see miniprofile jobs", "dead", dead)
	}
	err = server.New(config).Run(ctx, listener)
	log.Info("stopped")
	return err
}

// logJob tells of a job that failed; that of a dead one is an error.
func logJob(log *slog.Logger, err error) {
	level := slog.LevelWarn
	if errors.Is(err, auth.ErrJobDead) {
		level = slog.LevelError
	}
	log.Log(context.Background(), level, "job failed", "error", err.Error())
}

// address is where to listen: PORT, which container platforms set, counts when
// nobody has said otherwise.
func (s *settings) address() string {
	if port := os.Getenv("PORT"); port != "" && s.Listen == "" {
		return ":" + port
	}
	return cmp.Or(s.Listen, defaultListen)
}

// reachable is an address on which this machine reaches what listens on addr.
func reachable(addr net.Addr) string {
	if a := addr.(*net.TCPAddr); a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return addr.String()
}

// objects is the URL of the objects: the store's, where it can hold objects too.
func (s *settings) objects() string { return cmp.Or(s.Objects, s.Store) }

// openObjects opens the objects, behind a breaker: some lie behind a network.
func (s *settings) openObjects(ctx context.Context) (drivers.Objects, error) {
	openers := objects
	switch {
	case s.ReadOnly:
		openers = objectsToRead
	case s.CreateBucket:
		openers = with(objects, "minio", minio.CreateObjects)
	}
	o, err := drivers.Open(ctx, s.objects(), openers)
	if err != nil {
		return nil, err
	}
	return breaker.Objects(o), nil
}

// secrets are those that are set, or the one that a file: store keeps.
func (s *settings) secrets() ([]string, error) {
	if len(s.Secret) > 0 {
		return s.Secret, nil
	}
	u, err := url.Parse(s.Store)
	if err != nil || u.Scheme != "file" {
		return nil, errors.New("MINIPROFILE_SECRET is needed: 32 random characters or more, the same for all replicas; only a file: store makes its own")
	}
	secret, err := file.Secret(u)
	return strings.Split(secret, ","), err
}

// introspection reports whether clients may ask for the schema by GraphQL.
func (s *settings) introspection(w *weChat) bool {
	return s.Introspection == "on" || s.Introspection == "auto" && w.sandbox != nil
}

// playground is the page, where it is to be served. It reads the schema as text,
// so introspection stays off outside the sandbox; and there it knows no persons.
func (s *settings) playground(w *weChat) *playground.Handler {
	switch {
	case s.Playground == "off" || s.Playground == "auto" && w.sandbox == nil:
		return nil
	case w.sandbox != nil:
		return playground.New(playground.Options{Apps: w.apps})
	}
	return playground.New(playground.Options{})
}

// limits are the quotas of clients, and the proxies that say who is one.
func (s *settings) limits() (limits server.Limits, proxies []netip.Prefix, err error) {
	if limits, err = server.ParseLimits(s.Limits); err != nil {
		return limits, nil, fmt.Errorf("MINIPROFILE_RATE_LIMITS: %w", err)
	}
	if proxies, err = server.ParseProxies(s.Proxies); err != nil {
		return limits, nil, fmt.Errorf("MINIPROFILE_TRUSTED_PROXIES: %w", err)
	}
	if s.InFlight < 1 {
		return limits, nil, errors.New("MINIPROFILE_MAX_IN_FLIGHT is less than 1")
	}
	return limits, proxies, nil
}

// web is what browsers and TLS need: the certificate, nil for plain HTTP, and the
// origins whose pages may call.
func (s *settings) web(log *slog.Logger) (certificate *server.Certificate, origins []string, err error) {
	if origins, err = server.ParseOrigins(s.Origins); err != nil {
		return nil, nil, fmt.Errorf("MINIPROFILE_CORS_ORIGINS: %w", err)
	}
	if s.TLSCert == "" && s.TLSKey == "" {
		return nil, origins, nil
	}
	certificate, err = server.OpenCertificate(s.TLSCert, s.TLSKey, func(err error) {
		log.Error("the new certificate does not serve, the old one goes on", "error", err.Error())
	})
	if err != nil {
		return nil, nil, fmt.Errorf("MINIPROFILE_TLS_CERT, MINIPROFILE_TLS_KEY: %w", err)
	}
	return certificate, origins, nil
}

// trusted are the documents that clients may ask for by their hashes, or nil.
func (s *settings) trusted() (*graph.Manifest, error) {
	if s.Documents == "" {
		if s.Trusted {
			return nil, errors.New("MINIPROFILE_ONLY_TRUSTED needs MINIPROFILE_TRUSTED_DOCUMENTS")
		}
		return nil, nil
	}
	text, err := os.ReadFile(s.Documents)
	if err != nil {
		return nil, fmt.Errorf("MINIPROFILE_TRUSTED_DOCUMENTS: %w", err)
	}
	m, err := graph.ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("MINIPROFILE_TRUSTED_DOCUMENTS: %w", err)
	}
	return m, nil
}

// terminal reports whether somebody reads f as it is written.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// weChat is WeChat's API, real or simulated.
type weChat struct {
	client  *wechat.Client
	apps    []string
	sandbox *sandbox.Sandbox // nil where WeChat is real
}

// openWeChat makes the client of WeChat's API. The sandbox, in which anyone can
// be anyone, serves when no app is configured or it is asked for, and only where
// nobody else can reach it unless told otherwise.
func (s *settings) openWeChat(ctx context.Context, listen net.Addr, log *slog.Logger) (*weChat, error) {
	w := &weChat{}
	simulated := s.Apps == "" && s.Component == "" || s.WeChatURL == "sandbox"
	config := wechat.Config{BaseURL: s.WeChatURL}
	var err error
	if s.Apps != "" {
		if config.Apps, err = wechat.ParseApps(s.Apps); err != nil {
			return nil, fmt.Errorf("WECHAT_APPS: %w", err)
		}
	} else if simulated {
		config.Apps = map[string]wechat.Secret{sandbox.AppID: {}}
	}
	if s.Push != "" {
		if config.Push, err = wechat.ParsePush(s.Push); err != nil {
			return nil, fmt.Errorf("WECHAT_PUSH: %w", err)
		}
	}
	if s.Component != "" {
		if config.Component, err = wechat.ParseComponent(s.Component); err != nil {
			return nil, fmt.Errorf("WECHAT_COMPONENT: %w", err)
		}
	}
	w.apps = slices.Sorted(maps.Keys(config.Apps))
	if simulated {
		if !listen.(*net.TCPAddr).IP.IsLoopback() && !s.SandboxAny {
			return nil, fmt.Errorf("the sandbox, in which anyone can be anyone, does not serve on %s: set WECHAT_APPS, or MINIPROFILE_SANDBOX_ANYWHERE=true if you mean it", listen)
		}
		simulate(&config)
		w.sandbox = sandbox.New(time.Now, w.apps...)
		config.BaseURL, config.Transport = "", w.sandbox
		log.Warn("WeChat is simulated: whoever can reach this server can log in as anyone. Set WECHAT_APPS for the real one.", "apps", w.apps)
	}
	for app, keys := range config.Push {
		if keys.Plain() {
			log.Warn("pushes in plain text are believed as far as the network that they come by: set safe mode in WeChat's console, and its key in WECHAT_PUSH", "app", app)
		}
	}
	w.client, err = wechat.New(config)
	return w, err
}

// simulate puts the sandbox's secrets in the place of the operator's own, which
// are not for it.
func simulate(config *wechat.Config) {
	config.Push = map[string]wechat.PushKeys{}
	keys := func(appID string) wechat.PushKeys {
		token, key := sandbox.PushKeys(appID)
		return wechat.PushKeys{Token: wechat.NewSecret(token), AESKey: wechat.NewSecret(key)}
	}
	for app := range config.Apps {
		config.Apps[app], config.Push[app] = wechat.NewSecret(sandbox.Secret), keys(app)
	}
	config.Component = &wechat.ComponentConfig{
		AppID: sandbox.ComponentAppID, Secret: wechat.NewSecret(sandbox.Secret), PushKeys: keys(sandbox.ComponentAppID),
	}
}
