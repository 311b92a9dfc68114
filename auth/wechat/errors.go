package wechat

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// Error is a call to WeChat that failed: refused by it, or not answered. It is
// (errors.Is) one of auth.ErrCodeRejected, ErrBlocked, ErrRateLimited,
// ErrTokenRejected, ErrTicketRejected, ErrNotAuthorized, ErrSessionKeyStale,
// ErrNotSeen, ErrUpstream and ErrMisconfigured; beside ErrUpstream also auth.ErrNotSent
// when the request surely never left, and the error of the caller's context
// when that had ended. It holds no secret, code, URL or word of WeChat's, so
// all of it may be logged.
type Error struct {
	API    string // the call, as jscode2session
	App    string // the AppID that was asked for, where it is one of our own; may be empty
	Code   int    // WeChat's errcode; 0 when it gave none
	RID    string // WeChat's id of the request, for its support; may be empty
	Status int    // the HTTP status; 0 without a reply
	Reason string // what went wrong when there is no Code

	is []error
}

// Error gives the call, what went wrong, in our words where the operator can do
// something about it, and what that means.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat " + e.API)
	if e.App != "" {
		b.WriteString(" of " + e.App)
	}
	b.WriteString(": ")
	if e.Code != 0 {
		b.WriteString("errcode " + strconv.Itoa(e.Code))
		if known, ok := remedies[e.Code]; ok && errors.Is(e, auth.ErrMisconfigured) {
			b.WriteString(", " + known.is)
		}
		if e.RID != "" {
			b.WriteString(", rid " + e.RID)
		}
	} else {
		b.WriteString(e.Reason)
	}
	for i, err := range e.is {
		b.WriteString([]string{": ", ", "}[min(i, 1)] + err.Error())
	}
	return b.String()
}

// Advice says what the operator can do about it, or nothing.
func (e *Error) Advice() string {
	if !errors.Is(e, auth.ErrMisconfigured) {
		return ""
	}
	return remedies[e.Code].do
}

// remedies say of refusals that an operator can do something about what they are
// and what to do.
var remedies = map[int]struct{ is, do string }{
	40001: {"the AppSecret is wrong", newSecret},
	40013: {"the AppID is wrong", "copy the AppID from mp.weixin.qq.com into WECHAT_APPS (of the platform: WECHAT_COMPONENT)"},
	40125: {"the AppSecret is wrong", newSecret},
	40164: {"this machine's address is not on the IP allow-list", "add this machine's address to the IP allow-list at mp.weixin.qq.com"},
	40243: {"the AppSecret is frozen", "unfreeze the AppSecret at mp.weixin.qq.com; it takes some ten minutes"},
	48001: {"the app has not been granted this API", "have this API granted to the app at mp.weixin.qq.com"},
	50004: {"the app may not call this API", "see at mp.weixin.qq.com why the app may not call this API"},
	50007: {"the app is frozen", "see at mp.weixin.qq.com why the app is frozen"},
	61004: {"this machine's address is not on the third-party platform's IP allow-list", "add this machine's address to the platform's IP allow-list at open.weixin.qq.com"},
	89503: {"this machine's address waits for the app's admin", "have the app's admin confirm this machine's address"},
	89506: {"the app's admin has refused this machine's address for a day", "have the app's admin accept this machine's address"},
	89507: {"the app's admin has refused this machine's address for an hour", "have the app's admin accept this machine's address"},
}

const newSecret = "copy the AppSecret from mp.weixin.qq.com into WECHAT_APPS (of the platform: WECHAT_COMPONENT)"

// Unwrap gives the errors of package auth that this one is.
func (e *Error) Unwrap() []error { return e.is }

// meanings says what WeChat's errcodes mean to us; any other is ErrUpstream.
// Sources: DOC/miniprogram/dev/server/API/user-login/api_code2session for -1,
// 40029, 40226 and 45011; DOC/miniprogram/dev/server/API/mp-access-token for
// what concerns app, secret, token and quota; the page of each other call, which
// its endpoint names, for the call's own; the rest are numbers that hold for every
// call and that SDKs and reports agree on. DOC is https://developers.weixin.qq.com.
var meanings = map[int]error{
	-1: auth.ErrUpstream, // busy; the code may be burnt already

	40029: auth.ErrCodeRejected, // invalid: expired, of another app, or used
	40163: auth.ErrCodeRejected, // used

	40226: auth.ErrBlocked, // a person of high risk

	45011: aMinute,                                                      // the quota of the minute
	44991: aMinute,                                                      // the same, of the content checks
	87020: aMinute,                                                      // the same picture again, too soon
	45009: &auth.LaterError{Err: auth.ErrRateLimited, After: time.Hour}, // the quota of the day

	40001: auth.ErrTokenRejected, // invalid, or not the latest
	40014: auth.ErrTokenRejected, // malformed
	42001: auth.ErrTokenRejected, // expired

	87007: auth.ErrSessionKeyStale, // the person has none
	87009: auth.ErrSessionKeyStale, // signed with another
	61010: auth.ErrNotSeen,         // not in the app for two hours

	61003: auth.ErrNotAuthorized,  // the merchant has not, or no longer, authorised us
	61007: auth.ErrNotAuthorized,  // not for this call
	61023: auth.ErrNotAuthorized,  // the refresh token is no more
	61005: auth.ErrTicketRejected, // expired
	61006: auth.ErrTicketRejected, // invalid

	40002: auth.ErrMisconfigured, // grant_type
	40013: auth.ErrMisconfigured, // AppID
	40125: auth.ErrMisconfigured, // AppSecret
	40164: auth.ErrMisconfigured, // our IP address is not on the app's list
	40243: auth.ErrMisconfigured, // AppSecret frozen
	41002: auth.ErrMisconfigured, // AppID missing
	41004: auth.ErrMisconfigured, // AppSecret missing
	41001: auth.ErrMisconfigured, // token missing: we never send an empty one
	41008: auth.ErrMisconfigured, // code missing: we never send an empty one
	40003: auth.ErrMisconfigured, // openid: of another app
	43104: auth.ErrMisconfigured, // openid: of another app
	40004: auth.ErrMisconfigured, // media type: a fault of ours, as the next ones
	40097: auth.ErrMisconfigured, // arguments
	40129: auth.ErrMisconfigured, // scene
	43002: auth.ErrMisconfigured, // not by POST
	44002: auth.ErrMisconfigured, // empty body
	47001: auth.ErrMisconfigured, // not JSON
	87008: auth.ErrMisconfigured, // sig_method
	40094: auth.ErrMisconfigured, // the component's credentials
	41018: auth.ErrMisconfigured, // the component's AppID missing
	61004: auth.ErrMisconfigured, // our IP address is not on the component's list
	61011: auth.ErrMisconfigured, // no component: a mini program's AppID
	48001: auth.ErrMisconfigured, // the API is not granted to the app
	50004: auth.ErrMisconfigured, // the app may not call this
	50007: auth.ErrMisconfigured, // the app is frozen
	89503: auth.ErrMisconfigured, // our IP address waits for the app's admin
	89506: auth.ErrMisconfigured, // the admin refused our IP address, for a day
	89507: auth.ErrMisconfigured, // the admin refused our IP address, for an hour
}

var aMinute = &auth.LaterError{Err: auth.ErrRateLimited, After: time.Minute}

// endpoint is one call of WeChat's.
type endpoint struct {
	name  string        // in errors
	path  string        // below the base URL
	means map[int]error // what its errcodes mean where that differs from meanings
}

func (at *endpoint) meaning(code int) error {
	if err, ok := at.means[code]; ok {
		return err
	}
	if err, ok := meanings[code]; ok {
		return err
	}
	return auth.ErrUpstream
}

// ridOf returns the request id at the end of an errmsg, as in
// "invalid code, rid: 6733f0a1-1b2c3d4e-5f607182". It is the only part of a
// message that we keep, so it must look like one, and hold nothing of hidden.
func ridOf(message string, hidden ...string) string {
	_, rid, ok := strings.Cut(message, "rid:")
	if !ok {
		return ""
	}
	rid = strings.TrimSpace(rid)
	if len(rid) < 8 || len(rid) > 64 || strings.Trim(rid, "0123456789abcdef-") != "" {
		return ""
	}
	for _, h := range hidden {
		if h == "" {
			continue
		}
		if strings.Contains(rid, h) || strings.Contains(h, rid) {
			return ""
		}
	}
	return rid
}
