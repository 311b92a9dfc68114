package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// AppID is the app that a sandbox serves when it is told of no other.
	AppID = "wxsandbox0000000"
	// Secret is the AppSecret of every app in a sandbox. It protects nothing.
	Secret = "sandbox0sandbox0sandbox0sandbox0"
	// Slow is how long the person named slow takes.
	Slow = 10 * time.Second
)

// Sandbox is WeChat's API as an http.Handler, for any number of requests at a
// time, and below /sandbox/ what WeChat has not: see the package's comment.
type Sandbox struct {
	now     func() time.Time
	apps    []string
	apis    []string // the names of all calls
	used    *recent  // codes
	given   *recent  // hashes of the phone numbers that clients got encrypted
	people  *people
	tokens  *tokens
	faults  *faults
	post    *post
	revoked *revoked
	mux     *http.ServeMux
}

// New makes a sandbox that serves the apps of appIDs, or AppID when there are
// none, all with the AppSecret Secret. It remembers nothing of another sandbox.
func New(now func() time.Time, appIDs ...string) *Sandbox {
	if len(appIDs) == 0 {
		appIDs = []string{AppID}
	}
	s := &Sandbox{
		now: now, apps: slices.Clone(appIDs), mux: http.NewServeMux(),
		used: newRecent(now()), given: newRecent(now()), people: newPeople(maxPeople), tokens: &tokens{now},
		faults: &faults{}, post: newPost(), revoked: &revoked{},
	}
	for path, h := range map[string]http.HandlerFunc{
		"/sns/jscode2session":                      s.codeToSession,
		"/sns/component/jscode2session":            s.componentCodeToSession,
		"/cgi-bin/stable_token":                    s.stableToken,
		"/cgi-bin/component/api_start_push_ticket": s.startPushTicket,
		"/cgi-bin/component/api_component_token":   s.componentToken,
		"/cgi-bin/component/api_query_auth":        s.queryAuth,
		"/cgi-bin/component/api_authorizer_token":  s.authorizerToken,
		"/wxa/checksession":                        s.checkSession,
		"/wxa/resetusersessionkey":                 s.resetSession,
		"/wxa/business/getuserphonenumber":         s.phoneNumber,
		"/wxa/business/checkencryptedmsg":          s.checkEncrypted,
		"/wxa/msg_sec_check":                       s.checkText,
		"/wxa/media_check_async":                   s.checkPicture,
	} {
		s.apis = append(s.apis, nameOf(path))
		s.mux.HandleFunc(path, s.troubled(nameOf(path), h))
	}
	slices.Sort(s.apis)
	s.mux.HandleFunc("POST /sandbox/push", s.pushNow)
	s.mux.HandleFunc("POST /sandbox/fail", s.fail)
	s.mux.HandleFunc("GET /sandbox/opendata", s.openData)
	return s
}

// ServeHTTP answers as api.weixin.qq.com does: status 200 and JSON, which says
// what is wrong, but labelled as plain text. Below /sandbox/ it answers as one
// would expect.
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Sandbox) codeToSession(w http.ResponseWriter, r *http.Request) {
	switch q := r.URL.Query(); {
	case r.Method != http.MethodGet:
		s.refuse(w, 43001, "require GET method")
	case s.refusesApp(w, q.Get("appid"), q.Get("secret")):
	default:
		s.trade(w, r, q)
	}
}

// trade gives a session for the code in r's query, which is q.
func (s *Sandbox) trade(w http.ResponseWriter, r *http.Request, q url.Values) {
	code := q.Get("js_code")
	person, nonce, ok := strings.Cut(code, "~")
	switch {
	case q.Get("grant_type") != "authorization_code":
		s.refuse(w, 40002, "invalid grant_type")
	case code == "":
		s.refuse(w, 41008, "missing code")
	case !ok || !isName(person) || !isNonce(nonce) || person == phonePerson:
		s.refuse(w, 40029, "invalid code")
	case troubles[person] != nil:
		troubles[person](s, w)
	case !s.used.add(code, s.now()):
		s.refuse(w, 40163, "code been used")
	case person == "slow" && !wait(r, Slow):
	default:
		made := newSession(q.Get("appid"), person)
		s.people.met(made.OpenID, known{person, made.SessionKey})
		answer(w, made)
	}
}

// refusesApp reports whether it has answered because app or secret is wrong.
func (s *Sandbox) refusesApp(w http.ResponseWriter, appID, secret string) bool {
	switch {
	case appID == "":
		s.refuse(w, 41002, "appid missing")
	case !slices.Contains(s.apps, appID):
		s.refuse(w, 40013, "invalid appid")
	case secret == "":
		s.refuse(w, 41004, "appsecret missing")
	case secret != Secret:
		s.refuse(w, 40125, "invalid appsecret")
	default:
		return false
	}
	return true
}

// troubles are the persons who never log in.
var troubles = map[string]func(*Sandbox, http.ResponseWriter){
	"invalid": func(s *Sandbox, w http.ResponseWriter) { s.refuse(w, 40029, "invalid code") },
	"used":    func(s *Sandbox, w http.ResponseWriter) { s.refuse(w, 40163, "code been used") },
	"blocked": func(s *Sandbox, w http.ResponseWriter) { s.refuse(w, 40226, "code blocked") },
	"limited": func(s *Sandbox, w http.ResponseWriter) { s.refuse(w, 45011, "api minute-quota reach limit mustslower") },
	"busy":    func(s *Sandbox, w http.ResponseWriter) { s.refuse(w, -1, "system error") },
	"garbage": func(_ *Sandbox, w http.ResponseWriter) {
		fmt.Fprint(w, "<html><body>502 Bad Gateway</body></html>")
	},
	"down": func(*Sandbox, http.ResponseWriter) { panic(http.ErrAbortHandler) },
}

type session struct {
	SessionKey string `json:"session_key"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid,omitempty"`
}

func newSession(appID, person string) session {
	person, unbound := strings.CutSuffix(person, "-nounion")
	made := session{SessionKey: newKey(), OpenID: idOf("openid", appID, person)}
	if !unbound {
		made.UnionID = idOf("unionid", person)
	}
	return made
}

// newKey makes a session_key.
func newKey() string {
	key := make([]byte, 16)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// idOf makes 28 characters of the look of WeChat's ids, the same for the same parts.
func idOf(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}

// refuse answers with an errcode. The message ends like WeChat's, in an id of
// the request that is always another.
func (s *Sandbox) refuse(w http.ResponseWriter, code int, message string) {
	id := newID()
	answer(w, status{code, message + ", rid: " + strconv.FormatInt(s.now().Unix(), 16) + "-" + id[:8] + "-" + id[8:16]})
}

// done answers that all is well, with nothing else to say.
func (s *Sandbox) done(w http.ResponseWriter) { answer(w, status{0, "ok"}) }

type status struct {
	ErrCode int    `json:"errcode"`
	ErrMsg  string `json:"errmsg"`
}

// newID makes 32 hexadecimal digits.
func newID() string {
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return hex.EncodeToString(id)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "text/plain")
	_ = json.NewEncoder(w).Encode(v) // the caller has hung up: nobody to tell
}

// wait reports whether d went by before the caller hung up.
func wait(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func isName(s string) bool {
	return len(s) >= 1 && len(s) <= 32 && s != "-nounion" && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	})
}

func isNonce(s string) bool {
	return len(s) >= 1 && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
