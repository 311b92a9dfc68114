package main

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers/file"
)

// TestCrowd: a crowd sends pictures to the real program at once, and then one of
// them alone very many. Who is refused is told when to come again, and is let in
// then. Each profile names the last picture that was acknowledged, memory stays
// bounded, and no other picture is left. go run ./bench -crowd 1000 does it with a
// thousand.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const crowd, oneAlone = 60, 40
	dir := t.TempDir()
	c := startChild(t, dir, "MINIPROFILE_OLD_PICTURES=0s", "MINIPROFILE_STORE=file:"+filepath.Join(dir, "data"))
	photo := photograph(t, 320, 240)
	tokens := make([]string, crowd)
	var all sync.WaitGroup
	for i := range tokens {
		all.Go(func() {
			a, err := c.ask("", loginText, object{"input": object{"code": fmt.Sprintf("p%d~1", i)}})
			if err != nil || len(a.Errors) > 0 {
				t.Errorf("login: %v %+v", err, a.Errors)
			}
			tokens[i] = a.Data.Login.Tokens.AccessToken
		})
	}
	all.Wait()
	send := func(token string) (address string) {
		timeout := time.After(5 * time.Minute)
		for {
			a, err := c.setPicture(token, photo)
			if err == nil && len(a.Errors) == 0 {
				return a.Data.UpdateProfile.User.Avatar.URL
			}
			after, told := 0.0, false
			if err == nil {
				after, told = a.Errors[0].Extensions["retryAfter"].(float64)
			}
			if !told || a.Errors[0].Extensions["code"] != "RATE_LIMITED" {
				t.Errorf("%v %+v", err, a.Errors)
				return ""
			}
			select {
			case <-time.After(time.Duration(after * float64(time.Second))):
			case <-timeout:
				t.Error("refused again and again")
				return ""
			}
		}
	}
	acknowledged := make([]string, crowd)
	for range 2 { // the second replaces the first
		for i, token := range tokens {
			all.Go(func() { acknowledged[i] = send(token) })
		}
		all.Wait()
	}
	var mu sync.Mutex
	ofOne := map[string]bool{}
	for range oneAlone {
		all.Go(func() {
			address := send(tokens[0])
			mu.Lock()
			defer mu.Unlock()
			ofOne[address] = true
		})
	}
	all.Wait()
	if len(ofOne) != oneAlone {
		t.Errorf("one user set %d pictures, and %d were acknowledged", oneAlone, len(ofOne))
	}
	acknowledged[0] = send(tokens[0])
	var want []string
	for i, token := range tokens {
		a, err := c.ask(token, meText, nil)
		if err != nil || a.Data.Me == nil || a.Data.Me.Avatar == nil || a.Data.Me.Avatar.URL != acknowledged[i] {
			t.Fatalf("user %d has %+v, %v; acknowledged was %s", i, a.Data.Me, err, acknowledged[i])
		}
		large := path(acknowledged[i])[1:]
		want = append(want, small(large), large)
	}
	slices.Sort(want)
	c.mustKeep(filepath.Join(dir, "data"), want)
	if most := c.peakMemory(); most > 300<<20 {
		t.Errorf("it took %d MiB of memory", most>>20)
	}
	c.stop()
}

// mustKeep waits until the objects of a file: store are those of want.
func (c *child) mustKeep(place string, want []string) {
	c.t.Helper()
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for {
		o, err := file.OpenObjectsForReading(c.t.Context(), &url.URL{Scheme: "file", Opaque: place})
		if err != nil {
			c.t.Fatal(err)
		}
		var got []string
		for info, err := range o.List(context.WithoutCancel(c.t.Context()), "", "") {
			if err != nil {
				c.t.Fatal(err)
			}
			got = append(got, info.Key)
		}
		o.Close()
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-timeout:
			c.t.Fatalf("there are %d objects, the profiles name %d", len(got), len(want))
		case <-poll.C:
		}
	}
}

// peakMemory is the most memory that the program ever took, in bytes.
func (c *child) peakMemory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0 // not Linux
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kib, _ := strconv.Atoi(strings.Fields(cmp.Or(rest, "0"))[0])
	return kib << 10
}
