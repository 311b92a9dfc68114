package drivers_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/miniprofile/miniprofile/drivers"
)

func TestOpen(t *testing.T) {
	openers := map[string]drivers.Opener[string]{
		"memory": func(_ context.Context, u *url.URL) (string, error) { return "memory", drivers.CheckParameters(u) },
		"file": func(_ context.Context, u *url.URL) (string, error) {
			return "file " + u.Opaque, drivers.CheckParameters(u, "a", "b")
		},
		"broken": func(context.Context, *url.URL) (string, error) { return "half", errors.New("no disk") },
	}
	for rawURL, want := range map[string]string{ // want: the value, or the error after "open "
		"memory:":                   "memory",
		"MEMORY:":                   "memory",
		"file:data?a=1&b=2":         "file data",
		"broken:x":                  "open broken:x: no disk",
		"":                          `open : no scheme, as in broken:; known are broken, file, memory`,
		"data":                      `open data: no scheme, as in broken:data; known are broken, file, memory`,
		"sqlite:data":               `open sqlite:data: unknown scheme "sqlite", known are broken, file, memory`,
		"pg://me:hunter2@db/x?y=z":  `open pg://…@db/x?…: unknown scheme "pg", known are broken, file, memory`,
		"pg://me:hunter2@db:port/x": `open pg:…: not a URL`,
		"memory:?a=1":               `open memory:?…: unknown parameter "a": this driver has none`,
		"file:data?c=hunter2":       `open file:data?…: unknown parameter "c", known are a, b`,
		"file:data?a=1&a=2":         `open file:data?…: parameter "a" twice`,
		"file:data?a=%zz":           `open file:data?…: malformed parameters`,
		"file:data?a=1;b=2":         `open file:data?…: malformed parameters`,
		"file:data#hunter2":         `open file:data: a fragment (#…) has no meaning here`,
		"pg://me:hun%zzter2@db/x":   `open pg:…: not a URL`,
		"://me:hunter2@db":          `open :…: not a URL`,
	} {
		got, err := drivers.Open(t.Context(), rawURL, openers)
		if err != nil {
			if got != "" {
				t.Errorf("Open(%q) gives %q and an error", rawURL, got)
			}
			got = err.Error()
		}
		if got != want {
			t.Errorf("Open(%q)\n got %s\nwant %s", rawURL, got, want)
		}
	}
}

func TestOpenWraps(t *testing.T) {
	failure := errors.New("failure")
	_, err := drivers.Open(t.Context(), "x:", map[string]drivers.Opener[int]{
		"x": func(context.Context, *url.URL) (int, error) { return 0, failure },
	})
	if !errors.Is(err, failure) {
		t.Errorf("the opener's error is not wrapped: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for rawURL, want := range map[string]string{
		"memory:":                             "memory:",
		"file:data":                           "file:data",
		"file:///var/lib/x":                   "file:///var/lib/x",
		"firestore://project/db":              "firestore://project/db",
		"minio://host:9000/bucket?region=x":   "minio://host:9000/bucket?…",
		"minio://KEY:SECRET@host:9000/bucket": "minio://…@host:9000/bucket",
		"minio://KEY@host/bucket":             "minio://…@host/bucket",
		"minio:KEY:SECRET@host/b":             "minio:…@host/b",
		"minio:KEY:SEC@RET@host/b":            "minio:…@host/b",
		"minio:KEY:SEC/RET@host/b":            "minio:…@host/b",
		"minio:/KEY:SECRET@host/b":            "minio:…@host/b",
		"minio:///KEY:SECRET@host/b":          "minio://…@host/b",
		"minio://KEY:12/SECRET@host/b":        "minio://…@host/b",
		"minio://KEY:SEC/RET@host/b":          "minio:…",
		"minio://KEY:SE%CRET@host/b":          "minio:…",
		"minio://KEY:SECRET@host:port/b":      "minio:…",
		"minio://KEY:SECRET@ho st/b":          "minio:…",
		"minio://host/b?secret=SECRET#SECRET": "minio://host/b?…",
		"minio://host/b?a=KEY@SECRET":         "minio://host/b?…",
		"KEY/SECRET@host":                     "…@host",
		":SECRET":                             ":…",
		"\x7fSECRET":                          "…",
	} {
		got := drivers.Redact(rawURL)
		if got != want {
			t.Errorf("Redact(%q) is %q, want %q", rawURL, got, want)
		}
		if strings.Contains(got, "SECRET") {
			t.Errorf("Redact(%q) shows the secret: %q", rawURL, got)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("minio", "KEY", "SECRET", "host/b")
	f.Fuzz(func(t *testing.T, scheme, user, password, rest string) {
		const secret = "q1W9secret"
		for _, format := range []string{"%s://%s:%s@%s", "%s:%s:%s@%s", "%s:///%s:%s@%s"} {
			rawURL := fmt.Sprintf(format, "minio", url.PathEscape(user), url.PathEscape(password+secret), "host/"+url.PathEscape(rest))
			if got := drivers.Redact(rawURL); strings.Contains(got, secret) {
				t.Errorf("Redact(%q) shows the password: %q", rawURL, got)
			}
		}
		drivers.Redact(scheme + rest)
	})
}
