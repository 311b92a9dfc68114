package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/drivers/file"
)

// crowd lets many users replace their pictures at the same moment, and come again
// as they are told when they are refused. It fails when a profile does not name
// the last picture that was acknowledged, or another picture is left.
func crowd(ctx context.Context, users int) error {
	dir, binary, err := buildServer(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	os.Setenv("MINIPROFILE_OLD_PICTURES", "0s")
	data := filepath.Join(dir, "data")
	server, _, err := startServer(ctx, binary, data)
	if err != nil {
		return err
	}
	defer server.stop()
	people, err := signIn(server.address, users)
	if err != nil {
		return err
	}
	photo, err := photograph()
	if err != nil {
		return err
	}
	form, contentType := pictureForm(photo)
	c := &crowded{address: server.address, form: form, contentType: contentType, named: make([]string, users)}
	for round := range 2 { // the second replaces the first
		began := time.Now()
		var all sync.WaitGroup
		for i, token := range people.tokens {
			all.Go(func() { c.send(ctx, i, token) })
		}
		all.Wait()
		if c.err != nil {
			return c.err
		}
		took := time.Since(began)
		slices.Sort(c.waits)
		peak, err := server.peakMemory()
		if err != nil {
			return err
		}
		fmt.Printf("round %d: %d pictures of %d KiB at once: all set in %.1f s, %.0f a second; refused and told when to come again: %d; half were set within %.1f s, 99 in 100 within %.1f s; memory at its peak %.0f MiB\n",
			round+1, users, len(photo)>>10, took.Seconds(), float64(users)/took.Seconds(), c.refused,
			c.waits[len(c.waits)/2].Seconds(), c.waits[len(c.waits)*99/100].Seconds(), peak)
		c.waits, c.refused = nil, 0
	}
	for i, token := range people.tokens {
		body, err := once(server.address, post(token, meQuery, nil))
		if err != nil {
			return err
		}
		if !bytes.Contains(body, []byte(c.named[i])) {
			return fmt.Errorf("user %d: acknowledged was %s, me says %s", i, c.named[i], body)
		}
	}
	return c.alone(ctx, data)
}

// crowded is a crowd under way.
type crowded struct {
	address     string
	form        []byte
	contentType string

	mu      sync.Mutex
	named   []string        // by user: the file of the picture that was acknowledged last
	waits   []time.Duration // until a picture was set
	refused int
	err     error
}

// send sets the picture of a user, whatever it takes.
func (c *crowded) send(ctx context.Context, user int, token string) {
	began := time.Now()
	for ctx.Err() == nil {
		name, after, err := c.try(ctx, token)
		c.mu.Lock()
		switch {
		case err != nil:
			c.err = fmt.Errorf("user %d: %w", user, err)
		case after > 0:
			c.refused++
		default:
			c.named[user] = name
			c.waits = append(c.waits, time.Since(began))
		}
		c.mu.Unlock()
		if after == 0 {
			return
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
		}
	}
}

// try sends a picture once, and returns its name, or when to come again.
func (c *crowded) try(ctx context.Context, token string) (name string, after time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address+"/graphql", bytes.NewReader(c.form))
	if err != nil {
		return "", 0, err
	}
	r.Header.Set("Content-Type", c.contentType)
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	var a struct {
		Data struct {
			UpdateProfile struct {
				User struct{ Avatar struct{ URL string } }
			}
		}
		Errors []struct {
			Extensions struct {
				Code       string
				RetryAfter time.Duration // in seconds
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return "", 0, err
	}
	if len(a.Errors) > 0 {
		e := a.Errors[0].Extensions
		if e.Code != "RATE_LIMITED" || e.RetryAfter == 0 {
			return "", 0, fmt.Errorf("it is %s", e.Code)
		}
		return "", e.RetryAfter * time.Second, nil
	}
	address := a.Data.UpdateProfile.User.Avatar.URL
	return address[strings.LastIndex(address, "/")+1:], 0, nil
}

// alone waits until what the profiles name is all that is left.
func (c *crowded) alone(ctx context.Context, data string) error {
	var want []string
	for _, name := range c.named {
		want = append(want, "avatars/"+name, "avatars/"+strings.Replace(name, "-512.", "-132.", 1))
	}
	slices.Sort(want)
	began := time.Now()
	var got []string
	for time.Since(began) < 2*time.Minute {
		o, err := file.OpenObjectsForReading(ctx, &url.URL{Scheme: "file", Opaque: data})
		if err != nil {
			return err
		}
		got = nil
		for info, err := range o.List(ctx, "", "") {
			if err != nil {
				return err
			}
			got = append(got, info.Key)
		}
		o.Close()
		if slices.Equal(got, want) {
			fmt.Printf("%d objects are left, those that the profiles name, %.1f s after the last was set\n", len(got), time.Since(began).Seconds())
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("%d objects are left, the profiles name %d", len(got), len(want))
}
