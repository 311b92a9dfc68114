package auth

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func (c *Core) createUpload(t testing.TB, token string, size int) *CreateAvatarUploadPayload {
	t.Helper()
	p, err := c.CreateAvatarUpload(t.Context(), token, CreateAvatarUploadInput{"image/png", size})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func uploadName(p *CreateAvatarUploadPayload) string { return p.URL[strings.LastIndex(p.URL, "/")+1:] }

// A call that is repeated while the first is under way is told to come again, and then
// finds it done.
func TestAnUploadIsUsedTwiceAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	data := testPicture(t, 40)
	form := c.createUpload(t, token, len(data))
	if err := c.ReceiveUpload(t.Context(), uploadName(form), bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	use := func() error {
		_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{AvatarUploadID: &form.ID})
		return err
	}
	var inner error
	first := true
	w.wrapStore = func(s drivers.Store) drivers.Store {
		return hooked{s, func(ops []drivers.Op) {
			if ops[0].Key.Kind == kindJobs && first { // the removal of the outer call's picture
				first = false
				inner = use()
			}
		}}
	}
	outer := w.replica(t)
	_, err := outer.UpdateProfile(t.Context(), token, UpdateProfileInput{AvatarUploadID: &form.ID})
	if mustBe(t, err, ErrUpstream); inner != nil || RetryAfter(err) <= 0 {
		t.Errorf("the inner call: %v; the outer one: again after %v", inner, RetryAfter(err))
	}
	if err := use(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// Nobody fills the storage with files that no profile names.
func TestUploadsOfOneUserAreBounded(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		data := testPicture(t, 40)
		for range 12 { // what is used does not count
			form := c.createUpload(t, token, len(data))
			if err := c.ReceiveUpload(t.Context(), uploadName(form), bytes.NewReader(data), int64(len(data))); err != nil {
				t.Fatal(err)
			}
			c.update(t, token, UpdateProfileInput{AvatarUploadID: &form.ID})
		}
		c.createUpload(t, token, 1)
		w.clock.add(time.Minute)
		for range maxUploads - 1 {
			c.createUpload(t, token, 1)
		}
		_, err := c.CreateAvatarUpload(t.Context(), token, CreateAvatarUploadInput{"image/png", 1})
		if mustBe(t, err, ErrRateLimited); RetryAfter(err) != UploadLife-time.Minute {
			t.Errorf("again after %v", RetryAfter(err))
		}
		c.createUpload(t, c.mustLogin(t, "hong~1").Tokens.AccessToken, 1) // somebody else may
		w.clock.add(UploadLife - time.Minute)
		c.createUpload(t, token, 1)
	})
}

func TestDirectUpload(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	stranger := c.mustLogin(t, "hong~1").Tokens.AccessToken
	data := testPicture(t, 40)
	form := c.createUpload(t, token, len(data))
	if !strings.HasPrefix(form.URL, "https://example.com/uploads/") || form.FileField != "file" || form.MaxBytes != len(data) || !form.ExpiresAt.Equal(c.now().Add(UploadLife)) {
		t.Fatalf("the form is %+v", form)
	}
	use := UpdateProfileInput{AvatarUploadID: &form.ID, Nickname: set("小明")}
	_, err := c.UpdateProfile(t.Context(), token, use)
	mustBeInvalid(t, err, "avatarUploadId") // the file has not come
	mustBeInvalid(t, c.ReceiveUpload(t.Context(), uploadName(form), bytes.NewReader(make([]byte, len(data)+1)), int64(len(data)+1)), "file")
	if err := c.ReceiveUpload(t.Context(), uploadName(form), bytes.NewReader(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
	_, err = c.UpdateProfile(t.Context(), stranger, UpdateProfileInput{AvatarUploadID: &form.ID})
	mustBeInvalid(t, err, "avatarUploadId")
	both := use
	both.Avatar = set(upload(data))
	_, err = c.UpdateProfile(t.Context(), token, both)
	mustBeInvalid(t, err, "avatarUploadId")

	user := c.update(t, token, use)
	if shade := c.fetch(t, user, AvatarLarge, 512); shade < 30 || shade > 50 || *user.Nickname != "小明" {
		t.Errorf("shade %d, nickname %v", shade, user.Nickname)
	}
	// The answer got lost.
	again := c.update(t, token, use)
	if again.Version != user.Version || again.Avatar.URL(AvatarLarge) != user.Avatar.URL(AvatarLarge) {
		t.Errorf("repeated: version %d, then %d", user.Version, again.Version)
	}
	// Nobody can change the file any more, and it is removed.
	mustBe(t, c.ReceiveUpload(t.Context(), uploadName(form), bytes.NewReader(data), int64(len(data))), ErrNotFound)
	c.runJobs(t)
	if blobs := w.blobs(t); len(blobs) != 2 {
		t.Errorf("blobs %v", blobs)
	}
	// Once the profile has another picture, the old upload is spent.
	c.update(t, token, UpdateProfileInput{Avatar: cleared[Upload]()})
	_, err = c.UpdateProfile(t.Context(), token, use)
	mustBeInvalid(t, err, "avatarUploadId")
	w.clock.add(uploadKept)
	c.runJobs(t)
	if len(w.blobs(t)) != 0 || len(w.records(t, kindJobs)) != 0 {
		t.Errorf("left behind: %v, %d jobs", w.blobs(t), len(w.records(t, kindJobs)))
	}
}

func TestDirectUploadsThatComeToNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	for _, row := range []struct {
		in    CreateAvatarUploadInput
		field string
	}{
		{CreateAvatarUploadInput{"image/svg+xml", 10}, "contentType"}, {CreateAvatarUploadInput{"", 10}, "contentType"},
		{CreateAvatarUploadInput{"image/png", 0}, "size"}, {CreateAvatarUploadInput{"image/png", -1}, "size"},
		{CreateAvatarUploadInput{"image/png", 10<<20 + 1}, "size"},
	} {
		_, err := c.CreateAvatarUpload(t.Context(), token, row.in)
		mustBeInvalid(t, err, row.field)
	}
	_, err := c.CreateAvatarUpload(t.Context(), "nonsense", CreateAvatarUploadInput{"image/png", 10})
	mustBe(t, err, ErrUnauthenticated)
	for _, id := range []string{"", "x", "../x", newID()} {
		_, err := c.UpdateProfile(t.Context(), token, UpdateProfileInput{AvatarUploadID: &id})
		mustBeInvalid(t, err, "avatarUploadId")
		mustBe(t, c.ReceiveUpload(t.Context(), id, strings.NewReader("x"), 1), ErrNotFound)
		mustBe(t, c.ReceiveUpload(t.Context(), newID()+"."+newID(), strings.NewReader("x"), 1), ErrNotFound)
	}
	// One that is no picture, one that is given up, one that comes too late.
	bad := c.createUpload(t, token, 9)
	if err := c.ReceiveUpload(t.Context(), uploadName(bad), strings.NewReader("no photo!"), 9); err != nil {
		t.Fatal(err)
	}
	_, err = c.UpdateProfile(t.Context(), token, UpdateProfileInput{AvatarUploadID: &bad.ID})
	mustBeInvalid(t, err, "avatar")
	late := c.createUpload(t, token, 9)
	w.clock.add(UploadLife)
	mustBe(t, c.ReceiveUpload(t.Context(), uploadName(late), strings.NewReader("no photo!"), 9), ErrNotFound)
	w.clock.add(uploadKept)
	c.runJobs(t)
	if len(w.blobs(t)) != 0 || len(w.records(t, kindJobs)) != 0 {
		t.Errorf("left behind: %v, %d jobs", w.blobs(t), len(w.records(t, kindJobs)))
	}
}

// signingObjects can sign forms, as a bucket does.
type signingObjects struct{ drivers.Objects }

func (signingObjects) SignUpload(_ context.Context, key, contentType string, maxSize int64, expires time.Time) (drivers.UploadForm, error) {
	return drivers.UploadForm{
		URL: "https://bucket.example.com/", FileField: "upload",
		Fields: map[string]string{"key": key, "Content-Type": contentType, "limit": fmt.Sprint(maxSize)},
	}, nil
}

func (signingObjects) PublicURL(base, key string) string { return base + "/prefix/" + key + ",1" }

func TestDirectUploadToABucket(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.wrapObjects = func(o drivers.Objects) drivers.Objects { return signingObjects{o} }
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	form := c.createUpload(t, token, 9)
	want := []FormField{{"Content-Type", "image/png"}, {"key", "incoming/" + form.ID}, {"limit", "9"}}
	if form.URL != "https://bucket.example.com/" || form.FileField != "upload" || fmt.Sprint(form.Fields) != fmt.Sprint(want) {
		t.Errorf("the form is %+v", form)
	}
}

func TestPicturesAtABucketsAddress(t *testing.T) {
	t.Parallel()
	w := newWorld()
	config := Config{
		Store: w.space.OpenStore(), Objects: signingObjects{w.space.OpenObjects()}, WeChat: w.wechat, Apps: w.apps, Secrets: w.secrets,
		PublicURL: "https://example.com", AvatarURL: "https://cdn.example.com", Now: w.clock.now,
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	u := c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	if url := u.Avatar.URL(AvatarSmall); !strings.HasPrefix(url, "https://cdn.example.com/prefix/avatars/") || !strings.HasSuffix(url, "-132.jpg,1") {
		t.Errorf("the picture is at %s", url)
	}
	config.Objects = w.space.OpenObjects()
	if _, err := New(config); err == nil {
		t.Error("an AvatarURL for objects that nobody else can read")
	}
}
