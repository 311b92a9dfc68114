package wechat

import (
	"context"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	// MaxToken bounds a token, ticket or authorisation code, in bytes. WeChat
	// wants room for 512.
	MaxToken = 2048
	// maxLife bounds what is believed of expires_in, which is 7200 seconds.
	maxLife = 24 * time.Hour
)

var stableToken = endpoint{name: "stable_token", path: "/cgi-bin/stable_token", means: map[int]error{
	40001: auth.ErrMisconfigured, // there is no token here: it is the AppSecret
}}

// AccessToken asks for the token of an app. As long as one is good, every call
// gives the same, to every replica: it never forces a new one. See
// DOC/miniprogram/dev/server/API/mp-access-token/api_getstableaccesstoken.
func (c *Client) AccessToken(ctx context.Context, appID string) (auth.Token, error) {
	secret, ok := c.apps[appID]
	if !ok {
		return auth.Token{}, stableToken.refused("no such app here", auth.ErrMisconfigured)
	}
	var r struct {
		verdict
		lifetime
		Token string `json:"access_token"`
	}
	if err := c.ask(ctx, &stableToken, nil, struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
	}{"client_credential", appID, secret.reveal()}, &r, secret.reveal()); err != nil {
		return auth.Token{}, ofApp(appID, err)
	}
	return r.token(&stableToken, r.Token)
}

type lifetime struct {
	Seconds number `json:"expires_in"`
}

// token checks what WeChat gave as a token with this lifetime.
func (l lifetime) token(at *endpoint, value string) (auth.Token, error) {
	switch {
	case !isToken(value):
		return auth.Token{}, at.lacks("reply without a proper token")
	case l.Seconds <= 0:
		return auth.Token{}, at.lacks("reply without the life of the token")
	}
	life := time.Duration(min(int64(l.Seconds), int64(maxLife/time.Second))) * time.Second
	return auth.Token{Value: value, Life: life}, nil
}

func isToken(s string) bool { return s != "" && len(s) <= MaxToken && auth.VisibleASCII(s) }
