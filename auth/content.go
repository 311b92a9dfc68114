package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// What WeChat's review demands of texts and pictures that others see.
//
// A nickname is judged before it is set. "pass" sets it, "risky" refuses it; what
// WeChat will not judge ("review", a person not seen lately, a quota used up) is
// accepted or refused as the operator says: Config.AcceptDoubtful. When WeChat does
// not answer at all, the client tries again.
//
// A picture is judged after it is set, for the verdict comes as a push: until then
// it is PENDING. The commit that sets it files two jobs: one sends it to WeChat,
// one ends the waiting; they name the account, so a merge that takes a picture which
// waits files them anew for the account that stays. A picture that fails is removed. A
// quota used up and an answer that never came mean that it is sent again, until the
// waiting ends.
const (
	// checkLife is how long a trace id is known; the waiting is over long before.
	checkLife = 48 * time.Hour
	// overtaken is how long a verdict may wait for its trace id to be stored.
	overtaken = 10 * time.Minute
)

// checkNickname has WeChat judge a nickname of the caller.
func (c *Core) checkNickname(ctx context.Context, by caller, text string) error {
	if !c.checkContent {
		return nil
	}
	who, err := c.person(by)
	if err != nil {
		return err
	}
	verdict := VerdictReview
	err = c.withToken(ctx, who.App, func(token string) (err error) {
		verdict, err = c.wechat.CheckText(ctx, token, who.OpenID, text)
		return err
	})
	switch {
	case errors.Is(err, ErrNotSeen), errors.Is(err, ErrRateLimited) && c.doubtful == VerdictPass:
		verdict = VerdictReview
	case err != nil:
		return err
	}
	if c.judge(verdict) != VerdictPass {
		return &FieldError{"nickname", ErrContentRejected}
	}
	return nil
}

// judge makes pass or risky of a verdict.
func (c *Core) judge(verdict Verdict) Verdict {
	if verdict == VerdictPass || verdict == VerdictRisky {
		return verdict
	}
	return c.doubtful
}

func (c *Core) newPictureStatus() AvatarStatus {
	if c.checkContent {
		return AvatarPending
	}
	return AvatarAccepted
}

// pictureCheck are the arguments of the jobs of a picture that waits for its verdict.
type pictureCheck struct {
	User    string `json:"user"`
	Picture string `json:"picture"`
	Person  string `json:"person,omitempty"` // id of the identity that set it
}

// checkLater makes the ops that have a picture judged.
func (c *Core) checkLater(by caller, picture string, now time.Time) ([]drivers.Op, error) {
	if !c.checkContent {
		return nil, nil
	}
	who, err := c.person(by)
	if err != nil {
		return nil, err
	}
	return c.pictureJobs(pictureCheck{by.user.ID, picture, identityKey(who.App, who.OpenID).ID}, now), nil
}

// pictureJobs makes the ops of the two jobs of a picture that waits.
func (c *Core) pictureJobs(args pictureCheck, now time.Time) []drivers.Op {
	return []drivers.Op{
		newJob(jobCheckPicture, now, args),
		newJob(jobJudgePicture, now.Add(c.pictureTimeout), args),
	}
}

// checkPicture is the job that sends a picture to WeChat.
func (c *Core) checkPicture(ctx context.Context, args pictureCheck) error {
	a, err := c.account(ctx, args.User)
	if err != nil || !a.waits(args.Picture) {
		return err
	}
	who, record, err := read[identityRecord](ctx, c, drivers.Key{Kind: kindIdentities, ID: args.Person})
	if err != nil || !record.Exists() {
		return err
	}
	trace := ""
	url := (&Avatar{id: args.Picture, at: c.pictureURL}).URL(AvatarLarge)
	err = c.withToken(ctx, who.App, func(token string) (err error) {
		trace, err = c.wechat.CheckPicture(ctx, token, who.OpenID, url)
		return err
	})
	if errors.Is(err, ErrNotSeen) {
		return c.decide(ctx, args.User, args.Picture, VerdictReview)
	}
	if err != nil {
		return err
	}
	now := c.now()
	key := drivers.Key{Kind: kindChecks, ID: hashID(who.App, trace)}
	err = c.store.Commit(ctx, drivers.Create(key, encode(checkRecord{args.User, args.Picture}), now.Add(checkLife)))
	if errors.Is(err, drivers.ErrConflict) {
		return nil
	}
	return storeError("commit", err)
}

// waits reports whether a picture is an account's and waits for its verdict.
func (a account) waits(picture string) bool {
	return a.there && a.user.Avatar != nil && a.user.Avatar.ID == picture && a.user.Avatar.Status == AvatarPending
}

// pictureChecked takes a verdict that WeChat pushed.
func (c *Core) pictureChecked(ctx context.Context, push Push) error {
	r, record, err := read[checkRecord](ctx, c, drivers.Key{Kind: kindChecks, ID: hashID(push.AppID, push.TraceID)})
	if err != nil {
		return err
	}
	if !record.Exists() {
		if push.TraceID == "" || c.now().Sub(push.At) > overtaken {
			return nil // none of ours
		}
		return fmt.Errorf("%w: a verdict on a picture that is not known yet", ErrUpstream)
	}
	if push.Verdict == "" {
		return nil // WeChat could not judge: the waiting ends by itself
	}
	return c.decide(ctx, r.User, r.Picture, push.Verdict)
}

// judgePicture is the job that ends the waiting.
func (c *Core) judgePicture(ctx context.Context, args pictureCheck) error {
	return c.decide(ctx, args.User, args.Picture, VerdictReview)
}

// decide accepts or removes a picture that waits. What waits no more stays as it is.
func (c *Core) decide(ctx context.Context, uid, picture string, verdict Verdict) error {
	err := c.transact(ctx, func() ([]drivers.Op, error) {
		a, err := c.account(ctx, uid)
		if err != nil || !a.waits(picture) {
			return nil, err
		}
		if c.judge(verdict) == VerdictPass {
			a.user.Avatar = &avatarRecord{ID: picture, Status: AvatarAccepted}
			return []drivers.Op{put(a.record, a.user)}, nil
		}
		now := c.now()
		a.user.Avatar = nil
		a.user.touch(now)
		return []drivers.Op{
			put(a.record, a.user),
			removeLater(a.uid, picture, now),
			audited(a.uid, auditRecord{At: now, Event: ContentRejected, Fields: []string{"avatar"}}),
		}, nil
	})
	c.wakeJobs()
	return err
}
