package observe

import (
	"context"
	"errors"
	"io"
	"iter"
	"strconv"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/drivers"
)

// Work is a call of something behind the server.
type Work struct {
	Of     string // store, objects or wechat
	Driver string // the scheme of its URL; empty for wechat
	Method string // of the contract, or the API of WeChat
}

// Watch is told of work as it begins. It returns the context for that work and a
// func that is told once how it ended: ok, or a word of result's; for WeChat the
// errcode, or none where WeChat gave none.
type Watch func(ctx context.Context, w Work) (context.Context, func(result string))

// Both returns a Watch that tells two of them; either may be nil.
func Both(a, b Watch) Watch {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return func(ctx context.Context, w Work) (context.Context, func(string)) {
		ctx, endA := a(ctx, w)
		ctx, endB := b(ctx, w)
		return ctx, func(result string) { endB(result); endA(result) }
	}
}

// result puts the end of a call of a driver into one of a few words.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, drivers.ErrConflict):
		return "conflict"
	case errors.Is(err, drivers.ErrNotFound):
		return "not_found"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "ended"
	}
	return "error"
}

// Store returns s, watched. It has all that s has but the optional interfaces.
func Store(s drivers.Store, driver string, watch Watch) drivers.Store {
	return store{s, driver, watch}
}

// store names its methods one by one, so that a new one of the contract does not
// go unwatched.
type store struct {
	of     drivers.Store
	driver string
	watch  Watch
}

func (s store) begin(ctx context.Context, method string) (context.Context, func(string)) {
	return s.watch(ctx, Work{"store", s.driver, method})
}

func (s store) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	ctx, end := s.begin(ctx, "get")
	records, err := s.of.Get(ctx, keys...)
	end(result(err))
	return records, err
}

func (s store) Commit(ctx context.Context, ops ...drivers.Op) error {
	ctx, end := s.begin(ctx, "commit")
	err := s.of.Commit(ctx, ops...)
	end(result(err))
	return err
}

func (s store) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return scan(ctx, s.begin, "scan", func(ctx context.Context) iter.Seq2[drivers.Record, error] { return s.of.Scan(ctx, kind, prefix, after) })
}

func (s store) Close() error { return s.of.Close() }

// scan watches an iteration until its first step: what comes after is also the
// time of whoever walks. An error that comes later is told as a call of its own.
func scan[T any](ctx context.Context, begin func(context.Context, string) (context.Context, func(string)), method string, of func(context.Context) iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		inner, end := begin(ctx, method)
		told := false
		tell := func(err error) {
			switch {
			case !told:
				told = true
				end(result(err))
			case err != nil:
				_, again := begin(ctx, method)
				again(result(err))
			}
		}
		for v, err := range of(inner) {
			tell(err)
			if !yield(v, err) {
				return
			}
		}
		tell(nil)
	}
}

// Objects returns o, watched, with its abilities.
func Objects(o drivers.Objects, driver string, watch Watch) drivers.Objects {
	return drivers.KeepAbilities(objects{o, driver, watch}, o)
}

type objects struct {
	of     drivers.Objects
	driver string
	watch  Watch
}

func (o objects) begin(ctx context.Context, method string) (context.Context, func(string)) {
	return o.watch(ctx, Work{"objects", o.driver, method})
}

func (o objects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	ctx, end := o.begin(ctx, "put")
	err := o.of.Put(ctx, key, r, size, contentType)
	end(result(err))
	return err
}

// Get is watched until the object is open.
func (o objects) Get(ctx context.Context, key string) (drivers.Object, error) {
	ctx, end := o.begin(ctx, "get")
	object, err := o.of.Get(ctx, key)
	end(result(err))
	return object, err
}

func (o objects) Delete(ctx context.Context, keys ...string) error {
	ctx, end := o.begin(ctx, "delete")
	err := o.of.Delete(ctx, keys...)
	end(result(err))
	return err
}

func (o objects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return scan(ctx, o.begin, "list", func(ctx context.Context) iter.Seq2[drivers.ObjectInfo, error] { return o.of.List(ctx, prefix, after) })
}

func (o objects) Close() error { return o.of.Close() }

// WeChat returns w, watched.
func WeChat(w auth.WeChat, watch Watch) auth.WeChat { return weChat{w, watch} }

// weChat watches what goes to WeChat; what is done here, as opening a push, is
// not watched. Its methods are named one by one but for those.
type weChat struct {
	auth.WeChat
	watch Watch
}

// asked makes one watched call of an API of WeChat.
func asked[T any](ctx context.Context, watch Watch, api string, ask func(context.Context) (T, error)) (T, error) {
	ctx, end := watch(ctx, Work{Of: "wechat", Method: api})
	answer, err := ask(ctx)
	end(errcode(err))
	return answer, err
}

func (w weChat) CodeToSession(ctx context.Context, appID, code string) (auth.WeChatSession, error) {
	return asked(ctx, w.watch, "jscode2session", func(ctx context.Context) (auth.WeChatSession, error) { return w.WeChat.CodeToSession(ctx, appID, code) })
}

func (w weChat) StartTickets(ctx context.Context) error {
	_, err := asked(ctx, w.watch, "api_start_push_ticket", func(ctx context.Context) (struct{}, error) { return struct{}{}, w.WeChat.StartTickets(ctx) })
	return err
}

func (w weChat) AccessToken(ctx context.Context, appID string) (auth.Token, error) {
	return asked(ctx, w.watch, "stable_token", func(ctx context.Context) (auth.Token, error) { return w.WeChat.AccessToken(ctx, appID) })
}

func (w weChat) CheckSessionKey(ctx context.Context, token, openID, sessionKey string) (bool, error) {
	return asked(ctx, w.watch, "checksession", func(ctx context.Context) (bool, error) {
		return w.WeChat.CheckSessionKey(ctx, token, openID, sessionKey)
	})
}

func (w weChat) ResetSessionKey(ctx context.Context, token, openID, sessionKey string) (string, error) {
	return asked(ctx, w.watch, "resetusersessionkey", func(ctx context.Context) (string, error) {
		return w.WeChat.ResetSessionKey(ctx, token, openID, sessionKey)
	})
}

func (w weChat) PhoneNumber(ctx context.Context, token, appID, code string) (auth.Phone, error) {
	return asked(ctx, w.watch, "getuserphonenumber", func(ctx context.Context) (auth.Phone, error) {
		return w.WeChat.PhoneNumber(ctx, token, appID, code)
	})
}

func (w weChat) MadeEncrypted(ctx context.Context, token, data string) (bool, error) {
	return asked(ctx, w.watch, "checkencryptedmsg", func(ctx context.Context) (bool, error) {
		return w.WeChat.MadeEncrypted(ctx, token, data)
	})
}

func (w weChat) CheckText(ctx context.Context, token, openID, text string) (auth.Verdict, error) {
	return asked(ctx, w.watch, "msg_sec_check", func(ctx context.Context) (auth.Verdict, error) { return w.WeChat.CheckText(ctx, token, openID, text) })
}

func (w weChat) CheckPicture(ctx context.Context, token, openID, pictureURL string) (string, error) {
	return asked(ctx, w.watch, "media_check_async", func(ctx context.Context) (string, error) {
		return w.WeChat.CheckPicture(ctx, token, openID, pictureURL)
	})
}

func (w weChat) ComponentToken(ctx context.Context, ticket string) (auth.Token, error) {
	return asked(ctx, w.watch, "api_component_token", func(ctx context.Context) (auth.Token, error) { return w.WeChat.ComponentToken(ctx, ticket) })
}

func (w weChat) QueryAuthorization(ctx context.Context, componentToken, authorizationCode string) (auth.Authorization, error) {
	return asked(ctx, w.watch, "api_query_auth", func(ctx context.Context) (auth.Authorization, error) {
		return w.WeChat.QueryAuthorization(ctx, componentToken, authorizationCode)
	})
}

func (w weChat) AuthorizerToken(ctx context.Context, componentToken, appID, refreshToken string) (auth.Authorization, error) {
	return asked(ctx, w.watch, "api_authorizer_token", func(ctx context.Context) (auth.Authorization, error) {
		return w.WeChat.AuthorizerToken(ctx, componentToken, appID, refreshToken)
	})
}

func (w weChat) ComponentCodeToSession(ctx context.Context, componentToken, appID, code string) (auth.WeChatSession, error) {
	return asked(ctx, w.watch, "component/jscode2session", func(ctx context.Context) (auth.WeChatSession, error) {
		return w.WeChat.ComponentCodeToSession(ctx, componentToken, appID, code)
	})
}

// errcode is the number that WeChat gave: 0 for success, none where it gave none.
func errcode(err error) string {
	var refused *wechat.Error
	switch {
	case err == nil:
		return "0"
	case errors.As(err, &refused) && refused.Code != 0:
		return strconv.Itoa(refused.Code)
	}
	return "none"
}
