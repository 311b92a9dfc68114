package wechat

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
)

var userPhoneNumber = endpoint{name: "getuserphonenumber", path: "/wxa/business/getuserphonenumber", means: map[int]error{
	40013: auth.ErrCodeRejected, // the code is of another app than the token
}}

// PhoneNumber trades the code of a phone button for the number, with one request
// at the most: the code works once. See
// DOC/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber.
func (c *Client) PhoneNumber(ctx context.Context, token, appID, code string) (auth.Phone, error) {
	if err := userPhoneNumber.checkCode(code); err != nil {
		return auth.Phone{}, err
	}
	var r struct {
		verdict
		Info *phoneInfo `json:"phone_info"`
	}
	if err := c.ask(ctx, &userPhoneNumber, url.Values{"access_token": {token}}, struct {
		Code string `json:"code"`
	}{code}, &r, token, code); err != nil {
		return auth.Phone{}, err
	}
	phone, ok := r.Info.number()
	switch {
	case !ok:
		return auth.Phone{}, userPhoneNumber.lacks("reply without a proper phone number")
	case string(r.Info.Watermark.AppID) != appID:
		return auth.Phone{}, userPhoneNumber.refused("number for another app", auth.ErrCodeRejected)
	}
	return phone, nil
}

var encryptedCheck = endpoint{name: "checkencryptedmsg", path: "/wxa/business/checkencryptedmsg"}

// MadeEncrypted asks whether WeChat has encrypted a phone number for a client of
// the token's app, by the SHA-256 of data, in hexadecimal (checkEncryptedData).
func (c *Client) MadeEncrypted(ctx context.Context, token, data string) (bool, error) {
	sum := sha256.Sum256([]byte(data))
	var r struct {
		verdict
		Valid *bool `json:"vaild"` // WeChat writes it so
	}
	if err := c.ask(ctx, &encryptedCheck, url.Values{"access_token": {token}}, struct {
		Hash string `json:"encrypted_msg_hash"`
	}{hex.EncodeToString(sum[:])}, &r, token); err != nil {
		return false, err
	}
	if r.Valid == nil {
		return false, encryptedCheck.lacks("reply without a verdict")
	}
	return *r.Valid, nil
}

// phoneInfo is a phone number as replies and open data have it.
type phoneInfo struct {
	Full        loose     `json:"phoneNumber"` // abroad with the country code
	Number      loose     `json:"purePhoneNumber"`
	CountryCode loose     `json:"countryCode"`
	Watermark   watermark `json:"watermark"`
}

// number reports false when there is no number that one could call.
func (p *phoneInfo) number() (auth.Phone, bool) {
	if p == nil {
		return auth.Phone{}, false
	}
	phone := auth.Phone{CountryCode: strings.TrimPrefix(string(p.CountryCode), "+"), Number: string(p.Number)}
	return phone, isDigits(phone.CountryCode, 1, 4) && isDigits(phone.Number, 3, 15)
}

func isDigits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}
