package auth

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
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
	// ErrNotSent comes with another error (ErrUpstream, ErrRateLimited or an
	// *InvalidError) when the request surely never left this machine, so that a login
	// code is still good.
	ErrNotSent = errors.New("not sent")
	// ErrNotFound: there is no such picture, upload or account.
	ErrNotFound = errors.New("not found")
	// ErrLogInAgain comes with ErrUnauthenticated when refreshing does not help: only a
	// new wx.login gives the server a session_key that fits, or shows that the person
	// is here.
	ErrLogInAgain = errors.New("log in again with wx.login")
	// ErrDeletionPending comes with ErrUnauthenticated when the user has deleted the
	// account and it is not erased yet. A login would restore it: the client asks the
	// user before, and does not log in by itself as it does when a session is over.
	ErrDeletionPending = errors.New("the account waits for its deletion")
	// ErrSealed comes with ErrUnauthenticated when a session is sealed with another
	// secret than the server has: the client logs in again, and the operator must
	// know, for it is so for everybody. Either the secret was changed without keeping
	// the old one beside it, or the record was tampered with.
	ErrSealed = errors.New("sealed with another secret")
	// ErrContentRejected: WeChat judges a nickname or picture unfit to be shown.
	ErrContentRejected = errors.New("content rejected")
	// ErrConsentRequired: the operator demands a consent for this, and there is none.
	ErrConsentRequired = errors.New("consent required")
)

// What package wechat tells the core beside the errors above. Of these only
// ErrPushRejected is ever answered, to whoever sent the push; of the others the core
// knows what to do.
var (
	// ErrTokenRejected: WeChat refuses the access token. The core renews it once
	// and repeats the call once.
	ErrTokenRejected = errors.New("access token rejected")
	// ErrSessionKeyStale: the session_key is no longer WeChat's. The client logs in again.
	ErrSessionKeyStale = errors.New("session_key stale")
	// ErrNotSeen: WeChat judges content only of people who were in the app lately.
	ErrNotSeen = errors.New("person not seen lately")
	// ErrTicketRejected: the ticket of the third-party platform is too old or wrong.
	ErrTicketRejected = errors.New("component ticket rejected")
	// ErrNotAuthorized: the merchant has not authorised the third-party platform, or no longer.
	ErrNotAuthorized = errors.New("not authorized by the merchant")
	// ErrPushRejected: a push is not WeChat's, or not for us, or too old.
	ErrPushRejected = errors.New("push rejected")
)

// InvalidError says which input field is wrong and why, in words that may be
// shown to a user and never quote the input.
type InvalidError struct {
	Field  string // the name of the field in the API, as nickname
	Reason string // as "longer than 32 characters"
}

// Error gives field and reason.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// FieldError adds to an error which input field it is about.
type FieldError struct {
	Field string
	Err   error
}

// Error gives the error inside and the field.
func (e *FieldError) Error() string { return e.Err.Error() + ": " + e.Field }

// Unwrap gives the error inside.
func (e *FieldError) Unwrap() error { return e.Err }

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
	var busy *drivers.BusyError
	switch {
	case errors.As(err, &later):
		return later.After
	case errors.As(err, &busy):
		return busy.After
	case errors.Is(err, ErrRateLimited):
		return time.Minute // WeChat counts calls by the minute
	case errors.Is(err, ErrReadOnly):
		return 30 * time.Second
	case errors.Is(err, ErrUpstream):
		return time.Second
	}
	return 0
}

// guarded calls do where a panic would end the process. It becomes an error that
// tells the place; of the value only its type, for it may hold a secret, unless it is
// the runtime's own.
func guarded(do func() error) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		what := fmt.Sprintf("%T", value)
		if fault, ok := value.(runtime.Error); ok {
			what = fault.Error()
		}
		var callers [64]uintptr
		frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
		frame, more := frames.Next()
		for more && strings.HasPrefix(frame.Function, "runtime.") { // gopanic and its like
			frame, more = frames.Next()
		}
		err = fmt.Errorf("panicked at %s:%d: %s", frame.Function, frame.Line, what)
	}()
	return do()
}
