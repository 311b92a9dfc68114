package auth

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// WeChat is what the core needs of WeChat's server API; package auth/wechat
// fulfils it. It keeps nothing between calls: tokens and tickets are the core's,
// sealed in the store, so that all replicas share them. Its errors are the
// sentinels of this package or an *InvalidError, and hold no secret. All methods
// may be called by any number of goroutines. No method repeats a request: it makes
// one at the most, and adds ErrNotSent to the error where it is sure that it made none.
type WeChat interface {
	// CodeToSession trades the code of wx.login for the person's ids and key
	// (code2Session). A code works once. appID is one that the server is
	// configured for.
	CodeToSession(ctx context.Context, appID, code string) (WeChatSession, error)
	// AccessToken asks for the app's access token (stable_token, never by force).
	AccessToken(ctx context.Context, appID string) (Token, error)

	// The next ones take an access token: the app's own, or the one that a
	// merchant's app gave the third-party platform. ErrTokenRejected when WeChat
	// refuses it (40001, 40014, 42001); then nothing else has happened.

	// CheckSessionKey tells whether the person's key is still WeChat's (checksession).
	CheckSessionKey(ctx context.Context, token, openID, sessionKey string) (bool, error)
	// ResetSessionKey replaces the person's key and returns the new one
	// (resetusersessionkey). ErrSessionKeyStale when it was not current.
	ResetSessionKey(ctx context.Context, token, openID, sessionKey string) (string, error)
	// PhoneNumber trades the code of a phone button (getuserphonenumber). The code
	// works once and is not that of wx.login. ErrCodeRejected when it is none, used,
	// old or of another app than appID.
	PhoneNumber(ctx context.Context, token, appID, code string) (Phone, error)
	// MadeEncrypted tells whether WeChat has encrypted this for a client of the app
	// in the last three days (checkencryptedmsg), which it knows of phone numbers
	// alone. data is what WeChat is told the SHA-256 of.
	MadeEncrypted(ctx context.Context, token, data string) (bool, error)
	// CheckText judges a text of a profile (msg_sec_check v2, scene 1).
	// ErrNotSeen when the person was not in the app in the last two hours (61010).
	CheckText(ctx context.Context, token, openID, text string) (Verdict, error)
	// CheckPicture has a picture judged later (media_check_async v2); the verdict
	// comes as a push with the trace id. ErrNotSeen as in CheckText.
	CheckPicture(ctx context.Context, token, openID, pictureURL string) (traceID string, err error)

	// The third-party platform. Component is its AppID, or "" where there is none;
	// then the others are not called.
	Component() string
	// StartTickets asks WeChat to push tickets (api_start_push_ticket).
	StartTickets(ctx context.Context) error
	// ComponentToken trades the ticket for the platform's token
	// (api_component_token). ErrTicketRejected when it is too old or wrong.
	ComponentToken(ctx context.Context, ticket string) (Token, error)
	// QueryAuthorization trades the code of an authorisation for the merchant's
	// tokens (api_query_auth). ErrNotAuthorized when it is wrong, used or old.
	// ErrTokenRejected is about componentToken here and below.
	QueryAuthorization(ctx context.Context, componentToken, authorizationCode string) (Authorization, error)
	// AuthorizerToken renews the token of a merchant's app (api_authorizer_token).
	// ErrNotAuthorized when the merchant took the authorisation back.
	AuthorizerToken(ctx context.Context, componentToken, appID, refreshToken string) (Authorization, error)
	// ComponentCodeToSession is CodeToSession for a merchant's app. ErrNotAuthorized as above.
	ComponentCodeToSession(ctx context.Context, componentToken, appID, code string) (WeChatSession, error)

	// OpenPush checks and opens a message push. appID is that of the address it
	// came to: an app with push settings, the component, or, where there is a
	// component, any merchant's app, whose pushes are sealed with the component's
	// key. ErrPushRejected when signature, ciphertext, AppID or age (by now) is
	// wrong, or push is not set up for appID; nothing of it may then be believed.
	OpenPush(appID string, query url.Values, body []byte, now time.Time) (Push, error)
	// EchoPush checks WeChat's URL check and returns what to answer.
	// ErrPushRejected when the signature is wrong.
	EchoPush(appID string, query url.Values) (string, error)

	// OpenData decrypts encryptedData of the client (AES-128-CBC under the
	// session_key). That it can be decrypted does not prove that WeChat made it.
	// ErrSessionKeyStale when the key does not fit, an *InvalidError (encryptedData or
	// iv) when the data is malformed or its watermark names another app. Its age is
	// the caller's to judge.
	OpenData(appID, sessionKey, encryptedData, iv string) (OpenData, error)
	// RawData checks the signature of rawData under the session_key and reads it.
	// Errors as in OpenData, for the fields rawData and signature.
	RawData(sessionKey, rawData, signature string) (OpenData, error)
}

// MaxCode bounds a code in bytes: that of wx.login has 32, that of a phone button 64.
const MaxCode = 256

// IsAppID reports whether s may be an AppID: 1 to 64 of A-Z a-z 0-9 _ -.
func IsAppID(s string) bool {
	return len(s) >= 1 && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	})
}

// VisibleASCII reports whether s is visible ASCII throughout, without spaces.
func VisibleASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// WeChatSession is WeChat's answer to a login code.
type WeChatSession struct {
	OpenID     string // the person within the app; never empty
	UnionID    string // the person across the apps of one Open Platform account; may be empty
	SessionKey string // base64 of 16 bytes; never leaves the server
}

// Format tells nothing of it, whatever the verb.
func (WeChatSession) Format(f fmt.State, _ rune) { fmt.Fprint(f, "WeChat session") }

// Token is a token of WeChat's. Printing it shows nothing.
type Token struct {
	Value string        // never empty
	Life  time.Duration // how long it is good from now
}

// Format tells nothing of it, whatever the verb.
func (Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, "token") }

// Authorization is what a merchant's app gave the third-party platform. Printing
// it shows nothing.
type Authorization struct {
	AppID        string // the merchant's
	Token        Token
	RefreshToken string // renews Token; may be a new one each time
}

// Format tells nothing of it, whatever the verb.
func (Authorization) Format(f fmt.State, _ rune) { fmt.Fprint(f, "authorization") }

// OpenData is what WeChat tells of a person through the client. What was not
// told is empty.
type OpenData struct {
	OpenID    string
	UnionID   string
	Nickname  string
	AvatarURL string
	Gender    int // 1 male, 2 female, 0 not told
	Country   string
	Province  string
	City      string
	Phone     *Phone
	At        time.Time // of the watermark; zero without one
}

// Verdict is WeChat's judgement of a text or a picture.
type Verdict string

// The verdicts. Whatever else WeChat says counts as VerdictReview.
const (
	VerdictPass   Verdict = "pass"
	VerdictReview Verdict = "review" // a person should look
	VerdictRisky  Verdict = "risky"
)

// PushEvent says what a push is about.
type PushEvent string

// The events that the core knows. Any other is "": a push for others.
const (
	PushRevoked      PushEvent = "user_authorization_revoke"       // OpenID, Revoked
	PushCancelled    PushEvent = "user_authorization_cancellation" // OpenID
	PushInfoModified PushEvent = "user_info_modified"              // OpenID, which may be empty
	PushMediaChecked PushEvent = "wxa_media_check"                 // TraceID, Verdict
	PushTicket       PushEvent = "component_verify_ticket"         // Secret
	PushAuthorized   PushEvent = "authorized"                      // AppID, Secret; also of updateauthorized
	PushUnauthorized PushEvent = "unauthorized"                    // AppID
)

// Push is a message that WeChat sent to this server, checked and opened.
type Push struct {
	Event   PushEvent
	AppID   string    // the app that it concerns: the merchant's where a merchant is
	OpenID  string    // the person; may be empty
	At      time.Time // when WeChat made it
	Revoked []int     // what the person took back: the codes of RevokeInfo
	TraceID string    // of a check
	Verdict Verdict   // empty when WeChat could not judge, or did not say
	Secret  string    // the ticket, or the code of an authorisation
	// ID is equal for the deliveries of one push and differs between two pushes:
	// anything that hashes to a fixed length will do.
	ID string
	// Signature is that of a push that was not sealed, and empty of one that was. It
	// covers the query alone: whoever has seen one can put any body under it, once.
	Signature string
}

// Format tells the event alone, whatever the verb.
func (p Push) Format(f fmt.State, _ rune) { fmt.Fprint(f, "push "+string(p.Event)) }
