package sandbox

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// PushToken is the Token of every app's pushes, and of the platform's.
	PushToken = "sandboxPushToken"
	// PushAESKey is the EncodingAESKey of all of them.
	PushAESKey = "sandbox0sandbox0sandbox0sandbox0sandbox0san"
)

// PushKeys are the Token and EncodingAESKey of an app, or of ComponentAppID.
func PushKeys(string) (token, aesKey string) { return PushToken, PushAESKey }

// The events that have more to them than a name and an openid.
const (
	urlCheck     = "url_check" // no event: the GET by which WeChat looks at an address
	revocation   = "user_authorization_revoke"
	mediaCheck   = "wxa_media_check"
	verifyTicket = "component_verify_ticket"
)

// platformEvents are pushed to the third-party platform, about a merchant or itself.
var platformEvents = []string{verifyTicket, "authorized", "updateauthorized", "unauthorized"}

// order is what POST /sandbox/push takes.
type order struct {
	AppID      string            `json:"appId"`
	Event      string            `json:"event"`
	Person     string            `json:"person"`
	OpenID     string            `json:"openid"`
	RevokeInfo string            `json:"revokeInfo"`
	TraceID    string            `json:"traceId"`
	Suggest    string            `json:"suggest"`
	ErrCode    int               `json:"errcode"`
	Fields     map[string]string `json:"fields"`
	Format     string            `json:"format"`
	Plain      bool              `json:"plain"`
	Age        int64             `json:"age"`
	Forge      string            `json:"forge"`
	Times      int               `json:"times"`
}

// letter is a push, ready to be sent.
type letter struct {
	method string
	path   string
	query  url.Values
	body   []byte
	format string
	echo   string // what must come back; "" if anything may
}

// pushNow sends what it is told to, and tells what the server answered.
func (s *Sandbox) pushNow(w http.ResponseWriter, r *http.Request) {
	var o order
	if !readOrder(w, r, &o) {
		return
	}
	l, err := s.write(&o)
	if err != nil {
		decline(w, err)
		return
	}
	switch o.Event {
	case "authorized", "updateauthorized":
		s.revoked.set(o.AppID, false)
	case "unauthorized":
		s.revoked.set(o.AppID, true)
	}
	var all []delivery
	for range max(1, min(o.Times, 10)) {
		d, err := s.post.deliver(r.Context(), l)
		if err != nil {
			decline(w, err)
			return
		}
		all = append(all, d)
	}
	tell(w, http.StatusOK, struct {
		Path       string     `json:"path"`
		Deliveries []delivery `json:"deliveries"`
	}{l.path, all})
}

// write makes the letter of an order, and fills in what the order leaves open.
func (s *Sandbox) write(o *order) (*letter, error) {
	platform := slices.Contains(platformEvents, o.Event)
	switch {
	case o.Event == "":
		return nil, errors.New("event is missing")
	case o.AppID == "" && platform:
		o.AppID = MerchantPrefix + "1"
	case o.AppID == "":
		o.AppID = s.apps[0]
	}
	merchant := s.isMerchant(o.AppID)
	l := &letter{method: http.MethodPost, path: "/wechat/push/" + o.AppID, format: o.Format}
	owner := o.AppID
	switch {
	case platform && !merchant:
		return nil, errors.New("appId of this event is a merchant's: it begins with " + MerchantPrefix)
	case platform:
		l.path, owner = "/wechat/component", ComponentAppID
	case merchant:
		owner = ComponentAppID
	case o.AppID == ComponentAppID && o.Event == urlCheck:
		l.path = "/wechat/component"
	case !slices.Contains(s.apps, o.AppID):
		return nil, errors.New("appId is neither an app here nor a merchant's")
	}
	switch {
	case l.format == "" && owner == ComponentAppID:
		l.format = "xml"
	case l.format == "":
		l.format = "json"
	case l.format != "json" && l.format != "xml":
		return nil, errors.New("format is neither json nor xml")
	}
	switch o.Forge {
	case "", "signature", "key", "appid":
	default:
		return nil, errors.New("forge is none of signature, key and appid")
	}
	for name := range o.Fields {
		if !isName(name) || strings.Trim(name[:1], "0123456789-") == "" {
			return nil, errors.New("fields: a name is 1 to 32 of a-z A-Z 0-9 _ - and begins with a letter")
		}
	}
	switch {
	case o.Event == revocation && o.RevokeInfo == "":
		return nil, errors.New("revokeInfo is missing: 6 is nickname and avatar, 8 the phone number")
	case o.Suggest != "" && labels[o.Suggest] == 0:
		return nil, errors.New("suggest is none of pass, review and risky")
	case o.Suggest != "" && o.Event != mediaCheck:
		return nil, errors.New("suggest is for " + mediaCheck)
	case o.Plain && owner == ComponentAppID:
		return nil, errors.New("pushes to the third-party platform are never plain")
	}
	at := s.now().Add(-time.Duration(o.Age) * time.Second)
	if o.Event == urlCheck {
		l.method, l.echo = http.MethodGet, newID()
		l.sign(at, o.Forge, "")
		l.query.Set("echostr", l.echo)
		return l, nil
	}
	message := encodeFields(l.format, s.fields(o, platform, at))
	if o.Plain {
		l.body = message
		l.sign(at, o.Forge, "")
		return l, nil
	}
	sealed := seal(message, owner, o.Forge)
	addressee := field{"ToUserName", "gh_sandbox"}
	if platform {
		addressee = field{"AppId", ComponentAppID}
	}
	l.body = encodeFields(l.format, []field{addressee, {"Encrypt", sealed}})
	l.sign(at, o.Forge, sealed)
	return l, nil
}

// field of a push; its value is a string, an int64, or fields again.
type field struct {
	name  string
	value any
}

// fields are those of the message itself.
func (s *Sandbox) fields(o *order, platform bool, at time.Time) []field {
	var all []field
	if platform {
		all = []field{{"AppId", ComponentAppID}, {"CreateTime", at.Unix()}, {"InfoType", o.Event}}
		switch o.Event {
		case verifyTicket:
			all = append(all, field{"ComponentVerifyTicket", s.tokens.sign(ofTicket, ComponentAppID, at.Add(ticketLife))})
		case "unauthorized":
			all = append(all, field{"AuthorizerAppid", o.AppID})
		default:
			all = append(all, field{"AuthorizerAppid", o.AppID},
				field{"AuthorizationCode", s.tokens.sign(ofAuthCode, o.AppID, at.Add(codeLife))},
				field{"AuthorizationCodeExpiredTime", at.Add(codeLife).Unix()},
				field{"PreAuthCode", "preauthcode@@@sandbox"})
		}
	} else {
		openID := o.OpenID
		if openID == "" && o.Person != "" {
			openID = idOf("openid", o.AppID, strings.TrimSuffix(o.Person, "-nounion"))
		}
		all = []field{{"ToUserName", "gh_sandbox"}, {"FromUserName", "osandboxplatform"}, {"CreateTime", at.Unix()}, {"MsgType", "event"}, {"Event", o.Event}}
		switch o.Event {
		case mediaCheck:
			all = append(all, field{"appid", o.AppID}, field{"trace_id", o.TraceID}, field{"version", int64(2)}, field{"errcode", int64(o.ErrCode)})
			if o.Suggest != "" {
				all = append(all, field{"result", []field{{"suggest", o.Suggest}, {"label", int64(labels[o.Suggest])}}})
			}
		default:
			if openID != "" {
				all = append(all, field{"OpenID", openID})
			}
			all = append(all, field{"AppID", o.AppID})
		}
		if o.Event == revocation {
			all = append(all, field{"RevokeInfo", o.RevokeInfo})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Fields)) {
		if i := slices.IndexFunc(all, func(f field) bool { return f.name == name }); i >= 0 {
			all[i].value = o.Fields[name]
		} else {
			all = append(all, field{name, o.Fields[name]})
		}
	}
	return all
}

func encodeFields(format string, all []field) []byte {
	var b bytes.Buffer
	if format == "json" {
		writeJSON(&b, all)
	} else {
		b.WriteString("<xml>")
		writeXML(&b, all)
		b.WriteString("</xml>")
	}
	return b.Bytes()
}

func writeJSON(b *bytes.Buffer, all []field) {
	for i, f := range all {
		b.WriteString([]string{"{", ","}[min(i, 1)])
		name, _ := json.Marshal(f.name)
		b.Write(name)
		b.WriteByte(':')
		if inner, ok := f.value.([]field); ok {
			writeJSON(b, inner)
			continue
		}
		value, _ := json.Marshal(f.value)
		b.Write(value)
	}
	b.WriteByte('}')
}

func writeXML(b *bytes.Buffer, all []field) {
	for _, f := range all {
		fmt.Fprintf(b, "<%s>", f.name)
		switch v := f.value.(type) {
		case []field:
			writeXML(b, v)
		case string:
			b.WriteString("<![CDATA[" + strings.ReplaceAll(v, "]]>", "]]]]><![CDATA[>") + "]]>")
		default:
			fmt.Fprint(b, v)
		}
		fmt.Fprintf(b, "</%s>", f.name)
	}
}

// sign makes the query: of a plain push when nothing is sealed.
func (l *letter) sign(at time.Time, forge, sealed string) {
	stamp, nonce, token := strconv.FormatInt(at.Unix(), 10), newID()[:10], PushToken
	if forge == "signature" {
		token = "forged"
	}
	l.query = url.Values{"timestamp": {stamp}, "nonce": {nonce}, "signature": {signature(token, stamp, nonce)}}
	if sealed != "" {
		l.query.Set("encrypt_type", "aes")
		l.query.Set("msg_signature", signature(token, stamp, nonce, sealed))
	}
}

func signature(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// seal frames, pads and encrypts a message for owner.
func seal(message []byte, owner, forge string) string {
	text := PushAESKey
	switch forge {
	case "key":
		text = strings.Repeat("A", 43)
	case "appid":
		owner = "wxforged"
	}
	key, err := base64.StdEncoding.DecodeString(text + "=")
	if err != nil {
		panic(err) // a constant
	}
	frame := make([]byte, 16, 64+len(message)+len(owner))
	_, _ = rand.Read(frame)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(message)))
	frame = append(append(frame, message...), owner...)
	return encrypt(key, key[:aes.BlockSize], frame, 32)
}

// encrypt pads to whole pads and encrypts by AES-CBC, in base64.
func encrypt(key, iv, plain []byte, pad int) string {
	n := pad - len(plain)%pad
	plain = append(plain, bytes.Repeat([]byte{byte(n)}, n)...)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // all keys here are 16 or 32 bytes
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}
