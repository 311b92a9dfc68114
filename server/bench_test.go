package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const meQuery = `query Me { me { id version nickname avatar { url status } gender preferences createdAt updatedAt } }`

// discard is an http.ResponseWriter without a network.
type discard struct {
	header http.Header
	status int
	bytes  int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { d.bytes += len(b); return len(b), nil }

// BenchmarkMe is the hot path without a network.
func BenchmarkMe(b *testing.B) {
	h := start(b)
	token, _ := h.login(b, "bench")
	quiet := New(Config{Core: h.core, Logger: slog.New(slog.DiscardHandler)})
	logged := New(Config{Core: h.core, Logger: NewLog(io.Discard).Logger(slog.LevelInfo, false)})
	for name, s := range map[string]*Server{"quiet": quiet, "logged": logged} {
		b.Run(name, func(b *testing.B) {
			body := bytes.NewReader([]byte(`{"query":"` + meQuery + `"}`))
			r, _ := http.NewRequest("POST", "http://localhost/graphql", nil)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+token)
			r.Body = io.NopCloser(body)
			w := &discard{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				body.Seek(0, io.SeekStart)
				clear(w.header)
				s.ServeHTTP(w, r)
			}
			if w.status != 200 || w.bytes == 0 {
				b.Fatal(w.status)
			}
		})
	}
}

const loginQuery = `mutation Login($input: LoginInput!) { login(input: $input) { created user { id } tokens { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt } } }`

// BenchmarkLogin is a login of one who comes back, without a network and over memory.
func BenchmarkLogin(b *testing.B) {
	h := start(b)
	s := New(Config{Core: h.core, Logger: slog.New(slog.DiscardHandler)})
	r, _ := http.NewRequest("POST", "http://localhost/graphql", nil)
	r.Header.Set("Content-Type", "application/json")
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r.Body = io.NopCloser(strings.NewReader(fmt.Sprintf(
			`{"query":%q,"variables":{"input":{"code":"p%d~%d","requestId":"request-%d","device":"bench"}}}`, loginQuery, n%64, n, n)))
		clear(w.header)
		w.bytes = 0
		s.ServeHTTP(w, r)
		if w.status != 200 || w.bytes < 500 {
			b.Fatal(w.status, w.bytes)
		}
	}
}

// BenchmarkLoopback compares me with a handler of net/http that answers 300
// fixed bytes, over loopback, with 16 keep-alive connections and a client that
// does as little as it can.
func BenchmarkLoopback(b *testing.B) {
	h := start(b)
	token, _ := h.login(b, "bench")
	logFile, err := os.Create(b.TempDir() + "/log")
	if err != nil {
		b.Fatal(err)
	}
	defer logFile.Close()
	fixed := bytes.Repeat([]byte("x"), 300)
	post := func(extra, body string) string {
		return fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", extra, len(body), body)
	}
	me := post("Authorization: Bearer "+token+"\r\n", `{"query":"`+meQuery+`"}`)
	for _, c := range []struct {
		name    string
		handler func() http.Handler // a Server runs once
	}{
		{"fixed", func() http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				w.Write(fixed)
			})
		}},
		{"me", func() http.Handler {
			return New(Config{Core: h.core, Logger: NewLog(logFile).Logger(slog.LevelInfo, false)})
		}},
		{"meQuiet", func() http.Handler { return New(Config{Core: h.core, Logger: slog.New(slog.DiscardHandler)}) }},
	} {
		b.Run(c.name, func(b *testing.B) { loopback(b, c.handler(), me) })
	}
}

func loopback(b *testing.B, handler http.Handler, request string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if s, ok := handler.(*Server); ok {
			s.Run(ctx, listener)
			return
		}
		plain := &http.Server{Handler: handler}
		go plain.Serve(listener)
		<-ctx.Done()
		plain.Close()
	}()
	defer func() { stop(); <-ended }()
	b.SetParallelism(8)
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for pb.Next() {
			io.WriteString(conn, request)
			length := 0
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					b.Error(err)
					return
				}
				if len(line) == 2 {
					break
				}
				if text, ok := strings.CutPrefix(string(line), "Content-Length: "); ok {
					length, _ = strconv.Atoi(strings.TrimSpace(text))
				}
			}
			r.Discard(length)
		}
	})
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op") // steadier than the clock where others work too
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
