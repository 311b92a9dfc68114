package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ParseOrigins checks origins, as https://h5.example.com.
func ParseOrigins(texts []string) ([]string, error) {
	var origins []string
	for i, text := range texts {
		text = strings.TrimSpace(text)
		if strings.HasSuffix(text, "/") {
			return nil, fmt.Errorf("origin %d has a slash at the end: want https://h5.example.com", i+1)
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(text, "*") || text != u.Scheme+"://"+strings.ToLower(u.Host) {
			return nil, fmt.Errorf("origin %d is not SCHEME://HOST or SCHEME://HOST:PORT in lower case, as https://h5.example.com; there is no wildcard", i+1)
		}
		origins = append(origins, text)
	}
	return origins, nil
}

var (
	varyOrigin   = []string{"Origin"}
	corsExposed  = []string{"Date, Retry-After, X-Request-Id"}
	corsMethods  = []string{"GET, POST, HEAD"}
	corsHeaders  = []string{"Authorization, Content-Type, Accept, X-Request-Id, Traceparent"}
	corsLife     = []string{"7200"}
	hsts         = []string{"max-age=31536000"}
	noReferrer   = []string{"no-referrer"}
	corsResource = []string{"cross-origin"}
)

// cors lets pages of the operator's own origins read the answer. There are no
// cookies, so no credentials are allowed. It reports whether the request is a
// preflight, which has no other answer than the header.
func (s *Server) cors(x *exchange, r *http.Request) bool {
	if len(s.origins) == 0 {
		return false
	}
	h := x.Header()
	h["Vary"] = varyOrigin
	origin := r.Header["Origin"]
	if len(origin) != 1 || !slices.Contains(s.origins, origin[0]) {
		return false
	}
	h["Access-Control-Allow-Origin"] = []string{origin[0]}
	h["Cross-Origin-Resource-Policy"] = corsResource
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h["Access-Control-Expose-Headers"] = corsExposed
		return false
	}
	h["Access-Control-Allow-Methods"] = corsMethods
	h["Access-Control-Allow-Headers"] = corsHeaders
	h["Access-Control-Max-Age"] = corsLife
	return true
}
