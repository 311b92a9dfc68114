package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// LoginInput is what Login needs.
type LoginInput struct {
	Code string // of wx.login
	// RequestID is chosen by the client, new for each code: with it, the same call
	// may be repeated for LoginRepeatable. 1 to 64 printable ASCII characters.
	RequestID *string
	AppID     *string // may be nil where the server has one app
	Device    *string // a name for the list of sessions, at most 64 characters
}

// LoginPayload is what Login gives.
type LoginPayload struct {
	Tokens  Tokens
	User    *User
	Created bool // whether this login made the user
}

// loginTime is how long a login may take: WeChat's five seconds, the store's, and room.
const loginTime = 15 * time.Second

// Login signs a person in by the code of wx.login and makes their user the
// first time. The code is sent to WeChat once at the most, by whatever replica,
// also when the call is repeated or the process dies: the record of kind logins
// that says so is committed before. The end of ctx does not end a login: whoever
// asks again, because the answer got lost, finds the session.
//
// Errors: ErrCodeRejected, ErrBlocked, ErrRateLimited, ErrUpstream,
// ErrMisconfigured, or an *InvalidError for code, requestId, appId or device.
func (c *Core) Login(ctx context.Context, in LoginInput) (*LoginPayload, error) {
	l, err := c.parseLogin(in)
	if err != nil {
		return nil, err
	}
	flight := l.code.key.ID + l.code.request
	if l.code.request == "" {
		flight = newID() // not repeatable, so not to be shared either
	}
	c.work.Add(1) // Wait sees it
	defer c.work.Done()
	payload, err, _ := c.logins.Do(flight, func() (payload any, err error) {
		ctx, cancel := outlive(ctx, loginTime)
		defer cancel()
		err = guarded(func() error { payload, err = c.login(ctx, l); return err })
		return payload, err
	})
	if err != nil {
		return nil, err
	}
	return payload.(*LoginPayload), nil
}

// login is a checked LoginInput.
type login struct {
	code   code
	device *string
}

func (c *Core) parseLogin(in LoginInput) (l login, err error) {
	app, request := "", ""
	switch {
	case in.Code == "":
		return l, &InvalidError{"code", "empty"}
	case !isCode(in.Code):
		return l, &InvalidError{"code", "no code of wx.login"}
	case in.AppID != nil && !slices.Contains(c.apps, *in.AppID) && (c.wechat.Component() == "" || !IsAppID(*in.AppID)):
		return l, notOurApp
	case in.AppID != nil:
		app = *in.AppID
	case len(c.apps) == 1:
		app = c.apps[0]
	default:
		return l, &InvalidError{"appId", "needed: this server has several apps"}
	}
	if in.RequestID != nil {
		if id := *in.RequestID; id == "" || len(id) > 64 || !VisibleASCII(id) {
			return l, &InvalidError{"requestId", "not 1 to 64 printable ASCII characters without spaces"}
		}
		request = hashID(*in.RequestID)
	}
	if in.Device != nil {
		device, err := line("device", *in.Device, 64)
		if err != nil {
			return l, err
		}
		l.device = &device
	}
	l.code = loginCode(app, in.Code, request)
	return l, nil
}

func (c *Core) login(ctx context.Context, l login) (*LoginPayload, error) {
	done, err := c.claim(ctx, l.code)
	if err != nil {
		return nil, err
	}
	if done != nil {
		return c.repeat(ctx, *done)
	}
	person, err := c.trade(ctx, l.code)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	return c.enterSurely(ctx, l, person, c.now())
}

// notOurApp: this server does not serve the app that the client named.
var notOurApp = &InvalidError{"appId", "not an app of this server"}

// repeat answers a login that was done before: the same session with fresh tokens.
func (c *Core) repeat(ctx context.Context, done codeRecord) (*LoginPayload, error) {
	uid, sid, _ := splitSession(done.Session)
	records, err := c.get(ctx, sessionKey(done.Session), userKey(uid))
	if err != nil {
		return nil, err
	}
	if !sessionLive(records[0], c.now()) || !records[1].Exists() {
		return nil, fmt.Errorf("%w: its session is over", ErrCodeRejected)
	}
	session, err := decode[sessionRecord](records[0])
	if err != nil {
		return nil, err
	}
	user, err := decode[userRecord](records[1])
	if err != nil {
		return nil, err
	}
	if !user.signsIn(session) {
		return nil, fmt.Errorf("%w: its session is over", ErrCodeRejected)
	}
	key, err := c.refreshKey(done.Session, session)
	if err != nil {
		return nil, err
	}
	tokens, err := c.issue(done.Session, session, key, records[0].Expires)
	if err != nil {
		return nil, err
	}
	return &LoginPayload{tokens, c.view(uid, sid, user), done.Created}, nil
}

// enterSurely is enter against a store that stumbles: the code is spent and
// cannot be had again, so it tries more than once, and looks whether the commit
// whose answer got lost has made the session.
func (c *Core) enterSurely(ctx context.Context, l login, person WeChatSession, now time.Time) (*LoginPayload, error) {
	payload, err := c.enter(ctx, l, person, now)
	for try := 1; err != nil; try++ {
		upstream := errors.Is(err, ErrUpstream)
		if upstream && (try == storeTries || pause(ctx, storePause) != nil) {
			break
		}
		r, _, failed := read[codeRecord](ctx, c, l.code.key)
		if failed == nil && r.State == codeDone && r.Holder == l.code.holder {
			return c.repeat(ctx, r)
		}
		if !upstream {
			break
		}
		if failed == nil {
			payload, err = c.enter(ctx, l, person, now)
		}
	}
	if err != nil {
		c.spend(ctx, l.code, codeRecord{State: codeFailed})
	}
	return payload, err
}

// enter makes the session of a person whom WeChat has named, and their identity,
// union and user as far as they are new, in one commit. now is when WeChat answered.
//
// An account whose deletion was wanted and is not yet due is restored.
func (c *Core) enter(ctx context.Context, l login, person WeChatSession, now time.Time) (*LoginPayload, error) {
	sid, newUID, refreshKey := newID(), newID(), newRefreshKey()
	expires := now.Add(RefreshTokenLife)
	var payload LoginPayload
	var session sessionRecord
	var sessionID string
	err := c.transact(ctx, func() ([]drivers.Op, error) {
		e, err := c.readEntry(ctx, l, person)
		if err != nil {
			return nil, err
		}
		ops := e.join(c, l, person, newUID, sid, now)
		sessionID = e.uid + "." + sid
		session = sessionRecord{
			App: l.code.app, Epoch: e.user.Epoch, Person: e.storedIdentity.Key.ID, Device: l.device, Created: now, Seen: now, Counter: 1,
			Key: c.seals.seal(sessionKey(sessionID), refreshKey),
		}
		payload = LoginPayload{User: c.view(e.uid, sid, e.user), Created: e.created}
		event := LoggedIn
		if e.created {
			event = UserCreated
		}
		return append(ops,
			drivers.Create(sessionKey(sessionID), encode(session), expires),
			l.code.spent(e.claim, codeRecord{State: codeDone, Session: sessionID, Created: e.created}, now),
			audited(e.uid, auditRecord{At: now, Event: event, Session: sid}),
		), nil
	})
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	payload.Tokens, err = c.issue(sessionID, session, refreshKey, expires.Truncate(time.Microsecond))
	return &payload, err
}

// entry is what is stored about a person who logs in.
type entry struct {
	claim          drivers.Record
	storedIdentity drivers.Record
	storedUnion    drivers.Record // without a key when WeChat gave no unionid
	identity       identityRecord // zero when it is new
	known          bool           // whether the identity is a user's
	union          account        // the user of the unionid; gone when it has none; not read when it is no news
	unionIsNews    bool           // whether the unionid tells something that is not known
	account                       // the user of the person; gone when there is none yet
	created        bool
	ended          []account // who have waited for their deletion until it is due
}

// readEntry reads what is stored about a person.
func (c *Core) readEntry(ctx context.Context, l login, person WeChatSession) (e entry, err error) {
	keys := []drivers.Key{l.code.key, identityKey(l.code.app, person.OpenID)}
	if person.UnionID != "" {
		keys = append(keys, unionKey(person.UnionID))
	}
	records, err := c.get(ctx, keys...)
	if err != nil {
		return e, err
	}
	now := c.now() // one for all: what is due is due for the identity and the union
	e.claim, e.storedIdentity = records[0], records[1]
	if claim, err := decode[codeRecord](e.claim); err != nil || claim.State != codeSent {
		return e, fmt.Errorf("%w: taken away meanwhile", ErrCodeRejected)
	}
	if e.storedIdentity.Exists() {
		if e.identity, err = decode[identityRecord](e.storedIdentity); err != nil {
			return e, err
		}
		if e.account, err = e.find(ctx, c, e.identity.User, now); err != nil {
			return e, err
		}
		e.known = e.there
		if !e.known {
			e.identity = identityRecord{} // of an account that is being erased
		}
	}
	if len(records) > 2 {
		e.storedUnion = records[2]
	}
	e.unionIsNews = !e.known || e.identity.UnionID != person.UnionID || !e.storedUnion.Exists()
	if e.storedUnion.Exists() {
		union, err := decode[unionRecord](e.storedUnion)
		if err != nil {
			return e, err
		}
		// It may be that of another user since an erasure, too.
		e.unionIsNews = e.unionIsNews || union.User != e.uid && !slices.Contains(e.user.Others, union.User)
		if !e.unionIsNews {
			return e, nil
		}
		if e.union, err = e.find(ctx, c, union.User, now); err != nil {
			return e, err
		}
		if !e.known {
			e.account = e.union
		}
	}
	return e, nil
}

// find reads an account for a login, to which one whose deletion is due is gone.
func (e *entry) find(ctx context.Context, c *Core, uid string, now time.Time) (account, error) {
	a, err := c.account(ctx, uid)
	if err != nil || !a.there || !a.user.Deletion.due(now) {
		return a, err
	}
	if !slices.ContainsFunc(e.ended, func(b account) bool { return a.uid == b.uid }) {
		e.ended = append(e.ended, a)
	}
	return account{}, nil
}

// account is a user as it is stored.
type account struct {
	uid    string
	record drivers.Record
	user   userRecord
	there  bool // false when it does not exist, or is being erased; it cannot return then
}

// account reads the user that uid is, or has become by merging.
func (c *Core) account(ctx context.Context, uid string) (account, error) {
	if uid == "" {
		return account{}, nil
	}
	for range maxMerges {
		user, record, err := read[userRecord](ctx, c, userKey(uid))
		if err != nil || !record.Exists() {
			return account{}, err
		}
		if user.Merged == "" {
			if d := user.Deletion; d != nil && d.Erasing {
				return account{}, nil
			}
			return account{uid: uid, record: record, user: user, there: true}, nil
		}
		uid = user.Merged
	}
	return account{}, errors.New("an account was merged too often")
}

// maxMerges bounds the way from an account to what it has become.
const maxMerges = 100

// join brings the identity, the union and the user of e to what WeChat says now,
// and returns the ops that do so in the store.
func (e *entry) join(c *Core, l login, person WeChatSession, newUID, sid string, now time.Time) []drivers.Op {
	var ops []drivers.Op
	audit := func(uid string, event AuditEvent) { // a moment earlier: it stands before the login
		ops = append(ops, audited(uid, auditRecord{At: now.Add(-time.Microsecond), Event: event, Session: sid}))
	}
	for _, a := range e.ended {
		// On a replica whose clock is behind, another login could restore it.
		ops = append(ops, put(a.record, a.user.erasing()))
	}
	changed := false // the user
	if !e.there {
		e.created = true
		e.account = account{uid: newUID, record: drivers.Record{Key: userKey(newUID)}, there: true,
			user: userRecord{Version: 1, Created: now, Updated: now}}
	}
	if e.user.Deletion != nil {
		e.user.Deletion = nil
		e.user.Epoch = newID() // or the sessions of before would come alive
		changed = true
		audit(e.uid, AccountRestored)
	}
	if !e.known {
		e.identity = identityRecord{App: l.code.app, OpenID: person.OpenID, Created: now}
		e.user.Identities = append(slices.Clone(e.user.Identities), identityName{l.code.app, person.OpenID})
		changed = true
	}
	e.identity.User = e.uid // it may have been merged
	// A unionid may appear later than the person, and may turn out to be another
	// user's: then both go on as they are, know of one another, and the audits say
	// so, once.
	if person.UnionID != "" && e.unionIsNews {
		switch {
		case !e.union.there:
			union := unionRecord{User: e.uid, Created: now}
			ops = append(ops, put(e.storedUnion, union))
			e.user.Unions = append(slices.Clone(e.user.Unions), e.storedUnion.Key.ID)
			changed = true
			if !e.created {
				audit(e.uid, UnionIDBound)
			}
		case e.union.uid != e.uid:
			if !slices.Contains(e.user.Others, e.union.uid) {
				e.user.Others = append(slices.Clone(e.user.Others), e.union.uid)
				changed = true
				audit(e.uid, UnionIDTaken)
			}
			if !slices.Contains(e.union.user.Others, e.uid) {
				e.union.user.Others = append(slices.Clone(e.union.user.Others), e.uid)
				ops = append(ops, put(e.union.record, e.union.user))
				audit(e.union.uid, UnionIDTaken)
			}
		}
		e.identity.UnionID = person.UnionID
	}
	if changed {
		ops = append(ops, put(e.record, e.user))
	}
	if e.identity.Logins++; e.identity.Logins%sessionsEvery == 0 {
		ops = append(ops, newJob(jobBoundSessions, now, ofUser{e.uid}))
	}
	// Every code replaces the session_key: keep the newest answer's.
	key := e.storedIdentity.Key
	if !e.identity.hasNewerKey(now, c.now()) {
		e.identity.SessionKey = c.seals.seal(key, person.SessionKey)
		e.identity.SessionKeyAt = now
	}
	return append(ops, put(e.storedIdentity, e.identity))
}
