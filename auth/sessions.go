package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	// MaxSessions is how many sessions a user may have. Of more, those that were seen
	// longest ago end: not with the login that is one too many, for it would have to
	// read them all, but by a job that every sessionsEvery-th login files.
	MaxSessions   = 100
	sessionsEvery = 20
)

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
			ID: sid, Current: sid == u.sid, AppID: r.App, Device: r.Device,
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

// boundSessions is the job that ends the sessions of a user beyond MaxSessions.
func (c *Core) boundSessions(ctx context.Context, args ofUser) error {
	user, record, err := read[userRecord](ctx, c, userKey(args.User))
	if err != nil || !record.Exists() {
		return err
	}
	u := c.view(args.User, "", user)
	list, err := c.livingSessions(ctx, u)
	if err != nil || len(list) <= MaxSessions {
		return err
	}
	slices.SortFunc(list, func(a, b *Session) int { return b.SeenAt.Compare(a.SeenAt) })
	ended := map[string]time.Time{}
	for _, s := range list[MaxSessions:] {
		ended[s.ID] = s.SeenAt
	}
	now := c.now()
	return c.rewriteAll(ctx, kindSessions, u.ID, 2, func(record drivers.Record) ([]drivers.Op, error) {
		_, sid, _ := strings.Cut(record.Key.ID, ".")
		r, lives, err := u.living(record, now)
		if seen, over := ended[sid]; err != nil || !lives || !over || !r.Seen.Equal(seen) {
			return nil, err
		}
		return []drivers.Op{
			drivers.Delete(record),
			audited(u.ID, auditRecord{At: now, Event: SessionDropped, Session: sid}),
		}, nil
	})
}
