package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	// pushSeen is how long a push is remembered, so that its repetition does
	// nothing; far longer than WeChat repeats one, or a stale one is let in.
	pushSeen = 24 * time.Hour
	// pushClock is how much later than ours WeChat's clock may be, which moreover
	// tells whole seconds.
	pushClock = time.Minute
	// maxPush bounds what the job of a push may hold of it.
	maxPush = 8 << 10
)

// EchoPush answers WeChat's check of a push address: what to send back as it is.
// appID is empty for the third-party platform. ErrPushRejected when it is not WeChat.
func (c *Core) EchoPush(appID string, query url.Values) (string, error) {
	if appID = cmp.Or(appID, c.wechat.Component()); appID == "" {
		return "", ErrPushRejected
	}
	return c.wechat.EchoPush(appID, query)
}

// Push takes a message that WeChat sent, for the app of the address it came to,
// or, with an empty appID, for the third-party platform. When it returns nil, the
// message is stored, or was before; a job does what it demands. So it takes one
// commit, however slow the work is. ErrPushRejected when it is not WeChat's, or
// too old.
//
// A push that is not sealed is believed as far as the network that it came by. But
// its signature is taken once, whatever the message, so that whoever has seen one
// push go by cannot send others.
func (c *Core) Push(ctx context.Context, appID string, query url.Values, body []byte) error {
	if appID = cmp.Or(appID, c.wechat.Component()); appID == "" {
		return ErrPushRejected
	}
	push, err := c.wechat.OpenPush(appID, query, body, c.now())
	if err != nil {
		return err
	}
	now := c.now()
	seen := func(id string) drivers.Op {
		return drivers.Create(drivers.Key{Kind: kindPushes, ID: id}, encode(pushRecord{now}), now.Add(pushSeen))
	}
	var signed []drivers.Op
	if push.Signature != "" {
		signed = []drivers.Op{seen(hashID("signature", appID, push.Signature))}
	}
	switch push.Event {
	case "": // for somebody else
		return c.keepPush(ctx, signed)
	case PushTicket:
		if push.Secret == "" || appID != c.wechat.Component() {
			return ErrPushRejected
		}
		if err := c.keepTicket(ctx, push); err != nil {
			return fmt.Errorf("push: %w", err)
		}
		return nil
	}
	text, err := json.Marshal(pushForm(push))
	if err != nil || len(text) > maxPush {
		return ErrPushRejected
	}
	return c.keepPush(ctx, signed, seen(hashID(appID, push.ID)), newJob(jobPush, now, sealedPush{c.seals.seal(pushPlace, string(text))}))
}

// keepPush commits the ops of a push, unless it or its signature was seen before:
// then the signature of this delivery is taken all the same.
func (c *Core) keepPush(ctx context.Context, signed []drivers.Op, ops ...drivers.Op) error {
	all := append(slices.Clone(signed), ops...)
	if len(all) == 0 {
		return nil
	}
	err := c.store.Commit(ctx, all...)
	if errors.Is(err, drivers.ErrConflict) && len(signed) > 0 {
		err = c.store.Commit(ctx, signed...)
	}
	if err != nil && !errors.Is(err, drivers.ErrConflict) {
		return fmt.Errorf("push: %w", storeError("commit", err))
	}
	c.wakeJobs()
	return nil
}

// sealedPush is the job of a push. It is sealed, for a push names a person, or
// has the code of an authorisation.
type sealedPush struct {
	Push string `json:"push"`
}

// pushPlace is what a push in a job is sealed for: a job that is tried again has
// another key each time.
var pushPlace = drivers.Key{Kind: kindJobs, ID: "push"}

// pushForm is a Push that encoding/json may write.
type pushForm Push

// workPush does what a push demands. It may run again.
func (c *Core) workPush(ctx context.Context, args sealedPush) error {
	text, err := c.seals.open(pushPlace, args.Push)
	if err != nil {
		return err
	}
	var form pushForm
	if err := json.Unmarshal([]byte(text), &form); err != nil {
		return errors.New("a push has another form")
	}
	push := Push(form)
	switch push.Event {
	case PushRevoked:
		return c.pushRevoked(ctx, push)
	case PushInfoModified:
		return c.takeBack(ctx, push, WeChatCleaned, ScopeNickname, ScopeAvatar)
	case PushCancelled:
		return c.pushCancelled(ctx, push)
	case PushMediaChecked:
		return c.pictureChecked(ctx, push)
	case PushAuthorized:
		return c.authorize(ctx, push)
	case PushUnauthorized:
		return c.unauthorize(ctx, push)
	}
	return nil
}

// revocable says which data goes when a person takes an authorisation back in
// WeChat's settings: nickname and avatar, phone number, nickname from the keyboard,
// avatar from the picker. What the other codes are about, we do not keep.
var revocable = map[int][]ConsentScope{
	6:  {ScopeNickname, ScopeAvatar},
	8:  {ScopePhone},
	19: {ScopeNickname},
	20: {ScopeAvatar},
}

func (c *Core) pushRevoked(ctx context.Context, push Push) error {
	var scopes []ConsentScope
	for _, code := range push.Revoked {
		for _, scope := range revocable[code] {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return c.takeBack(ctx, push, WeChatRevoked, scopes...)
}

// takeBack deletes data of the person of a push, and what consent there was to it,
// but for what they have agreed to again since: a push may be worked on hours late.
// Of data without a consent nobody knows when it was given, and it goes, which is
// the safe side.
func (c *Core) takeBack(ctx context.Context, push Push, event AuditEvent, scopes ...ConsentScope) error {
	if push.OpenID == "" || len(scopes) == 0 {
		return nil
	}
	err := c.transact(ctx, func() ([]drivers.Op, error) {
		a, err := c.personAccount(ctx, push)
		if err != nil || !a.there {
			return nil, err
		}
		taken, err := c.notAgreedSince(ctx, a.uid, push.At, scopes)
		if err != nil || len(taken) == 0 {
			return nil, err
		}
		return c.withdrawal(ctx, &a, event, "", taken)
	})
	c.wakeJobs()
	return err
}

// notAgreedSince leaves out of scopes those with a consent that was given after a
// push was made.
func (c *Core) notAgreedSince(ctx context.Context, uid string, made time.Time, scopes []ConsentScope) (rest []ConsentScope, err error) {
	if made.IsZero() {
		return scopes, nil // WeChat did not say when
	}
	records, err := c.consentRecords(ctx, uid, scopes)
	if err != nil {
		return nil, err
	}
	for i, scope := range scopes {
		consent, err := decodeConsent(records[i])
		if err != nil {
			return nil, err
		}
		if consent.Withdrawn != nil || !consent.Granted.After(made.Add(pushClock)) {
			rest = append(rest, scope)
		}
	}
	return rest, nil
}

// personAccount reads the account of the person of a push.
func (c *Core) personAccount(ctx context.Context, push Push) (account, error) {
	identity, _, err := read[identityRecord](ctx, c, identityKey(push.AppID, push.OpenID))
	if err != nil {
		return account{}, err
	}
	return c.account(ctx, identity.User)
}

// pushCancelled: a person has closed their WeChat account. The account goes, at
// once, unless it is also that of another WeChat account, by a merge: then only
// the identities of the closed one go, and what sessions they began.
func (c *Core) pushCancelled(ctx context.Context, push Push) error {
	if push.OpenID == "" {
		return nil
	}
	// The sessions first: without the identities nobody knows which to end, when
	// this runs again. Nobody logs in any more to a WeChat account that is closed.
	a, err := c.personAccount(ctx, push)
	if err != nil || !a.there {
		return err
	}
	if _, stay, err := c.cancelled(ctx, &a, push); err != nil {
		return err
	} else if err := c.endSessionsBut(ctx, a.uid, stay); err != nil {
		return err
	}
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		a, err := c.personAccount(ctx, push)
		if err != nil || !a.there {
			return nil, err
		}
		now := c.now()
		ops, stay, err := c.cancelled(ctx, &a, push)
		if err != nil {
			return nil, err
		}
		if len(stay) == 0 {
			return c.deletion(a, WeChatCancelled, "", now, now), nil
		}
		a.user.Identities = stay
		a.user.touch(now)
		return append(ops, put(a.record, a.user),
			audited(a.uid, auditRecord{At: now, Event: WeChatCancelled})), nil
	})
	c.wakeJobs()
	return err
}

// endSessionsBut removes the sessions of a user that none of the identities that
// stay has begun.
func (c *Core) endSessionsBut(ctx context.Context, uid string, stay []identityName) error {
	for record, err := range c.store.Scan(ctx, kindSessions, uid+".", "") {
		if err != nil {
			return storeError("scan", err)
		}
		r, err := decode[sessionRecord](record)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(stay, r.begunBy) {
			continue
		}
		if err := c.remove(ctx, record.Key); err != nil {
			return err
		}
	}
	return nil
}

// cancelled returns the ops that remove the identities of a closed WeChat
// account, at most maxCancelled, and its union, and those identities that stay.
func (c *Core) cancelled(ctx context.Context, a *account, push Push) (ops []drivers.Op, stay []identityName, err error) {
	var keys []drivers.Key
	for _, i := range a.user.Identities {
		keys = append(keys, identityKey(i.App, i.OpenID))
	}
	records, err := c.get(ctx, keys...)
	if err != nil {
		return nil, nil, err
	}
	identities := make([]identityRecord, len(records))
	closed := ""
	for i, record := range records {
		if !record.Exists() {
			continue
		}
		if identities[i], err = decode[identityRecord](record); err != nil {
			return nil, nil, err
		}
		if identities[i].App == push.AppID && identities[i].OpenID == push.OpenID {
			closed = identities[i].UnionID
		}
	}
	for i, identity := range identities {
		same := identity.App == push.AppID && identity.OpenID == push.OpenID || closed != "" && identity.UnionID == closed
		if !same || len(ops) == maxCancelled {
			stay = append(stay, a.user.Identities[i])
			continue
		}
		ops = append(ops, drivers.Delete(records[i]))
	}
	if closed == "" || len(stay) == 0 {
		return ops, stay, nil
	}
	unions, err := c.get(ctx, unionKey(closed))
	if err != nil {
		return nil, nil, err
	}
	if at := slices.Index(a.user.Unions, unions[0].Key.ID); at >= 0 && unions[0].Exists() {
		a.user.Unions = slices.Delete(slices.Clone(a.user.Unions), at, at+1)
		ops = append(ops, drivers.Delete(unions[0]))
	}
	return ops, stay, nil
}

// maxCancelled leaves room in a commit. WeChat sends a push for each app, so what
// stays of a person in more apps goes with the next.
const maxCancelled = drivers.MaxOps - 4
