package breaker_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/breaker"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestObjects: what works, works as before.
func TestObjects(t *testing.T) {
	conformance.TestObjects(t, func(*testing.T) func() (drivers.Objects, error) {
		space := memory.New()
		return func() (drivers.Objects, error) { return breaker.Objects(space.OpenObjects()), nil }
	})
}

// flaky fails while it is told to, and counts what it is asked.
type flaky struct {
	drivers.Objects
	err   error
	calls int
}

func (f *flaky) Delete(ctx context.Context, keys ...string) error {
	f.calls++
	if f.err != nil {
		return f.err
	}
	return f.Objects.Delete(ctx, keys...)
}

func (f *flaky) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	f.calls++
	if f.err != nil {
		return func(yield func(drivers.ObjectInfo, error) bool) { yield(drivers.ObjectInfo{}, f.err) }
	}
	return f.Objects.List(ctx, prefix, after)
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		f := &flaky{Objects: memory.New().OpenObjects(), err: away}
		b := breaker.Objects(f)
		for range 5 {
			if err := b.Delete(t.Context(), "a"); !errors.Is(err, away) {
				t.Fatal(err)
			}
		}
		for range 10 {
			if err := b.Delete(t.Context(), "a"); !errors.Is(err, breaker.ErrBroken) {
				t.Fatal(err)
			}
			for _, err := range b.List(t.Context(), "", "") {
				if !errors.Is(err, breaker.ErrBroken) {
					t.Fatal(err)
				}
			}
			if err := b.Put(t.Context(), "a", strings.NewReader("x"), 1, "a/b"); !errors.Is(err, breaker.ErrBroken) {
				t.Fatal(err)
			}
			if _, err := b.Get(t.Context(), "a"); !errors.Is(err, breaker.ErrBroken) {
				t.Fatal(err)
			}
		}
		if f.calls != 5 {
			t.Errorf("asked %d times", f.calls)
		}
		// One call tries again, fails, and it is left alone once more.
		<-time.After(11 * time.Second)
		if err := b.Delete(t.Context(), "a"); !errors.Is(err, away) {
			t.Fatal(err)
		}
		if err := b.Delete(t.Context(), "a"); !errors.Is(err, breaker.ErrBroken) {
			t.Fatal(err)
		}
		<-time.After(11 * time.Second)
		f.err = nil
		for range 3 {
			if err := b.Delete(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWhatIsNoFault(t *testing.T) {
	t.Parallel()
	b := breaker.Objects(memory.New().OpenObjects())
	for range 20 {
		if _, err := b.Get(t.Context(), "absent"); !errors.Is(err, drivers.ErrNotFound) {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), "NO KEY"); !errors.Is(err, drivers.ErrInvalid) {
			t.Fatal(err)
		}
	}
}

// able has both abilities.
type able struct{ drivers.Objects }

func (able) PublicURL(base, key string) string { return base + key }

func (able) SignUpload(context.Context, string, string, int64, time.Time) (drivers.UploadForm, error) {
	return drivers.UploadForm{URL: "signed"}, nil
}

type public struct{ drivers.Objects }

func (public) PublicURL(base, key string) string { return base + key }

func TestAbilitiesStay(t *testing.T) {
	t.Parallel()
	o := memory.New().OpenObjects()
	for _, row := range []struct {
		o             drivers.Objects
		signs, public bool
	}{{o, false, false}, {public{o}, false, true}, {able{o}, true, true}} {
		b := breaker.Objects(row.o)
		_, signs := b.(drivers.UploadSigner)
		_, public := b.(drivers.PublicURLer)
		if signs != row.signs || public != row.public {
			t.Errorf("%T signs %v, is public %v", row.o, signs, public)
		}
	}
}
