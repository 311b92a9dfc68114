package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/miniprofile/miniprofile/graph"
)

// people is a WeChat that knows everybody: a code is PERSON~NONCE.
type people struct{ auth.WeChat } // what is not below is not called

func (people) Component() string { return "" }

func (people) CodeToSession(_ context.Context, _, code string) (auth.WeChatSession, error) {
	person, _, _ := strings.Cut(code, "~")
	if person == "used" {
		return auth.WeChatSession{}, auth.ErrCodeRejected
	}
	return auth.WeChatSession{OpenID: "openid-" + person, SessionKey: "AAAAAAAAAAAAAAAAAAAAAA=="}, nil
}

// lines is a log that a test can read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const publicURL = "https://api.example.com"

// harness is a Server over memory.
type harness struct {
	*Server
	core  *auth.Core
	store drivers.Store
	log   *lines
}

// run lets the server run at an address of its own until stop is called; ended gets
// what Run returns.
func (h *harness) run(t testing.TB) (address string, stop context.CancelFunc, ended <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- h.Run(ctx, listener) }()
	return listener.Addr().String(), stop, end
}

func start(t testing.TB) *harness {
	t.Helper()
	h := &harness{log: &lines{}}
	space := memory.New()
	h.store = space.OpenStore()
	objects := space.OpenObjects()
	var err error
	h.core, err = auth.New(auth.Config{
		Store: h.store, Objects: objects, WeChat: people{}, Apps: []string{"wxsandbox0000000"},
		Secrets: []string{strings.Repeat("s", auth.MinSecret)}, PublicURL: publicURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.core.Wait(); h.store.Close(); objects.Close() })
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h.Server = New(Config{Core: h.core, Version: "test", GraphQL: graph.Options{Introspection: true}, Logger: logger})
	return h
}

// startCore makes a core over memory and a WeChat.
func startCore(t testing.TB, weChat auth.WeChat) *auth.Core {
	t.Helper()
	space := memory.New()
	core, err := auth.New(auth.Config{
		Store: space.OpenStore(), Objects: space.OpenObjects(), WeChat: weChat, Apps: []string{"wxsandbox0000000"},
		Secrets: []string{strings.Repeat("s", auth.MinSecret)}, PublicURL: publicURL,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(core.Wait)
	return core
}

// reply is an answer, decoded.
type reply struct {
	*http.Response
	body   []byte
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Locations  []any
		Extensions struct {
			Code, RequestID, Field string
			RetryAfter             int
		}
	}
}

// send makes a request without a network.
func (h *harness) send(t testing.TB, r *http.Request) reply {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := reply{Response: w.Result(), body: w.Body.Bytes()}
	if strings.Contains(a.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(a.body, &a); err != nil {
			t.Fatalf("answer is no JSON: %v: %q", err, a.body)
		}
	}
	return a
}

// ask sends an operation.
func (h *harness) ask(t testing.TB, token, query string, variables map[string]any) reply {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/graphql", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return h.send(t, r)
}

// at digs in an answer's data.
func (a reply) at(t testing.TB, path string) any {
	t.Helper()
	if len(a.Errors) > 0 {
		t.Fatalf("%s", a.body)
	}
	var v any = a.Data
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %s", path, a.body)
		}
		v = m[name]
	}
	return v
}

// login signs a person in and returns both tokens.
func (h *harness) login(t testing.TB, person string) (access, refresh string) {
	t.Helper()
	a := h.ask(t, "", `mutation L($c: String!) { login(input: {code: $c}) { tokens { accessToken refreshToken } } }`,
		map[string]any{"c": fmt.Sprintf("%s~%p", person, &struct{ byte }{})})
	return a.at(t, "login.tokens.accessToken").(string), a.at(t, "login.tokens.refreshToken").(string)
}
