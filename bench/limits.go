package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

// serveLimit is one of the limits: what net/http itself, or net/http and the
// disk, can do on this machine.
func serveLimit(name, address string) error {
	answer := bytes.Repeat([]byte("x"), 300)
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	switch name {
	case "fixed":
		mux.HandleFunc("/graphql", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Write(answer)
		})
	case "log":
		file, err := os.Create("limit.log")
		if err != nil {
			return err
		}
		l := &sharedLog{file: file, waiting: make(chan chan error, 1024)}
		go l.run()
		mux.HandleFunc("/graphql", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if err := l.append(); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Write(answer)
		})
	default:
		return fmt.Errorf("no limit %q", name)
	}
	return http.ListenAndServe(address, mux)
}

// sharedLog appends 1 KiB for each who waits and syncs once for all of them.
type sharedLog struct {
	file    *os.File
	waiting chan chan error
}

func (l *sharedLog) append() error {
	done := make(chan error, 1)
	l.waiting <- done
	return <-done
}

func (l *sharedLog) run() {
	entry := bytes.Repeat([]byte("y"), 1024)
	for first := range l.waiting {
		batch := []chan error{first}
		for len(l.waiting) > 0 {
			batch = append(batch, <-l.waiting)
		}
		_, err := l.file.Write(bytes.Repeat(entry, len(batch)))
		if err == nil {
			err = l.file.Sync()
		}
		for _, done := range batch {
			done <- err
		}
	}
}
