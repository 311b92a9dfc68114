package auth

import (
	"errors"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// What can go wrong, as the client must understand it. Every error of the core
// is one of these (errors.Is), an *InvalidError, the context's, or a fault of
// our own. None holds a secret. Their codes and texts for clients stand in
// package graph; which number of WeChat means which stands in package wechat.
var (
	// ErrUnauthenticated: no valid session. The client refreshes, else logs in.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrCodeRejected: the login code is wrong, old or used. The client calls wx.login again.
	ErrCodeRejected = errors.New("login code rejected")
	// ErrBlocked: WeChat has judged the person a risk and lets nobody log them in.
	ErrBlocked = errors.New("account blocked")
	// ErrConflict: the profile is no longer at the version that the client named.
	ErrConflict = errors.New("version conflict")
	// ErrRateLimited: too many calls, here or at WeChat. See RetryAfter.
	ErrRateLimited = errors.New("rate limited")
	// ErrUpstream: WeChat or the store did not answer, or not in time. Whether
	// a write happened is unknown. See RetryAfter.
	ErrUpstream = errors.New("upstream unavailable")
	// ErrReadOnly: the data is being moved or mended, and nothing changes until
	// that is done. Nothing was written and nobody is signed out. See RetryAfter.
	ErrReadOnly = drivers.ErrReadOnly
	// ErrMisconfigured: WeChat refuses this server, not this user: a wrong AppID,
	// AppSecret or IP address. Only the operator can help.
	ErrMisconfigured = errors.New("upstream misconfigured")
	// ErrNotSent comes with ErrUpstream when the request surely never left this
	// machine, so that a login code is still good.
	ErrNotSent = errors.New("not sent")
	// ErrNotFound: there is no such picture.
	ErrNotFound = errors.New("not found")
)

// InvalidError says which input field is wrong and why, in words that may be
// shown to a user and never quote the input.
type InvalidError struct {
	Field  string // the name of the field in the API, as nickname
	Reason string // as "longer than 32 characters"
}

// Error gives field and reason.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// LaterError adds to an error how long the client should wait before it tries again.
type LaterError struct {
	Err   error
	After time.Duration
}

// Error gives the error inside.
func (e *LaterError) Error() string { return e.Err.Error() }

// Unwrap gives the error inside.
func (e *LaterError) Unwrap() error { return e.Err }

// RetryAfter tells how long a client should wait before it repeats a call that
// failed with err; 0 when repeating does not help.
func RetryAfter(err error) time.Duration {
	var later *LaterError
	switch {
	case errors.As(err, &later):
		return later.After
	case errors.Is(err, ErrRateLimited):
		return time.Minute // WeChat counts calls by the minute
	case errors.Is(err, ErrReadOnly):
		return 30 * time.Second
	case errors.Is(err, ErrUpstream):
		return time.Second
	}
	return 0
}
