package drivers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Opener opens the store or objects that a URL names. It begins with
// CheckParameters, and keeps the URL's password out of its errors.
type Opener[T any] func(ctx context.Context, u *url.URL) (T, error)

// Open opens what rawURL names with the opener of its scheme. An unknown scheme
// is an error that names the known ones; no error shows a password.
//
//	store, err := drivers.Open(ctx, "file:data", map[string]drivers.Opener[drivers.Store]{
//		"file": file.OpenStore,
//	})
func Open[T any](ctx context.Context, rawURL string, openers map[string]Opener[T]) (T, error) {
	var none T
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's error quotes the URL, password and all.
		return none, fmt.Errorf("open %s: not a URL", Redact(rawURL))
	}
	open, ok := openers[u.Scheme]
	if !ok {
		known := slices.Sorted(maps.Keys(openers))
		if u.Scheme == "" {
			return none, fmt.Errorf("open %s: no scheme, as in %s:%s; known are %s", Redact(rawURL), known[0], Redact(rawURL), strings.Join(known, ", "))
		}
		return none, fmt.Errorf("open %s: unknown scheme %q, known are %s", Redact(rawURL), u.Scheme, strings.Join(known, ", "))
	}
	v, err := open(ctx, u)
	if err != nil {
		return none, fmt.Errorf("open %s: %w", Redact(rawURL), err)
	}
	return v, nil
}

// CheckParameters returns an error when u has a query parameter that is not
// among known, has one twice, or has a fragment: a misspelt setting must not
// pass in silence.
func CheckParameters(u *url.URL, known ...string) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("malformed parameters")
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("unknown parameter %q: this driver has none", name)
			}
			return fmt.Errorf("unknown parameter %q, known are %s", name, strings.Join(known, ", "))
		}
		if len(values[name]) > 1 {
			return fmt.Errorf("parameter %q twice", name)
		}
	}
	if u.Fragment != "" {
		return errors.New("a fragment (#…) has no meaning here")
	}
	return nil
}

// Redact gives a URL a form that may be printed: without user, password and the
// values of its parameters. What cannot be parsed is cut after its scheme.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		scheme, _, ok := strings.Cut(rawURL, ":")
		if !ok || strings.ContainsAny(scheme, "/@?#") {
			return "…"
		}
		return scheme + ":…"
	}
	if u.User != nil {
		u.User = url.User("…")
	}
	if i := strings.LastIndex(u.Opaque, "@"); i >= 0 { // minio:KEY:SECRET@HOST, slashes forgotten
		u.Opaque = "…" + u.Opaque[i:]
	}
	if i := strings.LastIndex(u.Path, "@"); i >= 0 { // minio:///KEY:SECRET@HOST, or a secret with a slash in it
		u.User, u.Host, u.Path, u.RawPath = nil, "", "…"+u.Path[i:], ""
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.Fragment = ""
	s, err := url.PathUnescape(u.String())
	if err != nil {
		return u.String()
	}
	return s
}
