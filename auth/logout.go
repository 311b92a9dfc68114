package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/miniprofile/miniprofile/drivers"
)

// LogoutInput says which sessions end: the caller's own when nothing is said.
type LogoutInput struct {
	SessionID  *string // one of the user's
	Everywhere bool    // all of the user's; not together with SessionID
}

// LogoutPayload is what Logout gives.
type LogoutPayload struct{ Ended int } // how many sessions

// Logout ends sessions of the caller. They are dead at the next request, on
// every replica. A sessionId that names no living session of theirs is an
// *InvalidError. When everywhere fails half-way the caller's own session still
// lives, so that the call can be repeated.
func (c *Core) Logout(ctx context.Context, accessToken string, in LogoutInput) (*LogoutPayload, error) {
	caller, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	switch {
	case in.SessionID != nil && in.Everywhere:
		return nil, &InvalidError{"sessionId", "not for a logout everywhere"}
	case in.Everywhere:
		return c.logoutEverywhere(ctx, caller)
	case in.SessionID != nil:
		sid := *in.SessionID
		ended := 0
		if isID(sid) {
			if ended, err = c.endSessions(ctx, caller.user, sid); err != nil {
				return nil, err
			}
		}
		if ended == 0 {
			return nil, &InvalidError{"sessionId", "names no session of yours"}
		}
		return &LogoutPayload{ended}, nil
	}
	ended, err := c.endSessions(ctx, caller.user, caller.user.sid)
	return &LogoutPayload{ended}, err
}

func (c *Core) logoutEverywhere(ctx context.Context, caller caller) (*LogoutPayload, error) {
	uid, own := caller.user.ID, caller.user.sid
	var others []string
	for record, err := range c.store.Scan(ctx, kindSessions, uid+".", "") {
		if err != nil {
			return nil, storeError("scan", err)
		}
		if _, sid, _ := splitSession(record.Key.ID); sid != own {
			others = append(others, sid)
		}
	}
	var p LogoutPayload
	for sids := range slices.Chunk(others, drivers.MaxOps/2) {
		ended, err := c.endSessions(ctx, caller.user, sids...)
		if err != nil {
			return nil, err
		}
		p.Ended += ended
	}
	ended, err := c.endSessions(ctx, caller.user, own)
	p.Ended += ended
	return &p, err
}

// endSessions deletes sessions of a user, at most MaxOps/2, in one commit, and
// returns how many of them were alive.
func (c *Core) endSessions(ctx context.Context, u *User, sids ...string) (int, error) {
	ended := 0
	err := c.transact(ctx, func() ([]drivers.Op, error) {
		var keys []drivers.Key
		for _, sid := range sids {
			keys = append(keys, sessionKey(u.ID+"."+sid))
		}
		records, err := c.get(ctx, keys...)
		if err != nil {
			return nil, err
		}
		var ops []drivers.Op
		now := c.now()
		ended = 0
		for i, record := range records {
			if !record.Exists() {
				continue
			}
			_, lived, err := u.living(record, now)
			if err != nil {
				return nil, err
			}
			ops = append(ops, drivers.Delete(record))
			if lived {
				ops = append(ops, audited(u.ID, auditRecord{At: now, Event: LoggedOut, Session: sids[i]}))
				ended++
			}
		}
		return ops, nil
	})
	if err != nil {
		return 0, fmt.Errorf("logout: %w", err)
	}
	return ended, nil
}
