package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tokens makes and checks everything that WeChat gives out to be shown again. A
// token says what it is for and until when, signed, so that none has to be kept
// and each is good after a restart, as with WeChat.
type tokens struct {
	now func() time.Time
}

var tokenKey = []byte("protects nothing")

// The kinds of tokens.
const (
	ofApp        = "access"
	ofComponent  = "component"
	ofAuthorizer = "authorizer"
	ofTicket     = "ticket"
	ofRefresh    = "refresh"
	ofAuthCode   = "queryauthcode"
)

const (
	tokenLife   = 2 * time.Hour
	tokenShared = 5 * time.Minute // for which the token before works on
	ticketLife  = 12 * time.Hour
	codeLife    = time.Hour
)

// issue gives an app's token of a kind and its life in seconds: the same until 5
// minutes before its end, as stable_token does.
func (t *tokens) issue(kind, appID string) (string, int) {
	const life, period = int64(tokenLife / time.Second), int64((tokenLife - tokenShared) / time.Second)
	now := t.now().Unix()
	ends := now/period*period + life
	return t.sign(kind, appID, time.Unix(ends, 0)), int(ends - now)
}

func (t *tokens) sign(kind, appID string, ends time.Time) string {
	text := kind + "@@@" + appID + "@@@" + strconv.FormatInt(ends.Unix(), 10)
	mac := hmac.New(sha256.New, tokenKey)
	mac.Write([]byte(text))
	return text + "@@@" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// check returns the AppID that a token of a kind is for, and whether it is one
// and good still.
func (t *tokens) check(kind, token string) (appID string, genuine, alive bool) {
	parts := strings.Split(token, "@@@")
	if len(parts) != 4 || parts[0] != kind {
		return "", false, false
	}
	seconds, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return "", false, false
	}
	ends := time.Unix(seconds, 0)
	if !hmac.Equal([]byte(t.sign(kind, parts[1], ends)), []byte(token)) {
		return "", false, false
	}
	return parts[1], true, t.now().Before(ends)
}

// refusesToken reports whether it has answered because the token in the query is
// none of the kinds. Else it returns the AppID that the token is for.
func (s *Sandbox) refusesToken(w http.ResponseWriter, r *http.Request, name string, kinds ...string) (appID string, refused bool) {
	token := r.URL.Query().Get(name)
	if token == "" {
		s.refuse(w, 41001, "access_token missing")
		return "", true
	}
	for _, kind := range kinds {
		appID, genuine, alive := s.tokens.check(kind, token)
		switch {
		case !genuine:
			continue
		case !alive:
			s.refuse(w, 42001, "access_token expired")
		case kind == ofAuthorizer && s.revoked.has(appID):
			s.refuse(w, 61003, "component is not authorized by this account")
		default:
			return appID, false
		}
		return "", true
	}
	s.refuse(w, 40001, "invalid credential, access_token is invalid or not latest")
	return "", true
}

func (s *Sandbox) stableToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
	}
	switch {
	case s.refusesBody(w, r, &in):
	case in.GrantType != "client_credential":
		s.refuse(w, 40002, "invalid grant_type")
	case s.refusesApp(w, in.AppID, in.Secret):
	default:
		token, seconds := s.tokens.issue(ofApp, in.AppID)
		answer(w, struct {
			Token   string `json:"access_token"`
			Seconds int    `json:"expires_in"`
		}{token, seconds})
	}
}
