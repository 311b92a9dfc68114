package auth

import (
	"context"
	"math"
	"slices"
	"time"
)

// How many entries of an audit are shown at most: the newest.
const (
	MaxAudit         = 100  // by Audit
	MaxExportedAudit = 1000 // by Export
)

// Audit returns what happened to the account of a user that Me returned: newest
// first, at most MaxAudit entries of the last AuditLife.
func (c *Core) Audit(ctx context.Context, u *User) ([]*AuditEntry, error) {
	return c.newestAudit(ctx, u.ID, MaxAudit)
}

// newestAudit returns the newest entries of a user's audit, at most so many, newest
// first. A scan begins with the oldest: so it is one scan of an audit that is short,
// and else scans of parts, from the end backwards, each shortened until it holds
// little. What is read is bounded, however long the audit is.
func (c *Core) newestAudit(ctx context.Context, uid string, most int) ([]*AuditEntry, error) {
	now := c.now()
	oldest := now.Add(-AuditLife)
	end, until := now, time.UnixMicro(math.MaxInt64) // another clock may be ahead of ours
	var newest []*AuditEntry
	for width := AuditLife; len(newest) < most && end.After(oldest); {
		from := end.Add(-width)
		if from.Before(oldest) {
			from = oldest
		}
		part, whole, err := c.auditPart(ctx, uid, from, until, 2*most)
		if err != nil {
			return nil, err
		}
		if !whole && width > time.Microsecond {
			width /= 4
			continue
		}
		newest = append(part, newest...)
		end, until = from, from
	}
	newest = newest[max(0, len(newest)-most):]
	slices.Reverse(newest)
	return newest, nil
}

// auditPart returns the entries of a user's audit from a moment until another,
// oldest first; whole is false when there are more than most.
func (c *Core) auditPart(ctx context.Context, uid string, from, until time.Time, most int) (part []*AuditEntry, whole bool, err error) {
	now := c.now()
	prefix, n := uid+".", 0
	for record, err := range c.store.Scan(ctx, kindAudit, prefix, prefix+timePrefix(from)) {
		if err != nil {
			return nil, false, storeError("scan", err)
		}
		if record.Key.ID >= prefix+timePrefix(until) {
			break
		}
		if n++; n > most {
			return part, false, nil
		}
		if now.After(record.Expires) {
			continue
		}
		r, err := decode[auditRecord](record)
		if err != nil {
			return nil, false, err
		}
		e := &AuditEntry{At: r.At, Event: r.Event, Fields: r.Fields}
		if r.Session != "" {
			e.SessionID = &r.Session
		}
		part = append(part, e)
	}
	return part, true, nil
}
