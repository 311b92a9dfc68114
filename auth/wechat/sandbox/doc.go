// Package sandbox simulates WeChat's server API, so that everything runs
// without an AppID. When no app is configured, main makes a Sandbox the
// wechat.Config.Transport; where a wire is wanted between them, as in the tests of
// package wechat, it is an http.Handler for net/http/httptest. It stands on the far
// side of HTTP and hands over to nothing: package wechat cannot tell it from WeChat.
// What it seals and signs, it seals and signs with code of its own.
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
// A person whose name ends in -unseen has not been in the app for two hours as far
// as content checks go (61010). One of -risky or -review has every picture judged
// so, and for one of -silent no verdict on a picture ever comes. The code of phone
// is that of a phone button, and nobody logs in with it.
//
// # Tokens
//
// stable_token gives the same token until 5 minutes before its end; two hours are
// its life. Tokens survive a restart.
//
// # session_key
//
// Every login makes a new one. checksession and resetusersessionkey know the
// current one of the last 65,536 people or more since the start; of anyone else
// they say 87007, and content checks say 61010.
//
// # Phone numbers
//
// A phone code is phone~NUMBER~NONCE and works once: phone~13800138000~1, or
// phone~+852-61234567~1 from abroad. Any other code answers 40029.
//
// # Content checks
//
// A text that has the word risky in it is risky, one with review is for review,
// any other passes. The verdict on a picture is pushed a second later
// (VerdictDelay); a picture below the address of PushTo that cannot be read there
// is -1008.
//
// # Third-party platform
//
// The platform is ComponentAppID with the AppSecret Secret. Every app whose AppID
// begins with wxmerchant is a merchant of it, until POST /sandbox/push says
// unauthorized of it. api_start_push_ticket has a ticket pushed at once, and so has
// POST /sandbox/push with component_verify_ticket; none comes by itself. So a
// merchant is won over by that event, then by authorized.
//
// # Pushes
//
// PushTo tells where the server is; PushInto, that it is in this process. All pushes
// are signed with the Token PushToken and sealed with the EncodingAESKey PushAESKey:
// those of an app to /wechat/push/APPID as JSON, those of a merchant's app to the same
// address as XML, those to the platform to /wechat/component as XML. One that the
// sandbox sends by itself is tried four times, 5 seconds apart, until the answer is 200.
//
// # What WeChat has not
//
// POST /sandbox/push sends a push and tells what the server answered to it, as
// {"path": …, "deliveries": [{"status": 200, "body": "success"}]}. It takes JSON,
// of which only event is required:
//
//	event       user_authorization_revoke, user_authorization_cancellation,
//	            user_info_modified, wxa_media_check or any other;
//	            component_verify_ticket, authorized, updateauthorized or
//	            unauthorized, which go to the platform; url_check, the GET by
//	            which WeChat makes sure of an address
//	appId       the app, or the merchant's; the first app, or wxmerchant1
//	person      whose openid it has; or
//	openid      the openid itself
//	revokeInfo  of user_authorization_revoke: "6", "8", "19", "20" …
//	traceId, suggest, errcode
//	            of wxa_media_check: pass, review or risky; without suggest the
//	            push has no result
//	fields      more fields, or other text for those that are there: {"MsgId": "7"}
//	format      json or xml
//	plain       true: not sealed
//	age         seconds that its time lies back
//	forge       signature, key or appid: what about it is wrong
//	times       how often to send the very same push
//
// GET /sandbox/opendata?person=alice gives what a client of that person gets from
// wx.getUserInfo, under the current session_key: rawData, signature, encryptedData
// and iv. With phone=13800138000 encryptedData is that of the old phone button.
// nickname, avatarUrl and appId say other than the usual; age=SECONDS and
// watermark=APPID make the watermark wrong, stale=1 the key. checkencryptedmsg
// knows the numbers of the last 5 minutes or more, by the SHA-256 of the text of
// encryptedData; with forged=1 it does not know this one.
//
// POST /sandbox/fail makes the next calls of an API fail:
// {"api": "msg_sec_check", "times": 2, "errcode": 45009}, or with "how" in the
// place of errcode: hang (a minute, or until the caller goes), garbage (no JSON)
// or down (no answer). times is 1 when it is absent, and 0 ends it. The answer has
// all that is still to fail. APIs go by the last part of their path, but for
// component/jscode2session.
//
// # Not simulated
//
// A code has no time of its own, as nothing issues it, so it never expires.
// Used codes are remembered for 5 to 10 minutes, which is longer than WeChat
// lets one live, or for less beyond half a million logins in 5 minutes. No quota
// but by POST /sandbox/fail; force_refresh has no effect; a code of an
// authorisation works more than once.
package sandbox
