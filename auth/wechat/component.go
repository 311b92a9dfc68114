package wechat

import (
	"context"
	"net/url"

	"github.com/miniprofile/miniprofile/auth"
)

// The calls of a third-party platform: DOC/doc/oplatform/openApi/ticket-token and
// DOC/doc/oplatform/openApi/miniprogram-management/login.
var (
	startPushTicket = endpoint{name: "api_start_push_ticket", path: "/cgi-bin/component/api_start_push_ticket", means: noToken}
	componentToken  = endpoint{name: "api_component_token", path: "/cgi-bin/component/api_component_token", means: noToken}
	queryAuth       = endpoint{name: "api_query_auth", path: "/cgi-bin/component/api_query_auth", means: map[int]error{
		61009: auth.ErrNotAuthorized, // the code is invalid
		61010: auth.ErrNotAuthorized, // the code is expired; elsewhere this number is about a person
	}}
	authorizerToken = endpoint{name: "api_authorizer_token", path: "/cgi-bin/component/api_authorizer_token", means: map[int]error{
		40013: auth.ErrNotAuthorized, // the merchant's AppID: ours was good enough for the token
	}}
	componentSession = endpoint{name: "component/jscode2session", path: "/sns/component/jscode2session", means: map[int]error{
		40013: auth.ErrNotAuthorized,
	}}
)

// noToken is for calls with a secret: what WeChat calls a token there is that.
var noToken = map[int]error{40001: auth.ErrMisconfigured}

// Component is the AppID of the third-party platform, or "".
func (c *Client) Component() string {
	if c.component == nil {
		return ""
	}
	return c.component.AppID
}

// StartTickets asks WeChat to push tickets, one every ten minutes.
func (c *Client) StartTickets(ctx context.Context) error {
	if c.component == nil {
		return startPushTicket.refused("no component here", auth.ErrMisconfigured)
	}
	secret := c.component.Secret.reveal()
	var r verdict
	return c.ask(ctx, &startPushTicket, nil, struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_secret"` // so called here alone
	}{c.component.AppID, secret}, &r, secret)
}

// ComponentToken trades the ticket for the platform's token.
func (c *Client) ComponentToken(ctx context.Context, ticket string) (auth.Token, error) {
	switch {
	case c.component == nil:
		return auth.Token{}, componentToken.refused("no component here", auth.ErrMisconfigured)
	case !isToken(ticket):
		return auth.Token{}, componentToken.refused("no ticket", auth.ErrTicketRejected)
	}
	secret := c.component.Secret.reveal()
	var r struct {
		verdict
		lifetime
		Token string `json:"component_access_token"`
	}
	if err := c.ask(ctx, &componentToken, nil, struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_appsecret"`
		Ticket string `json:"component_verify_ticket"`
	}{c.component.AppID, secret, ticket}, &r, secret, ticket); err != nil {
		return auth.Token{}, err
	}
	return r.token(&componentToken, r.Token)
}

type authorization struct {
	lifetime
	AppID        string `json:"authorizer_appid"`
	Token        string `json:"authorizer_access_token"`
	RefreshToken string `json:"authorizer_refresh_token"`
}

func (a *authorization) check(at *endpoint) (auth.Authorization, error) {
	token, err := a.token(at, a.Token)
	switch {
	case err != nil:
		return auth.Authorization{}, err
	case !auth.IsAppID(a.AppID):
		return auth.Authorization{}, at.lacks("reply without a proper AppID")
	case !isToken(a.RefreshToken):
		return auth.Authorization{}, at.lacks("reply without a proper refresh token")
	}
	return auth.Authorization{AppID: a.AppID, Token: token, RefreshToken: a.RefreshToken}, nil
}

// QueryAuthorization trades the code of an authorisation, which a push brought,
// for the merchant's tokens.
func (c *Client) QueryAuthorization(ctx context.Context, token, authorizationCode string) (auth.Authorization, error) {
	switch {
	case c.component == nil:
		return auth.Authorization{}, queryAuth.refused("no component here", auth.ErrMisconfigured)
	case !isToken(authorizationCode):
		return auth.Authorization{}, queryAuth.refused("no authorisation code", auth.ErrNotAuthorized)
	}
	var r struct {
		verdict
		Info authorization `json:"authorization_info"`
	}
	if err := c.ask(ctx, &queryAuth, url.Values{"component_access_token": {token}}, struct {
		AppID string `json:"component_appid"`
		Code  string `json:"authorization_code"`
	}{c.component.AppID, authorizationCode}, &r, token, authorizationCode); err != nil {
		return auth.Authorization{}, err
	}
	return r.Info.check(&queryAuth)
}

// AuthorizerToken renews the token of a merchant's app.
func (c *Client) AuthorizerToken(ctx context.Context, token, appID, refreshToken string) (auth.Authorization, error) {
	switch {
	case c.component == nil:
		return auth.Authorization{}, authorizerToken.refused("no component here", auth.ErrMisconfigured)
	case !auth.IsAppID(appID) || !isToken(refreshToken):
		return auth.Authorization{}, authorizerToken.refused("no merchant's app", auth.ErrNotAuthorized)
	}
	var r struct {
		verdict
		authorization
	}
	if err := c.ask(ctx, &authorizerToken, url.Values{"component_access_token": {token}}, struct {
		AppID        string `json:"component_appid"`
		Authorizer   string `json:"authorizer_appid"`
		RefreshToken string `json:"authorizer_refresh_token"`
	}{c.component.AppID, appID, refreshToken}, &r, token, refreshToken); err != nil {
		return auth.Authorization{}, err
	}
	r.AppID = appID // the reply need not say it
	if r.RefreshToken == "" {
		r.RefreshToken = refreshToken
	}
	return r.check(&authorizerToken)
}

// ComponentCodeToSession is CodeToSession for a merchant's app. The token goes by
// its old name, component_access_token, which every SDK uses.
func (c *Client) ComponentCodeToSession(ctx context.Context, token, appID, code string) (auth.WeChatSession, error) {
	switch {
	case c.component == nil:
		return auth.WeChatSession{}, componentSession.refused("no component here", auth.ErrMisconfigured)
	case !auth.IsAppID(appID):
		return auth.WeChatSession{}, componentSession.refused("no merchant's app", auth.ErrNotAuthorized)
	}
	if err := componentSession.checkCode(code); err != nil {
		return auth.WeChatSession{}, err
	}
	return c.session(ctx, &componentSession, url.Values{
		"appid":                  {appID},
		"js_code":                {code},
		"grant_type":             {"authorization_code"},
		"component_appid":        {c.component.AppID},
		"component_access_token": {token},
	}, token, code)
}
