package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// MergeAccountInput is what MergeAccount needs.
type MergeAccountInput struct {
	Code  string  // of wx.login, fresh, of the person of the other account
	AppID *string // where the code is from; the session's app when nil
}

// mergeTime is how long after its login a session may merge accounts.
const mergeTime = 10 * time.Minute

// MergeAccountPayload is what MergeAccount gives.
type MergeAccountPayload struct {
	User   *User
	Merged string // the id of the account that is no more
}

// MergeAccount makes one account of two: the caller's, proved by its login, and
// that of the person whom the code proves. The rule: the caller's account stays,
// with its id; what is empty in its profile (each field by itself) it takes from the
// other, with the consent that there was to it, but nothing that its user has
// withdrawn the consent to: that goes with the other account. It becomes the one of
// all the other's mini programs; the earlier beginning is its beginning. All that is one
// commit. From then on the other's sessions are dead and its person logs in to this
// account; a job moves what is left, and until it has, the way leads through a
// record of the other account that names this one.
//
// The code proves the other person afresh. That the caller's is here too, their
// login says, which must be of the last mergeTime: else whoever got hold of an access
// token could merge an account of their own into this one, and log in to it for ever.
//
// Errors: ErrUnauthenticated (with ErrLogInAgain when the login was earlier),
// ErrCodeRejected, ErrBlocked, ErrRateLimited, ErrUpstream, ErrMisconfigured, or an
// *InvalidError for code or appId.
func (c *Core) MergeAccount(ctx context.Context, accessToken string, in MergeAccountInput) (*MergeAccountPayload, error) {
	session, err := c.session(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if c.now().Sub(session.Created) > mergeTime {
		return nil, fmt.Errorf("merge accounts: %w: %w: the session is not of a login just now", ErrUnauthenticated, ErrLogInAgain)
	}
	app := session.App
	if in.AppID != nil {
		app = *in.AppID
	}
	proof, err := c.prove(ctx, app, in.Code)
	if err != nil {
		return nil, fmt.Errorf("merge accounts: %w", err)
	}
	now := c.now()
	var payload MergeAccountPayload
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		by, err := c.authenticate(ctx, accessToken)
		if err != nil {
			return nil, err
		}
		a := by.account()
		identity, record, err := read[identityRecord](ctx, c, proof.identity())
		if err != nil {
			return nil, err
		}
		other := account{}
		if record.Exists() {
			if other, err = c.account(ctx, identity.User); err != nil {
				return nil, err
			}
		}
		switch {
		case !other.there || other.user.Deletion != nil:
			return nil, &InvalidError{"code", "of a person who has no account here"}
		case other.uid == a.uid:
			return nil, &InvalidError{"code", "of this account, not of another"}
		}
		ops, err := c.merging(ctx, &a, other, record.Key.ID, by.user.sid)
		if err != nil {
			return nil, err
		}
		// The code has replaced the session_key.
		if !identity.hasNewerKey(now, c.now()) {
			identity.SessionKey, identity.SessionKeyAt = c.seals.seal(record.Key, proof.person.SessionKey), now
			identity.User = a.uid
			ops = append(ops, put(record, identity))
		}
		payload = MergeAccountPayload{c.view(a.uid, by.user.sid, a.user), other.uid}
		return ops, nil
	})
	if err != nil {
		return nil, fmt.Errorf("merge accounts: %w", err)
	}
	c.wakeJobs()
	return &payload, nil
}

// MergeReport says what a merge does, or would do.
type MergeReport struct {
	Keep, Other string
	Takes       []string // the fields that Keep takes from Other
	Identities  int      // the mini programs that Keep has afterwards
	Known       bool     // whether WeChat has said, by a unionid, that they are one person's
}

// MergeAccounts is MergeAccount for the operator, who has made sure that two
// accounts are one person's: keep stays, by the same rule. With dryRun it only
// tells what it would do.
func (c *Core) MergeAccounts(ctx context.Context, keep, other string, dryRun bool) (*MergeReport, error) {
	var report *MergeReport
	err := c.transact(ctx, func() ([]drivers.Op, error) {
		a, err := c.active(ctx, keep)
		if err != nil {
			return nil, err
		}
		b, err := c.active(ctx, other)
		if err != nil {
			return nil, err
		}
		if a.uid == b.uid {
			return nil, fmt.Errorf("%s and %s are one account", keep, other)
		}
		before := a.user
		person := ""
		if len(b.user.Identities) > 0 {
			person = identityKey(b.user.Identities[0].App, b.user.Identities[0].OpenID).ID
		}
		ops, err := c.merging(ctx, &a, b, person, "")
		if err != nil {
			return nil, err
		}
		report = &MergeReport{
			Keep: a.uid, Other: b.uid, Takes: a.user.differs(before), Identities: len(a.user.Identities),
			Known: slices.Contains(before.Others, b.uid),
		}
		if dryRun {
			return nil, nil
		}
		return ops, nil
	})
	c.wakeJobs()
	return report, err
}

// active reads an account that is neither deleted nor merged.
func (c *Core) active(ctx context.Context, uid string) (account, error) {
	if !isID(uid) {
		return account{}, fmt.Errorf("%w: %q is no id of an account", ErrNotFound, uid)
	}
	a, err := c.account(ctx, uid)
	if err == nil && (!a.there || a.uid != uid || a.user.Deletion != nil) {
		err = fmt.Errorf("%w: account %s", ErrNotFound, uid)
	}
	return a, err
}

// differs names the fields of the profile that are not as they were.
func (r userRecord) differs(before userRecord) (fields []string) {
	add := func(name string, is bool) {
		if is {
			fields = append(fields, name)
		}
	}
	add("nickname", r.Nickname != before.Nickname)
	add("avatar", r.Avatar != before.Avatar)
	add("phone", r.Phone != before.Phone)
	add("gender", r.Gender != before.Gender)
	add("birthday", r.Birthday != before.Birthday)
	add("region", r.Region != before.Region)
	add("preferences", r.Preferences != before.Preferences)
	return fields
}

// merging makes the ops that put another account into a. person is the id of the
// identity of the other's that WeChat saw last. There are at most 15, however large
// the accounts are: the two, the audit, the job, the phone number, three for a picture
// that waits for its verdict, and the consents that come along, of which there are
// 7 scopes; MergeAccount adds one. What may be many (identities, unions, sessions,
// the audit) is left to the job.
func (c *Core) merging(ctx context.Context, a *account, other account, person, sid string) ([]drivers.Op, error) {
	now := c.now()
	own, err := c.consentRecords(ctx, a.uid, scopes)
	if err != nil {
		return nil, err
	}
	var ops []drivers.Op
	for i, scope := range scopes {
		mine, err := decodeConsent(own[i])
		if err != nil {
			return nil, err
		}
		if mine.Withdrawn == nil {
			continue
		}
		gone, _, err := c.clear(ctx, &other, scope, now)
		if err != nil {
			return nil, err
		}
		ops = append(ops, gone...)
	}
	before, from := a.user, other.user
	a.user.Nickname = cmp.Or(a.user.Nickname, from.Nickname)
	a.user.Gender = cmp.Or(a.user.Gender, from.Gender)
	a.user.Birthday = cmp.Or(a.user.Birthday, from.Birthday)
	a.user.Region = cmp.Or(a.user.Region, from.Region)
	a.user.Preferences = cmp.Or(a.user.Preferences, from.Preferences)
	switch {
	case from.Avatar == nil:
	case a.user.Avatar == nil:
		a.user.Avatar = from.Avatar
		ops = append(ops, newJob(jobPictureMoved, now.Add(sweepTime), removal{a.uid, from.Avatar.ID}))
		if from.Avatar.Status == AvatarPending {
			ops = append(ops, c.pictureJobs(pictureCheck{a.uid, from.Avatar.ID, person}, now)...)
		}
	default:
		ops = append(ops, removeLater(a.uid, from.Avatar.ID, now.Add(c.oldLife)))
	}
	if from.Phone != nil {
		records, err := c.get(ctx, phoneKey(*from.Phone))
		if err != nil {
			return nil, err
		}
		switch {
		case a.user.Phone == nil:
			a.user.Phone = from.Phone
			ops = append(ops, put(records[0], phoneRecord{User: a.uid, Created: now}))
		case records[0].Exists():
			ops = append(ops, drivers.Delete(records[0]))
		}
	}
	fields := a.user.differs(before)
	consents, err := c.inherit(ctx, other.uid, own, fields)
	if err != nil {
		return nil, err
	}
	a.user.Identities = append(slices.Clone(a.user.Identities), from.Identities...)
	a.user.Unions = append(slices.Clone(a.user.Unions), without(from.Unions, a.user.Unions...)...)
	others := without(a.user.Others, other.uid)
	a.user.Others = append(others, without(without(from.Others, others...), a.uid)...)
	a.user.Version = max(a.user.Version, from.Version) + 1
	if from.Created.Before(a.user.Created) {
		a.user.Created = from.Created
	}
	a.user.Updated = now
	left := userRecord{
		Version: from.Version, Identities: from.Identities, Unions: from.Unions, Others: from.Others,
		Created: from.Created, Updated: now, Merged: a.uid,
	}
	return append(append(ops, consents...),
		put(a.record, a.user),
		put(other.record, left),
		audited(a.uid, auditRecord{At: now, Event: AccountsMerged, Session: sid, Fields: fields}),
		newJob(jobFinishMerge, now, ofUser{other.uid}),
	), nil
}

// inherit makes the ops that bring along the consents to fields. own are the
// consents of the account that stays, in the order of scopes.
func (c *Core) inherit(ctx context.Context, other string, own []drivers.Record, fields []string) (ops []drivers.Op, err error) {
	theirs, err := c.consentRecords(ctx, other, scopes)
	if err != nil {
		return nil, err
	}
	for i, scope := range scopes {
		consent, err := decodeConsent(theirs[i])
		if err != nil {
			return nil, err
		}
		if theirs[i].Exists() && consent.Withdrawn == nil && !own[i].Exists() && slices.Contains(fields, scope.field()) {
			ops = append(ops, put(own[i], consent))
		}
	}
	return ops, nil
}

// finishMerge is the job that moves what a merge has left with the other account.
// Each step may be done again; the other's record, which shows the way, goes last.
func (c *Core) finishMerge(ctx context.Context, args ofUser) error {
	uid := args.User
	left, _, err := read[userRecord](ctx, c, userKey(uid))
	if err != nil || left.Merged == "" {
		return err
	}
	if err := c.finishBefore(ctx, uid); err != nil {
		return err
	}
	heir, err := c.account(ctx, uid)
	if err != nil {
		return err
	}
	if !heir.there {
		// Erased meanwhile, and all that points here with it.
		if err := c.free(ctx, uid, left); err != nil {
			return err
		}
	}
	for _, i := range left.Identities {
		if err := c.repoint(ctx, identityKey(i.App, i.OpenID), uid); err != nil {
			return err
		}
	}
	for _, id := range left.Unions {
		if err := c.repoint(ctx, drivers.Key{Kind: kindUnions, ID: id}, uid); err != nil {
			return err
		}
	}
	for _, other := range left.Others {
		if err := c.introduce(ctx, other, uid, heir.uid); err != nil {
			return err
		}
	}
	for _, kind := range []string{kindSessions, kindConsents} {
		if err := c.removeAll(ctx, kind, uid); err != nil {
			return err
		}
	}
	if err := c.moveAudit(ctx, uid, heir); err != nil {
		return err
	}
	if err := c.follow(ctx, uid, left, heir); err != nil {
		return err
	}
	return c.remove(ctx, userKey(uid))
}

// follow moves on what finishMerge has given to an heir that was erased or merged
// meanwhile, and so has not seen it.
func (c *Core) follow(ctx context.Context, uid string, left userRecord, heir account) error {
	for heir.there {
		next, err := c.account(ctx, uid)
		if err != nil || next.uid == heir.uid {
			return err
		}
		for _, other := range left.Others {
			if err := c.introduce(ctx, other, heir.uid, next.uid); err != nil {
				return err
			}
		}
		if err := c.moveAudit(ctx, heir.uid, next); err != nil {
			return err
		}
		heir = next
	}
	return nil
}

// finishBefore finishes the merges into uid, whose jobs have not ended: their way
// leads through the record of uid, which is about to go. There are no new ones, for
// uid is merged itself. The jobs are looked through once more for one that was dead
// and was made due meanwhile.
func (c *Core) finishBefore(ctx context.Context, uid string) error {
	for _, kind := range []string{kindJobs, kindDeadJobs, kindJobs} {
		for record, err := range c.store.Scan(ctx, kind, "", "") {
			if err != nil {
				return storeError("scan", err)
			}
			job, err := decode[jobRecord](record)
			var args ofUser
			if err != nil || job.Kind != jobFinishMerge || json.Unmarshal(job.Args, &args) != nil || args.User == uid {
				continue
			}
			records, err := c.get(ctx, userKey(args.User))
			if err != nil {
				return err
			}
			// What cannot be read is its own job's trouble, and holds up no other merge.
			if left, err := decode[userRecord](records[0]); err != nil || left.Merged != uid {
				continue
			}
			if err := c.finishMerge(ctx, args); err != nil {
				return err
			}
		}
	}
	return nil
}

// repoint makes an identity or a union that names uid name the account that it has become.
func (c *Core) repoint(ctx context.Context, key drivers.Key, uid string) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		r, record, err := read[owned](ctx, c, key)
		if err != nil || !record.Exists() || r.User != uid {
			return nil, err
		}
		heir, err := c.account(ctx, uid)
		if err != nil || !heir.there {
			return nil, err
		}
		if key.Kind == kindUnions {
			union, err := decode[unionRecord](record)
			union.User = heir.uid
			return []drivers.Op{put(record, union)}, err
		}
		identity, err := decode[identityRecord](record)
		identity.User = heir.uid
		return []drivers.Op{put(record, identity)}, err
	})
}

// moveAudit gives the audit of uid to its heir, or ends it where there is none.
func (c *Core) moveAudit(ctx context.Context, uid string, heir account) error {
	if !heir.there {
		return c.settleAudit(ctx, uid)
	}
	return c.rewriteAll(ctx, kindAudit, uid, 2, func(record drivers.Record) ([]drivers.Op, error) {
		to := drivers.Key{Kind: kindAudit, ID: heir.uid + record.Key.ID[len(uid):]}
		return []drivers.Op{drivers.Delete(record), drivers.Create(to, record.Data, record.Expires)}, nil
	})
}
