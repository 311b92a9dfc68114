package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// The third-party platform: merchants authorise it, and their apps' people log
// in here without their AppSecrets. WeChat pushes a ticket every ten minutes; the
// ticket gives the platform's token, and that the tokens of the merchants.
//
// ticketAgain is how long we wait before we ask for tickets once more.
const ticketAgain = 10 * time.Minute

func (c *Core) ticketKey() drivers.Key { return tokenKey("ticket", c.wechat.Component()) }

// keepTicket stores a pushed ticket unless there is a newer one.
func (c *Core) keepTicket(ctx context.Context, push Push) error {
	key := c.ticketKey()
	return c.transact(ctx, func() ([]drivers.Op, error) {
		r, record, err := read[ticketRecord](ctx, c, key)
		if err != nil || r.At != nil && !push.At.After(*r.At) {
			return nil, err
		}
		r.Ticket, r.At = c.seals.seal(key, push.Secret), &push.At
		return []drivers.Op{put(record, r)}, nil
	})
}

// withComponent calls a method of WeChat with the platform's token.
func (c *Core) withComponent(ctx context.Context, call func(token string) error) error {
	component := c.wechat.Component()
	return c.useToken(ctx, tokenKey(tokenOfComponent, component), component, c.fetchComponentToken, call)
}

func (c *Core) fetchComponentToken(ctx context.Context, _ tokenRecord) (Authorization, error) {
	key := c.ticketKey()
	r, record, err := read[ticketRecord](ctx, c, key)
	if err != nil {
		return Authorization{}, err
	}
	if r.Ticket != "" {
		if ticket, err := c.seals.open(key, r.Ticket); err == nil {
			token, err := c.wechat.ComponentToken(ctx, ticket)
			if !errors.Is(err, ErrTicketRejected) {
				return Authorization{AppID: c.wechat.Component(), Token: token}, err
			}
		}
	}
	// There is no ticket, or it is too old: pushes got lost. Ask for them again.
	if now := c.now(); r.Asked == nil || now.Sub(*r.Asked) >= ticketAgain {
		r.Asked = &now
		err := c.store.Commit(ctx, put(record, r))
		if err == nil {
			if err = c.wechat.StartTickets(ctx); err != nil {
				return Authorization{}, fmt.Errorf("ask for tickets: %w", err)
			}
		} else if !errors.Is(err, drivers.ErrConflict) {
			return Authorization{}, storeError("commit", err)
		}
	}
	return Authorization{}, &LaterError{fmt.Errorf("%w: no good ticket of the third-party platform yet", ErrUpstream), 10 * time.Second}
}

func (c *Core) fetchMerchantToken(ctx context.Context, old tokenRecord) (fresh Authorization, err error) {
	if old.Refresh == "" {
		return fresh, ErrNotAuthorized
	}
	refresh, err := c.seals.open(tokenKey(tokenOfMerchant, old.App), old.Refresh)
	if err != nil {
		return fresh, fmt.Errorf("refresh token of a merchant: %w", err)
	}
	err = c.withComponent(ctx, func(token string) error {
		fresh, err = c.wechat.AuthorizerToken(ctx, token, old.App, refresh)
		return err
	})
	fresh.AppID = old.App
	return fresh, err
}

// authorize stores what a merchant has given the platform. The code for it works
// once: where the process dies between WeChat's answer and the commit, or the store
// fails for long, the merchant must authorise the platform again, and the error, of
// this run or of the next, says so.
func (c *Core) authorize(ctx context.Context, push Push) error {
	// The code works once: it is not for a push that has been dealt with, or that a
	// newer one has overtaken.
	known, err := c.merchant(ctx, push.AppID)
	if err != nil || known.Since != nil && !push.At.After(*known.Since) {
		return err
	}
	var fresh Authorization
	err = c.withComponent(ctx, func(token string) (err error) {
		fresh, err = c.wechat.QueryAuthorization(ctx, token, push.Secret)
		return err
	})
	switch {
	case errors.Is(err, ErrNotAuthorized):
		return fmt.Errorf("the code of an authorisation is used or too old, perhaps by a try whose answer got lost: merchant %s must authorise again: %w", push.AppID, err)
	case err != nil:
		return err
	}
	ctx, cancel := outlive(ctx, keepTime) // the code is spent, and the server may be stopping
	defer cancel()
	key, now := tokenKey(tokenOfMerchant, fresh.AppID), c.now()
	keep := func() ([]drivers.Op, error) {
		known, record, err := read[tokenRecord](ctx, c, key)
		if err != nil || known.Since != nil && known.Since.After(push.At) {
			return nil, err // a newer one was faster
		}
		return []drivers.Op{put(record, c.tokenRecord(key, fresh, tokenRecord{Since: &push.At}, now))}, nil
	}
	err = c.transactSurely(ctx, keep)
	if err != nil {
		return fmt.Errorf("what merchant %s gave was not stored: it must authorise again: %w", fresh.AppID, err)
	}
	return nil
}

// unauthorize forgets a merchant: nobody logs in through their app any more.
// One that has authorised again since stays.
func (c *Core) unauthorize(ctx context.Context, push Push) error {
	return c.transact(ctx, func() ([]drivers.Op, error) {
		r, record, err := read[tokenRecord](ctx, c, tokenKey(tokenOfMerchant, push.AppID))
		if err != nil || !record.Exists() || r.Since != nil && r.Since.After(push.At) {
			return nil, err
		}
		return []drivers.Op{drivers.Delete(record)}, nil
	})
}

// merchant returns what is stored of a merchant's app: without a Refresh when it
// has not authorised us.
func (c *Core) merchant(ctx context.Context, appID string) (tokenRecord, error) {
	r, _, err := read[tokenRecord](ctx, c, tokenKey(tokenOfMerchant, appID))
	return r, err
}

// tradeForMerchant is trade for a merchant's app. The code is sent once, also
// when WeChat refuses the platform's token: then the client gets another code for
// nothing, while a code sent twice would be against the promise.
func (c *Core) tradeForMerchant(ctx context.Context, k code) (person WeChatSession, err error) {
	merchant, err := c.merchant(ctx, k.app)
	switch {
	case err != nil:
		return person, errors.Join(err, ErrNotSent)
	case merchant.Refresh == "":
		return person, errors.Join(ErrNotSent, notOurApp)
	}
	sent, refused := false, false
	err = c.withComponent(ctx, func(token string) error {
		if sent {
			return nil // the token is new, but the code is not sent again
		}
		sent = true
		person, err = c.wechat.ComponentCodeToSession(ctx, token, k.app, k.text)
		refused = errors.Is(err, ErrTokenRejected)
		return err
	})
	switch {
	case refused: // whatever became of the new token
		return person, fmt.Errorf("%w: the platform's token was too old", ErrCodeRejected)
	case err != nil && !sent:
		return person, errors.Join(err, ErrNotSent)
	case errors.Is(err, ErrNotAuthorized):
		return person, notOurApp
	}
	return person, err
}
