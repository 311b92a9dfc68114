package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// soak drives the binary at full load for a time, with what clients send and with
// what nobody should, and fails when memory or goroutines grow, a request goes
// wrong, or the server cannot end well under that load.
func soak(ctx context.Context, length time.Duration, clients int) error {
	dir, err := os.MkdirTemp("", "miniprofile-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "miniprofile")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	admin := l.Addr().String()
	l.Close()
	os.Setenv("MINIPROFILE_ADMIN_LISTEN", admin)
	server, _, err := startServer(ctx, binary, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	users, err := signIn(server.address, clients)
	if err != nil {
		server.stop()
		return err
	}
	driving, enough := context.WithCancel(ctx)
	defer enough()
	var answered atomic.Int64
	failures := make(chan error, clients)
	var group sync.WaitGroup
	for client := range clients {
		group.Go(func() {
			if err := soakClient(driving, server.address, users, client, &answered); err != nil {
				failures <- err
				enough()
			}
		})
	}
	var memory, goroutines []float64
	tick := time.NewTicker(max(length/60, 200*time.Millisecond))
	defer tick.Stop()
	over := time.NewTimer(length)
	defer over.Stop()
	for sampling := true; sampling; {
		select {
		case <-driving.Done():
			sampling = false
		case <-over.C:
			sampling = false
		case <-tick.C:
			m, g, err := sample(server, admin)
			if err != nil {
				enough()
				group.Wait()
				server.stop()
				return err
			}
			memory, goroutines = append(memory, m), append(goroutines, g)
			if len(memory)%10 == 0 {
				log.Printf("%d requests, %.0f MiB, %.0f goroutines", answered.Load(), m, g)
			}
		}
	}
	enough()
	group.Wait()
	server.stop()
	select {
	case err := <-failures:
		return err
	default:
	}
	fmt.Printf("%d requests in %v\n", answered.Load(), length)
	return errors.Join(flat("memory, MiB", memory, 16), flat("goroutines", goroutines, float64(clients)))
}

// flat fails when the last third of the values lies above the one before it by
// more than a quarter and a margin.
func flat(name string, values []float64, margin float64) error {
	if len(values) < 6 {
		return fmt.Errorf("%s: only %d samples", name, len(values))
	}
	third := len(values) / 3
	before, after := median(values[third:2*third]), median(values[2*third:])
	fmt.Printf("%s: %.0f, then %.0f, at most %.0f\n", name, before, after, slices.Max(values))
	if after > before*1.25+margin {
		return fmt.Errorf("%s: grew from %.0f to %.0f", name, before, after)
	}
	return nil
}

// hostile is refused before work is done on it.
var hostile = []func() []byte{
	func() []byte { return post("", "{"+strings.Repeat("me{id} ", 300)+"}", nil) },
	func() []byte { return post("", strings.Repeat("{me", 2000), nil) },
	func() []byte {
		return post("", fmt.Sprintf("query Q%d { me { nothing } }", time.Now().UnixNano()), nil) // never the same
	},
	func() []byte { return post(strings.Repeat("t", 900), meQuery, nil) },
}

// soakClient sends until ctx ends.
func soakClient(ctx context.Context, address string, users *signedIn, client int, answered *atomic.Int64) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for n := 0; ctx.Err() == nil; n++ {
		refused := false
		var request []byte
		switch n % 20 {
		case 0:
			request = login(client, n)
		case 5, 10:
			request = users.update(client, n)
		case 15:
			request, refused = hostile[n/20%len(hostile)](), true
		default:
			request = users.me(client, n)
		}
		body, err := c.do(request)
		if err != nil {
			return err
		}
		if bytes.Contains(body, []byte(`"errors"`)) != refused {
			return fmt.Errorf("answer %s", body)
		}
		answered.Add(1)
	}
	return nil
}

// sample returns the server's memory that is not of a file, in MiB, and its goroutines.
func sample(p *child, admin string) (memory, goroutines float64, err error) {
	if memory, err = p.status("RssAnon:"); err != nil {
		return 0, 0, err
	}
	r, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		return 0, 0, err
	}
	defer r.Body.Close()
	page, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "go_goroutines "); ok {
			goroutines, err = strconv.ParseFloat(strings.TrimSpace(rest), 64)
			return memory, goroutines, err
		}
	}
	return 0, 0, errors.New("no go_goroutines")
}
