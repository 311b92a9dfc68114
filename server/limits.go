package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
)

// limiter holds clients to Limits.
type limiter struct {
	address, login *buckets[netip.Addr]
	user, app      *buckets[string]
	most           int64 // of one address in flight
	caller         func(accessToken string) (user, app string, ok bool)
	refused        func(limit string, client netip.Addr) // the client of a limit by address
}

func newLimiter(l Limits, core *auth.Core, most int64, refused func(string, netip.Addr)) *limiter {
	if l == (Limits{}) {
		return nil
	}
	return &limiter{
		address: newBuckets[netip.Addr](l.Address), login: newBuckets[netip.Addr](l.Login),
		user: newBuckets[string](l.User), app: newBuckets[string](l.App),
		most: max(most/addressShare, 1), caller: core.Caller, refused: refused,
	}
}

// request decides on a request, before anything of it is read but its head. When
// the request is over, inFlight, which may be nil, is to be counted down.
func (l *limiter) request(address netip.Addr, now time.Time) (inFlight *atomic.Int64, fault *graph.Fault) {
	if l.address == nil {
		return nil, nil
	}
	b, wait := l.address.take(address, 1, now)
	if fault := l.fault("address", address, wait); fault != nil {
		return nil, fault
	}
	if b.inFlight.Add(1) > l.most {
		b.inFlight.Add(-1)
		l.refused("address_in_flight", address)
		return nil, &crowd
	}
	return &b.inFlight, nil
}

// crowd is the answer to more at a time than one address may have.
var crowd = graph.Fault{Status: http.StatusTooManyRequests, Code: "RATE_LIMITED", Message: "There are too many calls at a time.", RetryAfter: time.Second}

// operation decides on an operation, before it is carried out.
func (l *limiter) operation(call *graph.Call, accessToken string, logins int) *graph.Fault {
	now := time.Now()
	if logins > 0 {
		if _, wait := l.login.take(call.Client, logins, now); wait > 0 {
			return l.fault("login", call.Client, wait)
		}
	}
	if accessToken == "" {
		return nil
	}
	user, app, ok := l.caller(accessToken)
	if !ok {
		return nil // its address paid for it
	}
	if _, wait := l.user.take(user, 1, now); wait > 0 {
		return l.fault("user", netip.Addr{}, wait)
	}
	_, wait := l.app.take(app, 1, now)
	return l.fault("app", netip.Addr{}, wait)
}

func (l *limiter) fault(limit string, client netip.Addr, wait time.Duration) *graph.Fault {
	if wait == 0 {
		return nil
	}
	l.refused(limit, client)
	f := graph.FaultOf(&auth.LaterError{Err: auth.ErrRateLimited, After: wait})
	return &f
}

// addressShare is which part of the requests in flight one address may have: who
// sends a thousand bodies byte by byte must not keep all others out.
const addressShare = 4

// refusals tells the log that requests are refused: not of each, for they come in
// floods, but once in ten seconds.
type refusals struct {
	log  *slog.Logger
	told func(limit string) // may be nil
	last atomic.Int64       // when the log was told, in seconds

	unbelieved atomic.Pointer[netip.Addr] // who last sent an X-Forwarded-For that is not believed
}

const refusalPause = 10 // seconds

// disbelieve notes that an address sent an X-Forwarded-For and is no proxy of ours.
func (r *refusals) disbelieve(client netip.Addr) {
	if last := r.unbelieved.Load(); last == nil || *last != client {
		r.unbelieved.Store(&client)
	}
}

// unbelievedText is for whoever forgot the setting: all behind the proxy share one limit.
const unbelievedText = "it sends X-Forwarded-For, which is not believed: if it is your proxy, name it in MINIPROFILE_TRUSTED_PROXIES"

// add tells of a refusal; client is whose it is, of a limit by address.
func (r *refusals) add(limit string, client netip.Addr) {
	if r.told != nil {
		r.told(limit)
	}
	now, last := time.Now().Unix(), r.last.Load()
	if now-last >= refusalPause && r.last.CompareAndSwap(last, now) {
		line := []any{"limit", limit}
		if last := r.unbelieved.Load(); last != nil && *last == client {
			line = append(line, "client", unbelievedText)
		}
		r.log.Warn("requests are refused; for ten seconds no more is said of it", line...)
	}
}
