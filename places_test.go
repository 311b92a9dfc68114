package main

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// TestBareDriver: a driver that has nothing but OpenStore and OpenObjects is served, in
// every way, checked and copied. Not parallel: it changes the tables.
func TestBareDriver(t *testing.T) {
	space := memory.New()
	stores["bare"] = driver[drivers.Store]{open: func(context.Context, *url.URL) (drivers.Store, error) { return space.OpenStore(), nil }}
	objects["bare"] = driver[drivers.Objects]{open: func(context.Context, *url.URL) (drivers.Objects, error) { return space.OpenObjects(), nil }}
	t.Cleanup(func() { delete(stores, "bare"); delete(objects, "bare") })
	const place = "bare:anywhere"
	for _, flag := range []string{"--log-level=info", "--create-bucket", "--read-only"} {
		var c commands
		parser := kong.Must(&c)
		if _, err := parser.Parse([]string{"serve", "--store=" + place, "--secret=b7b0e2d1c5a94f3386721f0e9d8c7b6a", "--sandbox-anywhere", flag}); err != nil {
			t.Fatal(err)
		}
		quiet := slog.New(slog.DiscardHandler)
		if _, err := c.Serve.plan(quiet); err != nil {
			t.Fatalf("%s: %v", flag, err)
		}
		places, err := c.Serve.openToServe(t.Context(), quiet)
		if err != nil {
			t.Fatalf("%s: %v", flag, err)
		}
		if err := places.Close(); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
	}
	check := &checkAll{settings: settings{Store: place}}
	store, found := check.checkStore(t.Context())
	if found = append(found, check.checkObjects(t.Context())...); store == nil || found.Failures() > 0 {
		t.Fatalf("check finds %v", found)
	}
	store.Close()
	from := &copyAll{From: place, To: "file:" + t.TempDir()}
	if _, _, err := from.objects(); err != nil {
		t.Error(err)
	}
}
