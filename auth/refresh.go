package auth

import (
	"context"
	"crypto/hmac"
	"fmt"

	"github.com/miniprofile/miniprofile/drivers"
)

// RefreshSessionInput is what RefreshSession needs.
type RefreshSessionInput struct{ RefreshToken string }

// RefreshSessionPayload is what RefreshSession gives.
type RefreshSessionPayload struct{ Tokens Tokens }

// RefreshSession trades a refresh token for new tokens and prolongs the session
// by RefreshTokenLife. The newest token makes the next one. The one before it
// gives the newest again: its answer got lost, or two asked at once. An older
// one is in wrong hands: the session is destroyed. Anything that is not a token
// of a living session is ErrUnauthenticated and changes nothing; so is one whose
// session is sealed with another secret, with ErrSealed, or whose user has deleted
// the account, with ErrDeletionPending.
//
// While the core is read-only, the newest token gives itself again with a new
// access token, so that nobody is signed out; the session is not prolonged. An
// older one than the one before is ErrReadOnly: it will be judged later.
func (c *Core) RefreshSession(ctx context.Context, in RefreshSessionInput) (*RefreshSessionPayload, error) {
	id, counter, err := parseRefreshToken(in.RefreshToken)
	if err != nil {
		return nil, err
	}
	uid, sid, _ := splitSession(id)
	var payload RefreshSessionPayload
	stolen := false
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		stolen = false
		records, err := c.get(ctx, sessionKey(id), userKey(uid))
		if err != nil {
			return nil, err
		}
		record, now := records[0], c.now()
		if !sessionLive(record, now) || !records[1].Exists() {
			return nil, fmt.Errorf("%w: the session is over", ErrUnauthenticated)
		}
		user, err := decode[userRecord](records[1])
		if err != nil {
			return nil, err
		}
		session, err := decode[sessionRecord](record)
		if err != nil {
			return nil, err
		}
		key, err := c.refreshKey(id, session)
		if err != nil {
			return nil, err
		}
		if !hmac.Equal([]byte(refreshToken(id, counter, key)), []byte(in.RefreshToken)) {
			return nil, fmt.Errorf("%w: the refresh token is invalid", ErrUnauthenticated)
		}
		if !user.signsIn(session) { // which is nobody's business without a good token
			return nil, user.over(now)
		}
		var ops []drivers.Op
		expires := record.Expires
		switch {
		case counter == session.Counter-1, c.readOnly && counter == session.Counter:
		case counter < session.Counter:
			stolen = true
			return []drivers.Op{
				drivers.Delete(record),
				audited(uid, auditRecord{At: now, Event: RefreshTokenReused, Session: sid}),
			}, nil
		default:
			// A counter beyond ours is of a store put back to an earlier state: the
			// client is honest, for nobody else can sign.
			op := drivers.Replace(record, nil, now.Add(RefreshTokenLife))
			session.Counter, session.Seen, expires = counter+1, now, op.Expires
			if !c.seals.newest(session.Key) { // so that an old secret may go when a session's life is over
				session.Key = c.seals.seal(record.Key, key)
			}
			op.Data = encode(session)
			ops = append(ops, op)
		}
		payload.Tokens, err = c.issue(id, session, key, expires)
		return ops, err
	})
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	if stolen {
		return nil, fmt.Errorf("%w: an old refresh token was used, the session is destroyed", ErrUnauthenticated)
	}
	return &payload, nil
}
