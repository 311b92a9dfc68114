package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/breaker"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/miniprofile/miniprofile/drivers/minio"
	"github.com/miniprofile/miniprofile/drivers/minio/spoil"
	"github.com/miniprofile/miniprofile/server"
)

// spoiltHouse is the whole server, in this process and at a time that the test
// moves, over a bucket behind a proxy that spoils what goes through it.
type spoiltHouse struct {
	*child
	core   *auth.Core
	proxy  *spoil.Proxy
	bucket drivers.Objects // not through the proxy

	mu    sync.Mutex
	later time.Duration // than now it is
}

func (h *spoiltHouse) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.later)
}

func (h *spoiltHouse) add(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.later += d
}

var buckets atomic.Int64

// startSpoiltHouse starts one over a new bucket of the S3 service at host, with
// the credentials that the test has set.
func startSpoiltHouse(t *testing.T, host string) *spoiltHouse {
	t.Helper()
	h := &spoiltHouse{proxy: spoil.New(host)}
	t.Cleanup(h.proxy.Stop)
	bucket := fmt.Sprintf("/pictures%d", buckets.Add(1))
	open := func(host string) drivers.Objects {
		o, err := minio.CreateObjects(t.Context(), &url.URL{Scheme: "minio", Host: host, Path: bucket, RawQuery: "tls=false&region=us-east-1"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { o.Close() })
		return o
	}
	h.bucket = open(host)
	silent := slog.New(slog.DiscardHandler)
	site := httptest.NewUnstartedServer(nil)
	weChat, err := (&settings{WeChatURL: "sandbox"}).weChat()
	if err != nil {
		t.Fatal(err)
	}
	h.core, err = auth.New(auth.Config{
		Store: memory.New().OpenStore(), Objects: breaker.Objects(open(h.proxy.Host)), WeChat: weChat.client, Apps: weChat.apps,
		Secrets: []string{strings.Repeat("s", auth.MinSecret)}, Issuer: "test", PublicURL: "http://" + site.Listener.Addr().String(), Now: h.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.core.Wait)
	site.Config.Handler = server.New(server.Config{Core: h.core, Version: "test", Logger: silent})
	site.Start()
	t.Cleanup(site.Close)
	h.child = &child{t: t, address: site.Listener.Addr().String()}
	return h
}

var codes atomic.Int64

// login signs a person in and returns an access token.
func (h *spoiltHouse) login(person string) string {
	h.t.Helper()
	a, err := h.ask("", loginText, object{"input": object{"code": fmt.Sprintf("%s~%d", person, codes.Add(1))}})
	if err != nil || len(a.Errors) > 0 {
		h.t.Errorf("login: %v %+v", err, a.Errors)
	}
	return a.Data.Login.Tokens.AccessToken
}

// picture is the address of the picture that a profile names, or empty.
func (h *spoiltHouse) picture(person string) string {
	h.t.Helper()
	a, err := h.ask(h.login(person), meText, nil)
	if err != nil || len(a.Errors) > 0 || a.Data.Me == nil {
		h.t.Fatalf("me: %v %+v", err, a.Errors)
	}
	if a.Data.Me.Avatar == nil {
		return ""
	}
	return a.Data.Me.Avatar.URL
}

// settle lets the bucket be well, and time pass until nothing is left to do.
// Then the bucket must hold what the profiles name and no more.
func (h *spoiltHouse) settle(people ...string) {
	h.t.Helper()
	h.proxy.With(nil)
	var want []string
	for _, person := range people {
		if address := h.picture(person); address != "" {
			large := path(address)[1:]
			want = append(want, large, small(large))
		}
	}
	slices.Sort(want)
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	var got []string
	for {
		h.add(time.Hour)
		_, err := h.core.RunDueJobs(h.t.Context(), nil)
		if err == nil {
			_, err = h.core.SweepPictures(h.t.Context())
		}
		if got = h.keys(); err == nil && slices.Equal(got, want) {
			return
		}
		select {
		case <-timeout:
			h.t.Fatalf("the bucket holds %v, the profiles name %v; %v", got, want, err)
		case <-poll.C: // the breaker holds for some seconds
		}
	}
}

func (h *spoiltHouse) keys() (keys []string) {
	for info, err := range h.bucket.List(h.t.Context(), "", "") {
		if err != nil {
			h.t.Fatal(err)
		}
		if info.Key != "owner" { // the sweep's mark
			keys = append(keys, info.Key)
		}
	}
	return keys
}

// small is the name, or address, of the small copy of a large one.
func small(large string) string { return strings.Replace(large, "-512.", "-132.", 1) }

// get fetches a picture whole.
func get(address string) (status int, body []byte, err error) {
	r, err := http.Get(address)
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	body, err = io.ReadAll(r.Body)
	return r.StatusCode, body, err
}

// noise is a picture of which even the smaller copies are large.
func noise(t testing.TB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 512, 512))
	random := rand.New(rand.NewPCG(1, 2))
	for y := range 512 {
		for x := range 512 {
			n := random.Uint32()
			m.Set(x, y, color.RGBA{uint8(n >> 24), uint8(n >> 16), uint8(n >> 8), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// onS3 runs a test over an S3 in this process and over a real MinIO.
func onS3(t *testing.T, test func(t *testing.T, host string)) {
	t.Setenv("MINIO_ACCESS_KEY", minioUser)
	t.Setenv("MINIO_SECRET_KEY", minioPassword)
	t.Run("gofakes3", func(t *testing.T) {
		s3 := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
		t.Cleanup(s3.Close)
		test(t, strings.TrimPrefix(s3.URL, "http://"))
	})
	t.Run("MinIO", func(t *testing.T) {
		u, err := url.Parse(startMinIO(t))
		if err != nil {
			t.Fatal(err)
		}
		test(t, u.Host)
	})
}

// bucketFault is a way in which a bucket is not well.
type bucketFault struct {
	name          string
	spoil         func(p *spoil.Proxy) http.HandlerFunc
	reads, writes bool // whether these fail
	retryAfter    any  // of the error; nil for any
	service       bool // whether the service takes part in it
}

func cut() { panic(http.ErrAbortHandler) }

var bucketFaults = []bucketFault{
	{name: "full", writes: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodPut, spoil.Answer(507, "XMinioStorageFull"))
	}},
	{name: "forbidden", reads: true, writes: true, spoil: func(*spoil.Proxy) http.HandlerFunc { return spoil.Answer(403, "AccessDenied") }},
	{name: "gone", reads: true, writes: true, spoil: func(*spoil.Proxy) http.HandlerFunc { return spoil.Answer(404, "NoSuchBucket") }},
	{name: "ill", reads: true, writes: true, spoil: func(*spoil.Proxy) http.HandlerFunc { return spoil.Answer(500, "InternalError") }},
	{name: "busy for a while", reads: true, writes: true, retryAfter: 7.0, spoil: func(*spoil.Proxy) http.HandlerFunc {
		return spoil.Answer(503, "SlowDown", "Retry-After", "7")
	}},
	{name: "away", reads: true, writes: true, spoil: func(*spoil.Proxy) http.HandlerFunc { return spoil.Refuse }},
	{name: "slow", reads: true, writes: true, spoil: mute},
	{name: "cut on the way there", writes: true, service: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodPut, p.CutRequest(500))
	}},
	{name: "cut on the way back", reads: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodGet, p.Rewrite(func(_ http.Header, body io.Writer) io.Writer { return spoil.After(body, 500, cut) }))
	}},
	{name: "changed on the way there", writes: true, service: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodPut, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			body[len(body)/2] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(body))
			p.Good.ServeHTTP(w, r)
		})
	}},
	{name: "changed on the way back", reads: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodGet, p.Rewrite(func(_ http.Header, body io.Writer) io.Writer { return spoil.Flip(body, 500) }))
	}},
	{name: "another ETag", writes: true, service: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodPut, p.Rewrite(func(h http.Header, body io.Writer) io.Writer {
			h.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			return body
		}))
	}},
	{name: "done, but nobody hears of it", writes: true, service: true, spoil: func(p *spoil.Proxy) http.HandlerFunc {
		return p.Only(http.MethodPut, func(_ http.ResponseWriter, r *http.Request) {
			p.Good.ServeHTTP(httptest.NewRecorder(), r)
			cut()
		})
	}},
}

// mute takes requests and never answers.
func mute(p *spoil.Proxy) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-p.Done:
		case <-r.Context().Done():
		}
	}
}

// TestPictureFaults: whatever is wrong with the bucket while a picture is set, taken
// over from a direct upload, or served, the client hears UPSTREAM_UNAVAILABLE in
// time, never gets other bytes, and the profile names the picture that it named.
// When the bucket is well again all works, and nothing is left behind.
func TestPictureFaults(t *testing.T) {
	onS3(t, func(t *testing.T, host string) {
		old, photo := noise(t), photograph(t, 300, 300)
		for _, f := range bucketFaults {
			if strings.HasSuffix(t.Name(), "MinIO") && !f.service {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				h := startSpoiltHouse(t, host)
				token := h.login("ming")
				if a, err := h.setPicture(token, old); err != nil || len(a.Errors) > 0 {
					t.Fatal(err, a.Errors)
				}
				before := h.picture("ming")
				_, want, err := get(before)
				if err != nil || len(want) < 128<<10 {
					t.Fatalf("the old picture has %d bytes, %v: too few to be served as they come", len(want), err)
				}
				id := h.uploadDirectly(token, old)

				h.proxy.With(f.spoil(h.proxy))
				began := time.Now()
				var all sync.WaitGroup
				all.Go(func() {
					status, body, err := get(small(before))
					if f.reads && (err != nil || status != http.StatusServiceUnavailable || !bytes.Contains(body, []byte("UPSTREAM_UNAVAILABLE"))) || !f.reads && status != http.StatusOK {
						t.Errorf("the small picture: %d %.200s %v", status, body, err)
					}
				})
				all.Go(func() {
					status, body, err := get(before)
					switch whole := status == http.StatusOK && err == nil; {
					case whole && !bytes.Equal(body, want):
						t.Errorf("the large picture: %d other bytes", len(body))
					case whole == f.reads:
						t.Errorf("the large picture: %d, %d bytes, %v", status, len(body), err)
					case status != http.StatusOK && !bytes.Contains(body, []byte("UPSTREAM_UNAVAILABLE")):
						t.Errorf("the large picture: %d %.200s", status, body)
					}
				})
				all.Go(func() {
					a, err := h.ask(token, updateText, object{"input": object{"avatarUploadId": id, "nickname": "new"}})
					if f.name == "changed on the way back" && err == nil && len(a.Errors) == 1 {
						return // no hash lies beside a direct upload: it is no picture any more, and nobody knows since when
					}
					f.wantIn(t, "avatarUploadId", a, err)
				})
				all.Wait()
				if f.writes {
					a, err := h.setPicture(token, photo)
					f.wantIn(t, "avatar", a, err)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				if got := h.picture("ming"); got != before {
					t.Errorf("the profile names %s, not %s", got, before)
				}
				h.settle("ming")
				if _, body, err := get(before); err != nil || !bytes.Equal(body, want) {
					t.Errorf("the old picture is %d bytes, %v", len(body), err)
				}
				a, err := h.setPicture(h.login("ming"), photo)
				if err != nil || len(a.Errors) > 0 || a.Data.UpdateProfile.User.Nickname != "" {
					t.Errorf("another picture, with a bucket that is well: %v %+v", err, a)
				}
				h.settle("ming")
			})
		}
	})
}

// wantIn wants the fault in the answer to a change.
func (f bucketFault) wantIn(t *testing.T, what string, a answer, err error) {
	t.Helper()
	if err != nil || len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != "UPSTREAM_UNAVAILABLE" {
		t.Errorf("%s: %v %+v", what, err, a.Errors)
		return
	}
	if after := a.Errors[0].Extensions["retryAfter"]; f.retryAfter != nil && after != f.retryAfter {
		t.Errorf("%s: retry after %v", what, after)
	}
}

// TestDeadBucket: while a bucket takes everything and answers nothing, and many wait
// for it, logins and all that needs no picture go on. After a while the bucket is
// left alone and even pictures fail at once; when it is well again they work.
func TestDeadBucket(t *testing.T) {
	t.Setenv("MINIO_ACCESS_KEY", minioUser)
	t.Setenv("MINIO_SECRET_KEY", minioPassword)
	s3 := httptest.NewServer(gofakes3.New(s3mem.New(), gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(s3.Close)
	h := startSpoiltHouse(t, strings.TrimPrefix(s3.URL, "http://"))
	photo := photograph(t, 200, 200)
	const waiting = 8
	var tokens []string
	for i := range waiting {
		tokens = append(tokens, h.login(fmt.Sprintf("p%d", i)))
	}
	arrived := make(chan bool, 100)
	hang := mute(h.proxy)
	h.proxy.With(func(w http.ResponseWriter, r *http.Request) {
		arrived <- true
		hang(w, r)
	})
	failed := make(chan bool, waiting)
	for _, token := range tokens {
		go func() {
			a, err := h.setPicture(token, photo)
			bucketFault{}.wantIn(t, "avatar", a, err)
			failed <- true
		}()
	}
	for range waiting {
		<-arrived
	}
	quick := func(when string) {
		t.Helper()
		for i := range 10 {
			began := time.Now()
			token := h.login(fmt.Sprintf("q%d", i))
			a, err := h.ask(token, updateText, object{"input": object{"nickname": "new"}})
			if err != nil || len(a.Errors) > 0 {
				t.Errorf("%s: a nickname: %v %+v", when, err, a.Errors)
			}
			if took := time.Since(began); took > 5*time.Second { // the bucket holds up others for ten
				t.Errorf("%s: a login and a nickname took %v", when, took)
			}
		}
	}
	quick("while others wait for the bucket")
	for range waiting {
		<-failed
	}
	calls := h.proxy.Calls.Load()
	a, err := h.setPicture(tokens[0], photo)
	bucketFault{}.wantIn(t, "avatar", a, err)
	if n := h.proxy.Calls.Load() - calls; n > 0 {
		t.Errorf("a bucket that is dead was asked %d times more", n)
	}
	quick("when the bucket is left alone")
	h.proxy.With(nil)
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for {
		if a, err := h.setPicture(tokens[0], photo); err == nil && len(a.Errors) == 0 {
			break
		}
		select {
		case <-timeout:
			t.Fatal("the bucket is well, and pictures still fail")
		case <-poll.C:
		}
	}
	h.settle("p0")
}
