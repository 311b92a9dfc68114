package minio

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	s3 "github.com/minio/minio-go/v7"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
)

func TestObjects(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		conformance.TestObjects(t, func(t *testing.T) func() (drivers.Objects, error) {
			return newBucket(t, host, "")
		})
	})
}

// TestOwnBucket runs the suite in a bucket of one's own, with the usual
// credentials, each trial below a prefix of its own.
func TestOwnBucket(t *testing.T) {
	rawURL := os.Getenv("MINIPROFILE_TEST_OBJECTS")
	if rawURL == "" {
		missing := "MINIPROFILE_TEST_OBJECTS is not set: set it to a minio://… URL of a bucket in which tests may write"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	u := parseURL(t, rawURL)
	root := strings.Trim(u.Query().Get("prefix")+"/conformance-"+time.Now().UTC().Format("20060102t150405"), "/")
	conformance.TestObjects(t, func(t *testing.T) func() (drivers.Objects, error) {
		u, q := *u, u.Query()
		q.Set("prefix", root+"/"+strings.ToLower(t.Name()[strings.LastIndex(t.Name(), "/")+1:]))
		u.RawQuery = q.Encode()
		ctx := t.Context()
		t.Cleanup(func() { empty(t, &u) })
		return func() (drivers.Objects, error) { return OpenObjects(ctx, &u) }
	})
}

// TestPrefix runs the suite below a prefix in one bucket, beside what is not ours.
func TestPrefix(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		o := openBucket(t, host)
		strangers := []string{"prod0", "prod/avatars0", "prod/avatars.x,1", "zz/A", "other/a,1"}
		for _, name := range strangers {
			putRaw(t, o, name, "a stranger's")
		}
		p := o.place
		p.prefix = "prod/avatars/"
		below, err := open(t.Context(), p, newTransport(), false)
		if err != nil {
			t.Fatal(err)
		}
		defer below.Close()
		// Below the prefix, too, something may lie that is not ours.
		strangers = append(strangers, "prod/avatars/A,1", "prod/avatars/aa", "prod/avatars/b ,1", "prod/avatars/c,2")
		for _, name := range strangers[5:] {
			putRaw(t, o, name, "a stranger's")
		}
		for _, key := range []string{"a", "b/c", "z"} {
			if err := below.Put(t.Context(), key, strings.NewReader(key), int64(len(key)), "text/plain"); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		for info, err := range below.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, info.Key)
		}
		if !slices.Equal(keys, []string{"a", "b/c", "z"}) {
			t.Errorf("List yields what is below the prefix and ours: %q", keys)
		}
		if err := below.Delete(t.Context(), keys...); err != nil {
			t.Fatal(err)
		}
		if got := rawNames(t, o); !slices.Equal(got, slices.Sorted(slices.Values(strangers))) {
			t.Errorf("what is not ours stays: %q", got)
		}
	})
}

// TestObjectForm holds where an object lies in the bucket, and what beside it.
func TestObjectForm(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		o := openBucket(t, host)
		if err := o.Put(t.Context(), "a/b.c", strings.NewReader("hello\n"), 6, "text/plain; x=y"); err != nil {
			t.Fatal(err)
		}
		body, info, header, err := o.client.GetObject(t.Context(), o.bucket, "a/b.c,1", s3.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		const sum = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
		if content, err := io.ReadAll(body); err != nil || string(content) != "hello\n" || header.Get("X-Amz-Meta-Miniprofile-Sha256") != sum || info.ContentType != "text/plain; x=y" {
			t.Errorf("the stored form changed: %q, %v, %v", content, err, header)
		}
		if got := o.PublicURL("https://cdn.example/", "a/b.c"); got != "https://cdn.example/a/b.c,1" {
			t.Errorf("PublicURL is %s", got)
		}
	})
}

// TestStranger reads what another program stored, without a hash beside it.
func TestStranger(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		o := openBucket(t, host)
		for _, size := range []int{1, small, small + 1} {
			content := strings.Repeat("x", size)
			putRaw(t, o, "a,1", content)
			object, err := o.Get(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(object); err != nil || string(got) != content {
				t.Errorf("read %d bytes of %d, %v", len(got), size, err)
			}
			object.Close()
		}
	})
}

func putRaw(t *testing.T, o *objects, name, content string) {
	t.Helper()
	if _, err := o.client.PutObject(t.Context(), o.bucket, name, strings.NewReader(content), int64(len(content)), "", "", s3.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

func rawNames(t *testing.T, o *objects) []string {
	t.Helper()
	names := []string{}
	for info := range o.client.ListObjectsIter(t.Context(), o.bucket, s3.ListObjectsOptions{Recursive: true}) {
		if info.Err != nil {
			t.Fatal(info.Err)
		}
		names = append(names, info.Key)
	}
	return names
}

func rawInfo(t *testing.T, o *objects, name string) s3.ObjectInfo {
	t.Helper()
	info, err := o.client.StatObject(t.Context(), o.bucket, name, s3.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return info
}
