package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

func put(t tester, o drivers.Objects, name, content string) {
	t.Helper()
	if err := o.Put(t.Context(), name, strings.NewReader(content), int64(len(content)), "text/plain"); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// fetch reads an object. It may be called from any goroutine.
func fetch(ctx context.Context, o drivers.Objects, name string) (drivers.Object, string, error) {
	object, err := o.Get(ctx, name)
	if err != nil {
		return object, "", err
	}
	defer object.Close()
	b, err := io.ReadAll(object)
	return object, string(b), err
}

func read(t tester, o drivers.Objects, name string) string {
	t.Helper()
	object, content, err := fetch(t.Context(), o, name)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	if object.Key != name || object.Size != int64(len(content)) {
		t.Errorf("Get says what it opens: %s has %d bytes, ObjectInfo says %s, %d", name, len(content), object.Key, object.Size)
	}
	return content
}

// look gets an object and closes it: for what it says of itself.
func look(t tester, o drivers.Objects, name string) drivers.Object {
	t.Helper()
	object, err := o.Get(t.Context(), name)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	if err := object.Close(); err != nil {
		t.Errorf("closing an object: %v", err)
	}
	return object
}

func wantSame(t tester, promise string, got, want drivers.Object) {
	t.Helper()
	if got.ETag != want.ETag || !got.Modified.Equal(want.Modified) {
		t.Errorf("%s: got %q of %v, want %q of %v", promise, got.ETag, got.Modified, want.ETag, want.Modified)
	}
}

// list collects the keys of a List.
func list(t tester, o drivers.Objects, prefix, after string) []string {
	t.Helper()
	names := []string{}
	for info, err := range o.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		names = append(names, info.Key)
	}
	return names
}

// version returns content that tells whether it is whole and which it is: n, its
// own length, bytes that follow from n, and the hash of it all.
func version(n, size int) string {
	const head, tail = 16, sha256.Size
	b := make([]byte, size) // at least head and tail
	binary.BigEndian.PutUint64(b, uint64(n))
	binary.BigEndian.PutUint64(b[8:], uint64(size))
	rand.NewChaCha8(sha256.Sum256(b[:head])).Read(b[head : size-tail])
	sum := sha256.Sum256(b[:size-tail])
	copy(b[size-tail:], sum[:])
	return string(b)
}

// versionOf returns which version content is, or an error when it is not whole.
func versionOf(content string) (int, error) {
	b := []byte(content)
	if len(b) < 16+sha256.Size || binary.BigEndian.Uint64(b[8:]) != uint64(len(b)) {
		return 0, fmt.Errorf("%d bytes that are no whole version", len(b))
	}
	if sum := sha256.Sum256(b[:len(b)-sha256.Size]); string(sum[:]) != content[len(b)-sha256.Size:] {
		return 0, fmt.Errorf("%d bytes that are a mixture of versions", len(b))
	}
	return int(binary.BigEndian.Uint64(b)), nil
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}
