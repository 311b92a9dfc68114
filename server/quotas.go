package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Quota is how many calls there may be in a time: as many at once, and as many
// in each such time after. The zero Quota is without bound.
type Quota struct {
	Count int
	Per   time.Duration
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
			return Limits{}, fmt.Errorf("there is no limit %q, or it stands twice: on, off, or some of address, login, user, app and wechat, as login=60/m", name)
		}
		delete(names, name)
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
