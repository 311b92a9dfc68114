package server

import (
	"context"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// LimitWeChat returns w, which sends no more codes of one app than quota allows.
// A code that it refuses was not sent, so it is still good. refused may be nil.
func LimitWeChat(w auth.WeChat, quota Quota, refused func(limit string)) auth.WeChat {
	return limitedWeChat{w, newBuckets[string](quota), refused}
}

type limitedWeChat struct {
	auth.WeChat
	apps    *buckets[string]
	refused func(string)
}

func (w limitedWeChat) CodeToSession(ctx context.Context, appID, code string) (auth.WeChatSession, error) {
	if err := w.take(appID); err != nil {
		return auth.WeChatSession{}, err
	}
	return w.WeChat.CodeToSession(ctx, appID, code)
}

func (w limitedWeChat) ComponentCodeToSession(ctx context.Context, componentToken, appID, code string) (auth.WeChatSession, error) {
	if err := w.take(appID); err != nil {
		return auth.WeChatSession{}, err
	}
	return w.WeChat.ComponentCodeToSession(ctx, componentToken, appID, code)
}

// take lets one code of an app pass, or says when it may come again.
func (w limitedWeChat) take(appID string) error {
	_, wait := w.apps.take(appID, 1, time.Now())
	if wait <= 0 {
		return nil
	}
	if w.refused != nil {
		w.refused("wechat")
	}
	return &auth.LaterError{Err: errQuota, After: wait}
}

var errQuota = fmt.Errorf("%w: %w", auth.ErrRateLimited, auth.ErrNotSent)
