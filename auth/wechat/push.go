package wechat

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

const (
	// MaxPush bounds a push, in bytes; the known ones have a few thousand.
	MaxPush = 64 << 10
	// MaxPushAge is how old the signed time of a push may be. WeChat repeats one
	// after 5 seconds, three times, so this is mostly for clocks.
	MaxPushAge = 10 * time.Minute
	// MaxPushLead is how far that time may be ahead of our clock.
	MaxPushLead = 5 * time.Minute
)

// door is where the pushes of one app come in, or those of the third-party
// platform with all its merchants.
type door struct {
	owner    string // whose AppID is at the end of what is sealed
	platform bool   // owner is the third-party platform
	token    Secret
	keys     []Secret // 32 bytes each: the present one, and perhaps the one before
}

// rejected is the error of a push that is not to be believed.
func rejected(reason string) error {
	return fmt.Errorf("wechat push: %s: %w", reason, auth.ErrPushRejected)
}

// door finds the door for an address; a merchant's app has the platform's.
func (c *Client) door(appID string) (*door, error) {
	d := c.doors[appID]
	if d == nil && c.component != nil && auth.IsAppID(appID) {
		// An own app without push settings is nobody's merchant.
		if _, own := c.apps[appID]; !own {
			d = c.doors[c.component.AppID]
		}
	}
	if d == nil {
		return nil, rejected("not set up for this app")
	}
	return d, nil
}

// EchoPush checks the request by which WeChat makes sure that the address is
// ours, and returns what to answer, at most 256 visible ASCII characters.
func (c *Client) EchoPush(appID string, query url.Values) (string, error) {
	d, err := c.door(appID)
	if err != nil {
		return "", err
	}
	echo := query.Get("echostr")
	switch {
	case !d.signed(query, "signature", ""):
		return "", rejected("wrong signature")
	case echo == "" || len(echo) > 256 || !auth.VisibleASCII(echo):
		return "", rejected("no proper echostr")
	}
	return echo, nil
}

// OpenPush checks and opens a push. Where the door has a key, only what is sealed
// counts: a plain push is rejected, and of one in both forms the plain one is not
// looked at. The query of a plain push is signed but not its body, so its body
// can be believed only as far as the network it came by; Push.Signature is for the
// caller to take once. It, not timestamp and nonce: what is signed are the parts in a
// row, and they can be cut elsewhere.
func (c *Client) OpenPush(appID string, query url.Values, body []byte, now time.Time) (auth.Push, error) {
	d, err := c.door(appID)
	if err != nil {
		return auth.Push{}, err
	}
	seconds, err := strconv.ParseInt(query.Get("timestamp"), 10, 64)
	if err != nil {
		return auth.Push{}, rejected("no timestamp")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > MaxPushAge || age < -MaxPushLead {
		return auth.Push{}, rejected("too old, or of the future")
	}
	if len(body) > MaxPush {
		return auth.Push{}, rejected("too long")
	}
	if len(d.keys) == 0 && !d.signed(query, "signature", "") {
		return auth.Push{}, rejected("wrong signature") // before anything is parsed
	}
	told, err := parseMessage(body)
	if err != nil {
		return auth.Push{}, rejected("neither JSON nor XML")
	}
	switch {
	case len(d.keys) == 0 && told["encrypt"] != "" && told["msgtype"] == "":
		return auth.Push{}, rejected("sealed, and there is no EncodingAESKey here")
	case len(d.keys) > 0:
		sealed := told["encrypt"]
		switch {
		case sealed == "":
			return auth.Push{}, rejected("not sealed")
		case !d.signed(query, "msg_signature", sealed):
			return auth.Push{}, rejected("wrong msg_signature")
		}
		opened, err := d.open(sealed)
		if err != nil {
			return auth.Push{}, err
		}
		if told, err = parseMessage(opened); err != nil {
			return auth.Push{}, rejected("what was sealed is neither JSON nor XML")
		}
	}
	push, err := d.push(appID, told)
	if err == nil && len(d.keys) == 0 {
		push.Signature = query.Get("signature")
	}
	return push, err
}

// signed checks a signature of the query in constant time. sealed is what
// msg_signature covers besides.
func (d *door) signed(query url.Values, name, sealed string) bool {
	parts := []string{d.token.reveal(), query.Get("timestamp"), query.Get("nonce")}
	if sealed != "" {
		parts = append(parts, sealed)
	}
	return subtle.ConstantTimeCompare([]byte(signPush(parts...)), []byte(query.Get(name))) == 1
}

// signPush signs as WeChat does: SHA-1 over the parts in the order of their bytes.
func signPush(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// push reads what a push tells. Fields that are absent stay empty: which one an
// event cannot do without is the core's to say.
func (d *door) push(appID string, told message) (auth.Push, error) {
	p := auth.Push{
		AppID:   appID,
		OpenID:  told["openid"],
		TraceID: told["trace_id"],
		ID:      told.id(appID),
	}
	if s, err := strconv.ParseInt(told["createtime"], 10, 64); err == nil && s > 0 {
		p.At = time.Unix(min(s, 1<<40), 0)
	}
	if len(p.OpenID) > MaxID || !auth.VisibleASCII(p.OpenID) || len(p.TraceID) > MaxID || !auth.VisibleASCII(p.TraceID) {
		return auth.Push{}, rejected("malformed openid or trace_id")
	}
	if kind := told["infotype"]; kind != "" {
		return d.platformPush(p, kind, told)
	}
	switch app := told["appid"]; {
	case app == "" || app == appID:
	case d.platform && appID == d.owner && auth.IsAppID(app):
		p.AppID = app // one address for all merchants
	default:
		return auth.Push{}, rejected("about another app")
	}
	if !strings.EqualFold(told["msgtype"], "event") {
		return p, nil // a message for others
	}
	switch event := auth.PushEvent(strings.ToLower(told["event"])); event {
	case auth.PushRevoked:
		p.Event, p.Revoked = event, codes(told["revokeinfo"])
	case auth.PushCancelled, auth.PushInfoModified:
		p.Event = event
	case auth.PushMediaChecked:
		p.Event, p.Verdict = event, told.verdict()
	}
	return p, nil
}

// platformPush reads a push to the third-party platform itself, which names its
// kind by InfoType. Nobody but the platform may say such things.
func (d *door) platformPush(p auth.Push, kind string, told message) (auth.Push, error) {
	if !d.platform || p.AppID != d.owner {
		return auth.Push{}, rejected("for a platform, and this is none")
	}
	if app := told["appid"]; app != "" && app != d.owner {
		return auth.Push{}, rejected("for another platform")
	}
	switch kind = strings.ToLower(kind); kind {
	case "component_verify_ticket":
		p.Event, p.Secret = auth.PushTicket, told["componentverifyticket"]
	case "authorized", "updateauthorized":
		p.Event, p.AppID, p.Secret = auth.PushAuthorized, told["authorizerappid"], told["authorizationcode"]
	case "unauthorized":
		p.Event, p.AppID = auth.PushUnauthorized, told["authorizerappid"]
	default:
		return p, nil
	}
	if !auth.IsAppID(p.AppID) || p.Event != auth.PushUnauthorized && !isToken(p.Secret) {
		return auth.Push{}, rejected("not what its InfoType must bring")
	}
	return p, nil
}

// codes reads RevokeInfo, a number or several with anything between.
func codes(s string) []int {
	var all []int
	for _, digits := range strings.FieldsFunc(s, func(r rune) bool { return r < '0' || r > '9' }) {
		if code, err := strconv.Atoi(digits); err == nil && len(all) < 64 {
			all = append(all, code)
		}
	}
	return all
}

// verdict reads the result of a picture's check, which counts only if WeChat came
// to one. Pushes of the first version say isrisky instead.
func (m message) verdict() auth.Verdict {
	switch failed := m["errcode"]; {
	case failed != "" && failed != "0", m["status_code"] != "" && m["status_code"] != "0":
		return ""
	case m["result.suggest"] != "":
		return suggestion(m["result.suggest"])
	case m["isrisky"] == "1":
		return auth.VerdictRisky
	case m["isrisky"] == "0":
		return auth.VerdictPass
	}
	return ""
}

// id is the same for every delivery of a message: its MsgId where it has one,
// else all that tells two events of one second apart.
func (m message) id(appID string) string {
	names := []string{"msgid"}
	if m["msgid"] == "" {
		names = []string{"fromusername", "createtime", "msgtype", "event", "openid", "revokeinfo", "trace_id", "errcode", "result.suggest",
			"isrisky", "infotype", "authorizerappid", "authorizationcode", "componentverifyticket", "pluginid", "openpid"}
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q", appID)
	for _, name := range names {
		fmt.Fprintf(sum, "%q", m[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}
