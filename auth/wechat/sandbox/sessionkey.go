package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

func (s *Sandbox) checkSession(w http.ResponseWriter, r *http.Request) {
	openID, proves, ok := s.signed(w, r)
	if !ok {
		return
	}
	switch k, known := s.people.find(openID); {
	case !known:
		s.refuse(w, 87007, "session_key is not existed or expired")
	case !proves(k.key):
		s.refuse(w, 87009, "invalid signature")
	default:
		s.done(w)
	}
}

func (s *Sandbox) resetSession(w http.ResponseWriter, r *http.Request) {
	openID, proves, ok := s.signed(w, r)
	if !ok {
		return
	}
	key := newKey()
	switch _, known := s.people.find(openID); {
	case !known:
		s.refuse(w, 87007, "session_key is not existed or expired")
	case !s.people.rekey(openID, key, proves):
		s.refuse(w, 87009, "invalid signature")
	default:
		answer(w, struct {
			status
			OpenID     string `json:"openid"`
			SessionKey string `json:"session_key"`
		}{status{0, "ok"}, openID, key})
	}
}

// signed returns whom a request is about and what tells whether a key has signed
// it, or reports false when it has answered.
func (s *Sandbox) signed(w http.ResponseWriter, r *http.Request) (openID string, proves func(key string) bool, ok bool) {
	q := r.URL.Query()
	if r.Method != http.MethodGet {
		s.refuse(w, 43001, "require GET method")
		return "", nil, false
	}
	if _, refused := s.refusesToken(w, r, "access_token", ofApp, ofAuthorizer); refused {
		return "", nil, false
	}
	switch {
	case q.Get("sig_method") != "hmac_sha256":
		s.refuse(w, 87008, "invalid sig_method")
	case q.Get("openid") == "":
		s.refuse(w, 40003, "invalid openid")
	default:
		return q.Get("openid"), func(key string) bool {
			mac := hmac.New(sha256.New, []byte(key))
			return hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(q.Get("signature")))
		}, true
	}
	return "", nil, false
}
