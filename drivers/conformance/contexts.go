package conformance

import (
	"context"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

const contextPromise = "a call whose context has ended before it began returns the context's error and does nothing"

// ended returns contexts that have ended, and how.
func ended(t tester) map[context.Context]error {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	t.Cleanup(cancel)
	return map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded}
}

func testStoreContexts(t tester, open func() drivers.Store) {
	s := open()
	k := key("things", "k")
	commit(t, s, create(k, 1))
	before := get(t, s, k)
	for ctx, want := range ended(t) {
		_, err := s.Get(ctx, k)
		wantErr(t, contextPromise+": Get", err, want)
		_, err = s.Get(ctx)
		wantErr(t, contextPromise+": Get of no keys", err, want)
		wantErr(t, contextPromise+": Commit", s.Commit(ctx, replace(before[0], 2), create(key("things", "l"), 2)), want)
		n := 0
		for _, err := range s.Scan(ctx, "things", "", "") {
			n++
			wantErr(t, contextPromise+": Scan", err, want)
		}
		if n != 1 {
			t.Errorf("%s: Scan yielded %d times", scanOneError, n)
		}
	}
	same(t, contextPromise, scan(t, s, "things", "", ""), before)
}

func testObjectsContexts(t tester, open func() drivers.Objects) {
	o := open()
	put(t, o, "a", "old")
	for ctx, want := range ended(t) {
		wantErr(t, contextPromise+": Put", o.Put(ctx, "a", strings.NewReader("new"), 3, "text/plain"), want)
		wantErr(t, contextPromise+": Put", o.Put(ctx, "b", strings.NewReader("new"), 3, "text/plain"), want)
		_, err := o.Get(ctx, "a")
		wantErr(t, contextPromise+": Get", err, want)
		wantErr(t, contextPromise+": Delete", o.Delete(ctx, "a"), want)
		n := 0
		for _, err := range o.List(ctx, "", "") {
			n++
			wantErr(t, contextPromise+": List", err, want)
		}
		if n != 1 {
			t.Errorf("%s: List yielded %d times", scanOneError, n)
		}
	}
	if got := read(t, o, "a"); got != "old" {
		t.Errorf("%s: the object is now %q", contextPromise, got)
	}
	if got := list(t, o, "", ""); len(got) != 1 {
		t.Errorf("%s: now there are %q", contextPromise, got)
	}
}
