package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/graph"
)

// Where WeChat pushes messages to: for an app or a merchant's app, by its AppID,
// and for the third-party platform.
const (
	pushPath      = "/wechat/push/"
	componentPath = "/wechat/component"
)

const (
	// maxPush bounds a pushed message in bytes; those that concern us have a few
	// hundred, and an encrypted one is some 2 KiB.
	maxPush = 64 << 10
	// pushTime bounds the reading and the storing of a message: WeChat hangs up
	// after 5 seconds and sends it again.
	pushTime = 4 * time.Second
)

// push takes a message from WeChat, or its check of the address. The answer waits
// for the message to be stored and not for the work.
func (s *Server) push(x *exchange, r *http.Request, appID string) {
	answer := "success"
	var err error
	switch r.Method {
	case http.MethodGet:
		answer, err = s.core.EchoPush(appID, r.URL.Query())
	case http.MethodPost:
		_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(pushTime)) // best effort: a recorder has none
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(r.Body, maxPush+1)); err != nil {
			x.fail(graph.Fault{Status: http.StatusBadRequest, Code: "BAD_REQUEST", Message: "The message is not whole."})
			return
		}
		if len(body) > maxPush {
			x.fail(graph.Fault{Status: http.StatusRequestEntityTooLarge, Code: "PAYLOAD_TOO_LARGE", Message: "The message is too long."})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), pushTime)
		defer cancel()
		err = s.core.Push(ctx, appID, r.URL.Query(), body)
	default:
		x.Header().Set("Allow", "GET, POST")
		x.fail(*graph.MethodNotAllowed("WeChat sends messages by POST."))
		return
	}
	if err != nil {
		s.failed(x, r, "push", err, !errors.Is(err, auth.ErrPushRejected))
		return
	}
	x.page("text/plain; charset=utf-8", "no-store", []byte(answer))
}
