package playground

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func get(h *Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The page and everything it names is there, by the right type, and the page
// names nothing that is elsewhere.
func TestPage(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	page := get(h, Path+"/")
	if page.Code != 200 || page.Header().Get("Content-Type") != "text/html; charset=utf-8" || page.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("%d %v", page.Code, page.Header())
	}
	if p := page.Header().Get("Content-Security-Policy"); p != Policy || strings.Contains(p, "http") || strings.Contains(p, "eval") {
		t.Errorf("policy: %s", p)
	}
	if lead := get(h, Path); lead.Code != 302 || lead.Header().Get("Location") != home {
		t.Errorf("without the slash: %d %v", lead.Code, lead.Header())
	}
	names := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	if len(names) < 4 {
		t.Fatalf("the page names %v", names)
	}
	for _, m := range names {
		if m[1] == "../schema.graphql" {
			continue
		}
		if at := path.Join(Path, m[1]); strings.HasPrefix(m[1], "/") || !h.Has(at) {
			t.Errorf("%s is not there, or not for a server that is below a path", m[1])
		}
	}
	want := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".ttf": "font/ttf", ".svg": "image/svg+xml"}
	seen := map[string]bool{}
	for at := range h.files {
		if !strings.Contains(at, "/assets/") {
			continue
		}
		end := path.Ext(at)
		seen[end] = true
		w := get(h, at)
		if w.Header().Get("Content-Type") != want[end] || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %v", at, w.Header())
		}
	}
	if len(seen) != len(want) {
		t.Errorf("files end in %v", seen)
	}
}

// What is sent compressed and what is sent plain are the same, and a browser that
// has it gets neither.
func TestEncodings(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	plain := get(h, Path+"/")
	if plain.Header().Get("Content-Encoding") != "" {
		t.Error("compressed for a client that did not ask")
	}
	for _, c := range []struct {
		accept string
		gzip   bool
	}{
		{"gzip, deflate, br", true}, {"br;q=1, GZIP;q=0.5", true}, {"*", true}, {"identity, *;q=0.1", true},
		{"", false}, {"br", false}, {"gzip;q=0", false}, {"gzip; q=0.000, *", false}, {"*;q=0", false}, {"gzip;q=x", false},
	} {
		w := get(h, Path+"/", "Accept-Encoding", c.accept)
		body := w.Body.Bytes()
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.gzip {
			t.Errorf("%q: gzip %v", c.accept, got)
		} else if got {
			r, err := gzip.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if body, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(body, plain.Body.Bytes()) || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: another page, or no Vary", c.accept)
		}
	}
	etag := plain.Header().Get("ETag")
	for header, status := range map[string]int{etag: 304, strings.TrimPrefix(etag, "W/"): 304, `"x", ` + etag: 304, "*": 304, `"x"`: 200, "": 200} {
		w := get(h, Path+"/", "If-None-Match", header)
		if w.Code != status || status == 304 && (w.Body.Len() > 0 || w.Header().Get("ETag") != etag) {
			t.Errorf("%q: %d", header, w.Code)
		}
	}
}

// The page is told the sandbox's mini programs, and nothing where there is no sandbox.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, apps := range [][]string{nil, {"wxsandbox0000000"}} {
		w := get(New(Options{Apps: apps}), Path+"/settings.json")
		var got map[string][]string
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 1 || got["apps"] == nil || !slices.Equal(got["apps"], apps) {
			t.Errorf("%s: %v", w.Body, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	h := New(Options{})
	for _, path := range []string{"/", "/playground.", "/playground/index.html", "/playground/assets/", "/playground/../playground", "/playground/assets/x.js", "/playground/index.html.gz"} {
		if h.Has(path) || get(h, path).Code != 404 {
			t.Errorf("%s is there", path)
		}
	}
}
