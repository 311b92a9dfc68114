package auth

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// slowPut runs something once while the first object is stored.
func slowPut(meanwhile func()) func(drivers.Objects) drivers.Objects {
	var once sync.Once
	return func(o drivers.Objects) drivers.Objects {
		return putHook{o, func() { once.Do(meanwhile) }}
	}
}

type putHook struct {
	drivers.Objects
	before func()
}

func (h putHook) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	h.before()
	return h.Objects.Put(ctx, key, r, size, contentType)
}

func (w *world) checks(accept bool) {
	w.configure = func(config *Config) { config.CheckContent, config.AcceptDoubtful = true, accept }
}

func TestNicknamesAreJudgedBefore(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		for _, accept := range []bool{false, true} {
			w := w.fresh(t)
			w.checks(accept)
			c := w.replica(t)
			token := c.mustLogin(t, "ming~1").Tokens.AccessToken
			w.wechat.texts = map[string]error{
				"bad": said(VerdictRisky), "hm": said(VerdictReview), "unseen": ErrNotSeen,
				"quota": &LaterError{ErrRateLimited, time.Hour}, "away": ErrUpstream,
			}
			for name, want := range map[string][2]error{
				"good": {nil, nil}, "bad": {ErrContentRejected, ErrContentRejected}, "hm": {ErrContentRejected, nil},
				"unseen": {ErrContentRejected, nil}, "quota": {ErrRateLimited, nil}, "away": {ErrUpstream, ErrUpstream},
			} {
				want := want[map[bool]int{false: 0, true: 1}[accept]]
				_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set(name)})
				me, failed := c.Me(t.Context(), token)
				if failed != nil {
					t.Fatal(failed)
				}
				written := me.Nickname != nil && *me.Nickname == name
				if want == nil && (err != nil || !written) {
					t.Errorf("accept %t, %s: %v", accept, name, err)
				}
				if want != nil {
					if mustBe(t, err, want); written {
						t.Errorf("accept %t, %s: written", accept, name)
					}
				}
			}
			// What is there already is not judged again.
			c.update(t, token, UpdateProfileInput{Nickname: set("good")})
			n := len(w.wechat.texted)
			c.update(t, token, UpdateProfileInput{Nickname: set("good"), Gender: set(GenderMale)})
			if len(w.wechat.texted) != n {
				t.Error("judged again")
			}
			w.wechat.openData = map[string]OpenData{"data": {Nickname: "bad", At: c.now()}}
			_, err := c.ImportWeChatProfile(t.Context(), token, ImportWeChatProfileInput{EncryptedData: ptr("data"), IV: ptr("iv"), Overwrite: true})
			mustBe(t, err, ErrContentRejected)
		}
	})
}

// verdict pushes a verdict on the nth picture.
func (w *world) verdict(t testing.TB, c *Core, n int, verdict Verdict, id string) {
	t.Helper()
	w.push(t, c, Push{Event: PushMediaChecked, TraceID: fmt.Sprintf("trace-%d", n), Verdict: verdict, ID: id})
}

func (c *Core) avatar(t testing.TB, token string) AvatarStatus {
	t.Helper()
	me, err := c.Me(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if me.Avatar == nil {
		return ""
	}
	return me.Avatar.Status
}

func TestPicturesAreJudgedAfter(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.checks(false)
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		picture := UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))}
		if u := c.update(t, token, picture); u.Avatar.Status != AvatarPending {
			t.Fatalf("the status is %s", u.Avatar.Status)
		}
		c.runJobs(t)
		if len(w.wechat.pictures) != 1 || !strings.HasPrefix(w.wechat.pictures[0], "https://example.com/avatars/") {
			t.Fatalf("sent %v", w.wechat.pictures)
		}
		// A verdict that lacks a result, one on something else, then the true one, twice.
		w.verdict(t, c, 1, "", "a")
		w.verdict(t, c, 7, VerdictRisky, "b")
		if got := c.avatar(t, token); got != AvatarPending {
			t.Errorf("the status is %s", got)
		}
		w.verdict(t, c, 1, VerdictPass, "c")
		w.verdict(t, c, 1, VerdictRisky, "c")
		w.verdict(t, c, 1, VerdictRisky, "d")
		if got := c.avatar(t, token); got != AvatarAccepted {
			t.Errorf("the status is %s", got)
		}
		// The end of the waiting changes nothing any more.
		w.clock.add(DefaultPictureTimeout)
		c.runJobs(t)
		token = c.mustLogin(t, "ming~2").Tokens.AccessToken
		if got := c.avatar(t, token); got != AvatarAccepted || len(w.blobs(t)) != 2 {
			t.Errorf("the status is %s, blobs %v", got, w.blobs(t))
		}
		// A picture that fails is gone, with its objects.
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 2)))})
		c.runJobs(t)
		w.verdict(t, c, 2, VerdictRisky, "e")
		c.runJobs(t)
		if got := c.avatar(t, token); got != "" || len(w.blobs(t)) != 0 {
			t.Errorf("the status is %s, blobs %v", got, w.blobs(t))
		}
	})
}

// A verdict that comes before its trace id is stored is tried again.
func TestAVerdictThatOvertakes(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.checks(false)
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		// The push is handled first: its job fails, and is due again in a second.
		query, body := pushed(t, Push{Event: PushMediaChecked, AppID: testApp, TraceID: "trace-1", Verdict: VerdictPass, At: c.now(), ID: "x"})
		if err := c.Push(t.Context(), testApp, query, body); err != nil {
			t.Fatal(err)
		}
		for _, r := range w.records(t, kindJobs) {
			if job, _ := decode[jobRecord](r); job.Kind == jobPush {
				if err := c.take(t.Context(), r); err == nil {
					t.Error("an unknown trace id is no failure")
				}
			}
		}
		c.runJobs(t)
		if got := c.avatar(t, token); got != AvatarPending {
			t.Fatalf("the status is %s", got)
		}
		w.clock.add(time.Second)
		c.runJobs(t)
		if got := c.avatar(t, token); got != AvatarAccepted {
			t.Errorf("the status is %s", got)
		}
	})
}

func TestPicturesThatWeChatCannotJudge(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		for _, accept := range []bool{false, true} {
			want := AvatarStatus("")
			if accept {
				want = AvatarAccepted
			}
			for name, arrange := range map[string]func(w *world){
				"no verdict":  func(*world) {},
				"not seen":    func(w *world) { w.wechat.checkFails = ErrNotSeen },
				"quota":       func(w *world) { w.wechat.checkFails = ErrRateLimited },
				"away":        func(w *world) { w.wechat.checkFails = ErrUpstream },
				"no token":    func(w *world) { w.wechat.tokenFails = ErrMisconfigured },
				"token stale": func(w *world) { w.wechat.expire() },
			} {
				w := w.fresh(t)
				w.checks(accept)
				c := w.replica(t)
				arrange(w)
				token := c.mustLogin(t, "ming~1").Tokens.AccessToken
				c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
				c.runJobs(t)
				w.clock.add(DefaultPictureTimeout)
				c.runJobs(t)
				c.runJobs(t)
				token = c.mustLogin(t, "ming~2").Tokens.AccessToken
				if got := c.avatar(t, token); got != want {
					t.Errorf("%s, accept %t: the status is %q", name, accept, got)
				}
			}
		}
	})
}

// A verdict on a picture that was replaced meanwhile does nothing to the new one.
func TestAVerdictOnAReplacedPicture(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		w.checks(false)
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		c.runJobs(t)
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 2)))})
		w.verdict(t, c, 1, VerdictRisky, "a")
		c.runJobs(t)
		if got := c.avatar(t, token); got != AvatarPending {
			t.Errorf("the status is %q", got)
		}
		w.verdict(t, c, 2, VerdictPass, "b")
		if got := c.avatar(t, token); got != AvatarAccepted {
			t.Errorf("the status is %q", got)
		}
	})
}
