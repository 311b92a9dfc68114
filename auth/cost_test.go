package auth

import (
	"context"
	"fmt"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// cost is what an operation asks of a store, as Firestore counts it: a read for
// each key and each record of a scan (one for an empty scan), a write or a delete
// for each op. calls are the calls that the operation waits for.
type cost struct{ calls, reads, writes, deletes int }

// counted counts.
type counted struct {
	drivers.Store
	mu   sync.Mutex
	cost cost
	t    testing.TB
}

func (s *counted) add(c cost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cost.calls += c.calls
	s.cost.reads += c.reads
	s.cost.writes += c.writes
	s.cost.deletes += c.deletes
}

func (s *counted) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	s.add(cost{calls: 1, reads: len(keys)})
	return s.Store.Get(ctx, keys...)
}

func (s *counted) Commit(ctx context.Context, ops ...drivers.Op) error {
	c := cost{calls: 1}
	for _, op := range ops {
		if op.Data == nil {
			c.deletes++
			continue
		}
		c.writes++
		if !op.Expires.IsZero() && !slices.Contains(ExpiringKinds, op.Key.Kind) {
			s.t.Errorf("%v expires, and its kind is not in ExpiringKinds", op.Key)
		}
	}
	s.add(c)
	return s.Store.Commit(ctx, ops...)
}

func (s *counted) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		n := 0
		defer func() { s.add(cost{calls: 1, reads: max(n, 1)}) }()
		for r, err := range s.Store.Scan(ctx, kind, prefix, after) {
			n++
			if !yield(r, err) {
				return
			}
		}
	}
}

// TestCost counts what each operation asks of the store. Both READMEs have the
// same table, and their sum of a day of a million people.
func TestCost(t *testing.T) {
	t.Parallel()
	w := newWorld()
	store := &counted{t: t}
	w.wrapStore = func(s drivers.Store) drivers.Store { store.Store = s; return store }
	c := w.replica(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	login := func(code string) *LoginPayload {
		p, err := c.Login(ctx, LoginInput{Code: code, RequestID: &code})
		must(err)
		return p
	}
	update := func(p *LoginPayload, in UpdateProfileInput) {
		_, err := c.UpdateProfile(ctx, p.Tokens.AccessToken, in)
		must(err)
	}
	refresh := func(token string) string {
		r, err := c.RefreshSession(ctx, RefreshSessionInput{token})
		must(err)
		return r.Tokens.RefreshToken
	}
	var p *LoginPayload
	var before string
	costs := map[string]cost{}
	for _, op := range []struct {
		name string
		do   func()
	}{
		{"first login", func() { p = login("ming~1") }},
		{"login, repeated", func() { login("ming~1") }},
		{"login", func() { w.clock.add(time.Second); p = login("ming~2") }},
		{"me", func() { _, err := c.Me(ctx, p.Tokens.AccessToken); must(err) }},
		{"me { sessions }", func() {
			me, err := c.Me(ctx, p.Tokens.AccessToken)
			must(err)
			_, err = c.Sessions(ctx, me)
			must(err)
		}},
		{"updateProfile", func() { update(p, UpdateProfileInput{Nickname: set("new")}) }},
		{"updateProfile, first picture", func() { update(p, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))}) }},
		{"updateProfile, new picture", func() { update(p, UpdateProfileInput{Avatar: set(upload(testPicture(t, 2)))}) }},
		{"refreshSession", func() { before = p.Tokens.RefreshToken; p.Tokens.RefreshToken = refresh(before) }},
		{"refreshSession, repeated", func() { refresh(before) }},
		{"logout", func() { _, err := c.Logout(ctx, p.Tokens.AccessToken, LogoutInput{}); must(err) }},
	} {
		store.cost = cost{}
		op.do()
		costs[op.name] = store.cost
		t.Logf("| `%s` | %d | %d | %d | %d |", op.name, store.cost.calls, store.cost.reads, store.cost.writes, store.cost.deletes)
	}
	store.cost = cost{}
	w.clock.add(time.Hour)
	_, err := c.RunDueJobs(ctx, func(err error) { t.Error(err) })
	must(err)
	costs["removal of the old picture"] = store.cost
	t.Logf("jobs %+v", store.cost)

	// A day of one person: they open the mini program 4 times, each time it
	// refreshes once and asks me 5 times; once in 30 days they log in, once in 100
	// they change their profile.
	day := func(of func(cost) int) float64 {
		return 4*float64(of(costs["refreshSession"])) + 20*float64(of(costs["me"])) +
			float64(of(costs["login"]))/30 + float64(of(costs["updateProfile"]))/100
	}
	reads, writes := day(func(c cost) int { return c.reads }), day(func(c cost) int { return c.writes })
	sum := fmt.Sprintf("%.1f million reads and %.1f million writes", reads, writes)
	t.Log(sum)
	for name, words := range map[string]string{
		"../README.md":       sum,
		"../README.zh-CN.md": fmt.Sprintf("%.0f 万次读、%.0f 万次写", reads*100, writes*100),
	} {
		text, err := os.ReadFile(name)
		must(err)
		if !strings.Contains(string(text), words) {
			t.Errorf("%s does not say %q", name, words)
		}
		rows := 0
		for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d+) \\| (\\d+) \\| (\\d+) \\| (\\d+) \\|$").FindAllStringSubmatch(string(text), -1) {
			rows++
			c, ok := costs[row[1]]
			if got := fmt.Sprint(c.calls, c.reads, c.writes, c.deletes); !ok || got != strings.Join(row[2:], " ") {
				t.Errorf("%s: %s costs %s", name, row[0], got)
			}
		}
		if rows < 8 {
			t.Errorf("%s has %d rows of costs", name, rows)
		}
	}
}
