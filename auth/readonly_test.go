package auth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miniprofile/miniprofile/drivers"
)

// everything is all that a world stores, of all kinds.
func (w *world) everything(t testing.TB) (records []drivers.Record, blobs []string) {
	t.Helper()
	for _, kind := range Kinds {
		records = append(records, w.records(t, kind)...)
	}
	return records, w.blobs(t)
}

// TestReadOnly: while a core is read-only nothing changes, whatever is asked; who
// is signed in stays so, for longer than an access token lives, and can read; and
// afterwards all goes on from where it was.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld()
	before := w.replica(t)
	ctx := t.Context()
	stolen := before.mustLogin(t, "stolen~1").Tokens.RefreshToken
	p := before.mustLogin(t, "ming~1")
	for token, n := stolen, 0; n < 2; n++ {
		r, err := before.RefreshSession(ctx, RefreshSessionInput{token})
		if err != nil {
			t.Fatal(err)
		}
		token = r.Tokens.RefreshToken
	}
	if _, err := before.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))}); err != nil {
		t.Fatal(err)
	}
	if _, err := before.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Avatar: cleared[Upload]()}); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Login(ctx, LoginInput{Code: "hua~1", RequestID: ptr("once")}); err != nil {
		t.Fatal(err)
	}
	form, err := before.CreateAvatarUpload(ctx, p.Tokens.AccessToken, CreateAvatarUploadInput{ContentType: "image/png", Size: 9})
	if err != nil {
		t.Fatal(err)
	}
	w.readOnly = true
	c := w.replica(t)
	records, blobs := w.everything(t)
	sent := len(w.wechat.sent)

	// What would write is refused, and says when to come again.
	for name, call := range map[string]func() error{
		"login": func() error { _, err := c.Login(ctx, LoginInput{Code: "new~1"}); return err },
		"update": func() error {
			_, err := c.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Nickname: set("x")})
			return err
		},
		"picture": func() error {
			_, err := c.UpdateProfile(ctx, p.Tokens.AccessToken, UpdateProfileInput{Avatar: set(upload(testPicture(t, 2)))})
			return err
		},
		"upload": func() error {
			_, err := c.CreateAvatarUpload(ctx, p.Tokens.AccessToken, CreateAvatarUploadInput{ContentType: "image/png", Size: 9})
			return err
		},
		"file of an upload": func() error {
			return c.ReceiveUpload(ctx, form.URL[strings.LastIndexByte(form.URL, '/')+1:], strings.NewReader("x"), 1)
		},
		"logout":        func() error { _, err := c.Logout(ctx, p.Tokens.AccessToken, LogoutInput{}); return err },
		"stolen token":  func() error { _, err := c.RefreshSession(ctx, RefreshSessionInput{stolen}); return err },
		"logout of all": func() error { _, err := c.Logout(ctx, p.Tokens.AccessToken, LogoutInput{Everywhere: true}); return err },
	} {
		err := call()
		mustBe(t, err, ErrReadOnly)
		if RetryAfter(err) != 30*time.Second {
			t.Errorf("%s: retry after %v", name, RetryAfter(err))
		}
	}
	if len(w.wechat.sent) != sent {
		t.Error("a code was sent to WeChat and is lost")
	}
	// What only reads goes on: a login that is repeated, me and its lists, and a
	// refresh that changes nothing.
	if _, err := c.Login(ctx, LoginInput{Code: "hua~1", RequestID: ptr("once")}); err != nil {
		t.Error(err)
	}
	tokens := p.Tokens
	for range 3 {
		w.clock.add(AccessTokenLife)
		_, err := c.Me(ctx, tokens.AccessToken)
		mustBe(t, err, ErrUnauthenticated)
		r, err := c.RefreshSession(ctx, RefreshSessionInput{tokens.RefreshToken})
		if err != nil {
			t.Fatal(err)
		}
		if r.Tokens.RefreshToken != tokens.RefreshToken || !r.Tokens.RefreshTokenExpiresAt.Equal(tokens.RefreshTokenExpiresAt) {
			t.Error("the refresh token changed")
		}
		tokens = r.Tokens
		me, err := c.Me(ctx, tokens.AccessToken)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := c.Sessions(ctx, me); err != nil || len(list) != 1 {
			t.Errorf("sessions %v, %v", list, err)
		}
		if list, err := c.Audit(ctx, me); err != nil || len(list) == 0 {
			t.Errorf("audit %v, %v", list, err)
		}
	}
	if err := errors.Join(c.StoreReady(ctx), c.ObjectsReady(ctx)); err != nil {
		t.Error(err)
	}
	// The job that removes the old picture is due, and is left alone.
	w.clock.add(time.Hour)
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); c.RunJobs(running, func(err error) { t.Error(err) }) }()
	c.wakeJobs()
	stop()
	<-ended
	afterRecords, afterBlobs := w.everything(t)
	if d := cmp.Diff(records, afterRecords); d != "" {
		t.Errorf("the store has changed: %s", d)
	}
	if !slices.Equal(blobs, afterBlobs) {
		t.Errorf("objects were %v, are %v", blobs, afterBlobs)
	}

	w.readOnly = false
	after := w.replica(t)
	if _, err := after.RefreshSession(ctx, RefreshSessionInput{stolen}); err == nil {
		t.Error("the stolen token was forgotten")
	}
	r, err := after.RefreshSession(ctx, RefreshSessionInput{tokens.RefreshToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Me(ctx, r.Tokens.AccessToken); err != nil {
		t.Error(err)
	}
}
