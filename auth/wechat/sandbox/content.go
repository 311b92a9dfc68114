package sandbox

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// VerdictDelay is how long the verdict on a picture takes.
const VerdictDelay = time.Second

// labels are WeChat's for a verdict: all is well, something else, pornography.
var labels = map[string]int{"pass": 100, "review": 21000, "risky": 20002}

type result struct {
	Suggest string `json:"suggest"`
	Label   int    `json:"label"`
}

func (s *Sandbox) checkText(w http.ResponseWriter, r *http.Request) {
	_, refused := s.refusesToken(w, r, "access_token", ofApp, ofAuthorizer)
	if refused {
		return
	}
	var in struct {
		Content string `json:"content"`
		Version int    `json:"version"`
		Scene   int    `json:"scene"`
		OpenID  string `json:"openid"`
	}
	if s.refusesBody(w, r, &in) {
		return
	}
	switch n := utf8.RuneCountInString(in.Content); {
	case n == 0:
		s.refuse(w, 44002, "empty post data")
	case n > 2500:
		s.refuse(w, 45002, "content size out of limit")
	case s.refusesCheck(w, in.Version, in.Scene, in.OpenID):
	default:
		suggest, text := "pass", strings.ToLower(in.Content)
		for _, word := range []string{"review", "risky"} {
			if strings.Contains(text, word) {
				suggest = word
			}
		}
		answer(w, struct {
			status
			Detail  []detail `json:"detail"`
			TraceID string   `json:"trace_id"`
			Result  result   `json:"result"`
		}{status{0, "ok"}, []detail{{"content_model", 0, suggest, labels[suggest]}}, newID(), result{suggest, labels[suggest]}})
	}
}

type detail struct {
	Strategy string `json:"strategy"`
	ErrCode  int    `json:"errcode"`
	Suggest  string `json:"suggest"`
	Label    int    `json:"label"`
}

// refusesCheck reports whether it has answered because of what both checks want.
func (s *Sandbox) refusesCheck(w http.ResponseWriter, version, scene int, openID string) bool {
	k, ok := s.people.find(openID)
	switch {
	case version != 2:
		s.refuse(w, 40097, "invalid args: version")
	case scene < 1 || scene > 4:
		s.refuse(w, 40129, "invalid scene")
	case openID == "":
		s.refuse(w, 40003, "invalid openid")
	case !ok || strings.HasSuffix(k.person, "-unseen"):
		s.refuse(w, 61010, "user not visited within two hours")
	default:
		return false
	}
	return true
}

func (s *Sandbox) checkPicture(w http.ResponseWriter, r *http.Request) {
	appID, refused := s.refusesToken(w, r, "access_token", ofApp, ofAuthorizer)
	if refused {
		return
	}
	var in struct {
		URL     string `json:"media_url"`
		Type    int    `json:"media_type"`
		Version int    `json:"version"`
		Scene   int    `json:"scene"`
		OpenID  string `json:"openid"`
	}
	switch {
	case s.refusesBody(w, r, &in):
	case in.Type != 2:
		s.refuse(w, 40004, "invalid media type")
	case !strings.HasPrefix(in.URL, "http://") && !strings.HasPrefix(in.URL, "https://"):
		s.refuse(w, 40097, "invalid args: media_url")
	case s.refusesCheck(w, in.Version, in.Scene, in.OpenID):
	default:
		trace := newID()
		k, _ := s.people.find(in.OpenID)
		s.judgeLater(appID, in.URL, trace, k.person)
		answer(w, struct {
			status
			TraceID string `json:"trace_id"`
		}{status{0, "ok"}, trace})
	}
}

// judgeLater has the verdict on a picture pushed: that of the person's name, if
// the picture is there.
func (s *Sandbox) judgeLater(appID, pictureURL, trace, person string) {
	if strings.HasSuffix(person, "-silent") {
		return
	}
	suggest := "pass"
	for _, word := range []string{"review", "risky"} {
		if strings.HasSuffix(person, "-"+word) {
			suggest = word
		}
	}
	s.post.later(VerdictDelay, func() (*letter, bool) {
		o := order{AppID: appID, Event: mediaCheck, TraceID: trace, Suggest: suggest}
		if !s.post.canRead(pictureURL) {
			o.ErrCode, o.Suggest = -1008, ""
		}
		l, err := s.write(&o)
		return l, err == nil
	})
}
