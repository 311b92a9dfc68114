package wechat

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"

	"github.com/miniprofile/miniprofile/auth"
)

var (
	checkSession = endpoint{name: "checksession", path: "/wxa/checksession"}
	resetSession = endpoint{name: "resetusersessionkey", path: "/wxa/resetusersessionkey"}
)

// CheckSessionKey tells whether WeChat still holds sessionKey for the person; what
// cannot be a key is not, without asking. See
// DOC/miniprogram/dev/server/API/user-login/api_checksessionkey.
func (c *Client) CheckSessionKey(ctx context.Context, token, openID, sessionKey string) (bool, error) {
	var r verdict
	err := c.askSigned(ctx, &checkSession, token, openID, sessionKey, &r)
	if errors.Is(err, auth.ErrSessionKeyStale) {
		return false, nil
	}
	return err == nil, err
}

// ResetSessionKey replaces the person's key, which must be the current one, and
// returns the new one, the base64 of 16 bytes. See
// DOC/miniprogram/dev/server/API/user-login/api_resetusersessionkey.
func (c *Client) ResetSessionKey(ctx context.Context, token, openID, sessionKey string) (string, error) {
	var r struct {
		verdict
		OpenID     string `json:"openid"`
		SessionKey string `json:"session_key"`
	}
	if err := c.askSigned(ctx, &resetSession, token, openID, sessionKey, &r); err != nil {
		return "", err
	}
	switch {
	case r.OpenID != openID:
		return "", resetSession.lacks("reply about another person")
	case !isSessionKey(r.SessionKey):
		return "", resetSession.lacks("reply without a proper session_key")
	}
	return r.SessionKey, nil
}

// askSigned makes a GET that the person's key signs. The pages call the
// parameters a body; the samples have them in the query, as a GET must.
func (c *Client) askSigned(ctx context.Context, at *endpoint, token, openID, sessionKey string, v reply) error {
	if !isSessionKey(sessionKey) {
		return at.refused("no session_key", auth.ErrSessionKeyStale)
	}
	return c.ask(ctx, at, url.Values{
		"access_token": {token},
		"openid":       {openID},
		"signature":    {signWith(sessionKey, "")},
		"sig_method":   {"hmac_sha256"},
	}, nil, v, token, sessionKey, openID)
}

// signWith signs the body of a request, which a GET has not. The key is the text
// of sessionKey, not what its base64 stands for.
func signWith(sessionKey, body string) string {
	mac := hmac.New(sha256.New, []byte(sessionKey))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}
