package wechat

import (
	"context"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/miniprofile/miniprofile/auth"
)

// MaxText bounds a text to judge, in characters.
const MaxText = 2500

const (
	sceneProfile = 1
	mediaPicture = 2
)

var (
	textCheck    = endpoint{name: "msg_sec_check", path: "/wxa/msg_sec_check"}
	pictureCheck = endpoint{name: "media_check_async", path: "/wxa/media_check_async"}
)

// CheckText judges a text of a profile. A blank one passes, and one of more than
// MaxText characters is an *auth.InvalidError, without asking. See
// DOC/miniprogram/dev/server/API/sec-center/sec-check/api_msgseccheck: the second
// version answers errcode 0 whatever the text is, and result.suggest decides; the
// details only say how it came to that.
func (c *Client) CheckText(ctx context.Context, token, openID, text string) (auth.Verdict, error) {
	// Encoded as JSON, these would become \u escapes, which WeChat refuses.
	text = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	switch {
	case strings.TrimSpace(text) == "":
		return auth.VerdictPass, nil
	case utf8.RuneCountInString(text) > MaxText:
		return "", &auth.InvalidError{Field: "text", Reason: "longer than 2500 characters"}
	}
	var r struct {
		verdict
		Result struct {
			Suggest string `json:"suggest"`
		} `json:"result"`
	}
	if err := c.ask(ctx, &textCheck, url.Values{"access_token": {token}}, struct {
		Content string `json:"content"`
		Version int    `json:"version"`
		Scene   int    `json:"scene"`
		OpenID  string `json:"openid"`
	}{text, 2, sceneProfile, openID}, &r, token, openID); err != nil {
		return "", err
	}
	if judged := suggestion(r.Result.Suggest); judged != "" {
		return judged, nil
	}
	return "", textCheck.lacks("reply without a verdict")
}

// CheckPicture has a picture judged later. pictureURL is one that WeChat can read
// for half an hour. See
// DOC/miniprogram/dev/server/API/sec-center/sec-check/api_mediacheckasync.
func (c *Client) CheckPicture(ctx context.Context, token, openID, pictureURL string) (string, error) {
	var r struct {
		verdict
		TraceID string `json:"trace_id"`
	}
	if err := c.ask(ctx, &pictureCheck, url.Values{"access_token": {token}}, struct {
		URL     string `json:"media_url"`
		Type    int    `json:"media_type"`
		Version int    `json:"version"`
		Scene   int    `json:"scene"`
		OpenID  string `json:"openid"`
	}{pictureURL, mediaPicture, 2, sceneProfile, openID}, &r, token, openID, pictureURL); err != nil {
		return "", err
	}
	if r.TraceID == "" || len(r.TraceID) > MaxID || !auth.VisibleASCII(r.TraceID) {
		return "", pictureCheck.lacks("reply without a proper trace_id")
	}
	return r.TraceID, nil
}

// suggestion reads result.suggest; it is empty when that is.
func suggestion(s string) auth.Verdict {
	switch v := auth.Verdict(strings.ToLower(strings.TrimSpace(s))); v {
	case "", auth.VerdictPass, auth.VerdictRisky:
		return v
	}
	return auth.VerdictReview
}
