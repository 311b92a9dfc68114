package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miniprofile/miniprofile/server"
)

// TestNewStoreIsTold: an empty store that the start made is told of, once, and louder
// where real people log in.
func TestNewStoreIsTold(t *testing.T) {
	t.Parallel()
	for apps, level := range map[string]string{"": "INFO", "wxa:0123456789abcdef0123456789abcdef": "WARN"} {
		dir := filepath.Join(t.TempDir(), "data")
		s := settings{Apps: apps, Store: "file:" + dir}
		for _, want := range []string{"level=" + level + " msg=\"made a new, empty store", ""} {
			var log bytes.Buffer
			places, err := s.openToServe(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			if err := places.Close(); err != nil {
				t.Error(err)
			}
			if got := log.String(); !strings.Contains(got, want) || want != "" && !strings.Contains(got, "path="+dir) || want == "" && got != "" {
				t.Errorf("want %q, got %s", want, got)
			}
		}
	}
	s := settings{Store: "memory:"}
	var log bytes.Buffer
	places, err := s.openToServe(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil || log.Len() > 0 {
		t.Fatalf("%v, %s", err, &log)
	}
	places.Close()
}

// TestTrustsAllIsTold: at the start, and by the check.
func TestTrustsAllIsTold(t *testing.T) {
	t.Parallel()
	for proxies, told := range map[string]bool{"10.0.0.0/8": false, "0.0.0.0/0": true, "::/0": true} {
		parsed, err := server.ParseProxies([]string{proxies})
		if err != nil {
			t.Fatal(err)
		}
		var s settings
		var log bytes.Buffer
		s.warn(slog.New(slog.NewTextHandler(&log, nil)), plan{edge: server.Config{Proxies: parsed}, weChat: &weChat{}})
		if strings.Contains(log.String(), "a network of all addresses") != told {
			t.Errorf("%s: %s", proxies, &log)
		}
		_, out, errs := run(t, t.TempDir(), "check", "--listen", "127.0.0.1:0", "--sandbox-anywhere", "--trusted-proxies", proxies)
		if strings.Contains(out, "warn  proxies") != told {
			t.Errorf("%s: %s%s", proxies, out, errs)
		}
	}
}
