// Package wechat speaks WeChat's server API, over the standard library only.
// Main makes one Client from the settings and hands it to package auth, which
// calls it through the interface auth.WeChat. Every error it gives back is one
// of auth's errors, so that package auth knows no number of WeChat's.
//
// Package sandbox, below this one, is the other side of the same wire: it
// answers as WeChat would, and pushes. To use it, main sets Config.BaseURL.
//
// A Client keeps nothing between calls: access tokens and tickets are package
// auth's, which hands them in.
//
// # Secrets
//
// WeChat takes AppSecrets, tokens and codes in the query of the URL. So no
// URL, no reply and no error of net/http, which may quote either, ever becomes
// part of an error here: a failure is told in words of our own, or in those of
// the operating system and of TLS. An AppSecret is a Secret, which prints as
// [redacted] wherever it turns up; so are the Token and the EncodingAESKey of push.
//
// # Once
//
// A login code works once, and the answer to it may get lost. No call is ever
// sent twice, neither by this package nor by the transport below it, which
// would repeat a GET of its own accord. Whether a call that a token's end has
// spoilt is worth another one is for package auth to say. An error that is
// auth.ErrNotSent says that the code never left this machine.
//
// # Pushes and open data
//
// What comes from outside is checked before it is read: bounded, its signature
// compared in constant time, then its length, padding and frame, and the AppID for
// which it was made. What fails is auth.ErrPushRejected, auth.ErrSessionKeyStale or
// an *auth.InvalidError, and nothing of it is handed on. Nothing here remembers a
// push: Push.ID is what package auth knows a repeated one by.
//
// # Where things are
//
// client.go has the client, its settings and the one way in which a request is
// made. session.go holds the login, token.go, sessionkey.go, phone.go, content.go
// and component.go the other calls. reply.go reads what WeChat answers, errors.go
// says what its numbers mean. push.go opens pushes, frame.go decrypts them,
// message.go reads their JSON or XML; opendata.go opens what a client brings.
// secret.go and keys.go keep what must not be seen.
package wechat
