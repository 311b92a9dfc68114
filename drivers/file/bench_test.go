package file_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
)

// BenchmarkGet2 reads a user and a session of 100,000 of each, as every request does.
func BenchmarkGet2(b *testing.B) {
	s, err := file.OpenStore(b.Context(), at(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const n = 100_000
	data := json.RawMessage(`{"nickname":"` + strings.Repeat("n", 300) + `"}`)
	var users, sessions [n]drivers.Key
	var ops []drivers.Op
	for i := range n {
		users[i] = drivers.Key{Kind: "users", ID: fmt.Sprintf("u%07d", i*7919%n)}
		sessions[i] = drivers.Key{Kind: "sessions", ID: users[i].ID + ".s"}
		ops = append(ops, drivers.Create(users[i], data, time.Time{}), drivers.Create(sessions[i], data, time.Time{}))
		if len(ops) == drivers.MaxOps {
			if err := s.Commit(b.Context(), ops...); err != nil {
				b.Fatal(err)
			}
			ops = ops[:0]
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		found, err := s.Get(b.Context(), users[i%n], sessions[i%n])
		if err != nil || !found[0].Exists() || !found[1].Exists() {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
}

// BenchmarkCommit creates records from 32 goroutines, all durable.
func BenchmarkCommit(b *testing.B) {
	s, err := file.OpenStore(b.Context(), at(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	data := json.RawMessage(`{"nickname":"` + strings.Repeat("n", 300) + `"}`)
	var next atomic.Int64
	b.SetParallelism(16) // times GOMAXPROCS, 2 where this was measured
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k := drivers.Key{Kind: "users", ID: fmt.Sprintf("u%07d.%d", next.Load()*7919%1_000_003, next.Add(1))}
			if err := s.Commit(b.Context(), drivers.Create(k, data, time.Time{})); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

// BenchmarkScan looks for the sessions of one user among 10,000, which lie in the
// database, or in the journal and not there yet.
func BenchmarkScan(b *testing.B) {
	for _, where := range []string{"database", "journal"} {
		b.Run(where, func(b *testing.B) {
			dir := b.TempDir()
			s, err := file.OpenStore(b.Context(), at(dir))
			if err != nil {
				b.Fatal(err)
			}
			const n = 10_000
			user := func(i int) string { return fmt.Sprintf("u%07d.", i*7919%n) }
			var ops []drivers.Op
			for i := range n {
				ops = append(ops, drivers.Create(drivers.Key{Kind: "sessions", ID: user(i) + "s"}, json.RawMessage(`{"a":1}`), time.Time{}))
				if len(ops) == drivers.MaxOps {
					if err := s.Commit(b.Context(), ops...); err != nil {
						b.Fatal(err)
					}
					ops = ops[:0]
				}
			}
			if where == "database" {
				s.Close()
				if s, err = file.OpenStore(b.Context(), at(dir)); err != nil {
					b.Fatal(err)
				}
			}
			defer s.Close()
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; b.Loop(); i++ {
				found := 0
				for _, err := range s.Scan(b.Context(), "sessions", user(i%n), "") {
					if err != nil {
						b.Fatal(err)
					}
					found++
				}
				if found != 1 {
					b.Fatalf("%d sessions", found)
				}
			}
		})
	}
}
