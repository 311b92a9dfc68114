package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

// Me returns the user of an access token, as they stand now. It is
// ErrUnauthenticated when the token is not good or its session is over, with
// ErrDeletionPending when that is so because the user has deleted the account.
func (c *Core) Me(ctx context.Context, accessToken string) (*User, error) {
	caller, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	return caller.user, nil
}

// caller is who sends a request.
type caller struct {
	token         *checkedToken
	user          *User
	profile       userRecord
	record        drivers.Record // of the user
	storedSession drivers.Record
}

// authenticate is the hot path: a remembered token, one multi-get, and nothing
// decoded that has not changed.
func (c *Core) authenticate(ctx context.Context, accessToken string) (caller, error) {
	token, err := c.tokens.check(accessToken)
	if err != nil {
		return caller{}, err
	}
	return c.resume(ctx, token)
}

// resume reads the session and the user of a good token.
func (c *Core) resume(ctx context.Context, token *checkedToken) (caller, error) {
	uid, sid, _ := strings.Cut(token.session, ".")
	records, err := c.get(ctx, sessionKey(token.session), userKey(uid))
	if err != nil {
		return caller{}, err
	}
	session, user := records[0], records[1]
	if !sessionLive(session, c.now()) || !user.Exists() {
		return caller{}, fmt.Errorf("%w: the session is over", ErrUnauthenticated)
	}
	last := token.seen.Load()
	if last == nil || last.revision != user.Revision {
		r, err := decode[userRecord](user)
		if err != nil {
			return caller{}, err
		}
		next := &seen{revision: user.Revision, record: r, user: c.view(uid, sid, r), sessionRevision: session.Revision}
		if last != nil && last.sessionRevision == session.Revision {
			next.session = last.session
		} else if next.session, err = decode[sessionRecord](session); err != nil {
			return caller{}, err
		}
		if !r.signsIn(next.session) {
			return caller{}, r.over(c.now())
		}
		if last = next; len(user.Data) > maxSeen {
			next = nil // or many tokens of one large account would hold it many times
		}
		token.seen.Store(next)
	}
	return caller{token, last.user, last.record, user, session}, nil
}

// session is what is kept of the caller's session.
func (c *Core) session(ctx context.Context, accessToken string) (sessionRecord, error) {
	by, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return sessionRecord{}, err
	}
	return decode[sessionRecord](by.storedSession)
}

// person is whom WeChat knows the caller as: the identity that signed in.
func (c *Core) person(by caller) (identityName, error) {
	session, err := decode[sessionRecord](by.storedSession)
	if err != nil {
		return identityName{}, err
	}
	for _, i := range by.user.Identities {
		if name := (identityName{i.AppID, i.OpenID}); session.begunBy(name) {
			return name, nil
		}
	}
	return identityName{}, fmt.Errorf("%w: the identity that signed in is gone", ErrUnauthenticated)
}
