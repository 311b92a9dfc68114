package auth

import "context"

// WeChat is what the core needs of WeChat's server API; package auth/wechat
// fulfils it. Its errors are ErrCodeRejected, ErrBlocked, ErrRateLimited,
// ErrUpstream (with ErrNotSent where that is sure) or ErrMisconfigured, and
// hold no secret. All methods may be called by any number of goroutines.
type WeChat interface {
	// CodeToSession trades the code of wx.login for the person's ids and key
	// (code2Session). It makes one request at the most: a code works once, so
	// nothing is ever repeated. appID is one that the server is configured for.
	CodeToSession(ctx context.Context, appID, code string) (WeChatSession, error)
}

// WeChatSession is WeChat's answer to a login code.
type WeChatSession struct {
	OpenID     string // the person within the app; never empty
	UnionID    string // the person across the apps of one Open Platform account; may be empty
	SessionKey string // base64 of 16 bytes; never leaves the server
}
