package server

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/miniprofile/miniprofile/playground"
)

// The playground is read only, has a request id and a line in the log like all
// else, and what it lacks is answered as what the server lacks.
func TestPlaygroundRoutes(t *testing.T) {
	t.Parallel()
	h := start(t)
	if a := h.send(t, httptest.NewRequest("GET", "/playground", nil)); a.StatusCode != 404 || a.Errors[0].Extensions.Code != "NOT_FOUND" {
		t.Errorf("without a playground: %d %s", a.StatusCode, a.body)
	}
	h.Server = New(Config{Core: h.core, Playground: playground.New(playground.Options{}), Logger: slog.New(slog.NewJSONHandler(h.log, nil))})
	a := h.send(t, httptest.NewRequest("GET", "/playground/", nil))
	if a.StatusCode != 200 || a.Header.Get("Content-Security-Policy") != playground.Policy || a.Header.Get("X-Request-Id") == "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if !strings.Contains(h.log.String(), `"route":"/playground","status":200`) {
		t.Errorf("log: %s", h.log)
	}
	// Relative, for a proxy may have taken a beginning of the path away.
	if a := h.send(t, httptest.NewRequest("GET", "/playground", nil)); a.StatusCode != 302 || a.Header.Get("Location") != "playground/" {
		t.Errorf("without the slash: %d %v", a.StatusCode, a.Header)
	}
	if a := h.send(t, httptest.NewRequest("GET", "/playground/assets/none.js", nil)); a.StatusCode != 404 || a.Errors[0].Extensions.Code != "NOT_FOUND" {
		t.Errorf("an absent file: %d %s", a.StatusCode, a.body)
	}
	if a := h.send(t, httptest.NewRequest("POST", "/playground", nil)); a.StatusCode != 405 || a.Errors[0].Extensions.Code != "METHOD_NOT_ALLOWED" {
		t.Errorf("POST: %d %s", a.StatusCode, a.body)
	}
	for accept, status := range map[string]int{"text/html,*/*;q=0.8": 302, "application/json": 200, "": 200} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		a := h.send(t, r)
		if a.StatusCode != status || a.Header.Get("Vary") != "Accept" || status == 302 && a.Header.Get("Location") != "playground/" {
			t.Errorf("/ for %q: %d %v", accept, a.StatusCode, a.Header)
		}
	}
}
