package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/exact"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

type objects struct {
	gate  gate.Gate
	blobs *blobs
}

type blobs struct {
	mu sync.RWMutex
	m  map[string]*blob
}

// blob is never changed, only replaced.
type blob struct {
	info        drivers.ObjectInfo
	etag        string
	contentType string
	data        []byte
}

func (o *objects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if err := drivers.CheckPut(key, size, contentType); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	data, err := io.ReadAll(exact.Reader(ctx, r, size))
	if err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	sum := sha256.Sum256(data)
	b := &blob{
		info:        drivers.ObjectInfo{Key: key, Size: size, Modified: time.Now().UTC()},
		etag:        hex.EncodeToString(sum[:16]),
		contentType: contentType,
		data:        data,
	}
	o.blobs.mu.Lock()
	o.blobs.m[key] = b
	o.blobs.mu.Unlock()
	return nil
}

func (o *objects) Get(ctx context.Context, key string) (drivers.Object, error) {
	if err := drivers.CheckObjectKey(key); err != nil {
		return drivers.Object{}, err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return drivers.Object{}, err
	}
	defer o.gate.Leave()
	o.blobs.mu.RLock()
	b := o.blobs.m[key]
	o.blobs.mu.RUnlock()
	if b == nil {
		return drivers.Object{}, fmt.Errorf("get %s: %w", key, drivers.ErrNotFound)
	}
	return drivers.Object{ReadSeekCloser: open{bytes.NewReader(b.data)}, ObjectInfo: b.info, ETag: b.etag, ContentType: b.contentType}, nil
}

func (o *objects) Delete(ctx context.Context, keys ...string) error {
	if err := drivers.CheckObjectKey(keys...); err != nil {
		return err
	}
	if err := o.gate.Enter(ctx); err != nil {
		return err
	}
	defer o.gate.Leave()
	o.blobs.mu.Lock()
	defer o.blobs.mu.Unlock()
	for _, key := range keys {
		delete(o.blobs.m, key)
	}
	return nil
}

// List looks what there is when it begins; what comes or goes later it does not
// notice.
func (o *objects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return func(yield func(drivers.ObjectInfo, error) bool) {
		if err := drivers.CheckObjectPrefix(prefix, after); err != nil {
			yield(drivers.ObjectInfo{}, err)
			return
		}
		if err := o.gate.Enter(ctx); err != nil {
			yield(drivers.ObjectInfo{}, err)
			return
		}
		found := o.blobs.list(prefix, after)
		o.gate.Leave()
		for _, info := range found {
			if err := ctx.Err(); err != nil {
				yield(drivers.ObjectInfo{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (o *objects) Close() error {
	o.gate.Shut()
	return nil
}

func (b *blobs) list(prefix, after string) []drivers.ObjectInfo {
	var found []drivers.ObjectInfo
	b.mu.RLock()
	for key, blob := range b.m {
		if key > after && strings.HasPrefix(key, prefix) {
			found = append(found, blob.info)
		}
	}
	b.mu.RUnlock()
	slices.SortFunc(found, func(a, b drivers.ObjectInfo) int { return strings.Compare(a.Key, b.Key) })
	return found
}

// open hides WriteTo, which would hand a writer the bytes themselves.
type open struct{ io.ReadSeeker }

func (open) Close() error { return nil }
