package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// MaxSessions is how many sessions Sessions returns at most.
const MaxSessions = 100

// Sessions returns where a user that Me returned is signed in: newest first, at
// most MaxSessions.
func (c *Core) Sessions(ctx context.Context, u *User) ([]*Session, error) {
	list, err := c.livingSessions(ctx, u)
	return list[:min(len(list), MaxSessions)], err
}

// livingSessions are all sessions of a user, newest first.
func (c *Core) livingSessions(ctx context.Context, u *User) ([]*Session, error) {
	now := c.now()
	var list []*Session
	for record, err := range c.store.Scan(ctx, kindSessions, u.ID+".", "") {
		if err != nil {
			return nil, storeError("scan", err)
		}
		r, lives, err := u.living(record, now)
		if err != nil {
			return nil, err
		}
		if !lives {
			continue
		}
		_, sid, _ := strings.Cut(record.Key.ID, ".")
		list = append(list, &Session{
			ID: sid, Current: sid == u.session, AppID: r.App, Device: r.Device,
			CreatedAt: r.Created, SeenAt: r.Seen, ExpiresAt: record.Expires,
		})
	}
	slices.SortFunc(list, func(a, b *Session) int {
		if n := b.CreatedAt.Compare(a.CreatedAt); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list, nil
}

// living reads a session of the user; lives is false when it is over.
func (u *User) living(record drivers.Record, now time.Time) (r sessionRecord, lives bool, err error) {
	if !sessionLive(record, now) {
		return r, false, nil
	}
	r, err = decode[sessionRecord](record)
	return r, err == nil && r.Epoch == u.epoch, err
}
