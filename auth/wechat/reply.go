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

// read decodes a reply into v, which embeds the verdict, and judges it: nil when
// the HTTP status is 200 and WeChat refused nothing, else an *Error. It takes
// what WeChat is known to send: any Content-Type, a byte order mark, raw control
// characters within strings, bad UTF-8, errcode as a string, unknown fields.
func read(api string, status int, body []byte, v any, judged *verdict, hidden ...string) error {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	body = bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, body)
	err := json.Unmarshal(body, v)
	// A field of a wrong type does not matter once WeChat has refused.
	if code := int(judged.Code); code != 0 {
		return &Error{API: api, Code: code, RID: ridOf(string(judged.Message), hidden...), Status: status, is: []error{meaning(code)}}
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
	return &Error{API: api, Status: status, Reason: reason, is: []error{auth.ErrUpstream}}
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
