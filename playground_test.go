package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needsPlayground is needs, for what the playground is tested with.
func needsPlayground(t *testing.T, tools ...string) {
	t.Helper()
	needs(t, append([]string{"node"}, tools...)...)
	if _, err := os.Stat("playground/node_modules/playwright-core"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI needs npm ci in the folder playground")
		}
		t.Skip("run npm ci in the folder playground to run this test")
	}
}

// TestPlaygroundUnits: what the page makes of schemas and operations, and how it
// stays signed in.
func TestPlaygroundUnits(t *testing.T) {
	t.Parallel()
	needsPlayground(t)
	node := command(t, "node", "--test", "test/units.test.mjs", "test/session.test.mjs")
	node.Dir = "playground"
	if out, err := node.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// browse drives a real Chromium through playground/test/browser.mjs. With
// -artifacts, go test keeps the screenshots.
func browse(t *testing.T, address string, arguments ...string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	shots, err := filepath.Abs(t.ArtifactDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shots, "photo.jpg"), photograph(t, 800, 600), 0o600); err != nil {
		t.Fatal(err)
	}
	node := command(t, "node", append([]string{"playground/test/browser.mjs", chromium, address, shots}, arguments...)...)
	var stdout, stderr bytes.Buffer
	node.Stdout, node.Stderr = &stdout, &stderr
	if err := node.Run(); err != nil {
		t.Fatalf("%v\n%s\nscreenshots, if kept by -artifacts: %s", err, &stderr, shots)
	}
	t.Logf("milliseconds until the page can be used: %s", &stdout)
}

// TestPlayground is a front-end developer's first quarter of an hour with the
// sandbox: sign in, me, nickname, picture, copied code that runs, languages,
// refresh, sign out, dark, a phone; with every other machine out of reach, nothing
// blocked, and no error in the console.
func TestPlayground(t *testing.T) {
	t.Parallel()
	needsPlayground(t, "chromium", "bash", "curl")
	c := startChild(t, t.TempDir())
	browse(t, c.address, "sandbox")
	c.stop()
	if strings.Contains(c.log.String(), "panic") {
		t.Errorf("%s", c.log)
	}
}

// TestPlaygroundInProduction: where it was turned on, the page has no persons and
// takes a token that was made elsewhere.
func TestPlaygroundInProduction(t *testing.T) {
	t.Parallel()
	needsPlayground(t, "chromium")
	dir := t.TempDir()
	first := startChild(t, dir)
	a, err := first.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil {
		t.Fatal(err)
	}
	first.stop()
	c := startChild(t, dir, "WECHAT_APPS=wxsandbox0000000:0123456789abcdef0123456789abcdef", "MINIPROFILE_PLAYGROUND=on")
	browse(t, c.address, "production", a.Data.Login.Tokens.AccessToken)
	b, err := c.ask("", `{ __schema { queryType { name } } }`, nil)
	if err != nil || len(b.Errors) == 0 {
		t.Errorf("the schema is told by introspection: %+v, %v", b, err)
	}
}

// TestPlaygroundBelowAPath: where a proxy takes a beginning of the path away, the
// page finds itself, the API and the pictures nevertheless.
func TestPlaygroundBelowAPath(t *testing.T) {
	t.Parallel()
	needsPlayground(t, "chromium")
	var routes http.ServeMux
	proxy := httptest.NewServer(&routes)
	t.Cleanup(proxy.Close)
	c := startChild(t, t.TempDir(), "MINIPROFILE_PUBLIC_URL="+proxy.URL+"/api")
	server := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: c.address})
	routes.Handle("/api/", http.StripPrefix("/api", server))
	browse(t, proxy.Listener.Addr().String()+"/api", "below")
}

// TestPlaygroundSetting: by itself the playground is there in the sandbox only.
func TestPlaygroundSetting(t *testing.T) {
	t.Parallel()
	const real = "WECHAT_APPS=wx0123456789abcdef:0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		name         string
		settings     []string
		there        bool
		settingsJSON string
	}{
		{"sandbox", nil, true, `{"apps":["wxsandbox0000000"]}`},
		{"sandbox off", []string{"MINIPROFILE_PLAYGROUND=off"}, false, ""},
		{"production", []string{real}, false, ""},
		{"production on", []string{real, "MINIPROFILE_PLAYGROUND=on"}, true, `{"apps":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			child := startChild(t, t.TempDir(), c.settings...)
			get := func(path, accept string) (*http.Response, string) {
				r, err := http.NewRequest("GET", "http://"+child.address+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Accept", accept)
				answer, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				if err != nil {
					t.Fatal(err)
				}
				return answer, string(body)
			}
			const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
			page, body := get("/playground/", browser)
			if there := page.StatusCode == 200 && strings.Contains(body, `id="root"`); there != c.there {
				t.Errorf("/playground: %d", page.StatusCode)
			}
			if !c.there && !strings.Contains(body, `"code":"NOT_FOUND"`) {
				t.Errorf("/playground: %s", body)
			}
			if root, _ := get("/", browser); (root.StatusCode == 302 && root.Header.Get("Location") == "playground/") != c.there {
				t.Errorf("/ in a browser: %d", root.StatusCode)
			}
			for _, accept := range []string{"*/*", "application/json"} {
				if root, body := get("/", accept); root.StatusCode != 200 || strings.Contains(body, `"playground"`) != c.there {
					t.Errorf("/ for %s: %d %s", accept, root.StatusCode, body)
				}
			}
			if _, body := get("/playground/settings.json", "*/*"); c.there && body != c.settingsJSON {
				t.Errorf("settings.json: %s", body)
			}
		})
	}
}
