// Package sandbox simulates WeChat's server API, so that everything runs
// without an AppID. Main serves a Sandbox on a loopback address and points
// wechat.Config.BaseURL at it when no app is configured; tests and the load
// test do the same with net/http/httptest. It stands on the far side of the
// wire and hands over to nothing: package wechat cannot tell it from WeChat.
//
// # Codes
//
// A code is PERSON~NONCE. The person, 1 to 32 of a-z A-Z 0-9 _ -, decides who
// logs in: always the same openid within one app, another in each app, and the
// same unionid in all of them. The nonce, 1 to 128 visible ASCII characters, is
// the client's to make up. The whole code works once, over all apps, and then
// answers 40163; anything that is no code answers 40029.
//
// Some persons stand for trouble, whatever the nonce:
//
//	invalid   40029: invalid code
//	used      40163: the code has been used
//	blocked   40226: a person of high risk
//	limited   45011: too many calls a minute
//	busy      -1: system error
//	slow      logs in like anyone, but only after 10 seconds
//	garbage   answers something that is not JSON
//	down      closes the connection without an answer
//
// A person whose name ends in -nounion is the one before the hyphen, at a time
// when the app was not yet bound to an Open Platform account: alice-nounion has
// the openid of alice and no unionid. So alice-nounion~1 and then alice~2 is a
// unionid that appears later.
//
// # Not simulated
//
// A code has no time of its own, as nothing issues it, so it never expires.
// Used codes are remembered for 5 to 10 minutes, which is longer than WeChat
// lets one live, or for less beyond half a million logins in 5 minutes.
package sandbox
