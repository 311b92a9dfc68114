package wechat

import (
	"bytes"
	"crypto/aes"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// MaxOpenData bounds rawData and encryptedData, in bytes; WeChat's have
// some 600.
const MaxOpenData = 8 << 10

// OpenData opens encryptedData: AES-128-CBC under the session_key. See
// DOC/miniprogram/dev/framework/open-ability/signature.
//
// A key that is not the one it was made with nearly always shows as wrong padding,
// and else as text that is no JSON: both are auth.ErrSessionKeyStale. What fits no
// key at all, or was made for another app, is an *auth.InvalidError.
func (c *Client) OpenData(appID, sessionKey, encryptedData, iv string) (auth.OpenData, error) {
	vector, err := base64.StdEncoding.DecodeString(iv)
	if err != nil || len(vector) != aes.BlockSize {
		return auth.OpenData{}, &auth.InvalidError{Field: "iv", Reason: "not 16 bytes in base64"}
	}
	if len(encryptedData) > MaxOpenData {
		return auth.OpenData{}, &auth.InvalidError{Field: "encryptedData", Reason: "too long"}
	}
	sealed, err := base64.StdEncoding.DecodeString(encryptedData)
	switch {
	case err != nil:
		return auth.OpenData{}, &auth.InvalidError{Field: "encryptedData", Reason: "not base64"}
	case len(sealed) == 0 || len(sealed)%aes.BlockSize != 0:
		return auth.OpenData{}, &auth.InvalidError{Field: "encryptedData", Reason: "cut off, or not what WeChat gave"}
	case !isSessionKey(sessionKey):
		return auth.OpenData{}, auth.ErrSessionKeyStale
	}
	key, _ := base64.StdEncoding.DecodeString(sessionKey)
	plain, ok := decrypt(key, vector, sealed, aes.BlockSize)
	if !ok || !json.Valid(plain) {
		return auth.OpenData{}, auth.ErrSessionKeyStale
	}
	data, mark, ok := readOpenData(plain)
	switch {
	case !ok:
		return auth.OpenData{}, &auth.InvalidError{Field: "encryptedData", Reason: "not what WeChat gave"}
	case string(mark.AppID) != appID:
		return auth.OpenData{}, &auth.InvalidError{Field: "encryptedData", Reason: "made for another app"}
	}
	return data, nil
}

// RawData checks the signature of rawData and reads it. A signature under another
// session_key looks like one of other data, so either is auth.ErrSessionKeyStale.
// rawData has no watermark and no ids.
func (c *Client) RawData(sessionKey, rawData, signature string) (auth.OpenData, error) {
	given, err := hex.DecodeString(signature)
	switch {
	case err != nil || len(given) != sha1.Size:
		return auth.OpenData{}, &auth.InvalidError{Field: "signature", Reason: "not 40 hexadecimal digits"}
	case len(rawData) > MaxOpenData:
		return auth.OpenData{}, &auth.InvalidError{Field: "rawData", Reason: "too long"}
	case !isSessionKey(sessionKey):
		return auth.OpenData{}, auth.ErrSessionKeyStale
	}
	if sum := sha1.Sum([]byte(rawData + sessionKey)); subtle.ConstantTimeCompare(sum[:], given) != 1 {
		return auth.OpenData{}, auth.ErrSessionKeyStale
	}
	data, _, ok := readOpenData([]byte(rawData))
	if !ok {
		return auth.OpenData{}, &auth.InvalidError{Field: "rawData", Reason: "not what WeChat gave"}
	}
	return data, nil
}

type watermark struct {
	AppID text   `json:"appid"`
	At    number `json:"timestamp"`
}

// readOpenData reads what was signed or sealed; it reports false when that is no
// JSON object.
func readOpenData(plain []byte) (auth.OpenData, watermark, bool) {
	var r struct {
		OpenID    text   `json:"openId"`
		UnionID   text   `json:"unionId"`
		Nickname  text   `json:"nickName"`
		AvatarURL text   `json:"avatarUrl"`
		Gender    number `json:"gender"`
		Country   text   `json:"country"`
		Province  text   `json:"province"`
		City      text   `json:"city"`
		phoneInfo
	}
	if !bytes.HasPrefix(bytes.TrimSpace(plain), []byte("{")) || json.Unmarshal(plain, &r) != nil {
		return auth.OpenData{}, watermark{}, false
	}
	for _, id := range []text{r.OpenID, r.UnionID} {
		if len(id) > MaxID || !auth.VisibleASCII(string(id)) {
			return auth.OpenData{}, watermark{}, false
		}
	}
	data := auth.OpenData{
		OpenID: string(r.OpenID), UnionID: string(r.UnionID), Nickname: string(r.Nickname), AvatarURL: string(r.AvatarURL),
		Country: string(r.Country), Province: string(r.Province), City: string(r.City),
	}
	if r.Gender == 1 || r.Gender == 2 {
		data.Gender = int(r.Gender)
	}
	if r.Watermark.At > 0 {
		data.At = time.Unix(min(int64(r.Watermark.At), 1<<40), 0)
	}
	if phone, ok := r.number(); ok {
		data.Phone = &phone
	} else if strings.TrimSpace(string(r.Number)+string(r.Full)) != "" {
		return auth.OpenData{}, watermark{}, false // a number that is none
	}
	return data, r.Watermark, true
}
