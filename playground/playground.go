package playground

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// Path is where browsers are led to the page, which is below it with its files.
const Path = "/playground"

// home is where the page is, seen from / and from Path. It is relative, as is all
// that the page asks for: a proxy may have taken a beginning of the path away.
const home = "playground/"

// Policy is the content security policy of the page: everything comes from this
// server. Editors and menus set styles of their own; pictures that are about to
// be uploaded are blobs.
const Policy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Options are what the page is told.
type Options struct {
	// Apps are the mini programs that the sandbox plays, for which the page offers
	// to sign in as anyone. With none, it asks for an access token instead.
	Apps []string
}

//go:embed dist
var dist embed.FS

// Handler serves the page and its files. It may be used by any number of goroutines.
type Handler struct{ files map[string]*file }

// file is one file. What is embedded stays where it is until it is asked for: the page
// would be a good part of the memory of a server at which nobody looks.
type file struct {
	kind, etag, cache string
	gzipped           bool  // whether it is read so
	size              int64 // in bytes, as it is read
	open              func() io.Reader
}

// New makes a Handler.
func New(options Options) *Handler {
	h := &Handler{files: map[string]*file{}}
	settings, err := json.Marshal(map[string][]string{"apps": append([]string{}, options.Apps...)})
	if err != nil {
		panic(err)
	}
	h.add(Path+"/settings.json", &file{etag: etag(hash(settings)), cache: "no-cache", size: int64(len(settings)),
		open: func() io.Reader { return bytes.NewReader(settings) }})
	// What is embedded cannot fail to be read.
	err = fs.WalkDir(dist, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		f := &file{gzipped: true, size: info.Size(), open: func() io.Reader { return embedded(name) }}
		at := strings.TrimSuffix(strings.TrimPrefix(name, "dist"), ".gz")
		if strings.HasPrefix(at, "/assets/") { // has a hash of its content in its name
			f.etag, f.cache = etag(path.Base(at)), "public, max-age=31536000, immutable"
		} else {
			text, err := dist.ReadFile(name)
			if err != nil {
				return err
			}
			f.etag, f.cache = etag(hash(text)), "no-cache"
		}
		if at == "/index.html" {
			at = "/"
		}
		h.add(Path+at, f)
		return nil
	})
	if err != nil {
		panic(err)
	}
	return h
}

// embedded opens a file that is there.
func embedded(name string) io.Reader {
	f, err := dist.Open(name)
	if err != nil {
		panic(err)
	}
	return f
}

// etag makes an entity tag of what names a content: a weak one, because it is the same
// for both encodings.
func etag(name string) string { return `W/"` + name + `"` }

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// kinds are the types of the files, by the ends of their names.
var kinds = map[string]string{
	"": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".ttf": "font/ttf", ".json": "application/json",
	".md": "text/markdown; charset=utf-8", // the licenses of what is in the files
}

func (h *Handler) add(at string, f *file) {
	kind, known := kinds[path.Ext(at)]
	if !known {
		panic("playground: no type for " + at)
	}
	f.kind = kind
	h.files[at] = f
}

// Has tells whether something is at a path. What is not is the caller's to answer.
func (h *Handler) Has(path string) bool { return path == Path || h.files[path] != nil }

// Lead sends a browser that is at / or Path to the page.
func Lead(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Location", home) // http.Redirect would make it absolute
	w.WriteHeader(http.StatusFound)
}

// ServeHTTP answers GET and HEAD of a path that the Handler has.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == Path {
		Lead(w)
		return
	}
	f := h.files[r.URL.Path]
	if f == nil {
		http.NotFound(w, r)
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.kind)
	header.Set("ETag", f.etag)
	header.Set("Cache-Control", f.cache)
	header.Add("Vary", "Accept-Encoding")
	header.Set("Content-Security-Policy", Policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	switch {
	case matches(r.Header.Get("If-None-Match"), f.etag):
		header.Del("Content-Type")
		w.WriteHeader(http.StatusNotModified)
	case f.gzipped && !takesGzip(r.Header):
		plain, err := gzip.NewReader(f.open())
		if err != nil {
			panic(err)
		}
		io.Copy(w, plain)
	default:
		if f.gzipped {
			header.Set("Content-Encoding", "gzip")
		}
		header.Set("Content-Length", strconv.FormatInt(f.size, 10))
		io.Copy(w, f.open())
	}
}

// matches tells whether an If-None-Match names an entity tag.
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// takesGzip tells whether a client accepts gzip: by its name, or else by "*".
func takesGzip(header http.Header) bool {
	any := false
	for part := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, parameters, _ := strings.Cut(part, ";")
		q, weighed := strings.CutPrefix(strings.ToLower(strings.ReplaceAll(parameters, " ", "")), "q=")
		weight, err := strconv.ParseFloat(q, 64)
		accepted := !weighed || err == nil && weight > 0
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return accepted
		case "*":
			any = accepted
		}
	}
	return any
}
