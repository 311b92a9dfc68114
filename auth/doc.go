// Package auth is the core: who a caller is and what is theirs. It logs a
// person in by a WeChat code, keeps sessions, and reads and changes profiles.
// It knows neither GraphQL nor HTTP nor any database: package graph calls it
// and hands over plain values, it calls the contracts of package drivers and
// the interface WeChat, and main puts the three together.
//
// # Where things are
//
// login.go, refresh.go, logout.go, me.go, profile.go, phone.go, merge.go, delete.go
// and export.go hold one operation of the API each, consent.go those about consent.
// sessions.go lists and bounds the sessions, audit.go lists what happened.
//
// opendata.go reads what WeChat tells through the client, content.go has nicknames
// and pictures judged, push.go does what WeChat's pushes demand. code.go sends a code
// once, wechattoken.go keeps WeChat's access tokens, component.go those of the
// third-party platform. picture.go and upload.go keep pictures, sweep.go and owner.go
// remove what nobody names.
//
// commit.go is the one place that retries a conflict. records.go has the stored forms,
// but those of codes, jobs, uploads and the sweep stand with what uses them. token.go has
// the two tokens, seal.go the secrets at rest, jobs.go the work that is finished later.
package auth
