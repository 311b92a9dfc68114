package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/prometheus/client_golang/prometheus"
)

// ours returns the names of the metrics that begin with miniprofile_.
func (m *Metrics) ours() []string {
	ch := make(chan *prometheus.Desc, 256)
	m.registry.Describe(ch)
	close(ch)
	name := regexp.MustCompile(`fqName: "(miniprofile_[a-z_]+)"`)
	var names []string
	for d := range ch {
		if found := name.FindStringSubmatch(d.String()); found != nil {
			names = append(names, found[1])
		}
	}
	slices.Sort(names)
	return names
}

// page is what /metrics says.
func (m *Metrics) page(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func wants(t *testing.T, page string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no %s in\n%s", line, page)
		}
	}
}

// A watched store and watched objects are as good as bare ones.
func TestConformance(t *testing.T) {
	t.Parallel()
	m := NewMetrics("test")
	t.Run("store", func(t *testing.T) {
		conformance.TestStore(t, func(t *testing.T) func() (drivers.Store, error) {
			space := memory.New()
			return func() (drivers.Store, error) { return Store(space.OpenStore(), "memory", m.Watch), nil }
		})
	})
	t.Run("objects", func(t *testing.T) {
		conformance.TestObjects(t, func(t *testing.T) func() (drivers.Objects, error) {
			space := memory.New()
			return func() (drivers.Objects, error) { return Objects(space.OpenObjects(), "memory", m.Watch), nil }
		})
	})
}

func TestDrivers(t *testing.T) {
	t.Parallel()
	m := NewMetrics("test")
	space := memory.New()
	s, o := Store(space.OpenStore(), "memory", m.Watch), Objects(space.OpenObjects(), "memory", m.Watch)
	key := drivers.Key{Kind: "users", ID: "a"}
	for range 2 { // the second conflicts
		s.Commit(t.Context(), drivers.Create(key, json.RawMessage(`{}`), time.Time{}))
	}
	s.Get(t.Context(), key)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.Get(ended, key)
	for range s.Scan(t.Context(), "users", "", "") {
	}
	for range s.Scan(t.Context(), "none", "", "") {
	}
	for range s.Scan(t.Context(), "NONE", "", "") {
	}
	o.Put(t.Context(), "a", strings.NewReader("x"), 1, "text/plain")
	o.Get(t.Context(), "a")
	o.Get(t.Context(), "b")
	o.Delete(t.Context(), "a")
	for range o.List(t.Context(), "", "") {
	}
	s.Close()
	o.Close()
	s.Get(t.Context(), key)
	wants(t, m.page(t),
		`miniprofile_store_calls_total{driver="memory",method="commit",result="ok"} 1`,
		`miniprofile_store_calls_total{driver="memory",method="commit",result="conflict"} 1`,
		`miniprofile_store_calls_total{driver="memory",method="get",result="ok"} 1`,
		`miniprofile_store_calls_total{driver="memory",method="get",result="ended"} 1`,
		`miniprofile_store_calls_total{driver="memory",method="get",result="error"} 1`,
		`miniprofile_store_calls_total{driver="memory",method="scan",result="ok"} 2`,
		`miniprofile_store_calls_total{driver="memory",method="scan",result="error"} 1`,
		`miniprofile_store_call_duration_seconds_count{driver="memory",method="get"} 3`,
		`miniprofile_object_calls_total{driver="memory",method="put",result="ok"} 1`,
		`miniprofile_object_calls_total{driver="memory",method="get",result="not_found"} 1`,
		`miniprofile_object_calls_total{driver="memory",method="delete",result="ok"} 1`,
		`miniprofile_object_calls_total{driver="memory",method="list",result="ok"} 1`,
	)
}

// WeChat's numbers are told, with no code and no secret.
func TestWeChat(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(sandbox.New(time.Now, sandbox.AppID))
	defer h.Close()
	client, err := wechat.New(wechat.Config{BaseURL: h.URL, Apps: map[string]wechat.Secret{sandbox.AppID: wechat.NewSecret(sandbox.Secret)}})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMetrics("test")
	w := WeChat(client, m.Watch)
	for _, code := range []string{"ada~secretcode", "invalid~1", "limited~1", "down~1"} {
		w.CodeToSession(t.Context(), sandbox.AppID, code)
	}
	page := m.page(t)
	wants(t, page,
		`miniprofile_wechat_calls_total{api="jscode2session",errcode="0"} 1`,
		`miniprofile_wechat_calls_total{api="jscode2session",errcode="40029"} 1`,
		`miniprofile_wechat_calls_total{api="jscode2session",errcode="45011"} 1`,
		`miniprofile_wechat_calls_total{api="jscode2session",errcode="none"} 1`,
		`miniprofile_wechat_call_duration_seconds_count{api="jscode2session"} 4`,
	)
	if strings.Contains(page, "secretcode") || strings.Contains(page, sandbox.Secret) {
		t.Error("a secret is in the metrics")
	}
}

// An upstream that makes up numbers makes no series without end.
func TestErrcodesAreBounded(t *testing.T) {
	t.Parallel()
	m := NewMetrics("test")
	for n := range 10 * maxErrcodes {
		_, end := m.Watch(t.Context(), Work{Of: "wechat", Method: "jscode2session"})
		end(fmt.Sprint(n))
	}
	page := m.page(t)
	if n := strings.Count(page, "miniprofile_wechat_calls_total{"); n != maxErrcodes+1 {
		t.Errorf("%d series", n)
	}
	wants(t, page, fmt.Sprintf(`miniprofile_wechat_calls_total{api="jscode2session",errcode="other"} %d`, 9*maxErrcodes))
}

func TestRequestsAndJobs(t *testing.T) {
	t.Parallel()
	m := NewMetrics("1.2.3")
	m.Began()
	m.Began()
	m.Answered("/graphql", "updateProfile", "", true, time.Millisecond)
	m.JobDone("removePicture", time.Millisecond, nil)
	m.JobDone("removePicture", time.Millisecond, errors.New("x"))
	m.JobDone("removePicture", time.Millisecond, fmt.Errorf("x: %w", auth.ErrJobDead))
	m.Limited("address")
	wants(t, m.page(t),
		`miniprofile_requests_total{code="OK",operation="updateProfile",route="/graphql"} 1`,
		`miniprofile_request_duration_seconds_bucket{operation="updateProfile",route="/graphql",le="0.001"} 1`,
		`miniprofile_requests_in_flight 1`,
		`miniprofile_pictures_total{code="OK"} 1`,
		`miniprofile_jobs_total{job="removePicture",result="ok"} 1`,
		`miniprofile_jobs_total{job="removePicture",result="error"} 1`,
		`miniprofile_jobs_total{job="removePicture",result="dead"} 1`,
		`miniprofile_rate_limited_total{limit="address"} 1`,
		`miniprofile_build_info{version="1.2.3"} 1`,
	)
	for path, want := range map[string]int{"/debug/pprof/": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/cmdline": 404, "/": 404} {
		w := httptest.NewRecorder()
		if m.Admin().ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

func TestBoth(t *testing.T) {
	t.Parallel()
	var told []string
	type key struct{}
	note := func(name string) Watch {
		return func(ctx context.Context, w Work) (context.Context, func(string)) {
			outer, _ := ctx.Value(key{}).(string)
			return context.WithValue(ctx, key{}, outer+name), func(result string) { told = append(told, name+" "+result) }
		}
	}
	if Both(nil, nil) != nil {
		t.Error("a Watch of nothing")
	}
	for _, w := range []Watch{Both(note("a"), nil), Both(nil, note("a")), Both(note("a"), note("b"))} {
		ctx, end := w(t.Context(), Work{})
		end("ok")
		told = append(told, ctx.Value(key{}).(string))
	}
	if got := strings.Join(told, ","); got != "a ok,a,a ok,a,b ok,a ok,ab" {
		t.Error(got)
	}
}

// The READMEs list the metrics that exist, with their labels, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	want := NewMetrics("test").ours()
	row := regexp.MustCompile("(?m)^\\| `(miniprofile_[a-z_]+)` \\| [^|]+ \\| [^|]{4,} \\|$")
	for _, name := range []string{"../README.md", "../README.zh-CN.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range row.FindAllStringSubmatch(string(text), -1) {
			got = append(got, m[1])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s has\n%v, want\n%v", name, got, want)
		}
	}
}

// The dashboard names metrics that exist, and all of ours.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	m := NewMetrics("test")
	known := map[string]bool{}
	for _, name := range m.ours() {
		known[name] = false
	}
	for line := range strings.Lines(m.page(t)) { // those of the runtime
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "# HELP "), " "); ok && strings.HasPrefix(line, "# HELP ") && !strings.HasPrefix(name, "miniprofile_") {
			known[name] = true
		}
	}
	names := regexp.MustCompile(`\b(?:miniprofile|go|process)_[a-z_]+\b`)
	for _, p := range board.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q has no title or shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			found := names.FindAllString(target.Expr, -1)
			if len(found) == 0 {
				t.Errorf("%s: %s names no metric", p.Title, target.Expr)
			}
			for _, name := range found {
				base := strings.TrimSuffix(name, "_bucket")
				if _, ok := known[base]; !ok {
					t.Errorf("%s: there is no %s", p.Title, name)
				}
				known[base] = true
			}
		}
	}
	for name, shown := range known {
		if !shown {
			t.Errorf("%s is on no panel", name)
		}
	}
}

var _ auth.WeChat = weChat{}
