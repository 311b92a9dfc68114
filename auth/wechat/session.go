package wechat

import (
	"context"
	"encoding/base64"
	"net/url"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	// MaxCode bounds a login code, in bytes; far more than WeChat's have.
	MaxCode = 512
	// MaxID bounds an openid or unionid, in bytes; the known ones have 28.
	MaxID = 128
)

const code2Session = "jscode2session"

// CodeToSession trades the code of wx.login for the person's ids and key, with
// one request at the most, within Config.Timeout and ctx. See
// DOC/miniprogram/dev/server/API/user-login/api_code2session, where DOC is
// https://developers.weixin.qq.com.
//
// Every error is an *Error. A code that is empty or longer than MaxCode is
// auth.ErrCodeRejected without asking WeChat; an appID that the client was not
// made with is auth.ErrMisconfigured, and a bug in the caller. Of a session
// returned, OpenID is not empty, the ids are visible ASCII of at most MaxID
// bytes, and SessionKey is the base64 of 16 bytes.
func (c *Client) CodeToSession(ctx context.Context, appID, code string) (auth.WeChatSession, error) {
	secret, ok := c.apps[appID]
	switch {
	case !ok:
		return auth.WeChatSession{}, &Error{API: code2Session, Reason: "no such app here", is: []error{auth.ErrMisconfigured}}
	case code == "" || len(code) > MaxCode:
		return auth.WeChatSession{}, &Error{API: code2Session, Reason: "code empty or too long", is: []error{auth.ErrCodeRejected}}
	}
	status, body, err := c.get(ctx, code2Session, "/sns/jscode2session", url.Values{
		"appid":      {appID},
		"secret":     {secret.reveal()},
		"js_code":    {code},
		"grant_type": {"authorization_code"},
	})
	if err != nil {
		return auth.WeChatSession{}, err
	}
	return readSession(status, body, secret.reveal(), code)
}

// readSession reads the reply to a code; hidden are words that no error may have.
func readSession(status int, body []byte, hidden ...string) (auth.WeChatSession, error) {
	var r struct {
		verdict
		OpenID     string `json:"openid"`
		UnionID    string `json:"unionid"`
		SessionKey string `json:"session_key"`
	}
	if err := read(code2Session, status, body, &r, &r.verdict, hidden...); err != nil {
		return auth.WeChatSession{}, err
	}
	wrong := ""
	switch {
	case r.OpenID == "":
		wrong = "reply without openid"
	case len(r.OpenID) > MaxID || !printable(r.OpenID):
		wrong = "reply with a malformed openid"
	case len(r.UnionID) > MaxID || !printable(r.UnionID):
		wrong = "reply with a malformed unionid"
	case !isSessionKey(r.SessionKey):
		wrong = "reply without a proper session_key"
	}
	if wrong != "" {
		return auth.WeChatSession{}, &Error{API: code2Session, Status: status, Reason: wrong, is: []error{auth.ErrUpstream}}
	}
	return auth.WeChatSession{OpenID: r.OpenID, UnionID: r.UnionID, SessionKey: r.SessionKey}, nil
}

// isSessionKey reports whether s is the base64 of 16 bytes. The length is
// checked as well because the decoder skips line breaks.
func isSessionKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(key) == 16 && len(s) == 24
}
