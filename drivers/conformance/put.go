package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing/iotest"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func testPutGet(t tester, open func() drivers.Objects) {
	o := open()
	before := time.Now()
	for i, contentType := range []string{"image/jpeg", "text/plain; charset=utf-8", "x", `a/b; c="d e"`, strings.Repeat("t", drivers.MaxContentType)} {
		name := fmt.Sprintf("folder/object%d", i)
		content := fmt.Sprintf("content\n%d\x00\xff", i)
		if err := o.Put(t.Context(), name, strings.NewReader(content), int64(len(content)), contentType); err != nil {
			t.Fatalf("Put: %v", err)
		}
		object, got, err := fetch(t.Context(), o, name)
		if err != nil || got != content {
			t.Fatalf("Get opens what Put stored: got %q, %v, want %q", got, err, content)
		}
		if object.Key != name || object.Size != int64(len(content)) {
			t.Errorf("Get says what it opens: %+v, want %s of %d bytes", object.ObjectInfo, name, len(content))
		}
		if object.ContentType != contentType {
			t.Errorf("ContentType is as given to Put: got %q, want %q", object.ContentType, contentType)
		}
		// Clocks of servers differ from ours, and may count whole seconds.
		if m := object.Modified; m.Before(before.Add(-time.Minute)) || m.After(time.Now().Add(time.Minute)) {
			t.Errorf("Modified is when it was stored: got %v, want about %v", m, time.Now())
		}
		for info, err := range o.List(t.Context(), name, "") {
			if err != nil || info.Key != object.Key || info.Size != object.Size || !near(info.Modified, object.Modified) {
				t.Errorf("List and Get agree: List says %+v, %v; Get says %+v", info, err, object.ObjectInfo)
			}
		}
	}
}

// near: one may tell the time to the second, the other better.
func near(a, b time.Time) bool { return a.Sub(b).Abs() <= time.Second }

func testSizes(t tester, open func() drivers.Objects) {
	o := open()
	for _, size := range []int{0, 1, 4095, 4096, 65537, 1 << 20, drivers.MaxObject} {
		content := strings.Repeat("0123456789abcde", size/15+1)[:size]
		// A reader that gives its last bytes together with io.EOF, as some do.
		err := o.Put(t.Context(), "a", iotest.DataErrReader(strings.NewReader(content)), int64(size), "text/plain")
		if err != nil {
			t.Fatalf("an object has 0 to MaxObject bytes: Put of %d: %v", size, err)
		}
		if got := read(t, o, "a"); got != content {
			t.Errorf("Put stores exactly size bytes: put %d, read %d", size, len(got))
		}
	}
	slow := version(1, 1000)
	if err := o.Put(t.Context(), "a", iotest.OneByteReader(strings.NewReader(slow)), 1000, "text/plain"); err != nil {
		t.Errorf("Put of a reader that gives single bytes: %v", err)
	}
	if read(t, o, "a") != slow {
		t.Errorf("Put stores exactly size bytes: of a reader that gives single bytes too")
	}
}

func testReplace(t tester, open func() drivers.Objects) {
	o := open()
	for i, size := range []int{100, 5000, 48, 100000, 200} {
		content := version(i, size)
		contentType := fmt.Sprintf("type/%d", i)
		if err := o.Put(t.Context(), "a", strings.NewReader(content), int64(size), contentType); err != nil {
			t.Fatalf("Put: %v", err)
		}
		if got := read(t, o, "a"); got != content {
			t.Errorf("Put replaces what was there: read %d bytes, want %d", len(got), size)
		}
		if object, _, err := fetch(t.Context(), o, "a"); err != nil || object.ContentType != contentType {
			t.Errorf("Put replaces what was there: content type %q, %v, want %q", object.ContentType, err, contentType)
		}
	}
	if got := list(t, o, "", ""); len(got) != 1 {
		t.Errorf("Put replaces what was there: now there are %q", got)
	}
}

// testBadReaders puts from readers that do not keep their word.
func testBadReaders(t tester, open func() drivers.Objects) {
	const size = 100_000
	content := version(1, size)
	failure := errors.New("reader failed")
	half := func() io.Reader { return strings.NewReader(content[:size/2]) }
	readers := []struct {
		name string
		r    func(cancel func()) io.Reader
		want error // nil: any
	}{
		{"one byte short", func(func()) io.Reader { return strings.NewReader(content[:size-1]) }, nil},
		{"one byte long", func(func()) io.Reader { return strings.NewReader(content + "x") }, nil},
		{"empty", func(func()) io.Reader { return strings.NewReader("") }, nil},
		{"much longer", func(func()) io.Reader { return strings.NewReader(content + content) }, nil},
		{"failing at once", func(func()) io.Reader { return iotest.ErrReader(failure) }, failure},
		{"failing half-way", func(func()) io.Reader { return io.MultiReader(half(), iotest.ErrReader(failure)) }, failure},
		{"failing at the end", func(func()) io.Reader { return io.MultiReader(strings.NewReader(content), iotest.ErrReader(failure)) }, failure},
		{"cut half-way", func(func()) io.Reader { return io.MultiReader(half(), iotest.ErrReader(io.ErrUnexpectedEOF)) }, io.ErrUnexpectedEOF},
		{"cut at the end", func(func()) io.Reader {
			return io.MultiReader(strings.NewReader(content), iotest.ErrReader(io.ErrUnexpectedEOF))
		}, io.ErrUnexpectedEOF},
		{"cancelled half-way", func(cancel func()) io.Reader {
			return io.MultiReader(half(), readerFunc(func([]byte) (int, error) {
				cancel()
				return 0, context.Canceled
			}))
		}, context.Canceled},
	}
	for _, there := range []string{"nothing", "an object"} {
		o := open()
		name := strings.ReplaceAll(there, " ", "/")
		var before []string
		if there == "an object" {
			put(t, o, name, "old")
		}
		before = list(t, o, "", "")
		for _, r := range readers {
			promise := fmt.Sprintf("when the reader ends before size, or has more, or fails, Put returns an error and the old object, or none, is there: %s, over %s", r.name, there)
			ctx, cancel := context.WithCancel(t.Context())
			err := o.Put(ctx, name, r.r(cancel), size, "text/plain")
			cancel()
			if err == nil || r.want != nil && !errors.Is(err, r.want) {
				t.Errorf("%s: got error %v, want %v", promise, err, r.want)
			}
			if got := list(t, o, "", ""); !slices.Equal(got, before) {
				t.Errorf("%s: now there are %q, want %q", promise, got, before)
				return
			}
			if there == "an object" {
				if got := read(t, o, name); got != "old" {
					t.Errorf("%s: it now has %d bytes", promise, len(got))
					return
				}
			} else if _, err := o.Get(t.Context(), name); !errors.Is(err, drivers.ErrNotFound) {
				t.Errorf("%s: Get says %v", promise, err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		o = open()
		for _, name := range before {
			if err := o.Delete(t.Context(), name); err != nil {
				t.Fatalf("Delete: %v", err)
			}
		}
		if got := list(t, o, "", ""); len(got) != 0 {
			t.Errorf("a failed Put leaves nothing: reopened, there are %q", got)
		}
		if err := o.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testObjectLimits(t tester, open func() drivers.Objects) {
	o := open()
	good := []string{
		"a", "0", "a.b", "a-b_c.d", "a/b", "a/b/c", strings.Repeat("a", drivers.MaxObjectKey), "a/" + strings.Repeat("b", drivers.MaxObjectKey-2),
		strings.Repeat("d/", drivers.MaxObjectKey/2-1) + "ef", "a.", "a..b", "tmp", "con", "a.tmp", "objects", "a.b/a.b/a.b",
	}
	for _, name := range good {
		put(t, o, name, name)
	}
	for _, name := range good {
		if got := read(t, o, name); got != name {
			t.Errorf("keys are apart, whatever they look like: %q holds %q", name, got)
		}
	}
	want := slices.Sorted(slices.Values(good))
	if got := list(t, o, "", ""); !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", listPromise, got, want)
	}
	const promise = "ErrInvalid: the call breaks the contract, nothing was read or written"
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", ".a", "-a", "_a", "a/.b", "A", "a b", "a\\b", "a+b", "a%2fb", "ä", "a\x00", "a\n",
		strings.Repeat("a", drivers.MaxObjectKey+1),
	} {
		wantErr(t, fmt.Sprintf("%s: Put of %q", promise, name), o.Put(t.Context(), name, strings.NewReader("x"), 1, "text/plain"), drivers.ErrInvalid)
		_, err := o.Get(t.Context(), name)
		wantErr(t, fmt.Sprintf("%s: Get of %q", promise, name), err, drivers.ErrInvalid)
		wantErr(t, fmt.Sprintf("%s: Delete of %q", promise, name), o.Delete(t.Context(), "a", name), drivers.ErrInvalid)
	}
	for _, contentType := range []string{"", " ", " a", "a ", "a\n", "a\r\nb: c", "ä", "a\x7f", strings.Repeat("t", drivers.MaxContentType+1)} {
		wantErr(t, fmt.Sprintf("%s: Put of type %q", promise, contentType), o.Put(t.Context(), "a", strings.NewReader("x"), 1, contentType), drivers.ErrInvalid)
	}
	for _, size := range []int64{-1, drivers.MaxObject + 1} {
		wantErr(t, fmt.Sprintf("%s: Put of size %d", promise, size), o.Put(t.Context(), "a", strings.NewReader("x"), size, "text/plain"), drivers.ErrInvalid)
	}
	for _, args := range [][2]string{{"/", ""}, {"A", ""}, {"", "A"}, {"a//", ""}, {"../", ""}, {"", "-"}} {
		n := 0
		for _, err := range o.List(t.Context(), args[0], args[1]) {
			n++
			wantErr(t, fmt.Sprintf("%s: List of %q", promise, args), err, drivers.ErrInvalid)
		}
		if n != 1 {
			t.Errorf("%s: List of %q yielded %d times", scanOneError, args, n)
		}
	}
	if got := list(t, o, "", ""); !slices.Equal(got, want) || read(t, o, "a") != "a" {
		t.Errorf("%s: now there are %q", promise, got)
	}
}

func testNotFound(t tester, open func() drivers.Objects) {
	o := open()
	put(t, o, "a/b", "x")
	for _, name := range []string{"a", "b", "a/b/c", "a/bb", "a.b"} {
		_, err := o.Get(t.Context(), name)
		wantErr(t, "ErrNotFound: no object has this key: "+name, err, drivers.ErrNotFound)
	}
}

func testDelete(t tester, open func() drivers.Objects) {
	o := open()
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("a/%02d", i))
		put(t, o, names[i], "x")
	}
	put(t, o, "a", "stays")
	put(t, o, "a/00/b", "stays")
	remove := func(names ...string) {
		t.Helper()
		if err := o.Delete(t.Context(), names...); err != nil {
			t.Fatalf("deleting what is absent is no error: Delete %q: %v", names, err)
		}
	}
	remove()
	remove("b", "b/c", "a/00/c")
	remove(names[0])
	_, err := o.Get(t.Context(), names[0])
	wantErr(t, "Delete removes: Get", err, drivers.ErrNotFound)
	remove(names[0])
	remove(append([]string{"absent", names[1], names[1]}, names...)...)
	if got := list(t, o, "", ""); !slices.Equal(got, []string{"a", "a/00/b"}) {
		t.Errorf("Delete removes the objects of keys, and no others: there are %q", got)
	}
	put(t, o, names[0], "again")
	if got := read(t, o, names[0]); got != "again" {
		t.Errorf("a deleted object may be put again: got %q", got)
	}
}

func testETag(t tester, open func() drivers.Objects) {
	o := open()
	seen := make(map[string]string)
	for i := range 10 {
		content := fmt.Sprintf("content %d", i) // all of one length
		put(t, o, "a", content)
		object := look(t, o, "a")
		if was, ok := seen[object.ETag]; ok {
			t.Errorf("ETag changes whenever the content does: %q for %q and %q", object.ETag, was, content)
		}
		if seen[object.ETag] = content; object.ETag == "" || strings.ContainsFunc(object.ETag, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
			t.Errorf("ETag is an opaque text without quotes, safe in an HTTP header: %q", object.ETag)
		}
		wantSame(t, "an object that nobody writes keeps ETag and Modified", look(t, o, "a"), object)
	}
}
