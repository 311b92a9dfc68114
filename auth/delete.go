package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// DeleteAccountInput is what DeleteAccount needs.
type DeleteAccountInput struct {
	Code string // of wx.login, fresh: the proof that it is the person who asks
}

// DeleteAccountPayload is what DeleteAccount gives.
type DeleteAccountPayload struct {
	// ErasedAt is when the data goes. A login before restores the account.
	ErasedAt time.Time
}

// DeleteAccount ends the caller's account. All its sessions are dead when it
// returns. After Config.DeletionDelay, within which a login restores the account,
// a job erases all that is kept of the person; the job survives a crash at any
// point. Whoever logs in after that is a new user.
//
// Errors: ErrUnauthenticated, ErrCodeRejected, ErrBlocked, ErrRateLimited,
// ErrUpstream, ErrMisconfigured, or an *InvalidError for code, of somebody else.
func (c *Core) DeleteAccount(ctx context.Context, accessToken string, in DeleteAccountInput) (*DeleteAccountPayload, error) {
	session, err := c.session(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	proof, err := c.prove(ctx, session.App, in.Code)
	if err != nil {
		return nil, fmt.Errorf("delete account: %w", err)
	}
	var payload DeleteAccountPayload
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		by, err := c.authenticate(ctx, accessToken)
		if err != nil {
			return nil, err
		}
		a := by.account()
		identity, _, err := read[identityRecord](ctx, c, proof.identity())
		if err != nil {
			return nil, err
		}
		if owner, err := c.account(ctx, identity.User); err != nil || owner.uid != a.uid {
			if err != nil {
				return nil, err
			}
			return nil, &InvalidError{"code", "of another person than the account's"}
		}
		now := c.now()
		payload.ErasedAt = now.Add(c.deletionDelay)
		return c.deletion(a, DeletionRequested, by.user.sid, now, payload.ErasedAt), nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete account: %w", err)
	}
	c.wakeJobs()
	return &payload, nil
}

// deletion makes the ops that end an account: from this commit on no session of it
// lives. Where it is due at once, the erasure begins with it.
func (c *Core) deletion(a account, event AuditEvent, sid string, now, due time.Time) []drivers.Op {
	a.user.Deletion = &deletionRecord{At: now, Due: due}
	if !due.After(now) {
		a.user = a.user.erasing()
	}
	return []drivers.Op{
		put(a.record, a.user),
		audited(a.uid, auditRecord{At: now, Event: event, Session: sid}),
		newJob(jobEraseAccount, due, ofUser{a.uid}),
	}
}

// due reports whether the erasure of an account may begin, or has begun.
func (d *deletionRecord) due(now time.Time) bool {
	return d != nil && (d.Erasing || !now.Before(d.Due))
}

// erasing is what stays of a user whose deletion is due while the erasure goes on:
// nothing but what leads to the rest. Whoever commits it ends the time in which a
// login restores the account; no clock is asked any more.
func (r userRecord) erasing() userRecord {
	deletion := *r.Deletion
	deletion.Erasing = true
	return userRecord{
		Version: r.Version, Avatar: r.Avatar, Phone: r.Phone, Identities: r.Identities, Unions: r.Unions, Others: r.Others,
		Created: r.Created, Updated: r.Updated, Deletion: &deletion,
	}
}

// eraseAccount is the job that erases an account whose deletion is due. Its first
// commit says so in the user's record, so that what is removed then is of an account
// that cannot return. Each step may be done again. The record goes when all that it
// lists is gone; the rest is found by the user's id.
func (c *Core) eraseAccount(ctx context.Context, args ofUser) error {
	uid := args.User
	user, stays, err := c.beginErasure(ctx, uid)
	if err != nil || stays {
		return err
	}
	if err := c.free(ctx, uid, user); err != nil {
		return err
	}
	if err := c.endErasure(ctx, uid); err != nil {
		return err
	}
	for _, kind := range []string{kindSessions, kindConsents} {
		if err := c.removeAll(ctx, kind, uid); err != nil {
			return err
		}
	}
	return c.settleAudit(ctx, uid)
}

// beginErasure says in the user's record that it is being erased, and returns the
// record; the zero one when it has gone before. stays is true for an account that
// was restored, or whose deletion is not due yet: then another job is filed.
func (c *Core) beginErasure(ctx context.Context, uid string) (user userRecord, stays bool, err error) {
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		stays = false
		var record drivers.Record
		if user, record, err = read[userRecord](ctx, c, userKey(uid)); err != nil || !record.Exists() {
			return nil, err
		}
		switch stays = !user.Deletion.due(c.now()); {
		case stays && user.Deletion != nil: // a clock was put back, or it is wanted anew
			return []drivers.Op{newJob(jobEraseAccount, user.Deletion.Due, ofUser{uid})}, nil
		case stays || user.Deletion.Erasing:
			return nil, nil
		}
		user = user.erasing()
		return []drivers.Op{put(record, user)}, nil
	})
	return user, stays, err
}

// endErasure removes the user's record, and says so in the audit.
func (c *Core) endErasure(ctx context.Context, uid string) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		user, record, err := read[userRecord](ctx, c, userKey(uid))
		if err != nil || user.Deletion == nil || !user.Deletion.Erasing {
			return nil, err // gone before, or a replica of an older version has restored it
		}
		ops := []drivers.Op{drivers.Delete(record)}
		if c.deletedAuditLife > 0 {
			now := c.now()
			op := audited(uid, auditRecord{At: now, Event: AccountDeleted})
			op.Expires = now.Add(c.deletedAuditLife)
			ops = append(ops, op)
		}
		return ops, nil
	})
}

// free removes what points to an account that is no more: its picture, its
// identities with their session_keys, its unions, its phone number, and what others
// know of it. What has come to be another's meanwhile stays.
func (c *Core) free(ctx context.Context, uid string, user userRecord) error {
	if user.Avatar != nil {
		if err := c.deleteObjects(ctx, pictureKeys(user.Avatar.ID)...); err != nil {
			return err
		}
	}
	var keys []drivers.Key
	for _, i := range user.Identities {
		keys = append(keys, identityKey(i.App, i.OpenID))
	}
	for _, id := range user.Unions {
		keys = append(keys, drivers.Key{Kind: kindUnions, ID: id})
	}
	if user.Phone != nil {
		keys = append(keys, phoneKey(*user.Phone))
	}
	for _, key := range keys {
		if err := c.freeKey(ctx, key); err != nil {
			return err
		}
	}
	for _, other := range user.Others {
		if err := c.forget(ctx, other, uid, ""); err != nil {
			return err
		}
	}
	return nil
}

// owned is what identities, unions and phone numbers have in common.
type owned struct {
	User    string `json:"user"`
	UnionID string `json:"unionid"` // of an identity
}

// freeKey removes a record that names an account that is no more, and the union
// that it names.
func (c *Core) freeKey(ctx context.Context, key drivers.Key) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		record, r, err := c.freed(ctx, key)
		if err != nil || !record.Exists() {
			return nil, err
		}
		ops := []drivers.Op{drivers.Delete(record)}
		if r.UnionID == "" {
			return ops, nil
		}
		// The user's record of an older version does not list its unions.
		union, _, err := c.freed(ctx, unionKey(r.UnionID))
		if err == nil && union.Exists() {
			ops = append(ops, drivers.Delete(union))
		}
		return ops, err
	})
}

// freed reads a record that names an account that is no more, also by what it was
// merged into; the zero one when there is none, or it names an account that is there.
func (c *Core) freed(ctx context.Context, key drivers.Key) (drivers.Record, owned, error) {
	r, record, err := read[owned](ctx, c, key)
	if err != nil || !record.Exists() {
		return drivers.Record{}, owned{}, err
	}
	if owner, err := c.account(ctx, r.User); err != nil || owner.there {
		return drivers.Record{}, owned{}, err
	}
	return record, r, nil
}

// forget takes an account out of what another knows, or puts heir in its place.
func (c *Core) forget(ctx context.Context, other, uid, heir string) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		a, err := c.account(ctx, other)
		if err != nil || !a.there {
			return nil, err
		}
		others := without(a.user.Others, uid)
		if len(others) == len(a.user.Others) {
			return nil, nil
		}
		if heir != "" && heir != a.uid {
			others = append(without(others, heir), heir)
		}
		a.user.Others = others
		return []drivers.Op{put(a.record, a.user)}, nil
	})
}

// introduce puts heir in the place of uid in what another knows. Where that is no more,
// or is being erased, heir knows it no more either: the erasure asks uid, which may be
// gone by then.
func (c *Core) introduce(ctx context.Context, other, uid, heir string) error {
	if err := c.forget(ctx, other, uid, heir); err != nil {
		return err
	}
	if a, err := c.account(ctx, other); err != nil || a.there {
		return err
	}
	return c.forget(ctx, heir, other, "")
}

// without returns a copy of list that lacks what is named.
func without(list []string, names ...string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(v string) bool { return slices.Contains(names, v) })
}

// removeAll removes the records of a kind that a user owns.
func (c *Core) removeAll(ctx context.Context, kind, uid string) error {
	return c.rewriteAll(ctx, kind, uid, 1, func(record drivers.Record) ([]drivers.Op, error) {
		return []drivers.Op{drivers.Delete(record)}, nil
	})
}

// remove deletes a record, whatever it says by now.
func (c *Core) remove(ctx context.Context, key drivers.Key) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		records, err := c.get(ctx, key)
		if err != nil || !records[0].Exists() {
			return nil, err
		}
		return []drivers.Op{drivers.Delete(records[0])}, nil
	})
}

// settleAudit takes out of a deleted account's audit what could lead to the
// person, and lets it end in Config.DeletedAuditLife.
func (c *Core) settleAudit(ctx context.Context, uid string) error {
	if c.deletedAuditLife <= 0 {
		return c.removeAll(ctx, kindAudit, uid)
	}
	return c.rewriteAll(ctx, kindAudit, uid, 1, func(record drivers.Record) ([]drivers.Op, error) {
		r, err := decode[auditRecord](record)
		if err != nil {
			return nil, err
		}
		end := c.now().Add(c.deletedAuditLife)
		if r.Session == "" && !record.Expires.After(end) {
			return nil, nil // done before
		}
		if record.Expires.Before(end) {
			end = record.Expires
		}
		return []drivers.Op{drivers.Replace(record, encode(auditRecord{At: r.At, Event: r.Event, Fields: r.Fields}), end)}, nil
	})
}
