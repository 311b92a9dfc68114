// Package wechat speaks WeChat's server API, over the standard library only.
// Main makes one Client from the settings and hands it to package auth, which
// calls it through the interface auth.WeChat. Every error it gives back is one
// of auth's errors, so that package auth knows no number of WeChat's.
//
// Package sandbox, below this one, is the other side of the same wire: it
// answers as WeChat would. To use it, main sets Config.BaseURL.
//
// # Secrets
//
// WeChat takes the AppSecret and the login code in the query of the URL. So no
// URL, no reply and no error of net/http, which may quote either, ever becomes
// part of an error here: a failure is told in words of our own, or in those of
// the operating system and of TLS. An AppSecret is a Secret, which prints as
// [redacted] wherever it turns up.
//
// # Once
//
// A login code works once, and the answer to it may get lost. No call is ever
// sent twice, neither by this package nor by the transport below it, which
// would repeat a GET of its own accord. An error that is auth.ErrNotSent says
// that the code never left this machine.
//
// # Where things are
//
// client.go has the client, its settings and the one way in which a request is
// made. session.go holds the login. reply.go reads what WeChat answers, errors.go
// says what its numbers mean, secret.go keeps what must not be seen.
package wechat
