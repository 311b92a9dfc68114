package sandbox

import (
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// openData gives what wx.getUserInfo and the old phone button give a client, under
// the session_key that the person has now.
func (s *Sandbox) openData(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	person, appID := q.Get("person"), cmp.Or(q.Get("appId"), s.apps[0])
	if !isName(person) {
		decline(w, errors.New("person is missing, or no name"))
		return
	}
	openID := idOf("openid", appID, strings.TrimSuffix(person, "-nounion"))
	k, ok := s.people.find(openID)
	if !ok {
		decline(w, errors.New("the person has not logged in to this app"))
		return
	}
	age, err := strconv.ParseInt(cmp.Or(q.Get("age"), "0"), 10, 32)
	if err != nil {
		decline(w, errors.New("age is no number of seconds"))
		return
	}
	mark := watermark{s.now().Add(-time.Duration(age) * time.Second).Unix(), cmp.Or(q.Get("watermark"), appID)}

	raw := rawData{
		Nickname: cmp.Or(q.Get("nickname"), person), Gender: 0, Language: "zh_CN",
		AvatarURL: cmp.Or(q.Get("avatarUrl"), "https://thirdwx.qlogo.cn/mmopen/vi_32/sandbox/132"),
	}
	var told any = struct {
		OpenID string `json:"openId"`
		rawData
		UnionID   string    `json:"unionId,omitempty"`
		Watermark watermark `json:"watermark"`
	}{openID, raw, newSession(appID, person).UnionID, mark}
	if number := q.Get("phone"); number != "" {
		p, ok := s.newPhone(mark.AppID, strings.ReplaceAll(number, " ", "+")) // a + that was not escaped
		if !ok {
			decline(w, errors.New("phone is no number as 13800138000 or +852-61234567"))
			return
		}
		p.Watermark = mark
		told = p
	}
	key := k.key
	if q.Get("stale") != "" {
		key = newKey()
	}
	rawText, plain := toJSON(raw), toJSON(told)
	iv := make([]byte, 16)
	_, _ = rand.Read(iv)
	keyBytes, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		panic(err) // we made it
	}
	sum := sha1.Sum([]byte(rawText + key))
	sealed := encrypt(keyBytes, iv, []byte(plain), 16)
	if q.Get("phone") != "" && q.Get("forged") == "" {
		s.given.add(messageHash(sealed), s.now())
	}
	tell(w, http.StatusOK, struct {
		RawData       string `json:"rawData"`
		Signature     string `json:"signature"`
		EncryptedData string `json:"encryptedData"`
		IV            string `json:"iv"`
	}{rawText, hex.EncodeToString(sum[:]), sealed, base64.StdEncoding.EncodeToString(iv)})
}

// messageHash is the name by which checkencryptedmsg knows encryptedData.
func messageHash(encryptedData string) string {
	sum := sha256.Sum256([]byte(encryptedData))
	return hex.EncodeToString(sum[:])
}

// checkEncrypted tells whether a client got an encrypted phone number from here.
func (s *Sandbox) checkEncrypted(w http.ResponseWriter, r *http.Request) {
	if _, refused := s.refusesToken(w, r, "access_token", ofApp, ofAuthorizer); refused {
		return
	}
	var in struct {
		Hash string `json:"encrypted_msg_hash"`
	}
	switch {
	case s.refusesBody(w, r, &in):
	case len(in.Hash) != 64:
		s.refuse(w, 40097, "invalid args")
	default:
		answer(w, struct {
			status
			Valid bool `json:"vaild"` // as WeChat writes it
		}{status{0, "ok"}, s.given.has(in.Hash)})
	}
}

type rawData struct {
	Nickname  string `json:"nickName"`
	Gender    int    `json:"gender"`
	Language  string `json:"language"`
	City      string `json:"city"`
	Province  string `json:"province"`
	Country   string `json:"country"`
	AvatarURL string `json:"avatarUrl"`
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sandbox: %v", err)) // of strings and numbers
	}
	return string(b)
}
