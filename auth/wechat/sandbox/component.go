package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// ComponentAppID is the third-party platform of every sandbox; its secret is
	// Secret.
	ComponentAppID = "wxsandboxcomponent"
	// MerchantPrefix begins the AppID of every merchant of the platform.
	MerchantPrefix = "wxmerchant"
)

// maxRevoked bounds the merchants that are remembered to have gone.
const maxRevoked = 1 << 10

// revoked are the merchants that have taken their authorisation back.
type revoked struct {
	mu   sync.Mutex
	apps map[string]bool
}

func (r *revoked) has(appID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.apps[appID]
}

func (r *revoked) set(appID string, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !gone:
		delete(r.apps, appID)
	case r.apps == nil:
		r.apps = map[string]bool{appID: true}
	case len(r.apps) < maxRevoked:
		r.apps[appID] = true
	}
}

// isMerchant reports whether appID can be a merchant's; an app that the sandbox
// serves by itself is none.
func (s *Sandbox) isMerchant(appID string) bool {
	return strings.HasPrefix(appID, MerchantPrefix) && len(appID) <= 64 && isName(appID[len(MerchantPrefix):]+"0") && !slices.Contains(s.apps, appID)
}

// refusesComponent reports whether it has answered because that is not the
// platform.
func (s *Sandbox) refusesComponent(w http.ResponseWriter, appID string) bool {
	switch appID {
	case ComponentAppID:
		return false
	case "":
		s.refuse(w, 41018, "component_appid missing")
	default:
		s.refuse(w, 61011, "invalid component")
	}
	return true
}

// refusesMerchant reports whether it has answered because that is no merchant of
// the platform, or no longer.
func (s *Sandbox) refusesMerchant(w http.ResponseWriter, appID string) bool {
	if s.isMerchant(appID) && !s.revoked.has(appID) {
		return false
	}
	s.refuse(w, 61003, "component is not authorized by this account")
	return true
}

func (s *Sandbox) startPushTicket(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_secret"`
	}
	switch {
	case s.refusesBody(w, r, &in):
	case s.refusesComponent(w, in.AppID):
	case in.Secret != Secret:
		s.refuse(w, 40125, "invalid appsecret")
	default:
		s.post.later(0, func() (*letter, bool) {
			l, err := s.write(&order{Event: verifyTicket})
			return l, err == nil
		})
		s.done(w)
	}
}

func (s *Sandbox) componentToken(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID  string `json:"component_appid"`
		Secret string `json:"component_appsecret"`
		Ticket string `json:"component_verify_ticket"`
	}
	if s.refusesBody(w, r, &in) || s.refusesComponent(w, in.AppID) {
		return
	}
	_, genuine, alive := s.tokens.check(ofTicket, in.Ticket)
	switch {
	case in.Secret != Secret:
		s.refuse(w, 40125, "invalid appsecret")
	case !genuine:
		s.refuse(w, 61006, "component ticket is invalid")
	case !alive:
		s.refuse(w, 61005, "component ticket is expired")
	default:
		token, seconds := s.tokens.issue(ofComponent, ComponentAppID)
		answer(w, struct {
			Token   string `json:"component_access_token"`
			Seconds int    `json:"expires_in"`
		}{token, seconds})
	}
}

type authorization struct {
	AppID        string `json:"authorizer_appid,omitempty"`
	Token        string `json:"authorizer_access_token"`
	Seconds      int    `json:"expires_in"`
	RefreshToken string `json:"authorizer_refresh_token"`
}

func (s *Sandbox) newAuthorization(appID string) authorization {
	token, seconds := s.tokens.issue(ofAuthorizer, appID)
	return authorization{AppID: appID, Token: token, Seconds: seconds, RefreshToken: s.tokens.sign(ofRefresh, appID, time.Unix(0, 0))}
}

func (s *Sandbox) queryAuth(w http.ResponseWriter, r *http.Request) {
	if _, refused := s.refusesToken(w, r, "component_access_token", ofComponent); refused {
		return
	}
	var in struct {
		AppID string `json:"component_appid"`
		Code  string `json:"authorization_code"`
	}
	if s.refusesBody(w, r, &in) || s.refusesComponent(w, in.AppID) {
		return
	}
	merchant, genuine, alive := s.tokens.check(ofAuthCode, in.Code)
	switch {
	case !genuine:
		s.refuse(w, 61009, "code is invalid")
	case !alive:
		s.refuse(w, 61010, "code is expired")
	case s.refusesMerchant(w, merchant):
	default:
		answer(w, struct {
			Info authorization `json:"authorization_info"`
		}{s.newAuthorization(merchant)})
	}
}

func (s *Sandbox) authorizerToken(w http.ResponseWriter, r *http.Request) {
	if _, refused := s.refusesToken(w, r, "component_access_token", ofComponent); refused {
		return
	}
	var in struct {
		AppID        string `json:"component_appid"`
		Merchant     string `json:"authorizer_appid"`
		RefreshToken string `json:"authorizer_refresh_token"`
	}
	if s.refusesBody(w, r, &in) || s.refusesComponent(w, in.AppID) || s.refusesMerchant(w, in.Merchant) {
		return
	}
	if appID, genuine, _ := s.tokens.check(ofRefresh, in.RefreshToken); !genuine || appID != in.Merchant {
		s.refuse(w, 61023, "refresh_token is invalid")
		return
	}
	made := s.newAuthorization(in.Merchant)
	made.AppID = ""
	answer(w, made)
}

func (s *Sandbox) componentCodeToSession(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method != http.MethodGet {
		s.refuse(w, 43001, "require GET method")
		return
	}
	if _, refused := s.refusesToken(w, r, "component_access_token", ofComponent); refused {
		return
	}
	if !s.refusesComponent(w, q.Get("component_appid")) && !s.refusesMerchant(w, q.Get("appid")) {
		s.trade(w, r, q)
	}
}
