package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
)

// verdict is what every reply of WeChat's may have; a missing errcode is 0.
type verdict struct {
	Code    number `json:"errcode"`
	Message text   `json:"errmsg"`
}

func (v *verdict) judged() *verdict { return v }

// reply is a pointer to a struct that embeds verdict.
type reply interface{ judged() *verdict }

// read decodes a reply into v and judges it: nil when
// the HTTP status is 200 and WeChat refused nothing, else an *Error. It takes
// what WeChat is known to send: any Content-Type, a byte order mark, raw control
// characters within strings, bad UTF-8, errcode as a string, unknown fields.
func read(at *endpoint, status int, body []byte, v reply, hidden ...string) error {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	body = bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, body)
	err := json.Unmarshal(body, v)
	// A field of a wrong type does not matter once WeChat has refused.
	if code := int(v.judged().Code); code != 0 {
		rid := ridOf(string(v.judged().Message), hidden...)
		return &Error{API: at.name, Code: code, RID: rid, Status: status, is: []error{at.meaning(code)}}
	}
	reason := ""
	switch {
	case status != http.StatusOK:
		reason = "HTTP status " + strconv.Itoa(status)
	case err != nil:
		reason = "reply is not the JSON expected"
	default:
		return nil
	}
	return at.wrong(status, reason)
}

// wrong is the error of a reply that WeChat should not have given.
func (at *endpoint) wrong(status int, reason string) error {
	return &Error{API: at.name, Status: status, Reason: reason, is: []error{auth.ErrUpstream}}
}

// lacks is the error of a reply that says all is well and does not give what it must.
func (at *endpoint) lacks(reason string) error { return at.wrong(http.StatusOK, reason) }

// refused is the error of a call that is not made because of what it was given.
func (at *endpoint) refused(reason string, is error) error {
	return &Error{API: at.name, Reason: reason, is: []error{is}}
}

// ofApp adds to an error which app of ours was asked for.
func ofApp(appID string, err error) error {
	if failed, ok := err.(*Error); ok {
		failed.App = appID
	}
	return err
}

// number is an integer that may come as a string.
type number int

func (n *number) UnmarshalJSON(b []byte) error {
	s := strings.TrimSpace(strings.Trim(string(b), `"`))
	if s == "null" || s == "" {
		return nil
	}
	i, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("not a number") // err would quote it
	}
	*n = number(i)
	return nil
}

// text is a string; whatever else comes in its place is taken for none.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	_ = json.Unmarshal(b, &s)
	*t = text(s)
	return nil
}

// loose is a string that may come as a number.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) != nil {
		if s = string(b); strings.Trim(s, "0123456789") != "" {
			s = ""
		}
	}
	*l = loose(strings.TrimSpace(s))
	return nil
}
