package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
)

func TestParseLimits(t *testing.T) {
	t.Parallel()
	changed := DefaultLimits
	changed.Login, changed.User = Quota{5, time.Hour}, Quota{}
	for text, want := range map[string]Limits{"on": DefaultLimits, "off": {}, "login=5/h, user=off": changed} {
		if got, err := ParseLimits(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yes", "login", "login=", "login=5", "login=0/m", "login=-1/m", "login=5/d", "login=5/m;user=1/m", "logins=5/m", "login=99999999999/m"} {
		if _, err := ParseLimits(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	proxies, err := ParseProxies([]string{"10.0.0.0/8", " ::1", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "proxy", "10.0.0"} {
		if _, err := ParseProxies([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	c := clients{proxies}
	for _, x := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"203.0.113.9:1", nil, "203.0.113.9"},
		{"203.0.113.9:1", []string{"1.1.1.1"}, "203.0.113.9"}, // a client that makes it up
		{"10.1.2.3:1", nil, "10.1.2.3"},
		{"10.1.2.3:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"6.6.6.6, 1.1.1.1"}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"6.6.6.6, 1.1.1.1 , 10.9.9.9,192.0.2.1"}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"6.6.6.6", "1.1.1.1, 10.9.9.9"}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"1.1.1.1:5555"}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"[2001:db8:1:2:3::4]:5555"}, "2001:db8:1:2::"},
		{"10.1.2.3:1", []string{"[2001:db8:1:2:3::4]"}, "2001:db8:1:2::"},
		{"10.1.2.3:1", []string{"6.6.6.6, 2001:db8:1:2:ffff:ffff:ffff:ffff"}, "2001:db8:1:2::"},
		{"[2001:db8:1:2:a::1]:1", []string{"1.1.1.1"}, "2001:db8:1:2::"}, // no proxy of ours
		{"[::1]:1", []string{"1.1.1.1, fe80::1%eth0"}, "fe80::"},
		{"10.1.2.3:1", []string{"1.1.1.1", ""}, "1.1.1.1"},
		{"10.1.2.3:1", []string{"1.1.1.1", "6.6.6.6, x"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"1.1.1.1, , 10.9.9.9"}, "10.9.9.9"},
		{"10.1.2.3:1", []string{"10.9.9.9", "10.8.8.8"}, "10.9.9.9"},
		{"10.1.2.3:1", []string{"1.1.1.1, 0x7f.1"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"01.1.1.1"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"1.1.1.1, unknown, 10.9.9.9"}, "10.9.9.9"},
		{"10.1.2.3:1", []string{"1.1.1.1,"}, "10.1.2.3"},
		{"10.1.2.3:1", []string{"10.7.7.7"}, "10.7.7.7"},
		{"[::1]:1", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"[::ffff:10.1.2.3]:1", []string{"1.1.1.1"}, "1.1.1.1"},
		{"[2001:db8::7%eth0]:1", nil, "2001:db8::"},
		{"@", []string{"1.1.1.1"}, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: x.remote, Header: http.Header{"X-Forwarded-For": x.forwarded}}
		if got, _ := c.address(r); got.String() != x.want {
			t.Errorf("%s %q: %s, want %s", x.remote, x.forwarded, got, x.want)
		}
	}
}

// take is buckets.take now.
func take(b *buckets[int], key, n int) time.Duration {
	_, wait := b.take(key, n, time.Now())
	return wait
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBuckets[int](Quota{3, time.Minute})
		for n := range 3 {
			if wait := take(b, 1, 1); wait != 0 {
				t.Errorf("%d: %v", n, wait)
			}
		}
		if wait := take(b, 1, 1); wait.Round(time.Second) != 20*time.Second {
			t.Error(wait)
		}
		if take(b, 2, 2) != 0 || take(b, 2, 2) == 0 || take(b, 2, 1) != 0 {
			t.Error("another key, or a part of what there is")
		}
		time.Sleep(20 * time.Second)
		if take(b, 1, 1) != 0 || take(b, 1, 1) == 0 {
			t.Error("after the wait")
		}
		if take(b, 3, 100) != 0 || take(b, 3, 1) == 0 {
			t.Error("more than there ever is counts as all there is")
		}
		var none *buckets[int]
		if take(none, 1, 1) != 0 {
			t.Error("no bound")
		}
	})
	b := newBuckets[int](Quota{1, time.Hour})
	for n := range maxBuckets + 100 {
		take(b, n, 1)
		take(b, 0, 1) // is used all the time, so it stays
	}
	if len(b.byKey) != maxBuckets || b.order.Len() != maxBuckets {
		t.Errorf("%d buckets, %d in order", len(b.byKey), b.order.Len())
	}
	if take(b, 0, 1) == 0 {
		t.Error("a bucket in use was forgotten")
	}
}

// limited is a harness whose Server has limits.
func limited(t *testing.T, limits Limits, more func(*Config)) (*harness, func() string) {
	t.Helper()
	h := start(t)
	var mu sync.Mutex
	var refused []string
	proxies, _ := ParseProxies([]string{"192.0.2.1"}) // that of httptest
	config := Config{Core: h.core, GraphQL: graph.Options{Introspection: true}, Limits: limits, Proxies: proxies,
		Logger: slog.New(slog.NewJSONHandler(h.log, nil)),
		Refused: func(limit string) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, limit)
		}}
	if more != nil {
		more(&config)
	}
	h.Server = New(config)
	return h, func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(refused, " ") }
}

// from makes a request of an address.
func from(address, token, query string) *http.Request {
	r := httptest.NewRequest("POST", "/graphql", strings.NewReader(fmt.Sprintf(`{"query":%q}`, query)))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Forwarded-For", address)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

const oneLogin = `mutation { login(input: {code: "used~1"}) { created } }`

func TestLimits(t *testing.T) {
	t.Parallel()
	const me = `{ me { id } }`
	hour := func(n int) Quota { return Quota{n, time.Hour} }
	check := func(t *testing.T, a reply, code string, status int) {
		t.Helper()
		if code == "" {
			if len(a.Errors) > 0 {
				t.Errorf("%s", a.body)
			}
			return
		}
		e := a.Errors[0].Extensions
		if a.StatusCode != status || e.Code != code || code == "RATE_LIMITED" && (e.RetryAfter < 1 || a.Header.Get("Retry-After") != fmt.Sprint(e.RetryAfter)) || e.RequestID == "" {
			t.Errorf("%d %v %s", a.StatusCode, a.Header, a.body)
		}
	}
	t.Run("address", func(t *testing.T) {
		t.Parallel()
		h, refused := limited(t, Limits{Address: hour(2)}, nil)
		for _, code := range []string{"UNAUTHENTICATED", "UNAUTHENTICATED"} {
			check(t, h.send(t, from("1.1.1.1", "", me)), code, 200)
		}
		for range 3 {
			check(t, h.send(t, from("1.1.1.1", "", me)), "RATE_LIMITED", 429)
		}
		check(t, h.send(t, from("1.1.1.2", "", me)), "UNAUTHENTICATED", 200)
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Header.Set("X-Forwarded-For", "1.1.1.1")
		if a := h.send(t, r); a.StatusCode != 200 {
			t.Error("health is limited")
		}
		if got := refused(); got != "address address address" {
			t.Error(got)
		}
		if n := strings.Count(h.log.String(), "refused"); n != 1 {
			t.Errorf("the log tells of it %d times:\n%s", n, h.log.String())
		}
		if strings.Contains(h.log.String(), `"status":429`) {
			t.Error("a flood of requests is one of the log")
		}
	})
	t.Run("unbelieved proxy", func(t *testing.T) {
		t.Parallel()
		for _, c := range []struct {
			limits  Limits
			proxies string
			query   string
			told    bool
		}{
			{Limits{Address: hour(1)}, "198.51.100.1", me, true},
			{Limits{Login: hour(1)}, "198.51.100.1", oneLogin, true},
			{Limits{Address: hour(1)}, "192.0.2.1", me, false}, // that of httptest: believed
		} {
			proxies, err := ParseProxies([]string{c.proxies})
			if err != nil {
				t.Fatal(err)
			}
			h, refused := limited(t, c.limits, func(config *Config) { config.Proxies = proxies })
			for range 2 {
				h.send(t, from("1.1.1.1", "", c.query))
			}
			if log := h.log.String(); refused() == "" || strings.Contains(log, "name it in MINIPROFILE_TRUSTED_PROXIES") != c.told {
				t.Errorf("%+v: refused %q\n%s", c, refused(), log)
			}
		}
		for text, all := range map[string]bool{"0.0.0.0/0": true, "::/0": true, "10.0.0.0/8": false, "::1": false} {
			if proxies, err := ParseProxies([]string{"127.0.0.1", text}); err != nil || TrustsAll(proxies) != all {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
	t.Run("network of IPv6", func(t *testing.T) {
		t.Parallel()
		h, refused := limited(t, Limits{Address: hour(2)}, nil)
		for _, address := range []string{"2001:db8:1:2::1", "[2001:db8:1:2:ffff:eeee:dddd:cccc]:4711"} {
			check(t, h.send(t, from(address, "", me)), "UNAUTHENTICATED", 200)
		}
		check(t, h.send(t, from("2001:db8:1:2:3:4:5:6", "", me)), "RATE_LIMITED", 429)
		check(t, h.send(t, from("6.6.6.6, 2001:db8:1:2::7", "", me)), "RATE_LIMITED", 429)
		check(t, h.send(t, from("2001:db8:1:3::1", "", me)), "UNAUTHENTICATED", 200)
		if got := refused(); got != "address address" {
			t.Error(got)
		}
	})
	t.Run("login", func(t *testing.T) {
		t.Parallel()
		h, refused := limited(t, Limits{Login: hour(3)}, nil)
		check(t, h.send(t, from("1.1.1.1", "", oneLogin)), "LOGIN_CODE_REJECTED", 200)
		three := `mutation { a: login(input: {code: "a~1"}) { created } b: login(input: {code: "b~1"}) { created } c: login(input: {code: "c~1"}) { created } }`
		check(t, h.send(t, from("1.1.1.1", "", three)), "RATE_LIMITED", 200)
		strict := from("1.1.1.1", "", three)
		strict.Header.Set("Accept", "application/graphql-response+json")
		check(t, h.send(t, strict), "RATE_LIMITED", 429)
		check(t, h.send(t, from("1.1.1.1", "", me)), "UNAUTHENTICATED", 200)
		check(t, h.send(t, from("1.1.1.2", "", three)), "", 200)
		if got := refused(); got != "login login" {
			t.Error(got)
		}
	})
	t.Run("user and app", func(t *testing.T) {
		t.Parallel()
		h, refused := limited(t, Limits{User: hour(2), App: hour(5)}, nil)
		ada, _ := h.login(t, "ada")
		ada2, _ := h.login(t, "ada")
		bob, _ := h.login(t, "bob")
		eve, _ := h.login(t, "eve")
		check(t, h.send(t, from("1.1.1.1", ada, me)), "", 200)
		check(t, h.send(t, from("1.1.1.2", ada2, me)), "", 200)
		check(t, h.send(t, from("1.1.1.3", ada, me)), "RATE_LIMITED", 200)
		check(t, h.send(t, from("1.1.1.1", bob, me)), "", 200)
		check(t, h.send(t, from("1.1.1.1", bob, me)), "", 200)
		check(t, h.send(t, from("1.1.1.1", eve, me)), "", 200)
		check(t, h.send(t, from("1.1.1.1", eve, me)), "RATE_LIMITED", 200)
		check(t, h.send(t, from("1.1.1.1", ada[:len(ada)-2]+"xx", me)), "UNAUTHENTICATED", 200)
		if got := refused(); got != "user app" {
			t.Error(got)
		}
	})
}

// A code that the quota of WeChat does not let pass is not sent, and still good.
func TestWeChatQuota(t *testing.T) {
	t.Parallel()
	var refused []string
	w := LimitWeChat(people{}, Quota{1, time.Hour}, func(limit string) { refused = append(refused, limit) })
	if _, err := w.CodeToSession(t.Context(), "wx1", "ada~1"); err != nil {
		t.Fatal(err)
	}
	_, err := w.CodeToSession(t.Context(), "wx1", "ada~2")
	if !errors.Is(err, auth.ErrRateLimited) || !errors.Is(err, auth.ErrNotSent) || auth.RetryAfter(err) <= 59*time.Minute {
		t.Error(err, auth.RetryAfter(err))
	}
	if _, err := w.CodeToSession(t.Context(), "wx2", "ada~3"); err != nil {
		t.Error(err)
	}
	if !slices.Equal(refused, []string{"wechat"}) {
		t.Error(refused)
	}
}

// slow is a WeChat that answers when it is told to.
type slow struct {
	people
	begun, free chan struct{}
}

func (s slow) CodeToSession(ctx context.Context, app, code string) (auth.WeChatSession, error) {
	s.begun <- struct{}{}
	<-s.free
	return s.people.CodeToSession(ctx, app, code)
}

// What is more than the server can work on gets a quick answer, and what it has
// begun is not the worse for it.
func TestLoadIsShed(t *testing.T) {
	t.Parallel()
	const most = 4
	wechat := slow{begun: make(chan struct{}, most), free: make(chan struct{})}
	h, refused := limited(t, Limits{}, func(c *Config) {
		c.Core = startCore(t, wechat)
		c.MaxInFlight = most
	})
	var group sync.WaitGroup
	for n := range most {
		group.Go(func() {
			a := h.send(t, from("1.1.1.1", "", fmt.Sprintf(`mutation { login(input: {code: "p%d~1"}) { created } }`, n)))
			if len(a.Errors) > 0 {
				t.Errorf("%s", a.body)
			}
		})
	}
	for range most {
		<-wechat.begun
	}
	times := make([]time.Duration, 100)
	for n := range times {
		began := time.Now()
		a := h.send(t, from("1.1.1.1", "", `{ me { id } }`))
		times[n] = time.Since(began)
		if e := a.Errors[0].Extensions; a.StatusCode != 503 || e.Code != "UPSTREAM_UNAVAILABLE" || e.RetryAfter != 1 || a.Header.Get("Retry-After") != "1" {
			t.Fatalf("%d %s", a.StatusCode, a.body)
		}
	}
	slices.Sort(times)
	if median := times[len(times)/2]; median > 50*time.Millisecond { // one alone may meet a busy machine
		t.Errorf("refused after %v", median)
	}
	if a := h.send(t, httptest.NewRequest("GET", "/readyz", nil)); a.StatusCode != 200 {
		t.Error("health is shed")
	}
	close(wechat.free)
	group.Wait()
	if n := h.inFlight.Load(); n != 0 {
		t.Errorf("%d in flight", n)
	}
	if got := refused(); !strings.HasPrefix(got, "load load") {
		t.Error(got)
	}
	if a := h.send(t, from("1.1.1.1", "", `{ me { id } }`)); a.Errors[0].Extensions.Code != "UNAUTHENTICATED" {
		t.Errorf("%s", a.body)
	}
}

// A flood from one address is refused, and the others do not feel it.
func TestFlood(t *testing.T) {
	t.Parallel()
	proxies, _ := ParseProxies([]string{"127.0.0.1"})
	const burst = 50
	h, _ := limited(t, Limits{Address: Quota{burst, 1000 * time.Hour}}, func(c *Config) { c.Proxies = proxies })
	access, _ := h.login(t, "ada")
	server, stop, ended := h.run(t)
	defer func() { stop(); <-ended }()
	ask := func(client *http.Client, address string) (int, time.Duration, error) {
		began := time.Now()
		r, _ := http.NewRequest("POST", "http://"+server+"/graphql", strings.NewReader(`{"query":"{ me { id } }"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+access)
		r.Header.Set("X-Forwarded-For", address)
		a, err := client.Do(r)
		if err != nil {
			return 0, 0, err
		}
		defer a.Body.Close()
		body, err := io.ReadAll(a.Body)
		if a.StatusCode == 200 && !bytes.Contains(body, []byte(`"id"`)) {
			err = fmt.Errorf("%s", body)
		}
		return a.StatusCode, time.Since(began), err
	}
	// beside tells how long an honest client waits at most, half of the time, beside
	// eight busy ones, and what those got.
	beside := func(address func(client, n int) string) (median time.Duration, statuses map[int]int) {
		busy, over := context.WithCancel(t.Context())
		var group sync.WaitGroup
		var mu sync.Mutex
		statuses = map[int]int{}
		ready := make(chan struct{}, 8)
		for i := range cap(ready) {
			group.Go(func() {
				client := &http.Client{Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for n := 0; busy.Err() == nil; n++ {
					status, _, err := ask(client, address(i, n))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					statuses[status]++
					mu.Unlock()
					if n == burst {
						ready <- struct{}{}
					}
				}
			})
		}
		for range cap(ready) {
			<-ready
		}
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		var times []time.Duration
		for n := range 4 * burst {
			status, took, err := ask(client, fmt.Sprintf("1.1.1.%d", n%16))
			if err != nil || status != 200 {
				t.Fatalf("an honest client: %d %v", status, err)
			}
			times = append(times, took)
		}
		over()
		group.Wait()
		slices.Sort(times)
		return times[len(times)/2], statuses
	}
	// Beside others like it first: how long that takes is this machine's affair.
	calm, statuses := beside(func(client, n int) string { return fmt.Sprintf("2.%d.%d.%d", client, n>>8, n&255) })
	if len(statuses) != 1 {
		t.Errorf("eight honest clients got %v", statuses)
	}
	median, statuses := beside(func(int, int) string { return "6.6.6.6" })
	if median > 4*calm+20*time.Millisecond {
		t.Errorf("honest clients wait %v beside a flood, and %v beside others", median, calm)
	}
	if statuses[200] != burst || statuses[429] < 7*burst || len(statuses) != 2 {
		t.Errorf("the flood got %v", statuses)
	}
	t.Logf("honest: %v beside a flood, %v beside others; the flood got %v", median, calm, statuses)
}

// One address that sends its bodies byte by byte keeps no other out.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	const most = 16
	wechat := slow{begun: make(chan struct{}, most), free: make(chan struct{})}
	h, refused := limited(t, Limits{Address: Quota{1000, time.Hour}}, func(c *Config) {
		c.Core, c.MaxInFlight = startCore(t, wechat), most
	})
	var group sync.WaitGroup
	for n := range most / addressShare {
		group.Go(func() {
			h.send(t, from("6.6.6.6", "", fmt.Sprintf(`mutation { login(input: {code: "p%d~1"}) { created } }`, n)))
		})
		<-wechat.begun
	}
	if a := h.send(t, from("6.6.6.6", "", `{ me { id } }`)); a.StatusCode != 429 || a.Errors[0].Extensions.Code != "RATE_LIMITED" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.send(t, from("1.1.1.1", "", `{ me { id } }`)); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	close(wechat.free)
	group.Wait()
	if got := refused(); got != "address_in_flight" {
		t.Error(got)
	}
	if b, _ := h.limiter.address.take(netip.MustParseAddr("6.6.6.6"), 1, time.Now()); b.inFlight.Load() != 0 || h.inFlight.Load() != 0 {
		t.Errorf("%d of the address in flight, %d in all", b.inFlight.Load(), h.inFlight.Load())
	}
}
