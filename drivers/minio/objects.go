package minio

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	s3 "github.com/minio/minio-go/v7"
	"golang.org/x/sync/semaphore"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/exact"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

const (
	// roomForPuts is how many bytes of objects all Puts together hold in memory.
	roomForPuts = 32 << 20
	// patience is how long the service may be silent. To take a body it has that,
	// and for each slowest bytes a second more.
	patience = 30 * time.Second
	slowest  = 64 << 10
	// pageSize is how many objects S3 lists, or deletes, at a time.
	pageSize = 1000
	// sumKey names the metadata with the hexadecimal SHA-256 of an object. S3 says
	// it as the header X-Amz-Meta-…, in which upper and lower case are the same.
	sumKey = "Miniprofile-Sha256"
)

type objects struct {
	place
	client    *s3.Core
	transport *http.Transport
	patience  time.Duration
	room      *semaphore.Weighted
	gate      gate.Gate
}

func newObjects(p place, client *s3.Core, t *http.Transport) *objects {
	return &objects{place: p, client: client, transport: t, patience: patience, room: semaphore.NewWeighted(roomForPuts)}
}

// mark ends the name of each object in the bucket. Where folders are kept as
// folders (MinIO, versitygw) the object a would hide a/b, or forbid it; with the
// mark no object has the name of a folder. It begins with a byte that is less than
// any in a key, so names have the order of keys.
const mark = ",1"

// name is what the object of key is called in the bucket.
func (o *objects) name(key string) string { return o.prefix + key + mark }

// key is the key of a name, unless somebody else gave it.
func (o *objects) key(name string) (key string, ours bool) {
	key, ours = strings.CutSuffix(strings.TrimPrefix(name, o.prefix), mark)
	return key, ours && drivers.CheckObjectKey(key) == nil
}

func (o *objects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if err := drivers.CheckPut(key, size, contentType); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	if err := o.put(ctx, o.name(key), r, size, contentType); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (o *objects) put(ctx context.Context, name string, r io.Reader, size int64, contentType string) error {
	if err := o.room.Acquire(ctx, size); err != nil {
		return err
	}
	defer o.room.Release(size)
	var content bytes.Buffer
	content.Grow(int(size) + bytes.MinRead) // or ReadFrom doubles it
	if _, err := content.ReadFrom(exact.Reader(ctx, r, size)); err != nil {
		return err
	}
	md5sum, sha := md5.Sum(content.Bytes()), sha256.Sum256(content.Bytes())
	sum := hex.EncodeToString(sha[:])
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience+time.Duration(size/slowest)*time.Second, errSilent)
	defer cancel()
	return o.attempt(ctx, func(ctx context.Context) error {
		info, err := o.client.PutObject(ctx, o.bucket, name, bytes.NewReader(content.Bytes()), size,
			base64.StdEncoding.EncodeToString(md5sum[:]), sum, s3.PutObjectOptions{
				ContentType:          contentType,
				UserMetadata:         map[string]string{sumKey: sum},
				DisableContentSha256: true, // the header has it: no streaming signature, which not all services know
			})
		if err == nil && info.ETag != hex.EncodeToString(md5sum[:]) {
			err = o.confirm(ctx, name, info.ETag, size)
		}
		return err
	})
}

// confirm asks whether an object has the ETag that Put's answer gave it.
func (o *objects) confirm(ctx context.Context, name, etag string, size int64) error {
	info, err := o.client.StatObject(ctx, o.bucket, name, s3.StatObjectOptions{})
	if err != nil {
		return err
	}
	if info.ETag != etag || info.Size != size {
		return fmt.Errorf("stored, but the service says ETag %.64q of %d bytes, then %.64q of %d", etag, size, info.ETag, info.Size)
	}
	return nil
}

func (o *objects) Delete(ctx context.Context, keys ...string) error {
	if err := drivers.CheckObjectKey(keys...); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	for some := range slices.Chunk(keys, pageSize) {
		if err := o.remove(ctx, some); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	return nil
}

// remove deletes up to a page of objects in one request.
func (o *objects) remove(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, errSilent)
	defer cancel()
	return o.attempt(ctx, func(ctx context.Context) error {
		left := make(map[string]bool, len(keys))
		for _, key := range keys {
			left[o.name(key)] = true
		}
		names := func(yield func(s3.ObjectInfo) bool) {
			for name := range left {
				if !yield(s3.ObjectInfo{Key: name}) {
					return
				}
			}
		}
		results, err := o.client.RemoveObjectsWithIter(ctx, o.bucket, names, s3.RemoveObjectsOptions{})
		if err != nil {
			return err
		}
		gone := make([]string, 0, len(left))
		for result := range results {
			if result.Err != nil && code(result.Err) != s3.NoSuchKey {
				return result.Err
			}
			gone = append(gone, result.ObjectName)
		}
		for _, name := range gone {
			delete(left, name)
		}
		// minio-go passes over some errors, and over what the answer does not name.
		for name := range left {
			return fmt.Errorf("the service does not say that it deleted %s", name)
		}
		return nil
	})
}

func (o *objects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return func(yield func(drivers.ObjectInfo, error) bool) {
		if err := drivers.CheckObjectPrefix(prefix, after); err != nil {
			yield(drivers.ObjectInfo{}, err)
			return
		}
		last := ""
		if after != "" {
			last = o.name(after)
		}
		for more := true; more; {
			page, err := o.enteredPage(ctx, o.prefix+prefix, last)
			if err != nil {
				yield(drivers.ObjectInfo{}, fmt.Errorf("list: %w", err))
				return
			}
			more = len(page) == pageSize
			for _, info := range page {
				if info.Key <= last || !strings.HasPrefix(info.Key, o.prefix+prefix) {
					yield(drivers.ObjectInfo{}, fmt.Errorf("list: the service gives %q after %q", info.Key, last))
					return
				}
				last = info.Key
				key, ours := o.key(info.Key)
				if ours && !yield(drivers.ObjectInfo{Key: key, Size: info.Size, Modified: info.LastModified.UTC()}, nil) {
					return
				}
			}
		}
	}
}

func (o *objects) enteredPage(ctx context.Context, prefix, after string) ([]s3.ObjectInfo, error) {
	if err := o.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer o.gate.Leave()
	return o.page(ctx, prefix, after, pageSize)
}

// page lists up to n names after a name. Fewer than n are the last.
func (o *objects) page(ctx context.Context, prefix, after string, n int) (page []s3.ObjectInfo, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, errSilent)
	defer cancel()
	owner := false
	options := s3.ListObjectsOptions{Prefix: prefix, StartAfter: after, Recursive: true, MaxKeys: n, FetchOwner: &owner}
	err = o.attempt(ctx, func(ctx context.Context) error {
		page = page[:0]
		for info := range o.client.ListObjectsIter(ctx, o.bucket, options) {
			if info.Err != nil {
				return info.Err
			}
			if page = append(page, info); len(page) == n {
				return nil
			}
		}
		return ctx.Err() // the iterator ends in silence
	})
	return page, err
}

func (o *objects) Close() error {
	if o.gate.Shut() {
		o.transport.CloseIdleConnections()
	}
	return nil
}
