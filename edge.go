package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miniprofile/miniprofile/graph"
	"github.com/miniprofile/miniprofile/playground"
	"github.com/miniprofile/miniprofile/server"
)

// edge is what the settings say of the HTTP surface: what it needs of the core and
// of WeChat is missing. It reads files and opens and makes nothing; its error is
// wrongs.
func (s *settings) edge(log *slog.Logger) (server.Config, error) {
	var wrong wrongs
	var err error
	config := server.Config{
		Version: version, Logger: log, MaxInFlight: s.MaxInFlight,
		GraphQL: graph.Options{PostOnly: s.GetQueries == "off", OnlyTrusted: s.OnlyTrusted},
	}
	config.GraphQL.Introspection = s.Introspection == "on" || s.Introspection == "auto" && s.simulated()
	setting, address := s.listens()
	wrong.add(setting, checkAddress(address))
	if s.AdminListen != "" {
		wrong.add("MINIPROFILE_ADMIN_LISTEN", checkAddress(s.AdminListen))
	}
	config.Limits, err = server.ParseLimits(s.RateLimits)
	wrong.add("MINIPROFILE_RATE_LIMITS", err)
	config.Proxies, err = server.ParseProxies(s.TrustedProxies)
	wrong.add("MINIPROFILE_TRUSTED_PROXIES", err)
	if s.MaxInFlight < 1 {
		wrong.add("MINIPROFILE_MAX_IN_FLIGHT", errors.New("less than 1"))
	}
	config.Origins, err = server.ParseOrigins(s.CORSOrigins)
	wrong.add("MINIPROFILE_CORS_ORIGINS", err)
	if s.TLSCert != "" || s.TLSKey != "" {
		config.Certificate, err = server.OpenCertificate(s.TLSCert, s.TLSKey, func(err error) {
			log.Error("the new certificate does not serve, the old one goes on", "error", err.Error())
		}, func(end time.Time) {
			log.Warn("the TLS certificate ends within a week, or has ended: renew it", "end", end)
		})
		wrong.add("MINIPROFILE_TLS_CERT, MINIPROFILE_TLS_KEY", err)
	}
	config.GraphQL.Trusted, err = s.trusted()
	wrong.add("MINIPROFILE_TRUSTED_DOCUMENTS", err)
	if s.OnlyTrusted && s.TrustedDocuments == "" {
		wrong.add("MINIPROFILE_ONLY_TRUSTED", errors.New("needs MINIPROFILE_TRUSTED_DOCUMENTS"))
	}
	return config, wrong.err()
}

// trusted are the documents that clients may ask for by their hashes, or nil.
func (s *settings) trusted() (*graph.Manifest, error) {
	if s.TrustedDocuments == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.TrustedDocuments)
	if err != nil {
		return nil, err
	}
	return graph.ParseManifest(text)
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

// wrongs are settings that are wrong: an error with a line for each.
type wrongs []error

// add notes that a setting is wrong, if err says so. An err that is wrongs itself
// needs no setting.
func (w *wrongs) add(setting string, err error) {
	var more wrongs
	switch {
	case err == nil:
	case errors.As(err, &more):
		*w = append(*w, more...)
	default:
		*w = append(*w, fmt.Errorf("%s: %w", setting, err))
	}
}

// err is nil when nothing is wrong; else what is wrong is in the order of its names.
func (w wrongs) err() error {
	if len(w) == 0 {
		return nil
	}
	slices.SortFunc(w, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return w
}

// Error has a line for each.
func (w wrongs) Error() string { return errors.Join(w...).Error() }

// parsePublicURL reads an address that clients begin theirs with, as
// https://api.example.com, and cuts a slash at its end off.
func parsePublicURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("want an address as https://api.example.com")
	}
	return strings.TrimRight(text, "/"), nil
}

// listens is where to serve, and the variable that says so: PORT, which container
// platforms set, counts when nobody has said otherwise.
func (s *settings) listens() (setting, address string) {
	if port := os.Getenv("PORT"); port != "" && s.Listen == "" {
		return "PORT", ":" + port
	}
	return "MINIPROFILE_LISTEN", cmp.Or(s.Listen, defaultListen)
}

// checkAddress refuses what cannot be listened on.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%s is no address: want HOST:PORT, or :PORT for all addresses", address)
	}
	return nil
}

// errInUse comes with the error of listen when something listens there already.
var errInUse = errors.New("in use")

// listen listens on an address that a setting names.
func listen(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		host, port, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(port)
		next := net.JoinHostPort(host, strconv.Itoa(n+1))
		if setting == "PORT" {
			next = strconv.Itoa(n + 1)
		}
		return nil, fmt.Errorf("%s: %s is %w: set %s=%s, or stop what listens there", setting, address, errInUse, setting, next)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
}

// reachable is an address on which this machine reaches what listens on addr.
func reachable(addr net.Addr) string {
	if a := addr.(*net.TCPAddr); a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return addr.String()
}

// loopback reports whether a host is this machine alone.
func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
