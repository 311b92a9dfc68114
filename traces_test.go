package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A request is traced from its head to the store and WeChat, within the trace of
// its caller, and no span holds what the client sent.
func TestTraces(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var spans []*trace.Span
	var raw strings.Builder
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s %v", r.URL.Path, err)
		}
		mu.Lock()
		defer mu.Unlock()
		raw.Write(body)
		for _, of := range request.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				spans = append(spans, scope.Spans...)
			}
		}
	}))
	defer h.Close()
	c := startChild(t, t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT="+h.URL)
	a, err := c.ask("", loginText, object{"input": object{"code": "ada~secretcode"}})
	if err != nil || a.Data.Login.User.ID == "" {
		t.Fatal(err, a.Errors)
	}
	tokens := a.Data.Login.Tokens
	const caller = "0af7651916cd43dd8448eb211c80319c"
	r, _ := http.NewRequest("POST", "http://"+c.address+"/graphql?token=secretquery", strings.NewReader(`{"query":"query Secretname { secretalias: me { id } }"}`))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + tokens.AccessToken},
		"Traceparent": {"00-" + caller + "-b7ad6b7169203331-01"}, "Tracestate": {"secret=secretstate"}, "User-Agent": {"secretagent"}}
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != 200 {
		t.Fatal(err)
	}
	answer.Body.Close()
	c.stop() // sends what is left
	mu.Lock()
	defer mu.Unlock()
	byID := map[string]*trace.Span{}
	for _, s := range spans {
		byID[string(s.SpanId)] = s
	}
	var paths []string
	for _, s := range spans {
		path := s.Name
		for parent := byID[string(s.ParentSpanId)]; parent != nil; parent = byID[string(parent.ParentSpanId)] {
			path = parent.Name + " > " + path
		}
		if hex.EncodeToString(s.TraceId) == caller {
			path = "taken up: " + path
		}
		paths = append(paths, path)
	}
	for _, want := range []string{
		"/graphql", "/graphql > Mutation.login", "/graphql > Mutation.login > wechat jscode2session", "/graphql > Mutation.login > store commit",
		"taken up: /graphql", "taken up: /graphql > Query.me", "taken up: /graphql > Query.me > store get",
	} {
		if !slices.Contains(paths, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(paths, "\n"))
		}
	}
	for _, name := range paths {
		if strings.Contains(name, "healthz") {
			t.Error("a question for the server's health is traced")
		}
	}
	for _, secret := range []string{"secret", "Secret", tokens.AccessToken, tokens.RefreshToken, a.Data.Login.User.ID, "openid"} {
		if strings.Contains(raw.String(), secret) {
			t.Errorf("%s is in a span", secret)
		}
	}
	if len(spans) == 0 || !strings.Contains(fmt.Sprint(spans[0].Attributes)+raw.String(), "miniprofile") {
		t.Error("no service name")
	}
}
