package conformance

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/miniprofile/miniprofile/drivers"
)

const wholePromise = "a reader of the key sees the old object or the new one, whole, never a mixture or a part"

func testSeek(t tester, open func() drivers.Objects) {
	o := open()
	content := version(3, 300_000)
	put(t, o, "a", content)
	object, err := o.Get(t.Context(), "a")
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	defer object.Close()
	size := int64(len(content))
	for _, c := range []struct {
		offset, at int64
		whence     int
	}{
		{0, size, io.SeekEnd}, {0, 0, io.SeekStart}, {-5, size - 5, io.SeekEnd}, {150_000, 150_000, io.SeekStart},
		{1, 1, io.SeekStart}, {size, size, io.SeekStart}, {299_999, 299_999, io.SeekStart},
	} {
		at, err := object.Seek(c.offset, c.whence)
		if err != nil || at != c.at {
			t.Fatalf("an Object can seek: Seek(%d, %d) is %d, %v, want %d", c.offset, c.whence, at, err, c.at)
		}
		rest, err := io.ReadAll(object)
		if err != nil || string(rest) != content[at:] {
			t.Errorf("an Object can seek: after Seek to %d read %d bytes, %v, want the last %d", at, len(rest), err, size-at)
		}
	}
	if _, err := object.Seek(100, io.SeekStart); err != nil {
		t.Fatalf("an Object can seek: %v", err)
	}
	ten := make([]byte, 10)
	if _, err := io.ReadFull(object, ten); err != nil || string(ten) != content[100:110] {
		t.Errorf("an Object can seek: read %q, %v, want %q", ten, err, content[100:110])
	}
	if at, err := object.Seek(5, io.SeekCurrent); err != nil || at != 115 {
		t.Errorf("an Object can seek: 5 on from 110 is %d, %v", at, err)
	}
	if _, err := object.Seek(-1, io.SeekStart); err == nil {
		t.Errorf("an Object can seek: Seek to -1 is no error")
	}
}

// testReadersDuringReplace reads while writers replace.
func testReadersDuringReplace(t tester, open func() drivers.Objects) {
	o := open()
	const puts, reads = 40, 120
	put(t, o, "a", version(0, 1000))
	var wrote, looked atomic.Int64
	var mu sync.Mutex
	etags := make(map[string]string) // to the hash of the content
	together(6, func(i int) {
		for n := 1; (wrote.Load() < puts || looked.Load() < reads) && !t.Failed(); n++ {
			if i < 2 {
				v := i*1000 + n
				content := version(v, 1000+v%7*20_000)
				if err := o.Put(t.Context(), "a", strings.NewReader(content), int64(len(content)), "text/plain"); err != nil {
					t.Errorf("Put: %v", err)
				}
				wrote.Add(1)
				continue
			}
			object, content, err := fetch(t.Context(), o, "a")
			if looked.Add(1); err != nil {
				// Get may fail for reasons of its own while the object changes under it,
				// but the object is always there.
				t.Errorf("%s: %v", wholePromise, err)
				continue
			}
			if _, err := versionOf(content); err != nil {
				t.Errorf("%s: %v", wholePromise, err)
			}
			if object.Size != int64(len(content)) {
				t.Errorf("%s: size %d, read %d bytes", wholePromise, object.Size, len(content))
			}
			mu.Lock()
			if was, ok := etags[object.ETag]; ok && was != hash(content) {
				t.Errorf("ETag changes whenever the content does, and belongs to what is read: %q has two contents", object.ETag)
			}
			etags[object.ETag] = hash(content)
			mu.Unlock()
		}
	})
}

// testOpenDuringReplace replaces or deletes what is being read.
func testOpenDuringReplace(t tester, open func() drivers.Objects) {
	o := open()
	const promise = "what Get reads is one version: a Put or Delete meanwhile makes it end in that version or in an error, never in other bytes"
	for i, meanwhile := range []func(name string) error{
		func(name string) error {
			return o.Put(t.Context(), name, strings.NewReader(version(9, 1<<20)), 1<<20, "text/plain")
		},
		func(name string) error {
			return o.Put(t.Context(), name, strings.NewReader(version(8, 100)), 100, "text/plain")
		},
		func(name string) error { return o.Delete(t.Context(), name) },
		func(name string) error {
			if err := o.Delete(t.Context(), name); err != nil {
				return err
			}
			return o.Put(t.Context(), name, strings.NewReader(version(7, 2<<20)), 2<<20, "text/plain")
		},
	} {
		for _, first := range []int{0, 1, 100_000} { // bytes read before
			name := fmt.Sprintf("a/%d/%d", i, first)
			content := version(i, 1<<20)
			put(t, o, name, content)
			object, err := o.Get(t.Context(), name)
			if err != nil {
				t.Fatalf("Get: %v", err)
			}
			begin := make([]byte, first)
			if _, err := io.ReadFull(object, begin); err != nil {
				t.Errorf("reading: %v", err)
			}
			if err := meanwhile(name); err != nil {
				t.Errorf("an open object stops neither Put nor Delete: %v", err)
			}
			rest, err := io.ReadAll(object)
			if got := string(begin) + string(rest); err == nil && got != content || !strings.HasPrefix(content, got) {
				t.Errorf("%s: change %d after %d bytes: %d bytes in all, %v", promise, i, first, len(got), err)
			}
			object.Close() // may tell of the error again
		}
	}
}

// testPutRace puts one key from a crowd.
func testPutRace(t tester, open func() drivers.Objects) {
	o := open()
	for round := range 8 {
		name := fmt.Sprintf("race/%d/a", round)
		together(crowd/2, func(i int) {
			content := version(i, 100+i*500)
			r := strings.NewReader(content)
			yielding := readerFunc(func(p []byte) (int, error) {
				runtime.Gosched() // let others come between
				return r.Read(p[:min(len(p), 100)])
			})
			if err := o.Put(t.Context(), name, yielding, int64(len(content)), fmt.Sprintf("type/%d", i)); err != nil {
				t.Errorf("of several Puts at once one wins, and none fails: %v", err)
			}
		})
		object, content, err := fetch(t.Context(), o, name)
		if err != nil {
			t.Fatalf("Get: %v", err)
		}
		n, err := versionOf(content)
		if err != nil {
			t.Errorf("of several Puts at once, one wins, whole: %v", err)
		} else if object.ContentType != fmt.Sprintf("type/%d", n) || object.Size != int64(len(content)) {
			t.Errorf("of several Puts at once, one wins, whole: content of %d, type %q, size %d of %d", n, object.ContentType, object.Size, len(content))
		}
	}
}
