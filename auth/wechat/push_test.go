package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// The vectors T4 to T6 of WeChat's documentation.
const (
	vectorApp    = "wxba5fad812f8e6fb9"
	vectorToken  = "AAAAA"
	vectorSealed = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
)

var pushNow = time.Unix(1714112445, 0)

// newPusher is a client whose app vectorApp has sealed pushes and wxplain has plain ones.
func newPusher(t testing.TB) *Client {
	t.Helper()
	token := NewSecret(vectorToken)
	c, err := New(Config{
		Apps: map[string]Secret{vectorApp: NewSecret(testSecret), "wxquiet": NewSecret(testSecret)},
		Push: map[string]PushKeys{
			vectorApp:  {Token: token, AESKey: NewSecret(testAESKey)},
			"wxturned": {Token: token, AESKey: NewSecret("newnewnewnewnewnewnewnewnewnewnewnewnewnew9"), PreviousAESKey: NewSecret(testAESKey)},
			"wxplain":  {Token: token},
		},
		Component: &ComponentConfig{AppID: testComponent, Secret: NewSecret(testSecret), PushKeys: PushKeys{Token: token, AESKey: NewSecret(testAESKey)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// seal frames, pads and encrypts as WeChat does.
func seal(keyText, random, message, owner string) string {
	key, _ := base64.StdEncoding.DecodeString(keyText + "=")
	plain := slices.Concat([]byte(random), binary.BigEndian.AppendUint32(nil, uint32(len(message))), []byte(message), []byte(owner))
	pad := 32 - len(plain)%32
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	return encryptCBC(key, key[:16], plain)
}

func encryptCBC(key, iv, plain []byte) string {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	sealed := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, plain)
	return base64.StdEncoding.EncodeToString(sealed)
}

// sealedPush is the query and the body of a message to owner.
func sealedPush(message, owner string) (url.Values, []byte) {
	return envelope(seal(testAESKey, "0123456789abcdef", message, owner))
}

func envelope(sealed string) (url.Values, []byte) {
	at := strconv.FormatInt(pushNow.Unix(), 10)
	body, _ := json.Marshal(map[string]string{"ToUserName": "gh_1", "Encrypt": sealed})
	return url.Values{"timestamp": {at}, "nonce": {"n0nce"}, "encrypt_type": {"aes"},
		"msg_signature": {signPush(vectorToken, at, "n0nce", sealed)}, "signature": {signPush(vectorToken, at, "n0nce")}}, body
}

func plainPush(message string) (url.Values, []byte) {
	at := strconv.FormatInt(pushNow.Unix(), 10)
	return url.Values{"timestamp": {at}, "nonce": {"n0nce"}, "signature": {signPush(vectorToken, at, "n0nce")}}, []byte(message)
}

// TestPlainSignature: a plain push brings its signature, to be taken once; a sealed
// one brings none.
func TestPlainSignature(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	query, body := plainPush(`{"MsgType":"event","Event":"x"}`)
	got, err := c.OpenPush("wxplain", query, body, pushNow)
	if err != nil || got.Signature != query.Get("signature") || len(got.Signature) != 40 {
		t.Errorf("got %q, %v", got.Signature, err)
	}
	query, body = sealedPush(`{"MsgType":"event","Event":"x"}`, vectorApp)
	if got, err = c.OpenPush(vectorApp, query, body, pushNow); err != nil || got.Signature != "" {
		t.Errorf("sealed: got %q, %v", got.Signature, err)
	}
}

func TestURLCheck(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	query := url.Values{"signature": {"f464b24fc39322e44b38aa78f5edd27bd1441696"}, "echostr": {"4375120948345356249"}, "timestamp": {"1714036504"}, "nonce": {"1514711492"}}
	for _, app := range []string{vectorApp, "wxplain", testComponent, testMerchant} {
		if got, err := c.EchoPush(app, query); got != "4375120948345356249" || err != nil {
			t.Errorf("%s: %q, %v", app, got, err)
		}
	}
	for key, value := range map[string]string{"signature": "f464b24fc39322e44b38aa78f5edd27bd1441697", "timestamp": "1714036505", "nonce": "", "echostr": "<script> "} {
		changed := url.Values{"signature": query["signature"], "echostr": query["echostr"], "timestamp": query["timestamp"], "nonce": query["nonce"]}
		changed.Set(key, value)
		if got, err := c.EchoPush(vectorApp, changed); got != "" || !errors.Is(err, auth.ErrPushRejected) {
			t.Errorf("%s: %q, %v", key, got, err)
		}
	}
	for _, app := range []string{"wxquiet", "", "a b"} {
		if _, err := c.EchoPush(app, query); !errors.Is(err, auth.ErrPushRejected) {
			t.Errorf("%q: %v", app, err)
		}
	}
	if got := signPush(vectorToken, "1714037059", "486452656"); got != "899cf89e464efb63f54ddac96b0a0a235f53aa78" {
		t.Errorf("plain POST: %s", got)
	}
}

// TestSealedVector is T5, from JSON and from XML, by the present key and the one before.
func TestSealedVector(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	query := url.Values{"timestamp": {"1714112445"}, "nonce": {"415670741"}, "encrypt_type": {"aes"},
		"signature": {"6c5c811b55cc85e0e1b54100749188c20beb3f5d"}, "msg_signature": {"046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"}}
	for _, body := range []string{
		`{"ToUserName":"gh_97417a04a28d","Encrypt":"` + vectorSealed + `"}`,
		"\ufeff\r\n { \" Encrypt\" : \"" + vectorSealed + "\"}",
		`<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[` + vectorSealed + `]]></Encrypt></xml>`,
		"<?xml version=\"1.0\"?>\n<xml>\n<Encrypt>" + vectorSealed + "</Encrypt>\n<Other><Encrypt>x</Encrypt></Other></xml>\n",
	} {
		got, err := c.OpenPush(vectorApp, query, []byte(body), pushNow)
		if err != nil || got.Event != "" || got.AppID != vectorApp || !got.At.Equal(pushNow) || got.ID == "" {
			t.Errorf("%s: %+v, %v", body[:20], got, err)
		}
	}
	message, err := c.doors[vectorApp].open(vectorSealed)
	if want := `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`; string(message) != want || err != nil {
		t.Errorf("got %s, %v", message, err)
	}
	// T6, an answer of ours, in the same frame.
	const answer = "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="
	if message, err := c.doors[vectorApp].open(answer); string(message) != `{"demo_resp":"good luck"}` || err != nil {
		t.Errorf("answer: %s, %v", message, err)
	}
	if got := seal(testAESKey, "707722b803182950", `{"demo_resp":"good luck"}`, vectorApp); got != answer {
		t.Errorf("sealed: %s", got)
	}
	if got := signPush(vectorToken, "1713424427", "415670741", answer); got != "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1" {
		t.Errorf("signed: %s", got)
	}
}

func TestPreviousAESKey(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	for _, key := range []string{testAESKey, "newnewnewnewnewnewnewnewnewnewnewnewnewnew9", "newnewnewnewnewnewnewnewnewnewnewnewnewnew8"} {
		// 8 and 9 differ in the bits that the key has no room for.
		query, body := envelope(seal(key, "0123456789abcdef", `{"MsgId":"1"}`, "wxturned"))
		if _, err := c.OpenPush("wxturned", query, body, pushNow); err != nil {
			t.Errorf("%s: %v", key[:4], err)
		}
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	const who = `"ToUserName":"gh_1","FromUserName":"oplatform","CreateTime":1714112445,`
	for name, row := range map[string]struct {
		app, owner, message string
		want                auth.Push
	}{
		"revoke": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oA","AppID":"` + vectorApp + `","RevokeInfo":"6"}`,
			auth.Push{Event: auth.PushRevoked, AppID: vectorApp, OpenID: "oA", Revoked: []int{6}}},
		"revoke, sample defects": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"Event"," Event":"user_authorization_revoke"," OpenID":" oA "," RevokeInfo":"6,19, 20"}`,
			auth.Push{Event: auth.PushRevoked, AppID: vectorApp, OpenID: "oA", Revoked: []int{6, 19, 20}}},
		"revoke, number": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"EVENT","Event":"user_authorization_revoke","OpenID":"oA","RevokeInfo":301}`,
			auth.Push{Event: auth.PushRevoked, AppID: vectorApp, OpenID: "oA", Revoked: []int{301}}},
		"cancellation in XML": {vectorApp, vectorApp,
			`<xml><ToUserName>gh_1</ToUserName><CreateTime>1714112445</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[user_authorization_cancellation]]></Event><OpenID><![CDATA[oA]]></OpenID></xml>`,
			auth.Push{Event: auth.PushCancelled, AppID: vectorApp, OpenID: "oA"}},
		"modified without openid": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"user_info_modified"}`,
			auth.Push{Event: auth.PushInfoModified, AppID: vectorApp}},
		"picture": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","appid":"` + vectorApp + `","trace_id":"t1","version":2,"detail":[{"strategy":"content_model","errcode":0,"suggest":"pass"}],"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":20002}}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1", Verdict: auth.VerdictRisky}},
		"picture in XML": {vectorApp, vectorApp,
			`<xml><CreateTime>1714112445</CreateTime><MsgType>event</MsgType><Event>wxa_media_check</Event><trace_id>t1</trace_id><detail><strategy>a</strategy><errcode>0</errcode><suggest>risky</suggest></detail><errcode>0</errcode><result><suggest>pass</suggest><label>100</label></result></xml>`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1", Verdict: auth.VerdictPass}},
		"picture not loaded": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","errcode":-1008,"result":{"suggest":"pass","label":100}}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1"}},
		"picture without result": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","errcode":43104,"detail":[]}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1"}},
		"picture, first version": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","isrisky":1,"status_code":0,"extra_info_json":"{}"}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1", Verdict: auth.VerdictRisky}},
		"picture, first version, good": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","isrisky":0,"status_code":0,"extra_info_json":"{}"}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1", Verdict: auth.VerdictPass}},
		"picture, nothing said": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","errcode":0,"result":null}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1"}},
		"picture, first version, not loaded": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"event","Event":"wxa_media_check","trace_id":"t1","isrisky":0,"status_code":4294966288}`,
			auth.Push{Event: auth.PushMediaChecked, AppID: vectorApp, TraceID: "t1"}},
		"a chat message": {vectorApp, vectorApp,
			`{` + who + `"MsgType":"text","Content":"user_authorization_revoke","Event":"user_authorization_revoke","MsgId":1}`,
			auth.Push{AppID: vectorApp}},
		"ticket": {testComponent, testComponent,
			`<xml><AppId>` + testComponent + `</AppId><CreateTime>1714112445</CreateTime><InfoType>component_verify_ticket</InfoType><ComponentVerifyTicket><![CDATA[ticket@@@x]]></ComponentVerifyTicket></xml>`,
			auth.Push{Event: auth.PushTicket, AppID: testComponent, Secret: "ticket@@@x"}},
		"authorized": {testComponent, testComponent,
			`<xml><AppId>` + testComponent + `</AppId><CreateTime>1714112445</CreateTime><InfoType>authorized</InfoType><AuthorizerAppid>` + testMerchant + `</AuthorizerAppid><AuthorizationCode>queryauthcode@@@1</AuthorizationCode><AuthorizationCodeExpiredTime>1714116045</AuthorizationCodeExpiredTime><PreAuthCode>p</PreAuthCode></xml>`,
			auth.Push{Event: auth.PushAuthorized, AppID: testMerchant, Secret: "queryauthcode@@@1"}},
		"updateauthorized": {testComponent, testComponent,
			`<xml><CreateTime>1714112445</CreateTime><InfoType>updateauthorized</InfoType><AuthorizerAppid>` + testMerchant + `</AuthorizerAppid><AuthorizationCode>c</AuthorizationCode></xml>`,
			auth.Push{Event: auth.PushAuthorized, AppID: testMerchant, Secret: "c"}},
		"unauthorized": {testComponent, testComponent,
			`<xml><CreateTime>1714112445</CreateTime><InfoType>unauthorized</InfoType><AuthorizerAppid>` + testMerchant + `</AuthorizerAppid></xml>`,
			auth.Push{Event: auth.PushUnauthorized, AppID: testMerchant}},
		"other info": {testComponent, testComponent,
			`<xml><CreateTime>1714112445</CreateTime><InfoType>notify_third_fasteregister</InfoType></xml>`,
			auth.Push{AppID: testComponent}},
		"a merchant's": {testMerchant, testComponent,
			`<xml><CreateTime>1714112445</CreateTime><MsgType>event</MsgType><Event>user_authorization_revoke</Event><OpenID>oA</OpenID><AppID>` + testMerchant + `</AppID><RevokeInfo>8</RevokeInfo></xml>`,
			auth.Push{Event: auth.PushRevoked, AppID: testMerchant, OpenID: "oA", Revoked: []int{8}}},
		"a merchant's at the platform's address": {testComponent, testComponent,
			`<xml><CreateTime>1714112445</CreateTime><MsgType>event</MsgType><Event>user_authorization_cancellation</Event><OpenID>oA</OpenID><AppID>` + testMerchant + `</AppID></xml>`,
			auth.Push{Event: auth.PushCancelled, AppID: testMerchant, OpenID: "oA"}},
	} {
		query, body := sealedPush(row.message, row.owner)
		got, err := c.OpenPush(row.app, query, body, pushNow)
		row.want.At, row.want.ID = pushNow, got.ID
		if err != nil || fmt.Sprintf("%q", fields(got)) != fmt.Sprintf("%q", fields(row.want)) || len(got.ID) != 64 {
			t.Errorf("%s: got %q, want %q, %v", name, fields(got), fields(row.want), err)
		}
	}
	query, body := plainPush(`{` + who + `"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}`)
	if got, err := c.OpenPush("wxplain", query, body, pushNow); err != nil || got.Event != auth.PushCancelled || got.OpenID != "oA" {
		t.Errorf("plain: %q, %v", fields(got), err)
	}
}

func fields(p auth.Push) []string {
	return []string{string(p.Event), p.AppID, p.OpenID, p.At.UTC().String(), fmt.Sprint(p.Revoked), p.TraceID, string(p.Verdict), p.Secret, p.ID}
}

func TestForgedPushes(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	const message = `{"CreateTime":1714112445,"MsgType":"event","Event":"user_authorization_cancellation","OpenID":"oA"}`
	key, _ := base64.StdEncoding.DecodeString(testAESKey + "=")
	// framed encrypts what the frame test wants of it: any bytes at all.
	framed := func(plain string) func() (url.Values, []byte) {
		return func() (url.Values, []byte) { return envelope(encryptCBC(key, key[:16], []byte(plain))) }
	}
	good := func() (url.Values, []byte) { return sealedPush(message, vectorApp) }
	for name, row := range map[string]struct {
		app    string
		make   func() (url.Values, []byte)
		change func(url.Values, *[]byte)
	}{
		"no push settings":      {"wxquiet", good, nil},
		"no AppID":              {"", good, nil},
		"wrong msg_signature":   {vectorApp, good, func(q url.Values, _ *[]byte) { q.Set("msg_signature", strings.Repeat("0", 40)) }},
		"no msg_signature":      {vectorApp, good, func(q url.Values, _ *[]byte) { q.Del("msg_signature") }},
		"signature alone":       {vectorApp, good, func(q url.Values, _ *[]byte) { q.Set("msg_signature", q.Get("signature")) }},
		"other nonce":           {vectorApp, good, func(q url.Values, _ *[]byte) { q.Set("nonce", "other") }},
		"replayed as if new":    {vectorApp, good, func(q url.Values, _ *[]byte) { q.Set("timestamp", "1714112446") }},
		"no timestamp":          {vectorApp, good, func(q url.Values, _ *[]byte) { q.Del("timestamp") }},
		"empty":                 {vectorApp, good, func(_ url.Values, b *[]byte) { *b = nil }},
		"truncated":             {vectorApp, good, func(_ url.Values, b *[]byte) { *b = (*b)[:len(*b)-9] }},
		"with more behind":      {vectorApp, good, func(_ url.Values, b *[]byte) { *b = append(*b, "{}"...) }},
		"a list":                {vectorApp, good, func(_ url.Values, b *[]byte) { *b = []byte("[" + string(*b) + "]") }},
		"oversized":             {vectorApp, good, func(_ url.Values, b *[]byte) { *b = append(bytes.Repeat([]byte(" "), MaxPush), *b...) }},
		"plain where sealed":    {vectorApp, func() (url.Values, []byte) { return plainPush(message) }, nil},
		"plain, encrypted type": {vectorApp, func() (url.Values, []byte) { return plainPush(message) }, func(q url.Values, _ *[]byte) { q.Set("encrypt_type", "aes") }},
		"plain, forged":         {"wxplain", func() (url.Values, []byte) { return plainPush(message) }, func(q url.Values, _ *[]byte) { q.Set("signature", strings.Repeat("0", 40)) }},
		"sealed, and no key":    {"wxplain", good, nil},
		"plain, other app":      {"wxplain", func() (url.Values, []byte) { return plainPush(`{"MsgType":"event","AppID":"wxother"}`) }, nil},
		"sealed for another":    {vectorApp, func() (url.Values, []byte) { return sealedPush(message, "wxother") }, nil},
		"sealed for a longer":   {vectorApp, func() (url.Values, []byte) { return sealedPush(message, vectorApp+"x") }, nil},
		"sealed for nobody":     {vectorApp, func() (url.Values, []byte) { return sealedPush(message, "") }, nil},
		"merchant's own AppID":  {testMerchant, func() (url.Values, []byte) { return sealedPush(message, testMerchant) }, nil},
		"other merchant's": {testMerchant, func() (url.Values, []byte) {
			return sealedPush(`{"MsgType":"event","AppID":"wxmerchant2"}`, testComponent)
		}, nil},
		"info type to an app": {vectorApp, func() (url.Values, []byte) {
			return sealedPush(`{"InfoType":"unauthorized","AuthorizerAppid":"wx1"}`, vectorApp)
		}, nil},
		"info type to a merchant": {testMerchant, func() (url.Values, []byte) {
			return sealedPush(`{"InfoType":"unauthorized","AuthorizerAppid":"wx1"}`, testComponent)
		}, nil},
		"ticket of another": {testComponent, func() (url.Values, []byte) {
			return sealedPush(`{"InfoType":"component_verify_ticket","AppId":"wxother","ComponentVerifyTicket":"t"}`, testComponent)
		}, nil},
		"ticket without one": {testComponent, func() (url.Values, []byte) {
			return sealedPush(`{"InfoType":"component_verify_ticket"}`, testComponent)
		}, nil},
		"authorized without code": {testComponent, func() (url.Values, []byte) {
			return sealedPush(`{"InfoType":"authorized","AuthorizerAppid":"wx1"}`, testComponent)
		}, nil},
		"unauthorized nobody": {testComponent, func() (url.Values, []byte) { return sealedPush(`{"InfoType":"unauthorized"}`, testComponent) }, nil},
		"malformed openid":    {vectorApp, func() (url.Values, []byte) { return sealedPush(`{"OpenID":"o\u0000"}`, vectorApp) }, nil},
		"sealed garbage":      {vectorApp, func() (url.Values, []byte) { return sealedPush("hello", vectorApp) }, nil},
		"sealed nothing":      {vectorApp, func() (url.Values, []byte) { return sealedPush("", vectorApp) }, nil},
		"not base64":          {vectorApp, func() (url.Values, []byte) { return envelope("***") }, nil},
		"half a block":        {vectorApp, func() (url.Values, []byte) { return envelope("AAAAAAAAAAA=") }, nil},
		"padding 0":           {vectorApp, framed(strings.Repeat("\x00", 32)), nil},
		"padding 33":          {vectorApp, framed(strings.Repeat("\x21", 64)), nil},
		"padding uneven":      {vectorApp, framed(strings.Repeat("x", 29) + "\x02\x03\x03"), nil},
		"padding only":        {vectorApp, framed(strings.Repeat("\x20", 32)), nil},
		"shorter than a head": {vectorApp, framed(strings.Repeat("x", 15) + strings.Repeat("\x11", 17)), nil},
		"length beyond the end": {vectorApp, framed(strings.Repeat("x", 16) + "\x00\x00\xff\xff" +
			strings.Repeat("\x0c", 12)), nil},
		"length beyond all": {vectorApp, framed(strings.Repeat("x", 16) + "\xff\xff\xff\xff" +
			strings.Repeat("\x0c", 12)), nil},
		"a bomb of entities": {vectorApp, func() (url.Values, []byte) {
			return sealedPush(`<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><Event>&a;</Event></xml>`, vectorApp)
		}, nil},
		"deep XML": {vectorApp, func() (url.Values, []byte) {
			return sealedPush(strings.Repeat("<a>", 1000)+strings.Repeat("</a>", 1000), vectorApp)
		}, nil},
		"deep JSON": {vectorApp, func() (url.Values, []byte) {
			return sealedPush(strings.Repeat(`{"a":`, 1000)+"1"+strings.Repeat("}", 1000), vectorApp)
		}, nil},
		"many fields": {vectorApp, func() (url.Values, []byte) {
			var b strings.Builder
			for i := range maxFields + 1 {
				fmt.Fprintf(&b, "<a%d/>", i)
			}
			return sealedPush("<xml>"+b.String()+"</xml>", vectorApp)
		}, nil},
		"a long name": {vectorApp, func() (url.Values, []byte) {
			return sealedPush(`{"`+strings.Repeat("a", maxName+1)+`":1}`, vectorApp)
		}, nil},
		"two roots":    {vectorApp, func() (url.Values, []byte) { return sealedPush("<a/><b/>", vectorApp) }, nil},
		"open root":    {vectorApp, func() (url.Values, []byte) { return sealedPush("<a><b></b>", vectorApp) }, nil},
		"other tongue": {vectorApp, func() (url.Values, []byte) { return sealedPush(`<?xml version="1.0" encoding="GBK"?><a/>`, vectorApp) }, nil},
	} {
		query, body := row.make()
		if row.change != nil {
			row.change(query, &body)
		}
		got, err := c.OpenPush(row.app, query, body, pushNow)
		if !errors.Is(err, auth.ErrPushRejected) || fmt.Sprint(fields(got)) != fmt.Sprint(fields(auth.Push{})) {
			t.Errorf("%s: %q, %v", name, fields(got), err)
			continue
		}
		if text := err.Error(); strings.Contains(text, vectorToken) || strings.Contains(text, "oA") || len(text) > 100 {
			t.Errorf("%s: %q", name, text)
		}
	}
	query, body := good()
	for _, row := range []struct {
		late time.Duration
		ok   bool
	}{{MaxPushAge, true}, {MaxPushAge + time.Second, false}, {-MaxPushLead, true}, {-MaxPushLead - time.Second, false}} {
		if _, err := c.OpenPush(vectorApp, query, body, pushNow.Add(row.late)); (err == nil) != row.ok {
			t.Errorf("%v late: %v", row.late, err)
		}
	}
	for _, at := range []string{"9223372036854775807", "-9223372036854775808", "99999999999999999999", "x"} {
		query.Set("timestamp", at)
		if _, err := c.OpenPush(vectorApp, query, body, pushNow); !errors.Is(err, auth.ErrPushRejected) {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

// TestPushID: the deliveries of one push, whatever they are written in, have one ID.
func TestPushID(t *testing.T) {
	t.Parallel()
	c := newPusher(t)
	id := func(app, message string) string {
		t.Helper()
		query, body := sealedPush(message, app)
		p, err := c.OpenPush(app, query, body, pushNow)
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	const base = `"FromUserName":"op","CreateTime":1,"MsgType":"event","Event":"user_authorization_revoke"`
	first := id(vectorApp, `{`+base+`,"OpenID":"oA","RevokeInfo":"6"}`)
	for _, same := range []string{
		`{` + base + `,"RevokeInfo":6,"OpenID":"oA"}`,
		`<xml><OpenID>oA</OpenID><FromUserName>op</FromUserName><CreateTime>1</CreateTime><MsgType>event</MsgType><Event>user_authorization_revoke</Event><RevokeInfo>6</RevokeInfo></xml>`,
	} {
		if id(vectorApp, same) != first {
			t.Errorf("another ID for %s", same)
		}
	}
	seen := map[string]string{first: "first"}
	for _, other := range []string{
		`{` + base + `,"OpenID":"oB","RevokeInfo":"6"}`, `{` + base + `,"OpenID":"oA","RevokeInfo":"8"}`, `{` + base + `,"OpenID":"oA6"}`,
		`{` + base + `,"OpenID":"oA","RevokeInfo":"6","MsgId":"9"}`, `{"MsgId":"10"}`, `{"trace_id":"t1"}`, `{"trace_id":"t2"}`, `{"trace_id":"t2","errcode":-1008}`,
	} {
		got := id(vectorApp, other)
		if seen[got] != "" {
			t.Errorf("%s has the ID of %s", other, seen[got])
		}
		seen[got] = other
	}
	if id("wxturned", `{"MsgId":"10"}`) == id(vectorApp, `{"MsgId":"10"}`) {
		t.Error("two apps share an ID")
	}
	if id(vectorApp, `{"MsgId":"10","CreateTime":1}`) != id(vectorApp, `{"MsgId":10,"CreateTime":2}`) {
		t.Error("MsgId does not decide")
	}
}

func BenchmarkOpenPush(b *testing.B) {
	c := newPusher(b)
	query, body := sealedPush(`{"ToUserName":"gh_1","FromUserName":"o","CreateTime":1714112445,"MsgType":"event","Event":"user_authorization_revoke","OpenID":"oA","RevokeInfo":"6"}`, vectorApp)
	for b.Loop() {
		if _, err := c.OpenPush(vectorApp, query, body, pushNow); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzPush(f *testing.F) {
	for _, app := range []string{vectorApp, "wxplain", testComponent, testMerchant} {
		for _, seed := range []string{`{"Encrypt":"` + vectorSealed + `"}`, `{"MsgType":"event","Event":"wxa_media_check","result":{"suggest":"pass"}}`,
			`<xml><InfoType>authorized</InfoType><AuthorizerAppid>wx1</AuthorizerAppid><AuthorizationCode>c</AuthorizationCode></xml>`,
			`<a><b/><![CDATA[x]]></a>`, `{"a":[{"b":[1,null,true]}]}`, "\xef\xbb\xbf <", "{\"OpenID\":\"\xff\"}"} {
			f.Add(app, []byte(seed))
		}
	}
	c := newPusher(f)
	f.Fuzz(func(t *testing.T, app string, body []byte) {
		given := string(body)
		for _, made := range []func() (url.Values, []byte){
			func() (url.Values, []byte) { return plainPush(string(body)) },
			func() (url.Values, []byte) { return sealedPush(string(body), app) },
			func() (url.Values, []byte) { return sealedPush(string(body), testComponent) },
			func() (url.Values, []byte) { return envelope(base64.StdEncoding.EncodeToString(body)) },
		} {
			query, sent := made()
			p, err := c.OpenPush(app, query, sent, pushNow)
			switch {
			case err != nil:
				if !errors.Is(err, auth.ErrPushRejected) || fmt.Sprint(fields(p)) != fmt.Sprint(fields(auth.Push{})) || len(err.Error()) > 100 {
					t.Fatalf("%v with %q", err, fields(p))
				}
			case p.ID == "" || p.AppID == "" || len(p.OpenID) > MaxID || !auth.VisibleASCII(p.OpenID+p.TraceID+p.Secret+p.AppID) || len(p.Revoked) > 64:
				t.Fatalf("accepted %q", fields(p))
			}
		}
		if string(body) != given {
			t.Fatal("changed its input")
		}
	})
}

// FuzzFrame has any bytes pass for what was decrypted.
func FuzzFrame(f *testing.F) {
	key, _ := base64.StdEncoding.DecodeString(testAESKey + "=")
	f.Add([]byte(strings.Repeat("x", 16)+"\x00\x00\x00\x02{}"+vectorApp), uint8(8))
	f.Add([]byte(strings.Repeat("x", 16)+"\xff\xff\xff\xff"), uint8(32))
	f.Fuzz(func(t *testing.T, plain []byte, pad uint8) {
		plain = append(plain, bytes.Repeat([]byte{pad}, int(pad))...)
		sealed, _ := base64.StdEncoding.DecodeString(encryptCBC(key, key[:16], plain[:len(plain)/16*16]))
		if message, ok := openFrame(key, sealed, vectorApp); ok && (len(message)+20+len(vectorApp) >= len(sealed) || !bytes.Contains(plain, message)) {
			t.Fatalf("made %q of %q", message, plain)
		}
	})
}
