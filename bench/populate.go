package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
)

// populate makes a store of many users in the folder to: the records of one
// real user of the store in from, again and again under other ids. It stops the
// server that holds from.
func populate(ctx context.Context, from, to string, users int, server *child) error {
	server.stop()
	old, err := file.OpenStore(ctx, &url.URL{Scheme: "file", Path: from})
	if err != nil {
		return err
	}
	defer old.Close()
	var samples []drivers.Record
	for _, kind := range []string{"users", "identities", "sessions"} {
		for record, err := range old.Scan(ctx, kind, "", "") {
			if err != nil {
				return err
			}
			samples = append(samples, record)
			break
		}
	}
	if len(samples) != 3 {
		return fmt.Errorf("%d kinds of records, want 3", len(samples))
	}
	store, err := file.OpenStore(ctx, &url.URL{Scheme: "file", Path: to})
	if err != nil {
		return err
	}
	defer store.Close()
	secret, err := os.ReadFile(filepath.Join(from, "secret"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, "secret"), secret, 0o600); err != nil {
		return err
	}
	writers, left := make(chan error, 64), users
	for range cap(writers) {
		share := left / cap(writers)
		go func() { writers <- copies(ctx, store, samples, share+1) }()
	}
	for range cap(writers) {
		if err := <-writers; err != nil {
			return err
		}
	}
	return nil
}

// copies commits the samples n times, five users at a time.
func copies(ctx context.Context, store drivers.Store, samples []drivers.Record, n int) error {
	for n > 0 {
		var ops []drivers.Op
		for ; n > 0 && len(ops)+len(samples) <= drivers.MaxOps; n-- {
			id := strings.ToLower(rand.Text())
			for _, s := range samples {
				ops = append(ops, drivers.Create(drivers.Key{Kind: s.Key.Kind, ID: id}, s.Data, s.Expires))
			}
		}
		if err := store.Commit(ctx, ops...); err != nil {
			return err
		}
	}
	return nil
}
