package sandbox

import (
	"net/http"
	"strings"
)

// phonePerson begins the code of a phone button, and is nobody who logs in.
const phonePerson = "phone"

type watermark struct {
	At    int64  `json:"timestamp"`
	AppID string `json:"appid"`
}

type phone struct {
	Full        string    `json:"phoneNumber"`
	Number      string    `json:"purePhoneNumber"`
	CountryCode string    `json:"countryCode"`
	Watermark   watermark `json:"watermark"`
}

func (s *Sandbox) phoneNumber(w http.ResponseWriter, r *http.Request) {
	appID, refused := s.refusesToken(w, r, "access_token", ofApp, ofAuthorizer)
	if refused {
		return
	}
	var in struct {
		Code string `json:"code"`
	}
	if s.refusesBody(w, r, &in) {
		return
	}
	rest, ok := strings.CutPrefix(in.Code, phonePerson+"~")
	number, nonce, more := strings.Cut(rest, "~")
	info, valid := s.newPhone(appID, number)
	switch {
	case !ok || !more || !valid || !isNonce(nonce):
		s.refuse(w, 40029, "invalid code")
	case !s.used.add(in.Code, s.now()):
		s.refuse(w, 40029, "invalid code") // as WeChat, and not 40163
	default:
		answer(w, struct {
			status
			Info phone `json:"phone_info"`
		}{status{0, "ok"}, info})
	}
}

// newPhone reads a number as 13800138000, or +852-61234567 from abroad, and makes
// of it what WeChat tells.
func (s *Sandbox) newPhone(appID, number string) (phone, bool) {
	country, full := "86", number
	if abroad, ok := strings.CutPrefix(number, "+"); ok {
		country, number, _ = strings.Cut(abroad, "-")
		full = "+" + country + number
	}
	p := phone{Full: full, Number: number, CountryCode: country, Watermark: watermark{s.now().Unix(), appID}}
	return p, isDigits(country, 1, 4) && isDigits(number, 3, 15)
}

func isDigits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}
