package wechat

import (
	"context"
	"encoding/base64"
	"net/url"

	"github.com/miniprofile/miniprofile/auth"
)

// MaxID bounds an openid or unionid, in bytes; the known ones have 28.
const MaxID = 128

var code2Session = endpoint{name: "jscode2session", path: "/sns/jscode2session", means: map[int]error{
	40001: auth.ErrMisconfigured, // there is no token here: it is the AppSecret
}}

// CodeToSession trades the code of wx.login for the person's ids and key, with
// one request at the most, within Config.Timeout and ctx. See
// DOC/miniprogram/dev/server/API/user-login/api_code2session, where DOC is
// https://developers.weixin.qq.com.
//
// Every error is an *Error. A code that is empty or longer than auth.MaxCode is
// auth.ErrCodeRejected without asking WeChat; an appID that the client was not
// made with is auth.ErrMisconfigured, and a bug in the caller. Of a session
// returned, OpenID is not empty, the ids are visible ASCII of at most MaxID
// bytes, and SessionKey is the base64 of 16 bytes.
func (c *Client) CodeToSession(ctx context.Context, appID, code string) (auth.WeChatSession, error) {
	secret, ok := c.apps[appID]
	if !ok {
		return auth.WeChatSession{}, code2Session.refused("no such app here", auth.ErrMisconfigured)
	}
	if err := code2Session.checkCode(code); err != nil {
		return auth.WeChatSession{}, err
	}
	person, err := c.session(ctx, &code2Session, url.Values{
		"appid":      {appID},
		"secret":     {secret.reveal()},
		"js_code":    {code},
		"grant_type": {"authorization_code"},
	}, secret.reveal(), code)
	return person, ofApp(appID, err)
}

// checkCode refuses what cannot be a code.
func (at *endpoint) checkCode(code string) error {
	if code == "" || len(code) > auth.MaxCode {
		return at.refused("code empty or too long", auth.ErrCodeRejected)
	}
	return nil
}

// session asks for a session; hidden are words that no error may have.
func (c *Client) session(ctx context.Context, at *endpoint, query url.Values, hidden ...string) (auth.WeChatSession, error) {
	status, body, err := c.send(ctx, at.name, at.path, query, nil)
	if err != nil {
		return auth.WeChatSession{}, err
	}
	return readSession(at, status, body, hidden...)
}

// readSession reads the reply to a code.
func readSession(at *endpoint, status int, body []byte, hidden ...string) (auth.WeChatSession, error) {
	var r struct {
		verdict
		OpenID     string `json:"openid"`
		UnionID    string `json:"unionid"`
		SessionKey string `json:"session_key"`
	}
	if err := read(at, status, body, &r, hidden...); err != nil {
		return auth.WeChatSession{}, err
	}
	wrong := ""
	switch {
	case r.OpenID == "":
		wrong = "reply without openid"
	case len(r.OpenID) > MaxID || !auth.VisibleASCII(r.OpenID):
		wrong = "reply with a malformed openid"
	case len(r.UnionID) > MaxID || !auth.VisibleASCII(r.UnionID):
		wrong = "reply with a malformed unionid"
	case !isSessionKey(r.SessionKey):
		wrong = "reply without a proper session_key"
	}
	if wrong != "" {
		return auth.WeChatSession{}, at.wrong(status, wrong)
	}
	return auth.WeChatSession{OpenID: r.OpenID, UnionID: r.UnionID, SessionKey: r.SessionKey}, nil
}

// isSessionKey reports whether s is the base64 of 16 bytes. The length is
// checked as well because the decoder skips line breaks.
func isSessionKey(s string) bool {
	key, err := base64.StdEncoding.DecodeString(s)
	return err == nil && len(key) == 16 && len(s) == 24
}
