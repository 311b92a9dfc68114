package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

const listPromise = "List yields what is stored under keys that begin with prefix and are greater than after, in the byte order of the keys"

func testList(t tester, open func() drivers.Objects) {
	o := open()
	names := []string{
		"a", "a-", "a-b", "a-b/c", "a.", "a.b", "a/0", "a/b", "a/b-c", "a/b.c", "a/b/c", "a/b/c/d", "a/b0", "a/b_", "a/bb", "a0", "a_", "a_/b", "aa", "aa/b",
		"b/c/d/e", "b/c/d0", "b/c0", "b0", "z",
	}
	for i := range names {
		put(t, o, names[(i*7)%len(names)], "x") // 7 and 25 have no common factor
	}
	if !slices.IsSorted(names) {
		t.Fatalf("the names of this test are not sorted")
	}
	probes := append([]string{"", "a/", "a/b/", "b", "b/", "b/c", "b/c/", "a-b/", "c", "a/a", "a/b/c/d/e", "b/c/d/", "0"}, names...)
	for _, prefix := range probes {
		for _, after := range probes {
			want := []string{}
			for _, name := range names {
				if strings.HasPrefix(name, prefix) && name > after {
					want = append(want, name)
				}
			}
			if got := list(t, o, prefix, after); !slices.Equal(got, want) {
				t.Fatalf("%s: prefix %q after %q:\n got %q\nwant %q", listPromise, prefix, after, got, want)
			}
		}
	}
}

// testListMany lists more than any driver reads at once.
func testListMany(t tester, open func() drivers.Objects) {
	o := open()
	const n = 2500
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("many/%d/object%04d", i/1000, i)
	}
	together(16, func(i int) {
		for ; i < n; i += 16 {
			if err := o.Put(t.Context(), names[i], strings.NewReader("x"), 1, "text/plain"); err != nil {
				t.Errorf("Put: %v", err)
			}
		}
	})
	if got := list(t, o, "many/", ""); !slices.Equal(got, names) {
		t.Errorf("%s: %d of %d, or not in order", listPromise, len(got), n)
	}
	var got []string
	after := ""
	for more := true; more; {
		more = false
		for info, err := range o.List(t.Context(), "", after) {
			if err != nil {
				t.Fatalf("List: %v", err)
			}
			got = append(got, info.Key)
			if after = info.Key; len(got)%771 == 0 {
				more = true
				break
			}
		}
	}
	if !slices.Equal(got, names) {
		t.Errorf("to go on after an interruption, pass the last key seen as after: %d of %d, or not in order", len(got), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, errs := 0, 0
	for _, err := range o.List(ctx, "many", "") {
		if err != nil {
			errs++
			wantErr(t, "a context that ends stops the list with its error", err, context.Canceled)
		} else if seen++; seen == 10 {
			cancel()
		}
	}
	if errs > 1 || errs == 0 && seen != n {
		t.Errorf("%s: %d errors, %d of %d objects", scanOneError, errs, seen, n)
	}
	var all []string
	for i := 0; i < n; i += 500 {
		all = append(all, names[i:i+500]...)
	}
	if err := o.Delete(t.Context(), all...); err != nil {
		t.Errorf("Delete of %d keys: %v", n, err)
	}
	if got := list(t, o, "", ""); len(got) != 0 {
		t.Errorf("Delete removes the objects of keys: %d of %d are there", len(got), n)
	}
}

// testListBody calls every method in the body of a loop.
func testListBody(t tester, open func() drivers.Objects) {
	o := open()
	const n = 60
	for i := range n {
		put(t, o, fmt.Sprintf("b/%02d", i), "x")
	}
	i := 0
	within(t, scanBody, func() {
		for info, err := range o.List(t.Context(), "b/", "") {
			if want := fmt.Sprintf("b/%02d", i); err != nil || info.Key != want {
				t.Errorf("%s: object %d is %q, %v", scanChange, i, info.Key, err)
				return
			}
			if i++; i%10 != 0 {
				continue
			}
			_, _, err := fetch(t.Context(), o, info.Key)
			if err == nil {
				err = o.Delete(t.Context(), info.Key)
			}
			if err == nil {
				err = o.Put(t.Context(), "a/"+info.Key, strings.NewReader("y"), 1, "text/plain")
			}
			for _, e := range o.List(t.Context(), "", "") {
				if err == nil {
					err = e
				}
				break
			}
			if err != nil {
				t.Errorf("%s: %v", scanBody, err)
			}
		}
	})
	if got := list(t, o, "", ""); i == n && len(got) != n {
		t.Errorf("%s: there are %d objects, want %d", scanBody, len(got), n)
	}
	if i != n && !t.Failed() {
		t.Errorf("%s: %d of %d", scanChange, i, n)
	}
	within(t, scanBody+": Close", func() {
		for _, err := range o.List(t.Context(), "", "") {
			if err != nil {
				wantErr(t, "a list of closed objects ends, with ErrClosed if at all", err, drivers.ErrClosed)
				break
			}
			if err := o.Close(); err != nil {
				t.Errorf("%s: Close: %v", scanBody, err)
			}
		}
	})
}

// testListUnderChange lists while others come and go.
func testListUnderChange(t tester, open func() drivers.Objects) {
	o := open()
	const n = 150
	stays := make([]string, n)
	for i := range stays {
		stays[i] = fmt.Sprintf("k/%03d", i)
	}
	together(8, func(i int) {
		for ; i < n; i += 8 {
			if err := o.Put(t.Context(), stays[i], strings.NewReader("x"), 1, "text/plain"); err != nil {
				t.Errorf("Put: %v", err)
			}
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			names := []string{fmt.Sprintf("k/%03d.%d", i*37%n, i), fmt.Sprintf("k/%03d/%d", i*31%n, i)}
			for _, name := range names {
				if err := o.Put(t.Context(), name, strings.NewReader("yy"), 2, "text/plain"); err != nil {
					t.Errorf("a Put beside a List: %v", err)
				}
			}
			if err := o.Delete(t.Context(), names...); err != nil {
				t.Errorf("a Delete beside a List: %v", err)
			}
		}
	}()
	for range 8 {
		i, last := 0, ""
		for info, err := range o.List(t.Context(), "k", "") {
			if err != nil {
				t.Errorf("List: %v", err)
				break
			}
			if info.Key <= last {
				t.Errorf("%s: %q after %q", listPromise, info.Key, last)
			}
			if last = info.Key; i < n && last == stays[i] {
				i++
			} else if info.Size != 2 {
				t.Errorf("%s: %v of %d bytes out of turn", scanChange, last, info.Size)
			}
		}
		if i != n {
			t.Errorf("%s: %d of %d", scanChange, i, n)
		}
	}
	stop()
	<-done
}
