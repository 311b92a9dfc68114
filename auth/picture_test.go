package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
	"github.com/miniprofile/miniprofile/drivers"
)

func upload(data []byte) Upload { return Upload{bytes.NewReader(data), int64(len(data))} }

// testPicture returns a PNG of one colour.
func testPicture(t testing.TB, shade uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 60, 40))
	for i := range m.Pix {
		m.Pix[i] = shade
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fetch reads the picture of a user and returns its shade.
func (c *Core) fetch(t testing.TB, u *User, size AvatarSize, side int) uint8 {
	t.Helper()
	url := u.Avatar.URL(size)
	if !strings.HasPrefix(url, "https://example.com/avatars/") {
		t.Fatalf("address %s", url)
	}
	object, err := c.Picture(t.Context(), path.Base(url))
	if err != nil {
		t.Fatal(err)
	}
	defer object.Close()
	data, err := io.ReadAll(object)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if m.Bounds().Dx() != side || m.Bounds().Dy() != side {
		t.Fatalf("%s is %v", size, m.Bounds())
	}
	return color.GrayModel.Convert(m.At(side/2, side/2)).(color.Gray).Y
}

func (c *Core) runJobs(t testing.TB) {
	t.Helper()
	if _, err := c.RunDueJobs(t.Context(), func(err error) { t.Log(err) }); err != nil {
		t.Fatal(err)
	}
}

func TestPictureLife(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	first := c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	for size, side := range map[AvatarSize]int{AvatarSmall: 132, AvatarLarge: 512} {
		if shade := c.fetch(t, first, size, side); shade < 30 || shade > 50 {
			t.Errorf("%s has shade %d", size, shade)
		}
	}
	if first.Avatar.Status != AvatarAccepted || len(w.records(t, kindJobs)) != 0 || len(w.blobs(t)) != 2 {
		t.Fatalf("status %s, %d jobs, blobs %v", first.Avatar.Status, len(w.records(t, kindJobs)), w.blobs(t))
	}
	second := c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 200)))})
	if second.Avatar.URL(AvatarLarge) == first.Avatar.URL(AvatarLarge) {
		t.Error("another picture at the same address")
	}
	c.runJobs(t)
	if shade := c.fetch(t, second, AvatarLarge, 512); shade < 190 || len(w.blobs(t)) != 2 {
		t.Errorf("shade %d, blobs %v", shade, w.blobs(t))
	}
	_, err := c.Picture(t.Context(), path.Base(first.Avatar.URL(AvatarSmall)))
	mustBe(t, err, ErrNotFound)
	c.update(t, token, UpdateProfileInput{Avatar: cleared[Upload]()})
	c.runJobs(t)
	if len(w.blobs(t)) != 0 || len(w.records(t, kindJobs)) != 0 {
		t.Errorf("left behind: %v, %d jobs", w.blobs(t), len(w.records(t, kindJobs)))
	}
}

func TestPictureNames(t *testing.T) {
	t.Parallel()
	c := newWorld().replica(t)
	for _, name := range []string{"", "x", "../secret", "ready", newID(), newID() + "-64.jpg", newID() + "-512.jpg", newID() + "-512.jpg/", strings.Repeat("a", 9999)} {
		_, err := c.Picture(t.Context(), name)
		mustBe(t, err, ErrNotFound)
	}
}

// hook stands before a store and its objects, and fails what the test says.
type hook struct {
	drivers.Store
	commit func(ops []drivers.Op, next func() error) error
}

func (h hook) Commit(ctx context.Context, ops ...drivers.Op) error {
	return h.commit(ops, func() error { return h.Store.Commit(ctx, ops...) })
}

type objectsHook struct {
	drivers.Objects
	put func(key string, next func() error) error
}

func (h objectsHook) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	return h.put(key, func() error { return h.Objects.Put(ctx, key, r, size, contentType) })
}

// At whatever step a change of picture dies, the profile names a picture that
// is there, and what it does not name is removed in the end.
func TestAPictureThatFailsHalfWay(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, row := range []struct {
		name    string
		put     func(key string, next func() error) error
		commit  func(n int, next func() error) error // n counts the commits of the change from 1
		changed bool                                 // whether the change took place all the same
	}{
		{name: "no object", put: func(string, func() error) error { return broken }},
		{name: "the small one only", put: func(key string, next func() error) error {
			if strings.HasSuffix(key, "-132.jpg") {
				return next()
			}
			return broken
		}},
		{name: "both, but the answers got lost", put: func(_ string, next func() error) error { next(); return broken }},
		{name: "no job", commit: func(n int, next func() error) error { return broken }},
		{name: "no profile", commit: func(n int, next func() error) error {
			if n == 2 {
				return broken
			}
			return next()
		}},
		{name: "profile, but the answer got lost", changed: true, commit: func(n int, next func() error) error {
			err := next()
			if n == 2 {
				return broken
			}
			return err
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			token := w.replica(t).mustLogin(t, "ming~1").Tokens.AccessToken
			w.replica(t).update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
			n := 0
			if row.commit != nil {
				w.wrapStore = func(s drivers.Store) drivers.Store {
					return hook{s, func(_ []drivers.Op, next func() error) error { n++; return row.commit(n, next) }}
				}
			}
			if row.put != nil {
				w.wrapObjects = func(o drivers.Objects) drivers.Objects { return objectsHook{o, row.put} }
			}
			_, err := w.replica(t).UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 200)))})
			mustBe(t, err, ErrUpstream)
			w.wrapStore, w.wrapObjects = nil, nil
			c := w.replica(t)
			for range 2 {
				me, err := c.Me(t.Context(), token)
				if err != nil {
					t.Fatal(err)
				}
				if shade := c.fetch(t, me, AvatarLarge, 512); (shade > 190) != row.changed {
					t.Errorf("shade %d", shade)
				}
				w.clock.add(pictureLease)
				c.runJobs(t)
				if token, err = c.again(t, me); err != nil {
					t.Fatal(err)
				}
			}
			if len(w.blobs(t)) != 2 || len(w.records(t, kindJobs)) != 0 {
				t.Errorf("left behind: %v, %d jobs", w.blobs(t), len(w.records(t, kindJobs)))
			}
		})
	}
}

// again signs the user's own session for a new access token.
func (c *Core) again(t testing.TB, u *User) (string, error) {
	t.Helper()
	token, _, err := c.tokens.sign(u.ID+"."+u.sid, testApp)
	return token, err
}

// A job that overtakes the change it guards: the change must fail, for its
// picture is gone.
func TestAPictureThatTookTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld()
	token := w.replica(t).mustLogin(t, "ming~1").Tokens.AccessToken
	sweeper := w.replica(t)
	var once sync.Once
	w.wrapObjects = func(o drivers.Objects) drivers.Objects {
		return objectsHook{o, func(_ string, next func() error) error {
			err := next()
			once.Do(func() {
				w.clock.add(pictureLease)
				sweeper.runJobs(t)
				w.clock.add(-pictureLease)
			})
			return err
		}}
	}
	_, err := w.replica(t).UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	mustBe(t, err, ErrUpstream)
	if me, err := sweeper.Me(t.Context(), token); err != nil || me.Avatar != nil {
		t.Errorf("avatar %v, %v", me.Avatar, err)
	}
}

func TestPicturesAtOnceLeaveOne(t *testing.T) {
	t.Parallel()
	w := newWorld()
	replicas := []*Core{w.replica(t), w.replica(t)}
	token := replicas[0].mustLogin(t, "ming~1").Tokens.AccessToken
	data := testPicture(t, 40)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			if _, err := replicas[i%2].UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(data))}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.clock.add(time.Second)
	replicas[0].runJobs(t)
	me, err := replicas[1].Me(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	replicas[1].fetch(t, me, AvatarSmall, 132)
	if blobs := w.blobs(t); len(blobs) != 2 {
		t.Errorf("blobs %v", blobs)
	}
}

// A bucket that hangs: pictures fail within their time, and nothing else waits.
func TestObjectsThatHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.wrapObjects = func(o drivers.Objects) drivers.Objects { return hanging{o} }
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		failed := make(chan error)
		began := time.Now()
		for range 8 {
			go func() {
				_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Nickname: set("new"), Avatar: set(upload(testPicture(t, 40)))})
				failed <- err
			}()
		}
		synctest.Wait() // all of them hang
		c.mustLogin(t, "hong~1")
		c.update(t, token, UpdateProfileInput{Birthday: set("2001-02-03")})
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a login and an update waited %v", waited)
		}
		for range 8 {
			mustBe(t, <-failed, ErrUpstream)
		}
		if waited := time.Since(began); waited > pictureTime {
			t.Errorf("a picture took %v to fail", waited)
		}
		if me, err := c.Me(t.Context(), token); err != nil || me.Avatar != nil || me.Nickname != nil {
			t.Errorf("half of a change was done: %+v, %v", me, err)
		}
	})
}

// hanging never stores anything.
type hanging struct{ drivers.Objects }

func (hanging) Put(ctx context.Context, _ string, _ io.Reader, _ int64, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

// A bucket that was away lets one call try whether it is back, and refuses the other
// of the two pictures at once: the one that tries is not given up for that.
func TestObjectsThatComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		tried := &trying{}
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			tried.Objects = o
			return tried
		}
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
		mustBe(t, err, ErrUpstream)
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	})
}

// trying lets one call at a time try, until one has stored something.
type trying struct {
	drivers.Objects
	busy, back atomic.Bool
}

func (o *trying) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if !o.back.Load() && !o.busy.CompareAndSwap(false, true) {
		return errors.New("left alone")
	}
	defer o.busy.Store(false)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(20 * time.Millisecond):
	}
	o.back.Store(true)
	return o.Objects.Put(ctx, key, r, size, contentType)
}

// A bucket that asks to be left alone is heard: the client waits that long.
func TestObjectsThatAreBusy(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.wrapObjects = func(o drivers.Objects) drivers.Objects {
		return objectsHook{o, func(string, func() error) error {
			return &drivers.BusyError{After: 7 * time.Second, Err: errors.New("503")}
		}}
	}
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	mustBe(t, err, ErrUpstream)
	if after := RetryAfter(err); after != 7*time.Second {
		t.Errorf("retry after %v", after)
	}
}

// TestCrowdedPictures: who waits in vain for others' pictures may come again.
func TestCrowdedPictures(t *testing.T) {
	t.Parallel()
	err := pictureError(fmt.Errorf("process: %w", avatar.ErrCrowded))
	mustBe(t, err, ErrRateLimited)
	if after := RetryAfter(err); after != crowdedWait {
		t.Errorf("retry after %v", after)
	}
}
