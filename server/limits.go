package server

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
	"golang.org/x/time/rate"
)

// maxBuckets bounds each table of buckets: some 10 MiB when it is full. Who is
// forgotten begins anew with a full bucket, so a flood from very many addresses
// costs memory no more than this, and honest clients nothing.
const maxBuckets = 1 << 15

// Quota is how many calls there may be in a time: as many at once, and as many
// in each such time after. The zero Quota is without bound.
type Quota struct {
	Count int
	Per   time.Duration
}

// String gives the form that ParseLimits reads.
func (q Quota) String() string {
	for name, unit := range units {
		if q.Per == unit {
			return strconv.Itoa(q.Count) + "/" + name
		}
	}
	return "none"
}

var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}

// Limits are the quotas that the server holds clients to, and itself towards WeChat.
type Limits struct {
	Address Quota // requests of one address; of a /64 of IPv6
	Login   Quota // logins of one address: each is work for WeChat, and makes a user
	User    Quota // requests of one user, on all devices
	App     Quota // requests of all users of one app
	WeChat  Quota // login codes of one app that are sent to WeChat
}

// DefaultLimits leave room for many people behind one address, as mobile networks
// have them, and for a crowd that opens a mini program at once. WeChat's own
// quotas differ by app; the one here is for a bug or a flood, not for every day.
var DefaultLimits = Limits{
	Address: Quota{6000, time.Minute}, Login: Quota{300, time.Minute}, User: Quota{600, time.Minute},
	App: Quota{600_000, time.Minute}, WeChat: Quota{30_000, time.Minute},
}

// ParseLimits reads the setting: on for DefaultLimits, off for none, or those
// that differ from DefaultLimits, as login=60/m,user=20/s,app=off.
func ParseLimits(text string) (Limits, error) {
	l := DefaultLimits
	switch text {
	case "on":
		return l, nil
	case "off":
		return Limits{}, nil
	}
	names := map[string]*Quota{"address": &l.Address, "login": &l.Login, "user": &l.User, "app": &l.App, "wechat": &l.WeChat}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		quota, ok := names[name]
		if !ok {
			return Limits{}, fmt.Errorf("there is no limit %q: on, off, or some of address, login, user, app and wechat, as login=60/m", name)
		}
		if *quota = (Quota{}); value == "off" {
			continue
		}
		count, unit, _ := strings.Cut(value, "/")
		n, err := strconv.Atoi(count)
		if err != nil || n < 1 || n > math.MaxInt32 || units[unit] == 0 {
			return Limits{}, fmt.Errorf("the limit %s is not a number of calls in a time, as 60/m, 1/s or 1000/h, nor off", name)
		}
		*quota = Quota{n, units[unit]}
	}
	return l, nil
}

// limiter holds clients to Limits.
type limiter struct {
	address, login *buckets[netip.Addr]
	user, app      *buckets[string]
	most           int64 // of one address in flight
	caller         func(accessToken string) (user, app string, ok bool)
	refused        func(limit string)
}

func newLimiter(l Limits, core *auth.Core, most int64, refused func(string)) *limiter {
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
	if fault := l.fault("address", wait); fault != nil {
		return nil, fault
	}
	if b.inFlight.Add(1) > l.most {
		b.inFlight.Add(-1)
		l.refused("address_in_flight")
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
			return l.fault("login", wait)
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
		return l.fault("user", wait)
	}
	_, wait := l.app.take(app, 1, now)
	return l.fault("app", wait)
}

func (l *limiter) fault(limit string, wait time.Duration) *graph.Fault {
	if wait == 0 {
		return nil
	}
	l.refused(limit)
	f := graph.FaultOf(&auth.LaterError{Err: auth.ErrRateLimited, After: wait})
	return &f
}

// addressShare is which part of the requests in flight one address may have: who
// sends a thousand bodies byte by byte must not keep all others out.
const addressShare = 4

// buckets holds a token bucket for each key, the last used ones of too many.
type buckets[K comparable] struct {
	fill rate.Limit
	size int

	mu    sync.Mutex
	byKey map[K]*list.Element
	order list.List // of *bucket[K], the last used first
}

type bucket[K comparable] struct {
	key K
	*rate.Limiter
	inFlight atomic.Int64
}

// newBuckets makes buckets of a quota; nil, which lets all pass, where it has no bound.
func newBuckets[K comparable](q Quota) *buckets[K] {
	if q.Count == 0 {
		return nil
	}
	return &buckets[K]{fill: rate.Limit(float64(q.Count) / q.Per.Seconds()), size: q.Count, byKey: map[K]*list.Element{}}
}

// take takes n from the bucket of key, and returns the bucket and 0; or takes
// nothing and returns how long it is until n can be had.
func (b *buckets[K]) take(key K, n int, now time.Time) (*bucket[K], time.Duration) {
	if b == nil {
		return nil, 0
	}
	n = min(n, b.size)
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of(key)
	if l.AllowN(now, n) {
		return l, 0
	}
	missing := float64(n) - l.TokensAt(now)
	return l, max(time.Duration(missing/float64(b.fill)*float64(time.Second)), time.Millisecond)
}

func (b *buckets[K]) of(key K) *bucket[K] {
	if e, ok := b.byKey[key]; ok {
		b.order.MoveToFront(e)
		return e.Value.(*bucket[K])
	}
	if b.order.Len() >= maxBuckets {
		last := b.order.Remove(b.order.Back()).(*bucket[K])
		delete(b.byKey, last.key)
	}
	l := &bucket[K]{key: key, Limiter: rate.NewLimiter(b.fill, b.size)}
	b.byKey[key] = b.order.PushFront(l)
	return l
}

// LimitWeChat returns w, which sends no more codes of one app than quota allows.
// A code that it refuses was not sent, so it is still good. refused may be nil.
func LimitWeChat(w auth.WeChat, quota Quota, refused func(limit string)) auth.WeChat {
	return limitedWeChat{w, newBuckets[string](quota), refused}
}

type limitedWeChat struct {
	auth.WeChat
	apps    *buckets[string]
	refused func(string)
}

func (w limitedWeChat) CodeToSession(ctx context.Context, appID, code string) (auth.WeChatSession, error) {
	if err := w.take(appID); err != nil {
		return auth.WeChatSession{}, err
	}
	return w.WeChat.CodeToSession(ctx, appID, code)
}

func (w limitedWeChat) ComponentCodeToSession(ctx context.Context, componentToken, appID, code string) (auth.WeChatSession, error) {
	if err := w.take(appID); err != nil {
		return auth.WeChatSession{}, err
	}
	return w.WeChat.ComponentCodeToSession(ctx, componentToken, appID, code)
}

// take lets one code of an app pass, or says when it may come again.
func (w limitedWeChat) take(appID string) error {
	_, wait := w.apps.take(appID, 1, time.Now())
	if wait <= 0 {
		return nil
	}
	if w.refused != nil {
		w.refused("wechat")
	}
	return &auth.LaterError{Err: errQuota, After: wait}
}

var errQuota = fmt.Errorf("%w: %w", auth.ErrRateLimited, auth.ErrNotSent)

// refusals tells the log that requests are refused: not of each, for they come in
// floods, but once in ten seconds.
type refusals struct {
	log  *slog.Logger
	told func(limit string) // may be nil
	last atomic.Int64       // when the log was told, in seconds
}

const refusalPause = 10 // seconds

func (r *refusals) add(limit string) {
	if r.told != nil {
		r.told(limit)
	}
	now, last := time.Now().Unix(), r.last.Load()
	if now-last >= refusalPause && r.last.CompareAndSwap(last, now) {
		r.log.Warn("requests are refused; for ten seconds no more is said of it", "limit", limit)
	}
}

// ParseProxies reads addresses and networks, as 10.0.0.0/8 or ::1.
func ParseProxies(texts []string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, text := range texts {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, failed := netip.ParseAddr(text)
			if failed != nil {
				return nil, errors.New("a proxy is neither an address nor a network, as 10.0.0.0/8")
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		proxies = append(proxies, p.Masked())
	}
	return proxies, nil
}
