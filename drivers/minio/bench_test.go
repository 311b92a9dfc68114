package minio

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

const benchSize = 64 << 10

// BenchmarkPut and BenchmarkGet run 32 callers on a real MinIO on this machine,
// which takes most of the processor: they bound what the driver costs from above.
func BenchmarkPut(b *testing.B) {
	o := benchBucket(b)
	body := content('x', benchSize)
	var n atomic.Int64
	parallel(b, func() error {
		return o.Put(b.Context(), fmt.Sprintf("bench/%d", n.Add(1)%1000), strings.NewReader(body), benchSize, "image/jpeg")
	})
}

func BenchmarkGet(b *testing.B) {
	o := benchBucket(b)
	if err := o.Put(b.Context(), "a", strings.NewReader(content('x', benchSize)), benchSize, "image/jpeg"); err != nil {
		b.Fatal(err)
	}
	parallel(b, func() error {
		object, err := o.Get(b.Context(), "a")
		if err != nil {
			return err
		}
		defer object.Close()
		_, err = io.Copy(io.Discard, object)
		return err
	})
}

func benchBucket(b *testing.B) *objects {
	setCredentials(b)
	return openBucket(b, minioServer(b))
}

// parallel runs f in 32 goroutines.
func parallel(b *testing.B, f func() error) {
	b.SetBytes(benchSize)
	b.ReportAllocs()
	b.SetParallelism((32 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
