package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// A code of WeChat's, from wx.login or a phone button, is good for one thing and
// for once: a login, the proof of who is here, or a phone number. It is sent to
// WeChat once at the most (that of a phone button once more, where WeChat refused
// the access token before it looked at the code), by whatever replica, also when the
// call is repeated or the process dies: its record says so before it is sent. claim
// takes the right to send it, spend says what came of it, release gives it back when
// it surely was not sent. A claim that nothing follows is a code that cannot be used
// again, which is the safe side.
type code struct {
	app, text string
	key       drivers.Key // of its record
	request   string      // hash of what a repetition of the call has in common with it; empty when there is none
	holder    string      // random, names the call that claims it
}

// codeRecord says that a code has been claimed and what came of it.
type codeRecord struct {
	Request string    `json:"request,omitempty"` // as in code
	State   string    `json:"state"`             // sent, done, failed
	Holder  string    `json:"holder"`            // as in code
	Session string    `json:"session,omitempty"` // uid.sid, of a login
	Created bool      `json:"created,omitempty"` // whether that login made the user
	Phone   string    `json:"phone,omitempty"`   // sealed; what the code of a phone button gave
	At      time.Time `json:"at"`
}

// The states of a codeRecord.
const (
	codeSent   = "sent"
	codeDone   = "done"   // it gave what is in the record; a proof leaves nothing there
	codeFailed = "failed" // WeChat refused it, or what it gave is lost
)

// codeUsed is how long a used code is remembered. WeChat forgets it after five
// minutes, so an hour is ample.
const codeUsed = time.Hour

// loginCode is a code of wx.login.
func loginCode(app, text, request string) code {
	return code{app, text, drivers.Key{Kind: kindCodes, ID: hashID(app, text)}, request, newID()}
}

// phoneCode is a code of a phone button.
func phoneCode(app, text, request string) code {
	return code{app, text, drivers.Key{Kind: kindCodes, ID: hashID("phone", app, text)}, request, newID()}
}

// isCode reports whether a text can be a code at all.
func isCode(text string) bool { return text != "" && len(text) <= MaxCode && VisibleASCII(text) }

// claim takes the right to send a code to WeChat. It returns a record when the
// code has a request and its call has been done before, and ErrCodeRejected when the
// code was used in any other way. While another replica is at the same call, it waits.
func (c *Core) claim(ctx context.Context, k code) (*codeRecord, error) {
	var failure error
	for range storeTries {
		done, err := c.tryClaim(ctx, k)
		if !errors.Is(err, ErrUpstream) || ctx.Err() != nil {
			return done, err
		}
		// Whether our claim is stored is unknown: look.
		failure = err
		if err := pause(ctx, storePause); err != nil {
			break
		}
	}
	return nil, failure
}

func (c *Core) tryClaim(ctx context.Context, k code) (*codeRecord, error) {
	for {
		now := c.now()
		claim := codeRecord{Request: k.request, State: codeSent, Holder: k.holder, At: now}
		refusal := c.store.Commit(ctx, drivers.Create(k.key, encode(claim), now.Add(codeUsed)))
		if !errors.Is(refusal, drivers.ErrConflict) && !errors.Is(refusal, ErrReadOnly) {
			return nil, storeError("commit", refusal)
		}
		// Claimed before, or not to be claimed now.
		r, record, err := read[codeRecord](ctx, c, k.key)
		if err != nil {
			return nil, err
		}
		switch mine := k.request != "" && r.Request == k.request; {
		case !record.Exists() && errors.Is(refusal, ErrReadOnly):
			return nil, storeError("commit", refusal)
		case !record.Exists():
			continue // released meanwhile
		case r.Holder == k.holder:
			return nil, nil
		case mine && r.State == codeDone && now.Before(r.At.Add(LoginRepeatable)):
			return &r, nil
		case mine && r.State == codeSent && now.Before(r.At.Add(loginTime)):
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return nil, fmt.Errorf("%w: login under way elsewhere", ErrUpstream)
			}
		default:
			return nil, fmt.Errorf("%w: used before", ErrCodeRejected)
		}
	}
}

// spent makes the op that says what came of a code, over its claim.
func (k code) spent(claim drivers.Record, came codeRecord, now time.Time) drivers.Op {
	came.Request, came.Holder, came.At = k.request, k.holder, now
	return drivers.Replace(claim, encode(came), claim.Expires)
}

// spend says what came of a claimed code; what has been said before stays.
func (c *Core) spend(ctx context.Context, k code, came codeRecord) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		r, claim, err := read[codeRecord](ctx, c, k.key)
		if err != nil || r.State != codeSent {
			return nil, err
		}
		return []drivers.Op{k.spent(claim, came, c.now())}, nil
	})
}

// release frees a claimed code that surely was not sent.
func (c *Core) release(ctx context.Context, k code) error { return c.remove(ctx, k.key) }

// trade sends a claimed code of wx.login to WeChat, once: directly for an app of
// our own, through the third-party platform for a merchant's. Where nothing was
// sent, the code is free again.
func (c *Core) trade(ctx context.Context, k code) (person WeChatSession, err error) {
	if slices.Contains(c.apps, k.app) {
		person, err = c.wechat.CodeToSession(ctx, k.app, k.text)
	} else {
		person, err = c.tradeForMerchant(ctx, k)
	}
	switch {
	case errors.Is(err, ErrNotSent):
		c.release(ctx, k)
	case err != nil:
		c.spend(ctx, k, codeRecord{State: codeFailed})
	}
	return person, err
}

// proof is a person whom a fresh code has shown to be here.
type proof struct {
	app    string
	person WeChatSession
}

// identity is the key of the identity that the proof shows.
func (p proof) identity() drivers.Key { return identityKey(p.app, p.person.OpenID) }

// prove trades a fresh login code for the person, as a login does, but makes no
// session. Such a call cannot be repeated with the same code.
func (c *Core) prove(ctx context.Context, app, text string) (proof, error) {
	l, err := c.parseLogin(LoginInput{Code: text, AppID: &app})
	if err != nil {
		return proof{}, err
	}
	if _, err := c.claim(ctx, l.code); err != nil {
		return proof{}, err
	}
	person, err := c.trade(ctx, l.code)
	if err != nil {
		return proof{}, err
	}
	c.spend(ctx, l.code, codeRecord{State: codeDone})
	return proof{l.code.app, person}, nil
}
