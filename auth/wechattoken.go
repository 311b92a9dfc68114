package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// WeChat's tokens lie in the store, sealed, so that all replicas use the same.
// One caller at a time renews one, early, under a lease taken by compare-and-swap;
// the others go on with the old one, or wait where there is none. Nobody ever
// forces a new token: that would take the old one from whoever uses it.
const (
	// renewEarly: WeChat gives a new token from 5 minutes before the old one ends.
	renewEarly = 6 * time.Minute
	// renewAgain is the least time between two renewals of a good token, for WeChat
	// may give the old one again.
	renewAgain = 30 * time.Second
	// tokenLease is how long a renewal may take before another caller may try.
	tokenLease = 15 * time.Second
	// tokenPause is how long nobody asks after a renewal failed.
	tokenPause = time.Second
	tokenPoll  = 25 * time.Millisecond
)

// tokenKey says where a token is kept. what is app, component or merchant.
func tokenKey(what, appID string) drivers.Key {
	return drivers.Key{Kind: kindTokens, ID: hashID(what, appID)}
}

// The kinds of tokens.
const (
	tokenOfApp       = "app"
	tokenOfComponent = "component"
	tokenOfMerchant  = "merchant"
)

// fetch asks WeChat for a token. old is what is stored.
type fetch func(ctx context.Context, old tokenRecord) (Authorization, error)

// tokenOf tells where the token of an app is kept and how it is fetched.
func (c *Core) tokenOf(appID string) (drivers.Key, fetch) {
	if !slices.Contains(c.apps, appID) {
		return tokenKey(tokenOfMerchant, appID), c.fetchMerchantToken
	}
	return tokenKey(tokenOfApp, appID), func(ctx context.Context, _ tokenRecord) (Authorization, error) {
		token, err := c.wechat.AccessToken(ctx, appID)
		return Authorization{AppID: appID, Token: token}, err
	}
}

// withToken calls a method of WeChat with the app's access token. When WeChat
// refuses the token, it is renewed once and the call repeated once.
func (c *Core) withToken(ctx context.Context, appID string, call func(token string) error) error {
	key, fetch := c.tokenOf(appID)
	err := c.useToken(ctx, key, appID, fetch, call)
	if errors.Is(err, ErrNotAuthorized) {
		return fmt.Errorf("%w: %w", ErrMisconfigured, err)
	}
	return err
}

func (c *Core) useToken(ctx context.Context, key drivers.Key, appID string, fetch fetch, call func(token string) error) error {
	token, err := c.token(ctx, key, appID, fetch, "")
	if err != nil {
		return err
	}
	if err = call(token); !errors.Is(err, ErrTokenRejected) {
		return err
	}
	if token, err = c.token(ctx, key, appID, fetch, token); err != nil {
		return err
	}
	if err = call(token); errors.Is(err, ErrTokenRejected) {
		return fmt.Errorf("%w: WeChat refuses a new access token", ErrUpstream)
	}
	return err
}

// token returns the token kept at key, renewed if need be. rejected is a token
// that WeChat has refused: another one is wanted.
func (c *Core) token(ctx context.Context, key drivers.Key, appID string, fetch fetch, rejected string) (string, error) {
	waited := false // for a renewal: what came of it is as new as can be
	waiting, cancel := context.WithTimeout(ctx, tokenLease)
	defer cancel()
	for {
		r, record, err := read[tokenRecord](ctx, c, key)
		if err != nil {
			return "", err
		}
		if !record.Exists() {
			r.App = appID
		}
		now, token := c.now(), ""
		if r.Token != "" && r.Expires != nil && now.Before(*r.Expires) {
			if token, err = c.seals.open(key, r.Token); err != nil {
				token = "" // the secret was changed: a new token is as good
			}
		}
		due := r.Renew == nil || !now.Before(*r.Renew)
		taken := r.Until != nil && now.Before(*r.Until)
		good := token != "" && (token != rejected || waited && !taken)
		switch {
		case good && (!due || taken):
			return token, nil
		case !good && taken && r.Lease == "":
			return "", &LaterError{fmt.Errorf("%w: an access token was asked for in vain a moment ago", ErrUpstream), tokenPause}
		case taken:
			waited = true
			if err := pause(waiting, tokenPoll); err != nil {
				return "", fmt.Errorf("%w: an access token is being renewed elsewhere", ErrUpstream)
			}
			continue
		}
		until := now.Add(tokenLease)
		r.Lease, r.Until = newID(), &until
		err = c.store.Commit(ctx, put(record, r))
		if errors.Is(err, drivers.ErrConflict) {
			continue // another one was faster
		}
		if err != nil {
			return "", storeError("commit", err)
		}
		fresh, err := c.renew(ctx, key, r, fetch)
		switch {
		case err == nil:
			return fresh, nil
		case good && !errors.Is(err, ErrNotAuthorized):
			return token, nil
		}
		return "", err
	}
}

// renew fetches a token under the lease of r and stores it.
func (c *Core) renew(ctx context.Context, key drivers.Key, r tokenRecord, fetch fetch) (string, error) {
	limited, cancel := context.WithTimeout(ctx, tokenLease/2)
	fresh, failure := fetch(limited, r)
	cancel()
	if failure == nil && fresh.Token.Value == "" {
		failure = fmt.Errorf("%w: an empty access token", ErrUpstream)
	}
	lease, now := r.Lease, c.now()
	ctx, cancel = outlive(ctx, tokenLease/2)
	defer cancel()
	err := c.transactSurely(ctx, func() ([]drivers.Op, error) {
		r, record, err := read[tokenRecord](ctx, c, key)
		if err != nil || r.Lease != lease {
			return nil, err
		}
		if failure != nil {
			until := now.Add(tokenPause)
			r.Lease, r.Until = "", &until
		} else {
			r = c.tokenRecord(key, fresh, r, now)
		}
		return []drivers.Op{put(record, r)}, nil
	})
	if failure != nil {
		return "", fmt.Errorf("access token: %w", failure)
	}
	return fresh.Token.Value, err
}

// tokenRecord is the stored form of a fresh token. old is what was stored.
func (c *Core) tokenRecord(key drivers.Key, fresh Authorization, old tokenRecord, now time.Time) tokenRecord {
	expires := now.Add(fresh.Token.Life)
	renew := expires.Add(-renewEarly)
	if again := now.Add(renewAgain); renew.Before(again) {
		renew = again
	}
	r := tokenRecord{App: fresh.AppID, Token: c.seals.seal(key, fresh.Token.Value), Refresh: old.Refresh, Since: old.Since, Expires: &expires, Renew: &renew}
	if fresh.RefreshToken != "" {
		r.Refresh = c.seals.seal(key, fresh.RefreshToken)
	}
	return r
}
