package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// BindPhoneNumberInput is what BindPhoneNumber needs: the code of a phone button,
// or encryptedData and iv of an older client, or a code that is given as nil, to unbind.
type BindPhoneNumberInput struct {
	Code          Change[string]
	EncryptedData *string
	IV            *string
	Move          bool // takes the number from another account that has it
	Consent       *ConsentInput
}

// BindPhoneNumberPayload is what BindPhoneNumber gives.
type BindPhoneNumberPayload struct{ User *User }

// openDataLife is how old open data of the client may be, by its watermark.
const openDataLife = 10 * time.Minute

// BindPhoneNumber makes a number that WeChat vouches for the caller's, or takes
// the caller's away. A number is that of one account: where another has it,
// nothing happens without Move, and what was encrypted for an older client moves
// none: that is a weaker proof. Like a login's, a code is claimed before it goes
// to WeChat; within LoginRepeatable the same user may repeat the call with the
// same code, with Move or a consent too, and it is not sent again.
//
// Errors: ErrUnauthenticated (also when the session_key is stale: log in again),
// ErrConsentRequired, ErrRateLimited, ErrUpstream, ErrMisconfigured, or an
// *InvalidError for code, encryptedData, iv or move.
func (c *Core) BindPhoneNumber(ctx context.Context, accessToken string, in BindPhoneNumberInput) (*BindPhoneNumberPayload, error) {
	by, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	encrypted := in.EncryptedData != nil || in.IV != nil
	switch {
	case in.Code.Given && encrypted:
		return nil, &InvalidError{"code", "not together with encryptedData"}
	case !in.Code.Given && (in.EncryptedData == nil || in.IV == nil):
		return nil, &InvalidError{"code", "needed, or encryptedData and iv"}
	case encrypted && in.Move:
		return nil, &InvalidError{"move", "only with a code"}
	case in.Code.Given && in.Code.To == nil:
		user, err := c.change(ctx, by, true, nil, in.Consent, func(by caller, a *account) ([]drivers.Op, []string, error) {
			ops, cleared, err := c.clear(ctx, a, ScopePhone, c.now())
			if err != nil || !cleared {
				return nil, nil, err
			}
			entry := auditRecord{At: c.now(), Event: PhoneUnbound, Session: by.user.sid, Fields: []string{"phone"}}
			return append(ops, audited(a.uid, entry)), []string{"phone"}, nil
		})
		if err != nil {
			return nil, fmt.Errorf("unbind phone number: %w", err)
		}
		return &BindPhoneNumberPayload{user}, nil
	}
	// What the code is refused for anyway should not cost it.
	needs := []ConsentScope{ScopePhone}
	if err := c.demand(ctx, by, in.Consent, needs); err != nil {
		return nil, err
	}
	var number Phone
	if encrypted {
		number, err = c.openPhone(ctx, by, *in.EncryptedData, *in.IV)
	} else {
		number, err = c.tradePhone(ctx, by, *in.Code.To)
	}
	if err != nil {
		return nil, fmt.Errorf("bind phone number: %w", err)
	}
	user, err := c.change(ctx, by, false, needs, in.Consent, func(by caller, a *account) ([]drivers.Op, []string, error) {
		return c.bindPhone(ctx, by, a, number, in.Move)
	})
	if err != nil {
		return nil, fmt.Errorf("bind phone number: %w", err)
	}
	return &BindPhoneNumberPayload{user}, nil
}

// bindPhone gives a number to an account.
func (c *Core) bindPhone(ctx context.Context, by caller, a *account, phone Phone, move bool) ([]drivers.Op, []string, error) {
	now := c.now()
	if a.user.Phone != nil && *a.user.Phone == phone {
		return nil, nil, nil
	}
	r, record, err := read[phoneRecord](ctx, c, phoneKey(phone))
	if err != nil {
		return nil, nil, err
	}
	var ops []drivers.Op
	if record.Exists() {
		other, err := c.account(ctx, r.User)
		if err != nil {
			return nil, nil, err
		}
		if other.there && other.uid != a.uid && other.user.Phone != nil && *other.user.Phone == phone {
			if !move {
				return nil, nil, &InvalidError{"move", "must be true, with a code: another account has this number"}
			}
			other.user.Phone = nil
			other.user.touch(now)
			ops = append(ops, put(other.record, other.user),
				audited(other.uid, auditRecord{At: now, Event: PhoneMovedAway, Fields: []string{"phone"}}))
		}
	}
	if a.user.Phone != nil {
		free, err := c.freePhone(ctx, a.uid, *a.user.Phone)
		if err != nil {
			return nil, nil, err
		}
		ops = append(ops, free...)
	}
	a.user.Phone = &phone
	return append(ops,
		put(record, phoneRecord{User: a.uid, Created: now}),
		audited(a.uid, auditRecord{At: now, Event: PhoneBound, Session: by.user.sid, Fields: []string{"phone"}}),
	), []string{"phone"}, nil
}

// freePhone makes the op that lets others have an account's number.
func (c *Core) freePhone(ctx context.Context, uid string, phone Phone) ([]drivers.Op, error) {
	r, record, err := read[phoneRecord](ctx, c, phoneKey(phone))
	if err != nil || !record.Exists() || r.User != uid {
		return nil, err
	}
	return []drivers.Op{drivers.Delete(record)}, nil
}

// tradePhone sends the code of a phone button to WeChat, once: a second time only
// when WeChat refused the access token, before it looked at the code.
func (c *Core) tradePhone(ctx context.Context, by caller, text string) (Phone, error) {
	who, err := c.person(by)
	if err != nil {
		return Phone{}, err
	}
	if !isCode(text) {
		return Phone{}, &InvalidError{"code", "no code of a phone button"}
	}
	refused := &InvalidError{"code", "wrong, too old or used: ask the user to tap the button again"}
	k := phoneCode(who.App, text, hashID("phone", by.user.ID))
	done, err := c.claim(ctx, k)
	switch {
	case errors.Is(err, ErrCodeRejected):
		return Phone{}, refused
	case err != nil:
		return Phone{}, err
	case done != nil:
		return c.openClaimedPhone(k.key, *done)
	}
	var number Phone
	sent := false
	err = c.withToken(ctx, who.App, func(token string) (err error) {
		number, err = c.wechat.PhoneNumber(ctx, token, who.App, text)
		sent = sent || !errors.Is(err, ErrNotSent)
		return err
	})
	ctx, cancel := outlive(ctx, keepTime) // the code is spent
	defer cancel()
	switch {
	case err == nil:
		phone := c.seals.seal(k.key, number.CountryCode+" "+number.Number)
		return number, c.spend(ctx, k, codeRecord{State: codeDone, Phone: phone})
	case !sent:
		c.release(ctx, k)
	default:
		c.spend(ctx, k, codeRecord{State: codeFailed})
	}
	if errors.Is(err, ErrCodeRejected) {
		return number, refused
	}
	return number, err
}

func (c *Core) openClaimedPhone(key drivers.Key, r codeRecord) (n Phone, err error) {
	text, err := c.seals.open(key, r.Phone)
	if err != nil {
		return n, fmt.Errorf("phone number %w", err)
	}
	_, err = fmt.Sscanf(text, "%s %s", &n.CountryCode, &n.Number)
	return n, err
}

// openPhone decrypts a number that an older client sent.
func (c *Core) openPhone(ctx context.Context, by caller, data, iv string) (Phone, error) {
	open, err := c.openData(ctx, by, data, iv)
	if err != nil {
		return Phone{}, err
	}
	if open.Phone == nil {
		return Phone{}, &InvalidError{"encryptedData", "holds no phone number"}
	}
	made, err := c.madeByWeChat(ctx, by, data)
	switch {
	case err != nil:
		return Phone{}, err
	case !made:
		return Phone{}, &InvalidError{"encryptedData", "not what WeChat gave"}
	}
	return *open.Phone, nil
}

// madeByWeChat asks WeChat whether it has encrypted this phone number: that data
// fits the session_key proves less, see withSessionKey.
//
// WeChat knows "the SHA-256 of the encrypted data", and does not say whether that
// is the text that clients get or the bytes that it stands for. What WeChat has made
// it knows as one of the two, what it has not made as neither, so we ask for both.
func (c *Core) madeByWeChat(ctx context.Context, by caller, data string) (made bool, err error) {
	who, err := c.person(by)
	if err != nil {
		return false, err
	}
	decoded, _ := base64.StdEncoding.DecodeString(data) // it was opened: it is base64
	for _, form := range []string{data, string(decoded)} {
		err = c.withToken(ctx, who.App, func(token string) (err error) {
			made, err = c.wechat.MadeEncrypted(ctx, token, form)
			return err
		})
		if err != nil || made {
			break
		}
	}
	return made, err
}
