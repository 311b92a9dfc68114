package minio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/minio/spoil"
)

func newProxy(t testing.TB, backend string) *spoil.Proxy {
	p := spoil.New(backend)
	t.Cleanup(p.Stop)
	return p
}

// abort closes the connection in the middle of an answer.
func abort() { panic(http.ErrAbortHandler) }

const (
	largeSize = 400_000 // of an object that is read as it comes
	smallSize = 20_000  // of one that Get reads whole
)

func content(c byte, size int) string { return strings.Repeat(string(c), size) }

// onProxies runs a test on each server, behind a proxy, with the objects "large"
// and "small" in the bucket, and looks that they are still there and nothing
// else, and that no goroutine stays.
func onProxies(t *testing.T, test func(t *testing.T, p *spoil.Proxy, o *objects)) {
	onAll(t, func(t *testing.T, host string) {
		direct := openBucket(t, host)
		if err := direct.Put(t.Context(), "large", strings.NewReader(content('o', largeSize)), largeSize, "old/large"); err != nil {
			t.Fatal(err)
		}
		if err := direct.Put(t.Context(), "small", strings.NewReader(content('o', smallSize)), smallSize, "old/small"); err != nil {
			t.Fatal(err)
		}
		direct.transport.CloseIdleConnections()
		before := goroutines()

		p := newProxy(t, host)
		at := direct.place
		at.host = p.Host
		o, err := open(t.Context(), at, newTransport(), false)
		if err != nil {
			t.Fatal(err)
		}
		test(t, p, o)
		p.With(nil)
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		p.Stop()

		wantOld(t, direct)
		if got := rawNames(t, direct); !slices.Equal(got, []string{"large,1", "small,1"}) {
			t.Errorf("nothing is left behind: there are %q", got)
		}
		direct.transport.CloseIdleConnections()
		deadline := time.Now().Add(10 * time.Second)
		for goroutines() > before && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		if n := goroutines(); n > before {
			stacks := make([]byte, 1<<20)
			t.Errorf("%d goroutines stay:\n%s", n-before, stacks[:runtime.Stack(stacks, true)])
		}
	})
}

// goroutines counts those of HTTP clients and of this package, whose number does
// not depend on the servers.
func goroutines() int {
	stacks := make([]byte, 4<<20)
	n := 0
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "net/http.(*persistConn)") || strings.Contains(stack, "net/http.(*Transport)") || strings.Contains(stack, "minio-go") {
			n++
		}
	}
	return n
}

func wantOld(t *testing.T, o *objects) {
	t.Helper()
	for key, size := range map[string]int{"large": largeSize, "small": smallSize} {
		object, err := o.Get(t.Context(), key)
		if err != nil {
			t.Errorf("the old object is intact: %v", err)
			continue
		}
		if got, err := io.ReadAll(object); err != nil || string(got) != content('o', size) || object.ContentType != "old/"+key {
			t.Errorf("the old object is intact: %s is %d bytes of %s, %v", key, len(got), object.ContentType, err)
		}
		object.Close()
	}
}

// quickly fails when f takes longer than any fault may.
func quickly(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > patience/2 { // who waits in vain takes all of it
		t.Errorf("it took %v", took)
	}
}

func TestPutFaults(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		for _, c := range []struct {
			name  string
			spoil http.HandlerFunc
			calls int64  // requests, at most; 0 for any
			want  string // part of the error
		}{
			{"full", spoil.Answer(507, "XMinioStorageFull"), 1, "507 XMinioStorageFull: spoilt"},
			{"forbidden", spoil.Answer(403, "AccessDenied"), 1, "403 AccessDenied: spoilt"},
			{"the bucket is gone", spoil.Answer(404, "NoSuchBucket"), 1, "404 NoSuchBucket"},
			{"ill", spoil.Answer(500, "InternalError"), attempts, "500 InternalError"},
			{"busy", spoil.Answer(503, "SlowDown"), attempts, "503 SlowDown"},
			{"busy for a while", spoil.Answer(503, "SlowDown", "Retry-After", "7"), 1, "try again in 7s"},
			{"no answer", spoil.Refuse, attempts, "closed the connection"},
			{"cut at the beginning", p.CutRequest(0), attempts, ""},
			{"cut in the middle", p.CutRequest(smallSize / 2), attempts, ""},
			{"cut before the last byte", p.CutRequest(smallSize - 1), attempts, ""},
			{"a byte changed", func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				body[len(body)/2] ^= 1
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				p.Good.ServeHTTP(w, r)
			}, attempts, "400 "},
		} {
			t.Run(c.name, func(t *testing.T) {
				for _, key := range []string{"small", "new"} {
					p.With(p.Only(http.MethodPut, c.spoil))
					quickly(t, func() {
						err := o.Put(t.Context(), key, strings.NewReader(content('n', smallSize)), smallSize, "new/"+key)
						if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "http://") {
							t.Errorf("got %v, want %s", err, c.want)
						}
						var busy *drivers.BusyError
						if errors.As(err, &busy) != strings.HasPrefix(c.want, "try again") || busy != nil && busy.After != 7*time.Second {
							t.Errorf("BusyError is for Retry-After: %#v", err)
						}
					})
					if n := p.Calls.Load(); c.calls > 0 && n > c.calls {
						t.Errorf("%d requests, want at most %d", n, c.calls)
					}
					p.With(nil)
					wantOld(t, o)
				}
			})
		}
	})
}

// TestPassingFaults: what passes is not an error.
func TestPassingFaults(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		for name, spoil := range map[string]http.HandlerFunc{
			"ill":       spoil.Answer(500, "InternalError"),
			"busy":      spoil.Answer(503, "SlowDown"),
			"too often": spoil.Answer(429, "TooManyRequests"),
			"gateway":   spoil.Answer(502, "x"),
			"cut":       p.CutRequest(smallSize / 2),
			"refused":   spoil.Refuse,
			"lost": func(_ http.ResponseWriter, r *http.Request) { // done, but nobody hears of it
				p.Good.ServeHTTP(httptest.NewRecorder(), r)
				abort()
			},
			"half an answer": p.Rewrite(func(h http.Header, body io.Writer) io.Writer {
				return spoil.After(body, 10, abort)
			}),
		} {
			t.Run(name, func(t *testing.T) {
				p.With(p.Once(spoil))
				if err := o.Put(t.Context(), "new", strings.NewReader(content('n', smallSize)), smallSize, "new/type"); err != nil {
					t.Errorf("Put: %v", err)
				}
				p.With(p.Once(spoil))
				object, err := o.Get(t.Context(), "new")
				if err != nil {
					t.Fatalf("Get: %v", err)
				}
				if got, err := io.ReadAll(object); err != nil || string(got) != content('n', smallSize) {
					t.Errorf("Get: %d bytes, %v", len(got), err)
				}
				object.Close()
				p.With(p.Once(spoil))
				for _, err := range o.List(t.Context(), "", "") {
					if err != nil {
						t.Errorf("List: %v", err)
					}
				}
				p.With(p.Once(spoil))
				if err := o.Delete(t.Context(), "new"); err != nil {
					t.Errorf("Delete: %v", err)
				}
			})
		}
	})
}

// TestAway: nothing listens any more.
func TestAway(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		p.Stop()
		quickly(t, func() {
			errs := []error{
				o.Put(t.Context(), "small", strings.NewReader("new"), 3, "x"),
				o.Delete(t.Context(), "small"),
			}
			_, err := o.Get(t.Context(), "small")
			errs = append(errs, err)
			for _, err := range o.List(t.Context(), "", "") {
				errs = append(errs, err)
			}
			for _, err := range errs {
				if err == nil || errors.Is(err, drivers.ErrNotFound) || !strings.Contains(err.Error(), "refused") {
					t.Errorf("the bucket is away: %v", err)
				}
			}
		})
	})
}

// TestSlow: a service that takes requests and does not answer. Calls end with
// their contexts, and without a deadline when patience ends.
func TestSlow(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		for name, spoil := range map[string]http.HandlerFunc{
			"deaf": func(http.ResponseWriter, *http.Request) { <-p.Done },
			"mute": func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				select {
				case <-p.Done:
				case <-r.Context().Done():
				}
			},
		} {
			for _, patient := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, patient %v", name, patient), func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					want := context.DeadlineExceeded
					if o.patience = patience; !patient {
						ctx, want = t.Context(), errSilent
						o.patience = 50 * time.Millisecond
					}
					defer cancel()
					p.With(spoil)
					quickly(t, func() {
						if err := o.Put(ctx, "small", strings.NewReader(content('n', smallSize)), smallSize, "x"); !errors.Is(err, want) {
							t.Errorf("Put: %v", err)
						}
					})
					ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
					defer cancel()
					if !patient {
						ctx = t.Context()
					}
					quickly(t, func() {
						if _, err := o.Get(ctx, "small"); !errors.Is(err, want) {
							t.Errorf("Get: %v", err)
						}
						if err := o.Delete(ctx, "small"); !errors.Is(err, want) {
							t.Errorf("Delete: %v", err)
						}
						for _, err := range o.List(ctx, "", "") {
							if !errors.Is(err, want) {
								t.Errorf("List: %v", err)
							}
						}
					})
				})
			}
		}
		o.patience = patience
	})
}

// TestGetFaults: what Get and its reader say, and never other bytes.
func TestGetFaults(t *testing.T) {
	cut := func(n int) func(http.Header, io.Writer) io.Writer {
		return func(_ http.Header, body io.Writer) io.Writer { return spoil.After(body, n, abort) }
	}
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		for _, c := range []struct {
			name  string
			spoil http.HandlerFunc
			want  string // part of the error
		}{
			{"forbidden", spoil.Answer(403, "AccessDenied"), "403 AccessDenied"},
			{"the bucket is gone", spoil.Answer(404, "NoSuchBucket"), "404 NoSuchBucket"},
			{"not S3", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "nobody here", 404) }, "404"},
			{"busy for a while", spoil.Answer(503, "SlowDown", "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), "try again in "},
			{"cut at the beginning", p.Rewrite(cut(0)), ""},
			{"cut in the middle", p.Rewrite(cut(smallSize / 2)), ""},
			{"cut before the last byte of the small", p.Rewrite(cut(smallSize - 1)), ""},
			{"a byte changed", p.Rewrite(func(_ http.Header, body io.Writer) io.Writer { return spoil.Flip(body, smallSize/2) }), errDamaged.Error()},
			{"silent in the middle", p.Rewrite(func(_ http.Header, body io.Writer) io.Writer {
				return spoil.After(body, smallSize/2, func() { <-p.Done })
			}), errSilent.Error()},
			{"no ETag", p.Rewrite(func(h http.Header, body io.Writer) io.Writer { h.Del("ETag"); return body }), "the service does not say"},
			{"no length", p.Rewrite(func(h http.Header, body io.Writer) io.Writer { h.Del("Content-Length"); return body }), "the service does not say"},
		} {
			t.Run(c.name, func(t *testing.T) {
				if o.patience = patience; c.want == errSilent.Error() {
					o.patience = time.Second
				}
				for key, size := range map[string]int{"small": smallSize, "large": largeSize} {
					p.With(c.spoil)
					quickly(t, func() {
						object, err := o.Get(t.Context(), key)
						if err == nil {
							var got []byte
							if got, err = io.ReadAll(object); len(got) == size || key == "small" {
								t.Errorf("%s: Get gives all %d bytes", key, len(got))
							}
							object.Close()
						}
						if err == nil || errors.Is(err, drivers.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
							t.Errorf("%s: got %v, want %s", key, err, c.want)
						}
					})
				}
			})
		}
	})
}

// TestRangeFaults seeks in an object that is read as it comes.
func TestRangeFaults(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		for _, c := range []struct {
			name  string
			spoil http.HandlerFunc
			want  error // nil for any
		}{
			{"another ETag", p.Rewrite(func(h http.Header, body io.Writer) io.Writer { h.Set("ETag", `"other"`); return body }), errReplaced},
			{"another sum", p.Rewrite(func(h http.Header, body io.Writer) io.Writer {
				h.Set("X-Amz-Meta-"+sumKey, strings.Repeat("0", 64))
				return body
			}), errReplaced},
			{"no sum", p.Rewrite(func(h http.Header, body io.Writer) io.Writer { h.Del("X-Amz-Meta-" + sumKey); return body }), errReplaced},
			{"the range ignored", func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del("Range") // which minio-go does not sign
				p.Good.ServeHTTP(w, r)
			}, nil},
			{"gone", spoil.Answer(404, "NoSuchKey"), errReplaced},
			{"replaced", spoil.Answer(412, "PreconditionFailed"), errReplaced},
			{"forbidden", spoil.Answer(403, "AccessDenied"), nil},
			{"refused", spoil.Refuse, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				p.With(nil)
				object, err := o.Get(t.Context(), "large")
				if err != nil {
					t.Fatal(err)
				}
				defer object.Close()
				p.With(c.spoil)
				if _, err := object.Seek(1000, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				quickly(t, func() {
					got, err := io.ReadAll(object)
					if err == nil || len(got) > 0 || c.want != nil && !errors.Is(err, c.want) {
						t.Errorf("read %d bytes, %v", len(got), err)
					}
				})
			})
		}
		// And one that passes. The service is told which version we mean.
		p.With(nil)
		etag := rawInfo(t, o, "large,1").ETag
		object, err := o.Get(t.Context(), "large")
		if err != nil {
			t.Fatal(err)
		}
		defer object.Close()
		p.With(p.Once(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("If-Match"); got != `"`+etag+`"` {
				t.Errorf("If-Match is %s, the service's ETag %q", got, etag)
			}
			spoil.Answer(503, "SlowDown")(w, r)
		}))
		if _, err := object.Seek(-1000, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(object); err != nil || string(got) != content('o', 1000) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

// TestETags: the answer to a Put says another ETag than the MD5 of what was sent.
func TestETags(t *testing.T) {
	wrong := func(h http.Header, body io.Writer) io.Writer {
		h.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
		return body
	}
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		put := func() error {
			return o.Put(t.Context(), "new", strings.NewReader("new"), 3, "x")
		}
		p.With(p.Only(http.MethodPut, p.Rewrite(wrong)))
		if err := put(); err == nil || !strings.Contains(err.Error(), "ETag") {
			t.Errorf("the ETag of other bytes: %v", err)
		}
		p.With(p.Rewrite(wrong))
		if err := put(); err != nil {
			t.Errorf("an ETag of the service's own, every time: %v", err)
		}
		p.With(nil)
		if err := o.Delete(t.Context(), "new"); err != nil {
			t.Error(err)
		}
	})
}

// TestOtherVersions: an answer that tells of another version than it brings, as
// some services' do while an object is replaced. What Get says of its object is
// true, and small ones are asked for again.
func TestOtherVersions(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		want := map[string]string{}
		for _, key := range []string{"small", "large"} {
			object, err := o.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			object.Close()
			want[key] = object.ETag
		}
		for name, spoil := range map[string]http.HandlerFunc{
			"another ETag": p.Rewrite(func(h http.Header, body io.Writer) io.Writer {
				h.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
				return body
			}),
			"another sum": p.Once(p.Rewrite(func(h http.Header, body io.Writer) io.Writer {
				h.Set("X-Amz-Meta-"+sumKey, strings.Repeat("0", 64))
				return body
			})),
			"other bytes": p.Once(p.Rewrite(func(_ http.Header, body io.Writer) io.Writer { return spoil.Flip(body, 7) })),
		} {
			for key, size := range map[string]int{"small": smallSize, "large": largeSize} {
				p.With(spoil)
				object, err := o.Get(t.Context(), key)
				if err != nil {
					t.Errorf("%s: %s: %v", name, key, err)
					continue
				}
				got, err := io.ReadAll(object)
				switch whole := string(got) == content('o', size) && object.ETag == want[key]; {
				case key == "small" || name == "another ETag":
					if err != nil || !whole {
						t.Errorf("%s: %s: %d bytes with ETag %q, %v; want ETag %q", name, key, len(got), object.ETag, err, want[key])
					}
				case err == nil && !whole:
					t.Errorf("%s: %s: %d wrong bytes with ETag %q", name, key, len(got), object.ETag)
				}
				object.Close()
			}
		}
	})
}

// TestDeleteFaults: an answer of 200 may hold errors, or say nothing.
func TestDeleteFaults(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		const head = `<?xml version="1.0"?><DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">`
		for name, body := range map[string]string{
			"one of two refused": head + `<Deleted><Key>small,1</Key></Deleted><Error><Key>large,1</Key><Code>AccessDenied</Code><Message>spoilt</Message></Error></DeleteResult>`,
			"one of two unnamed": head + `<Deleted><Key>small,1</Key></Deleted></DeleteResult>`,
			"passed over":        head + `<Deleted><Key>small,1</Key></Deleted><Error><Key>large,1</Key><Code>InvalidArgument</Code></Error></DeleteResult>`,
			"nothing":            "",
			"half an answer":     head + `<Deleted><Key>small,1</Key></Deleted><Del`,
			"an error":           `<?xml version="1.0"?><Error><Code>InternalError</Code></Error>`,
		} {
			p.With(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, body)
			})
			quickly(t, func() {
				if err := o.Delete(t.Context(), "small", "large"); err == nil {
					t.Errorf("%s: no error", name)
				}
			})
		}
	})
}

// TestListFaults: a list that is cut, out of order, or never ends, is an error.
func TestListFaults(t *testing.T) {
	onProxies(t, func(t *testing.T, p *spoil.Proxy, o *objects) {
		page := func(names ...string) string {
			var b strings.Builder
			b.WriteString(`<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>`)
			for _, name := range names {
				fmt.Fprintf(&b, `<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00Z</LastModified><ETag>"x"</ETag><Size>1</Size></Contents>`, name)
			}
			return b.String() + `</ListBucketResult>`
		}
		long := make([]string, pageSize)
		for i := range long {
			long[i] = fmt.Sprintf("k/%04d,1", i)
		}
		for name, body := range map[string]string{
			"out of order": page("k/b,1", "k/a,1"),
			"twice":        page("k/b,1", "k/b,1"),
			"elsewhere":    page("l/a,1"),
			"endless":      page(long...), // each page the same
			"half":         page("k/a,1", "k/b,1")[:300],
			"nothing":      "",
			"not S3":       "<html><body>welcome</body></html>",
		} {
			p.With(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
			quickly(t, func() {
				n := 0
				var last error
				for _, last = range o.List(t.Context(), "k/", "") {
					n++
				}
				if last == nil || n > pageSize+1 {
					t.Errorf("%s: %d objects, then %v", name, n, last)
				}
			})
		}
	})
}

// TestTimeout: a service that takes too long is not asked again.
func TestTimeout(t *testing.T) {
	setCredentials(t)
	p := newProxy(t, fakeServer(t))
	p.With(func(http.ResponseWriter, *http.Request) { <-p.Done })
	transport := newTransport()
	transport.ResponseHeaderTimeout = 20 * time.Millisecond
	var asked atomic.Int32 // counted here: on a busy machine the service hears of it later
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { asked.Add(1) }})
	_, err := open(ctx, place{host: p.Host, bucket: "bucket", region: "x"}, transport, false)
	if err == nil || asked.Load() != 1 {
		t.Errorf("%d requests, %v", asked.Load(), err)
	}
}

// TestShort: a body that ends before its time, should net/http ever let it pass.
func TestShort(t *testing.T) {
	r := &reader{size: 10}
	got, err := io.ReadAll(r.checked(io.NopCloser(strings.NewReader("short")), 0))
	if string(got) != "short" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestRoom: Puts do not hold more in memory than there is room for; the others
// wait, as long as their contexts.
func TestRoom(t *testing.T) {
	setCredentials(t)
	o := openBucket(t, fakeServer(t))
	reading := make(chan struct{})
	release := make(chan struct{})
	const fit = roomForPuts / drivers.MaxObject
	var puts sync.WaitGroup
	for i := range fit {
		puts.Go(func() {
			started := sync.OnceFunc(func() { reading <- struct{}{} })
			r := io.MultiReader(readerFunc(func([]byte) (int, error) {
				started()
				<-release
				return 0, io.EOF
			}), strings.NewReader(content('x', drivers.MaxObject)))
			if err := o.Put(t.Context(), fmt.Sprintf("a/%d", i), r, drivers.MaxObject, "x"); err != nil {
				t.Error(err)
			}
		})
	}
	for range fit {
		<-reading
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := o.Put(ctx, "b", readerFunc(func([]byte) (int, error) {
		t.Error("a Put reads although there is no room")
		return 0, io.EOF
	}), 1, "x")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a Put that waits for room ends with its context: %v", err)
	}
	close(release)
	puts.Wait()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
