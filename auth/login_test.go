package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func TestLoginMakesOneUserAndManySessions(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		first, err := c.Login(t.Context(), LoginInput{Code: "ming~1", Device: ptr(" iPhone 17 ")})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.add(time.Second)
		second := c.mustLogin(t, "ming~2")
		if !first.Created || second.Created || first.User.ID != second.User.ID {
			t.Fatalf("created %v then %v, users %s and %s", first.Created, second.Created, first.User.ID, second.User.ID)
		}
		other := c.mustLogin(t, "hong~1")
		if other.User.ID == first.User.ID {
			t.Fatal("two people share a user")
		}
		me, err := c.Me(t.Context(), first.Tokens.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		if me.ID != first.User.ID || me.Version != 1 || len(me.Identities) != 1 || me.Identities[0] != (Identity{testApp, testApp + "-ming"}) {
			t.Fatalf("me is %+v", me)
		}
		sessions, err := c.Sessions(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		if len(sessions) != 2 || sessions[0].Current || !sessions[1].Current || *sessions[1].Device != "iPhone 17" || sessions[0].Device != nil {
			t.Fatalf("sessions are %+v", sessions)
		}
		audit, err := c.Audit(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		var events []AuditEvent
		for _, e := range audit {
			events = append(events, e.Event)
		}
		if fmt.Sprint(events) != fmt.Sprint([]AuditEvent{LoggedIn, UserCreated}) {
			t.Fatalf("the audit says %v", events)
		}
	})
}

func TestLoginInputIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.apps = []string{"wxone", "wxtwo"}
	c := w.replica(t)
	for _, row := range []struct {
		in    LoginInput
		field string
	}{
		{LoginInput{Code: "", AppID: ptr("wxone")}, "code"},
		{LoginInput{Code: "a b~1", AppID: ptr("wxone")}, "code"},
		{LoginInput{Code: string(make([]byte, 300)), AppID: ptr("wxone")}, "code"},
		{LoginInput{Code: "ming~1"}, "appId"},
		{LoginInput{Code: "ming~1", AppID: ptr("wxthree")}, "appId"},
		{LoginInput{Code: "ming~1", AppID: ptr("wxone"), RequestID: ptr("")}, "requestId"},
		{LoginInput{Code: "ming~1", AppID: ptr("wxone"), RequestID: ptr("has space")}, "requestId"},
		{LoginInput{Code: "ming~1", AppID: ptr("wxone"), Device: ptr("\u202Eoops")}, "device"},
	} {
		_, err := c.Login(t.Context(), row.in)
		mustBeInvalid(t, err, row.field)
	}
	if n := len(w.wechat.sent); n != 0 {
		t.Errorf("%d codes were sent", n)
	}
	if n := len(w.records(t, kindCodes)); n != 0 {
		t.Errorf("%d logins were recorded", n)
	}
}

func TestFirstLoginsAtOnceMakeOneUser(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		replicas := []*Core{w.replica(t), w.replica(t)}
		users := make([]string, 32)
		var wg sync.WaitGroup
		for i := range users {
			wg.Go(func() {
				p, err := replicas[i%2].Login(t.Context(), LoginInput{Code: fmt.Sprintf("ming+union~%d", i)})
				if err != nil {
					t.Errorf("login %d: %v", i, err)
					return
				}
				users[i] = p.User.ID
			})
		}
		wg.Wait()
		for _, u := range users {
			if u != users[0] {
				t.Fatalf("users %s and %s for one person", u, users[0])
			}
		}
		for kind, want := range map[string]int{kindUsers: 1, kindIdentities: 1, kindUnions: 1, kindSessions: 32, kindCodes: 32} {
			if n := len(w.records(t, kind)); n != want {
				t.Errorf("%d %s, want %d", n, kind, want)
			}
		}
	})
}

func TestACodeIsSentOnce(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		for _, row := range []struct {
			name      string
			requestID *string
			successes int
		}{
			{"with a requestId all get the one session", ptr("request-1"), 32},
			{"without one a single call gets it", nil, 1},
		} {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				w := w.fresh(t)
				replicas := []*Core{w.replica(t), w.replica(t)}
				var mu sync.Mutex
				sessions, successes := map[string]bool{}, 0
				var wg sync.WaitGroup
				for i := range 32 {
					wg.Go(func() {
						p, err := replicas[i%2].Login(t.Context(), LoginInput{Code: "ming~1", RequestID: row.requestID})
						if err != nil {
							if !errors.Is(err, ErrCodeRejected) {
								t.Error(err)
							}
							return
						}
						mu.Lock()
						defer mu.Unlock()
						successes++
						sessions[p.User.sid] = true
					})
				}
				wg.Wait()
				if successes != row.successes || len(sessions) != 1 || w.wechat.mostSent() != 1 {
					t.Fatalf("%d successes, %d sessions, sent %d times", successes, len(sessions), w.wechat.mostSent())
				}
			})
		}
	})
}

func TestALostAnswerCostsNothing(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		w.wechat.block, w.wechat.entry = make(chan struct{}), make(chan string, 1)
		in := LoginInput{Code: "ming~1", RequestID: ptr("request-1")}
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() { _, err := c.Login(ctx, in); gone <- err }()
		<-w.wechat.entry
		hangUp()
		close(w.wechat.block)
		mustBe(t, <-gone, nil) // and nobody reads it
		for _, replica := range []*Core{c, w.replica(t)} {
			p, err := replica.Login(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Created {
				t.Error("the repeated answer differs: created is false")
			}
			if _, err := replica.Me(t.Context(), p.Tokens.AccessToken); err != nil {
				t.Error(err)
			}
		}
		if n := len(w.records(t, kindSessions)); n != 1 || w.wechat.mostSent() != 1 {
			t.Errorf("%d sessions, code sent %d times", n, w.wechat.mostSent())
		}
		// Another requestId is another caller; so is the same one, too late.
		_, err := c.Login(t.Context(), LoginInput{Code: in.Code, RequestID: ptr("request-2")})
		mustBe(t, err, ErrCodeRejected)
		w.clock.add(LoginRepeatable)
		_, err = c.Login(t.Context(), in)
		mustBe(t, err, ErrCodeRejected)
	})
}

func TestALoginThatWasLoggedOutIsNotRepeated(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		in := LoginInput{Code: "ming~1", RequestID: ptr("request-1")}
		p, err := c.Login(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Logout(t.Context(), p.Tokens.AccessToken, LogoutInput{}); err != nil {
			t.Fatal(err)
		}
		_, err = c.Login(t.Context(), in)
		mustBe(t, err, ErrCodeRejected)
	})
}

func TestWhatWeChatRefusesIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		for _, refusal := range []error{ErrCodeRejected, ErrBlocked, ErrRateLimited, ErrUpstream, ErrMisconfigured} {
			w := w.fresh(t)
			c := w.replica(t)
			w.wechat.fail = func(string) error { return refusal }
			in := LoginInput{Code: "ming~1", RequestID: ptr("request-1")}
			_, err := c.Login(t.Context(), in)
			mustBe(t, err, refusal)
			_, err = c.Login(t.Context(), in)
			mustBe(t, err, ErrCodeRejected)
			if w.wechat.mostSent() != 1 || len(w.records(t, kindUsers)) != 0 {
				t.Errorf("after %v: sent %d times, %d users", refusal, w.wechat.mostSent(), len(w.records(t, kindUsers)))
			}
		}
	})
}

func TestACodeThatWasNotSentStaysGood(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		away := true
		w.wechat.fail = func(code string) error {
			if !away {
				return nil
			}
			w.wechat.mu.Lock()
			defer w.wechat.mu.Unlock()
			clear(w.wechat.sent)
			return fmt.Errorf("%w: %w", ErrUpstream, ErrNotSent)
		}
		_, err := c.Login(t.Context(), LoginInput{Code: "ming~1"})
		mustBe(t, err, ErrUpstream)
		away = false
		c.mustLogin(t, "ming~1")
	})
}

// A replica that dies after it has claimed a code leaves a claim behind: others
// wait for it as long as it might live, and then refuse.
func TestAClaimOfADeadReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		start := time.Now()
		c := w.replica(t)
		c.now = func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
		l, err := c.parseLogin(LoginInput{Code: "ming~1", RequestID: ptr("request-1")})
		if err != nil {
			t.Fatal(err)
		}
		if done, err := c.claim(t.Context(), l.code); done != nil || err != nil {
			t.Fatal(done, err)
		}
		_, err = c.Login(t.Context(), LoginInput{Code: "ming~1", RequestID: ptr("request-1")})
		if !errors.Is(err, ErrCodeRejected) && !errors.Is(err, ErrUpstream) {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited > loginTime+time.Second {
			t.Errorf("waited %v", waited)
		}
		if w.wechat.mostSent() != 0 {
			t.Error("the code was sent")
		}
	})
}

func TestUnionID(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{"wxone", "wxtwo"}
		c := w.replica(t)
		events := func(p *LoginPayload) map[AuditEvent]int {
			t.Helper()
			audit, err := c.Audit(t.Context(), p.User)
			if err != nil {
				t.Fatal(err)
			}
			n := map[AuditEvent]int{}
			for _, e := range audit {
				n[e.Event]++
			}
			return n
		}
		// One person in two apps of one Open Platform account.
		one, two := c.mustLoginTo(t, "wxone", "ming+m~1"), c.mustLoginTo(t, "wxtwo", "ming+m~1")
		if one.User.ID != two.User.ID || two.Created || len(two.User.Identities) != 2 {
			t.Errorf("users %s and %s, identities %v", one.User.ID, two.User.ID, two.User.Identities)
		}
		// A unionid that appears later.
		c.mustLoginTo(t, "wxone", "hong~1")
		later := c.mustLoginTo(t, "wxone", "hong+h~2")
		if n := events(later)[UnionIDBound]; n != 1 {
			t.Errorf("bound %d times", n)
		}
		if p := c.mustLoginTo(t, "wxtwo", "hong+h~3"); p.User.ID != later.User.ID {
			t.Error("the unionid that was bound later does not lead to the user")
		}
		// Two accounts that turn out to be one person: both go on.
		a, b := c.mustLoginTo(t, "wxone", "li~1"), c.mustLoginTo(t, "wxtwo", "li~1")
		if a.User.ID == b.User.ID {
			t.Fatal("one user without a unionid")
		}
		a = c.mustLoginTo(t, "wxone", "li+l~2")
		for i := range 3 {
			if p := c.mustLoginTo(t, "wxtwo", fmt.Sprintf("li+l~%d", 2+i)); p.User.ID != b.User.ID {
				t.Fatal("an account changed hands")
			}
		}
		if n := events(b)[UnionIDTaken]; n != 1 {
			t.Errorf("the audit says %d times that the unionid is taken", n)
		}
		if n := events(a)[UnionIDTaken]; n != 1 {
			t.Errorf("the audit of the unionid's owner says %d times that it is taken", n)
		}
		for _, p := range []*LoginPayload{a, b} {
			me, err := c.Me(t.Context(), p.Tokens.AccessToken)
			if err != nil || len(me.OtherAccounts) != 1 || me.OtherAccounts[0] == me.ID {
				t.Errorf("me knows of other accounts %v, %v", me, err)
			}
		}
	})
}

func TestSessionKeyIsTheNewestAndSealed(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		c.mustLogin(t, "ming~1")
		before, _ := decode[identityRecord](w.records(t, kindIdentities)[0])
		w.clock.add(time.Second)
		c.mustLogin(t, "ming~2")
		record := w.records(t, kindIdentities)[0]
		after, _ := decode[identityRecord](record)
		if before.SessionKey == after.SessionKey || !after.SessionKeyAt.Equal(c.now()) {
			t.Error("the session_key was not replaced")
		}
		key, err := c.seals.open(record.Key, after.SessionKey)
		if err != nil || key != "c2Vzc2lvbi1rZXktMTIzNA==" {
			t.Errorf("opened %q, %v", key, err)
		}
		if _, err := c.seals.open(drivers.Key{Kind: kindIdentities, ID: "other"}, after.SessionKey); err == nil {
			t.Error("a sealed secret opens in another place")
		}
	})
}

// Who waits before the store is closed waits for every login that is under way, also
// when its caller is gone.
func TestWaitSeesEveryLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.replica(t)
		w.wechat.block, w.wechat.entry = make(chan struct{}), make(chan string, 1)
		gone, hangUp := context.WithCancel(t.Context())
		go c.Login(gone, LoginInput{Code: "ming~1"})
		<-w.wechat.entry
		hangUp()
		waited := make(chan struct{})
		go func() { c.Wait(); close(waited) }()
		synctest.Wait()
		select {
		case <-waited:
			t.Error("the login goes on after Wait")
		default:
		}
		close(w.wechat.block)
		<-waited
		if n := len(w.records(t, kindUsers)); n != 1 {
			t.Errorf("%d users", n)
		}
	})
}

// A panic under a login or a job is an error of that one: it says where it was, and
// nothing of what it was about.
func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	var none []string
	mustTell := func(err error, what string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "panicked at github.com/miniprofile/miniprofile/auth.TestAPanicIsAnError") ||
			strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("got error %v, want one that tells of %q", err, what)
		}
	}
	for i, test := range []struct {
		panics func(code string) error
		tells  string
	}{
		{func(code string) error { panic("a secret: " + code) }, "string"},
		{func(code string) error { panic(errors.New("a secret: " + code)) }, "*errors.errorString"},
		{func(string) error { return errors.New(none[len(none)]) }, "index out of range"},
	} {
		w.wechat.fail = test.panics
		_, err := c.Login(t.Context(), LoginInput{Code: fmt.Sprintf("ming~%d", i), RequestID: ptr("request-1")})
		mustTell(err, test.tells)
	}
	w.wechat.fail = nil
	p := c.mustLogin(t, "ming~good")

	broken := true
	w.wrapObjects = func(o drivers.Objects) drivers.Objects {
		return deleteHook{o, func(next func() error) error {
			if broken {
				panic("a secret")
			}
			return next()
		}}
	}
	worker := w.replica(t)
	if err := worker.store.Commit(t.Context(), removeLater(p.User.ID, newID(), c.now())); err != nil {
		t.Fatal(err)
	}
	var failures []error
	if _, err := worker.RunDueJobs(t.Context(), func(err error) { failures = append(failures, err) }); err != nil || len(failures) != 1 {
		t.Fatalf("%v, %v", failures, err)
	}
	mustTell(failures[0], "string")
	broken = false
	w.clock.add(time.Minute)
	worker.runJobs(t)
	if n := len(w.records(t, kindJobs)); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// The session_key of the newest login stays: on a replica whose clock is behind too,
// and against a login that WeChat answered before and that commits after it.
func TestTheNewestSessionKeyStays(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	w.configure = func(config *Config) {
		config.Now = func() time.Time { return w.clock.now().Add(-10 * time.Second) }
	}
	behind := w.replica(t)
	w.configure = nil
	key := func() string {
		t.Helper()
		r, err := decode[identityRecord](w.records(t, kindIdentities)[0])
		if err != nil {
			t.Fatal(err)
		}
		return r.SessionKey
	}
	c.mustLogin(t, "ming~1")
	for i, replica := range []*Core{behind, c, behind, c} {
		before := key()
		w.clock.add(time.Second)
		replica.mustLogin(t, fmt.Sprintf("ming~%d", 2+i))
		if key() == before {
			t.Errorf("login %d: the key of the one before stayed", i)
		}
	}
	var once sync.Once
	newest := ""
	w.wrapStore = func(s drivers.Store) drivers.Store {
		return commitHook{s, func(ops []drivers.Op) {
			if len(ops) > 1 { // the one that makes the session
				once.Do(func() {
					w.clock.add(time.Second)
					c.mustLogin(t, "ming~faster")
					newest = key()
					w.clock.add(time.Second)
				})
			}
		}}
	}
	w.replica(t).mustLogin(t, "ming~slower")
	if newest == "" || key() != newest {
		t.Error("a login that was overtaken put its key over a newer one")
	}
}

// late is a store whose first commit of a session fails, and has its effect later:
// just before the next.
type late struct {
	drivers.Store
	mu   sync.Mutex
	ops  []drivers.Op
	done bool
}

func (s *late) Commit(ctx context.Context, ops ...drivers.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(ops, func(op drivers.Op) bool { return op.Key.Kind == kindSessions }) {
		return s.Store.Commit(ctx, ops...)
	}
	if !s.done {
		s.ops, s.done = ops, true
		return errors.New("no answer in time")
	}
	if before := s.ops; before != nil {
		s.ops = nil
		if err := s.Store.Commit(ctx, before...); err != nil {
			return err
		}
	}
	return s.Store.Commit(ctx, ops...)
}

// A login whose commit had its effect after it was looked for is that login.
func TestALoginThatWasStoredLate(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.wrapStore = func(s drivers.Store) drivers.Store { return &late{Store: s} }
		c := w.replica(t)
		p, err := c.Login(t.Context(), LoginInput{Code: "ming~1"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Me(t.Context(), p.Tokens.AccessToken); err != nil || !p.Created || len(w.records(t, kindSessions)) != 1 {
			t.Errorf("created %v, %d sessions, %v", p.Created, len(w.records(t, kindSessions)), err)
		}
	})
}

// Of two accounts of one person the one that had the unionid is deleted: the other
// gets it at the next login, and the person is one user in every app.
func TestAUnionIDIsBoundAnewAfterAnErasure(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{"wxa", "wxb"}
		c := w.replica(t)
		c.mustLoginTo(t, "wxa", "ming~1")
		had := c.mustLoginTo(t, "wxb", "ming+U~1")
		c.mustLoginTo(t, "wxa", "ming+U~2") // they know of one another
		c.mustDelete(t, had.Tokens.AccessToken, "ming+U~3")
		c.runJobs(t)
		stays, again := c.mustLoginTo(t, "wxa", "ming+U~4"), c.mustLoginTo(t, "wxb", "ming+U~5")
		if again.Created || again.User.ID != stays.User.ID {
			t.Errorf("%s in one app, %s in the other", stays.User.ID, again.User.ID)
		}
	})
}

// But where the person comes by the other app first, a new user has the unionid: then
// the two know of one another, and are told of it once.
func TestAUnionIDOfANewUserAfterAnErasure(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.apps = []string{"wxa", "wxb"}
		c := w.replica(t)
		c.mustLoginTo(t, "wxa", "ming~1")
		had := c.mustLoginTo(t, "wxb", "ming+U~1")
		c.mustLoginTo(t, "wxa", "ming+U~2")
		c.mustDelete(t, had.Tokens.AccessToken, "ming+U~3")
		c.runJobs(t)
		next := c.mustLoginTo(t, "wxb", "ming+U~4")
		for _, code := range []string{"ming+U~5", "ming+U~6"} {
			stays := c.mustLoginTo(t, "wxa", code)
			me, err := c.Me(t.Context(), next.Tokens.AccessToken)
			if err != nil || !slices.Equal(stays.User.OtherAccounts, []string{next.User.ID}) || !slices.Equal(me.OtherAccounts, []string{stays.User.ID}) {
				t.Errorf("they know of %v and %v, %v", stays.User.OtherAccounts, me.OtherAccounts, err)
			}
			audit, err := c.Audit(t.Context(), me)
			if n := len(slices.DeleteFunc(audit, func(e *AuditEntry) bool { return e.Event != UnionIDTaken })); n != 1 || err != nil {
				t.Errorf("told of it %d times, %v", n, err)
			}
		}
	})
}
