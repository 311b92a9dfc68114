package conformance

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestBrokenObjects is TestBrokenStores for objects.
func TestBrokenObjects(t *testing.T) {
	for _, b := range []struct {
		bug, by string // the trials that must catch it
		tamper  func(o drivers.Objects) drivers.Objects
	}{
		{"stores what a failing reader gave", "BadReaders", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			b, failure := io.ReadAll(r)
			return errors.Join(failure, o.Put(ctx, key, bytes.NewReader(b), int64(len(b)), contentType))
		})},
		{"accepts a short reader", "BadReaders", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			b, err := io.ReadAll(io.LimitReader(r, size+1))
			if err == nil {
				size = int64(max(len(b), 0))
			}
			return errors.Join(err, o.Put(ctx, key, bytes.NewReader(b), size, contentType))
		})},
		{"accepts a long reader", "BadReaders", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			return o.Put(ctx, key, io.LimitReader(r, size), size, contentType)
		})},
		{"takes a reader that was cut for one that ended", "BadReaders", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			b := make([]byte, size)
			if _, err := io.ReadFull(r, b); err != nil {
				return err
			}
			if n, _ := r.Read(make([]byte, 1)); n > 0 {
				return errors.New("too long")
			}
			return o.Put(ctx, key, bytes.NewReader(b), size, contentType)
		})},
		{"deletes before it puts", "BadReaders ReadersDuringReplace", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			if err := o.Delete(ctx, key); err != nil {
				return err
			}
			runtime.Gosched()
			return o.Put(ctx, key, r, size, contentType)
		})},
		{"publishes the first half first", "ReadersDuringReplace", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			b, err := io.ReadAll(r)
			if err != nil || int64(len(b)) != size {
				return errors.New("bad reader")
			}
			if err := o.Put(ctx, key, bytes.NewReader(b[:size/2]), size/2, contentType); err != nil {
				return err
			}
			runtime.Gosched()
			return o.Put(ctx, key, bytes.NewReader(b), size, contentType)
		})},
		{"stores content and type in two steps", "PutRace", func(o drivers.Objects) drivers.Objects {
			var types sync.Map
			return tamperedObjects{Objects: o, put: func(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
				types.Store(key, contentType)
				runtime.Gosched()
				return o.Put(ctx, key, r, size, contentType)
			}, get: func(ctx context.Context, key string) (drivers.Object, error) {
				object, err := o.Get(ctx, key)
				if contentType, ok := types.Load(key); ok {
					object.ContentType = contentType.(string)
				}
				return object, err
			}}
		}},
		{"keeps the old content type", "Replace", func(o drivers.Objects) drivers.Objects {
			var types sync.Map
			return tamperedObjects{Objects: o, put: func(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
				was, _ := types.LoadOrStore(key, contentType)
				return o.Put(ctx, key, r, size, was.(string))
			}}
		}},
		{"cuts parameters off the content type", "PutGet", onGet(func(o *drivers.Object) { o.ContentType, _, _ = strings.Cut(o.ContentType, ";") })},
		{"constant ETag", "ETag", onGet(func(o *drivers.Object) { o.ETag = "etag" })},
		{"ETag of the size", "ETag", onGet(func(o *drivers.Object) { o.ETag = strings.Repeat("e", int(o.Size)+1) })},
		{"ETag in quotes", "ETag", onGet(func(o *drivers.Object) { o.ETag = `"` + o.ETag + `"` })},
		{"no ETag", "ETag", onGet(func(o *drivers.Object) { o.ETag = "" })},
		{"looks for the ETag before it opens", "ReadersDuringReplace", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
				before, err := o.Get(ctx, key)
				if err != nil {
					return before, err
				}
				before.Close()
				runtime.Gosched()
				object, err := o.Get(ctx, key)
				object.ETag = before.ETag
				return object, err
			}}
		}},
		{"no time", "PutGet", onGet(func(o *drivers.Object) { o.Modified = time.Time{} })},
		{"Modified is the time of asking", "ETag ObjectsReopen", onGet(func(o *drivers.Object) { o.Modified = time.Now() })},
		{"no size", "PutGet Sizes", onGet(func(o *drivers.Object) { o.Size = 0 })},
		{"cannot seek", "Seek", onGet(func(o *drivers.Object) { o.ReadSeekCloser = stuck{o.ReadSeekCloser} })},
		{"reads whatever is there now", "OpenDuringReplace", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
				object, err := o.Get(ctx, key)
				object.ReadSeekCloser = &lazy{ReadSeekCloser: object.ReadSeekCloser, o: o, ctx: ctx, key: key}
				return object, err
			}}
		}},
		{"an absent object is empty", "NotFound", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
				object, err := o.Get(ctx, key)
				if errors.Is(err, drivers.ErrNotFound) {
					return object, nil
				}
				return object, err
			}}
		}},
		{"not found, not wrapped", "NotFound", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
				object, err := o.Get(ctx, key)
				if err != nil {
					err = errors.New(err.Error())
				}
				return object, err
			}}
		}},
		{"deleting what is absent is an error", "Delete", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, delete: func(ctx context.Context, keys []string) error {
				for _, key := range keys {
					if _, err := o.Get(ctx, key); err != nil {
						return err
					}
				}
				return o.Delete(ctx, keys...)
			}}
		}},
		{"stops deleting at what is absent", "Delete", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, delete: func(ctx context.Context, keys []string) error {
				for _, key := range keys {
					if _, err := o.Get(ctx, key); errors.Is(err, drivers.ErrNotFound) {
						return nil
					}
					if err := o.Delete(ctx, key); err != nil {
						return err
					}
				}
				return o.Delete(ctx)
			}}
		}},
		{"deletes what lies below too", "Delete", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, delete: func(ctx context.Context, keys []string) error {
				all, _ := collect(o.List(ctx, "", ""))
				for _, key := range keys {
					for _, info := range all {
						if strings.HasPrefix(info.Key, key+"/") {
							o.Delete(ctx, info.Key)
						}
					}
				}
				return o.Delete(ctx, keys...)
			}}
		}},
		{"deletes at most 1000", "ListMany", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, delete: func(ctx context.Context, keys []string) error {
				return o.Delete(ctx, keys[:min(len(keys), 1000)]...)
			}}
		}},
		{"an object and a folder of one name conflict", "List ObjectLimits Delete", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			if drivers.CheckObjectKey(key) == nil {
				for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
					if _, err := o.Get(ctx, dir); err == nil {
						return errors.New("not a folder")
					}
				}
			}
			return o.Put(ctx, key, r, size, contentType)
		})},
		{"lists folder by folder", "List", onList(func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo {
			slices.SortFunc(all, func(a, b drivers.ObjectInfo) int {
				return slices.Compare(strings.Split(a.Key, "/"), strings.Split(b.Key, "/"))
			})
			return all
		})},
		{"lists at most 1000", "ListMany", onList(func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo {
			return all[:min(len(all), 1000)]
		})},
		{"takes the prefix for a folder", "List", onList(func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo {
			return slices.DeleteFunc(all, func(i drivers.ObjectInfo) bool {
				return !strings.HasPrefix(i.Key, strings.TrimSuffix(prefix, "/")+"/") && prefix != ""
			})
		})},
		{"after takes what lies below with it", "List", onList(func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo {
			return slices.DeleteFunc(all, func(i drivers.ObjectInfo) bool { return after != "" && strings.HasPrefix(i.Key, after+"/") })
		})},
		{"lists without sizes", "PutGet", onList(func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo {
			for i := range all {
				all[i].Size = 0
			}
			return all
		})},
		{"includes after", "List ListMany", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, list: func(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
				return records(func() ([]drivers.ObjectInfo, error) {
					all, err := collect(o.List(ctx, prefix, ""))
					return slices.DeleteFunc(all, func(i drivers.ObjectInfo) bool { return i.Key < after }), err
				})
			}}
		}},
		{"locks while it lists", "ListBody", func(o drivers.Objects) drivers.Objects {
			var mu sync.RWMutex
			return tamperedObjects{Objects: o, list: func(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
				return func(yield func(drivers.ObjectInfo, error) bool) {
					mu.RLock()
					defer mu.RUnlock()
					o.List(ctx, prefix, after)(yield)
				}
			}, delete: func(ctx context.Context, keys []string) error {
				mu.Lock()
				defer mu.Unlock()
				return o.Delete(ctx, keys...)
			}, close: func() error {
				mu.Lock()
				defer mu.Unlock()
				return o.Close()
			}}
		}},
		{"does not call CheckPut", "ObjectLimits", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			if drivers.CheckPut(key, size, contentType) != nil {
				return nil
			}
			return o.Put(ctx, key, r, size, contentType)
		})},
		{"does not call CheckObjectKey in Get", "ObjectLimits", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
				if drivers.CheckObjectKey(key) != nil {
					return drivers.Object{}, drivers.ErrNotFound
				}
				return o.Get(ctx, key)
			}}
		}},
		{"makes dots of slashes", "List ObjectLimits", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			if drivers.CheckObjectKey(key) == nil {
				key = strings.ReplaceAll(key, "/", ".")
			}
			return o.Put(ctx, key, r, size, contentType)
		})},
		{"limits of its own", "Sizes", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			if size > 10<<20 {
				return errors.New("too large")
			}
			return o.Put(ctx, key, r, size, contentType)
		})},
		{"works under a cancelled context", "ObjectsContexts BadReaders", onPut(func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error {
			ctx = context.WithoutCancel(ctx)
			if b, err := io.ReadAll(r); err == nil {
				return o.Put(ctx, key, bytes.NewReader(b), size, contentType)
			}
			return nil
		})},
		{"closes under a Put", "ObjectsCloseWaits", func(o drivers.Objects) drivers.Objects {
			var shut atomic.Bool
			return tamperedObjects{Objects: o, close: func() error { shut.Store(true); return nil },
				get: func(ctx context.Context, key string) (drivers.Object, error) {
					if shut.Load() {
						return drivers.Object{}, drivers.ErrClosed
					}
					return o.Get(ctx, key)
				}}
		}},
		{"keeps calls waiting while Close waits", "ObjectsCloseWaits", func(o drivers.Objects) drivers.Objects {
			var mu sync.RWMutex
			return tamperedObjects{Objects: o, put: func(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
				mu.RLock()
				defer mu.RUnlock()
				return o.Put(ctx, key, r, size, contentType)
			}, get: func(ctx context.Context, key string) (drivers.Object, error) {
				mu.RLock()
				defer mu.RUnlock()
				return o.Get(ctx, key)
			}, close: func() error {
				mu.Lock()
				defer mu.Unlock()
				return o.Close()
			}}
		}},
		{"works after Close", "ObjectsClosed", func(o drivers.Objects) drivers.Objects {
			return tamperedObjects{Objects: o, close: func() error { return nil }}
		}},
	} {
		t.Run(b.bug, func(t *testing.T) {
			t.Parallel()
			caught(t, objectsTrials, b.by, func() func() (drivers.Objects, error) {
				space := memory.New()
				return func() (drivers.Objects, error) { return b.tamper(space.OpenObjects()), nil }
			})
		})
	}
	t.Run("forgets on reopening", func(t *testing.T) {
		t.Parallel()
		caught(t, objectsTrials, "ObjectsReopen ObjectsClosed ObjectsCloseRace", func() func() (drivers.Objects, error) {
			return func() (drivers.Objects, error) { return memory.New().OpenObjects(), nil }
		})
	})
}

// tamperedObjects are objects with some methods replaced.
type tamperedObjects struct {
	drivers.Objects
	put    func(ctx context.Context, key string, r io.Reader, size int64, contentType string) error
	get    func(context.Context, string) (drivers.Object, error)
	delete func(context.Context, []string) error
	list   func(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error]
	close  func() error
}

func (o tamperedObjects) Put(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
	if o.put == nil {
		return o.Objects.Put(ctx, key, r, size, contentType)
	}
	return o.put(ctx, key, r, size, contentType)
}

func (o tamperedObjects) Get(ctx context.Context, key string) (drivers.Object, error) {
	if o.get == nil {
		return o.Objects.Get(ctx, key)
	}
	return o.get(ctx, key)
}

func (o tamperedObjects) Delete(ctx context.Context, keys ...string) error {
	if o.delete == nil {
		return o.Objects.Delete(ctx, keys...)
	}
	return o.delete(ctx, keys)
}

func (o tamperedObjects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	if o.list == nil {
		return o.Objects.List(ctx, prefix, after)
	}
	return o.list(ctx, prefix, after)
}

func (o tamperedObjects) Close() error {
	if o.close == nil {
		return o.Objects.Close()
	}
	return o.close()
}

func onPut(put func(ctx context.Context, o drivers.Objects, key string, r io.Reader, size int64, contentType string) error) func(drivers.Objects) drivers.Objects {
	return func(o drivers.Objects) drivers.Objects {
		return tamperedObjects{Objects: o, put: func(ctx context.Context, key string, r io.Reader, size int64, contentType string) error {
			return put(ctx, o, key, r, size, contentType)
		}}
	}
}

func onGet(change func(*drivers.Object)) func(drivers.Objects) drivers.Objects {
	return func(o drivers.Objects) drivers.Objects {
		return tamperedObjects{Objects: o, get: func(ctx context.Context, key string) (drivers.Object, error) {
			object, err := o.Get(ctx, key)
			if err == nil {
				change(&object)
			}
			return object, err
		}}
	}
}

func onList(change func(all []drivers.ObjectInfo, prefix, after string) []drivers.ObjectInfo) func(drivers.Objects) drivers.Objects {
	return func(o drivers.Objects) drivers.Objects {
		return tamperedObjects{Objects: o, list: func(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
			return records(func() ([]drivers.ObjectInfo, error) {
				all, err := collect(o.List(ctx, prefix, after))
				return change(all, prefix, after), err
			})
		}}
	}
}

// stuck stays at its beginning.
type stuck struct{ io.ReadSeekCloser }

func (stuck) Seek(int64, int) (int64, error) { return 0, nil }

// lazy gets the object anew for each Read.
type lazy struct {
	io.ReadSeekCloser
	o   drivers.Objects
	ctx context.Context
	key string
	at  int64
}

func (l *lazy) Read(p []byte) (int, error) {
	object, err := l.o.Get(l.ctx, l.key)
	if err != nil {
		return 0, err
	}
	defer object.Close()
	if _, err := object.Seek(l.at, io.SeekStart); err != nil {
		return 0, err
	}
	n, err := object.Read(p)
	l.at += int64(n)
	return n, err
}
