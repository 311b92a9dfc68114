package auth

import (
	"context"

	"github.com/miniprofile/miniprofile/drivers"
)

// account is the caller's account, as it was read. What its user points to is shared
// with other calls: it is replaced, never changed.
func (by caller) account() account {
	return account{uid: by.user.ID, record: by.record, user: by.profile, there: true}
}

// change is one change of the caller's account in one commit: what apply does to
// the account, the consent that came with it, and the audit of both. The caller is
// read again unless fresh says that they were read just now. needs are the scopes
// of data that apply sets, for which there must be a consent where the operator
// demands one. apply returns further ops and the names of the fields that are now
// different; it may be called again. Where nothing differs, nothing is written.
func (c *Core) change(ctx context.Context, by caller, fresh bool, needs []ConsentScope, consent *ConsentInput,
	apply func(by caller, a *account) ([]drivers.Op, []string, error)) (user *User, err error) {
	if consent, err = checkConsent(consent); err != nil {
		return nil, err
	}
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		if !fresh {
			if by, err = c.resume(ctx, by.token); err != nil {
				return nil, err
			}
		}
		fresh = false
		user = by.user
		a, now := by.account(), c.now()
		ops, err := c.grant(ctx, by, consent, needs, now)
		if err != nil {
			return nil, err
		}
		more, fields, err := apply(by, &a)
		if err != nil || len(ops)+len(more)+len(fields) == 0 {
			return nil, err
		}
		if len(fields) > 0 {
			a.user.touch(now)
			user = c.view(a.uid, by.user.sid, a.user)
		}
		// Also where it stays as it is: a consent must not come to an account that was
		// erased or merged meanwhile.
		return append(append(ops, more...), put(a.record, a.user)), nil
	})
	c.wakeJobs()
	return user, err
}
