package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is where buildBinary puts the program.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "miniprofile-test-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "miniprofile")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// buildBinary builds the program, once for all tests that start it.
var buildBinary = sync.OnceValue(func() error {
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// child is the real program, running.
type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	log     *logBuffer
	exited  chan error
}

// logBuffer collects what the program logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// patience is how long a test waits for what comes soon: long enough for a machine
// that is ten times slower and busy besides.
const patience = 2 * time.Minute

// startChild starts the program in the folder dir and waits until it answers.
// Settings of the machine do not reach it.
func startChild(t *testing.T, dir string, settings ...string) *child {
	t.Helper()
	if err := buildBinary(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, log: &logBuffer{}, exited: make(chan error, 1)}
	c.cmd = exec.Command(binary)
	c.cmd.Dir = dir
	c.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "MINIPROFILE_LISTEN=127.0.0.1:0", "MINIPROFILE_RATE_LIMITS=off"}, settings...)
	c.cmd.Stderr = c.log
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	t.Cleanup(func() { c.cmd.Process.Kill() })
	c.address = c.logged(`"listen":"`)
	r, err := http.Get("http://" + c.address + "/healthz")
	if err != nil {
		t.Fatalf("no answer: %v\n%s", err, c.log)
	}
	r.Body.Close()
	return c
}

// logged waits until a text is in the log, and returns what follows it up to the
// next quotation mark.
func (c *child) logged(text string) string {
	c.t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for ended := false; ; {
		if _, rest, ok := strings.Cut(c.log.String(), text); ok {
			if value, _, whole := strings.Cut(rest, `"`); whole {
				return value
			}
		}
		if ended {
			c.t.Fatalf("the program ended without %q in its log:\n%s", text, c.log)
		}
		select {
		case err := <-c.exited:
			c.exited <- err // whoever waits for it gets it
			ended = true
		case <-timeout:
			c.t.Fatalf("no %q in the log:\n%s", text, c.log)
		case <-poll.C:
		}
	}
}

// kill ends the program as a power cut would end its process.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	<-c.exited
}

// stop ends the program as an operator does.
func (c *child) stop() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	c.ended()
}

// ended waits for the end of a program that was told to end, which takes it less
// than a minute by its own word; one that hangs shows where.
func (c *child) ended() {
	c.t.Helper()
	select {
	case err := <-c.exited:
		if err != nil {
			c.t.Errorf("after SIGTERM: %v\n%s", err, c.log)
		}
	case <-time.After(2 * time.Minute):
		c.cmd.Process.Signal(syscall.SIGQUIT)
		<-c.exited
		c.t.Fatalf("SIGTERM does not end it\n%s", c.log)
	}
}

// answer is what GraphQL answers.
type answer struct {
	Data struct {
		Login, RefreshSession struct {
			Tokens struct{ AccessToken, RefreshToken string }
			User   struct{ ID string }
		}
		UpdateProfile struct{ User user }
		Me            *user
	}
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
}

type user struct {
	ID, Nickname string
	Avatar       *struct{ URL string }
}

// ask sends a GraphQL request. An error means that no whole answer came, so
// that the client cannot know what happened.
func (c *child) ask(token, query string, variables any) (answer, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return answer{}, err
	}
	return c.send(token, "application/json", bytes.NewReader(body))
}

func (c *child) send(token, contentType string, body io.Reader) (a answer, err error) {
	r, err := http.NewRequest("POST", "http://"+c.address+"/graphql", body)
	if err != nil {
		return a, err
	}
	r.Header.Set("Content-Type", contentType)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&a)
	return a, err
}

const (
	loginText   = `mutation ($input: LoginInput!) { login(input: $input) { tokens { accessToken refreshToken } user { id } } }`
	refreshText = `mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken refreshToken } } }`
	updateText  = `mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id nickname avatar { url } } } }`
	meText      = `{ me { id nickname avatar { url } } }`
)

type object = map[string]any

// setPicture sends a picture with the file before the fields, which the
// multipart request specification does not expect but wx.uploadFile may do.
func (c *child) setPicture(token string, picture []byte) (answer, error) {
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("0", "photo.jpg")
	if err != nil {
		return answer{}, err
	}
	file.Write(picture)
	operations, err := json.Marshal(object{"query": updateText, "variables": object{"input": object{"avatar": nil}}})
	if err != nil {
		return answer{}, err
	}
	form.WriteField("map", `{"0": ["variables.input.avatar"]}`)
	form.WriteField("operations", string(operations))
	form.Close()
	return c.send(token, form.FormDataContentType(), &b)
}

// photograph makes a JPEG as large and as rough as a camera's.
func photograph(t testing.TB, width, height int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	noise := rand.New(rand.NewPCG(1, 2))
	for y := range height {
		for x := range width {
			m.Set(x, y, color.RGBA{uint8(x*255/width + noise.IntN(9)), uint8(y*255/height + noise.IntN(9)), uint8((x ^ y) & 127), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// needs skips a test where a tool is missing that is not part of Go; CI, which
// sets CI, must have it.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("CI needs %s", tool)
			}
			t.Skipf("install %s to run this test", tool)
		}
	}
}

// command makes a command that ends with the test, or after five minutes, which
// none needs even where the machine is busy.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, name, args...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // node ends what it started
	c.WaitDelay = 10 * time.Second
	return c
}

// shell makes a command that runs a script in a folder, and whose curl asks the
// program itself, not a proxy of the machine's.
func shell(t *testing.T, dir, script string) *exec.Cmd {
	t.Helper()
	c := command(t, "bash", "-c", script)
	c.Dir, c.Env = dir, append(os.Environ(), "no_proxy=*", "NO_PROXY=*")
	return c
}

// TestReadmeTranscript pastes the transcript of the README into a shell beside
// the real program.
func TestReadmeTranscript(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "curl", "sed", "tee")
	dir := t.TempDir()
	c := startChild(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "photo.jpg"), photograph(t, 1600, 1200), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "set -e\n" + strings.Join(readmeBlocks(t, "README.md")["sh"], "\n")
	script = strings.ReplaceAll(script, "localhost:8080", c.address)
	shell := shell(t, dir, script)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 {
		t.Fatalf("answers:\n%s", out)
	}
	var got answer
	if err := json.Unmarshal([]byte(lines[2]), &got); err != nil || len(got.Errors) > 0 || got.Data.Me.Nickname != "小明" {
		t.Fatalf("me answers %s, %v", lines[2], err)
	}
	picture, err := http.Get(got.Data.Me.Avatar.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer picture.Body.Close()
	m, err := jpeg.Decode(picture.Body)
	if err != nil || m.Bounds().Dx() != 132 || m.Bounds().Dy() != 132 {
		t.Errorf("the picture is %v, %v", m, err)
	}
	c.stop()
	// Nothing that was secret stands in the log.
	secret, err := os.ReadFile(filepath.Join(dir, "data", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	var login answer
	if err := json.Unmarshal([]byte(lines[0]), &login); err != nil {
		t.Fatal(err)
	}
	tokens := login.Data.Login.Tokens
	for _, s := range []string{strings.TrimSpace(string(secret)), tokens.AccessToken, tokens.RefreshToken, "ming~", "小明"} {
		if s == "" || strings.Contains(c.log.String(), s) {
			t.Errorf("the log shows %q:\n%s", s, c.log)
		}
	}
}

// device is a client that remembers what the server has acknowledged, and what
// it has asked last without an answer.
type device struct {
	id              string
	access, refresh string
	nickname        string // acknowledged
	asked           string // perhaps in effect, perhaps not
	picture         string // acknowledged address
	pictureAsked    bool
}

// use changes things until the server goes away, and calls changed when a nickname
// is acknowledged.
func (d *device) use(c *child, n int, picture []byte, changed func()) {
	for i := 0; ; i++ {
		if d.access == "" {
			a, err := c.ask("", loginText, object{"input": object{"code": fmt.Sprintf("p%d~%d-%d", n, i, rand.Int64())}})
			if err != nil {
				return
			}
			d.id, d.access, d.refresh = a.Data.Login.User.ID, a.Data.Login.Tokens.AccessToken, a.Data.Login.Tokens.RefreshToken
		}
		switch {
		case i%5 == 4:
			a, err := c.ask("", refreshText, object{"input": object{"refreshToken": d.refresh}})
			if err != nil {
				return
			}
			if t := a.Data.RefreshSession.Tokens; t.RefreshToken != "" {
				d.access, d.refresh = t.AccessToken, t.RefreshToken
			}
		case i%7 == 3:
			d.pictureAsked = true
			a, err := c.setPicture(d.access, picture)
			if err != nil {
				return
			}
			if avatar := a.Data.UpdateProfile.User.Avatar; avatar != nil {
				d.picture, d.pictureAsked = avatar.URL, false
			}
		default:
			d.asked = fmt.Sprintf("name %d", rand.Int64())
			a, err := c.ask(d.access, updateText, object{"input": object{"nickname": d.asked}})
			if err != nil {
				return
			}
			if a.Data.UpdateProfile.User.Nickname == d.asked {
				d.nickname = d.asked
				changed()
			}
		}
	}
}

// verify finds everything again that was acknowledged.
func (d *device) verify(t *testing.T, c *child) {
	if d.access == "" {
		return
	}
	a, err := c.ask(d.access, meText, nil)
	if err != nil || a.Data.Me == nil {
		t.Errorf("a signed-in device is signed out: %v %+v", err, a.Errors)
		return
	}
	me := a.Data.Me
	if me.ID != d.id {
		t.Errorf("user %s became %s", d.id, me.ID)
	}
	if me.Nickname != d.nickname && me.Nickname != d.asked {
		t.Errorf("nickname %q, acknowledged %q, asked %q", me.Nickname, d.nickname, d.asked)
	}
	d.nickname = me.Nickname
	if me.Avatar == nil && d.picture != "" || me.Avatar != nil && path(me.Avatar.URL) != path(d.picture) && !d.pictureAsked {
		t.Errorf("picture %v, acknowledged %s", me.Avatar, d.picture)
	}
	if me.Avatar != nil {
		d.picture, d.pictureAsked = me.Avatar.URL, false
		r, err := http.Get("http://" + c.address + path(me.Avatar.URL))
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Body.Close()
		if m, err := jpeg.Decode(r.Body); err != nil || m.Bounds().Dx() != 512 {
			t.Errorf("the picture of the profile: status %d, %v", r.StatusCode, err)
		}
	}
	a, err = c.ask("", refreshText, object{"input": object{"refreshToken": d.refresh}})
	if err != nil || a.Data.RefreshSession.Tokens.RefreshToken == "" {
		t.Errorf("the refresh token of a signed-in device: %v %+v", err, a.Errors)
		return
	}
	d.access, d.refresh = a.Data.RefreshSession.Tokens.AccessToken, a.Data.RefreshSession.Tokens.RefreshToken
}

// path cuts the origin off an address: the child has another port each time.
func path(address string) string {
	_, rest, _ := strings.Cut(address, "/avatars/")
	return "/avatars/" + rest
}

// TestKillUnderLoad kills the real program with -9 under load, again and again,
// and finds every acknowledged change of every device.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	picture := photograph(t, 640, 480)
	devices := make([]*device, 16)
	for i := range devices {
		devices[i] = &device{}
	}
	changed := 0
	for round := range 4 {
		c := startChild(t, dir)
		acknowledged := make(chan struct{})
		first := sync.OnceFunc(func() { close(acknowledged) })
		var wg sync.WaitGroup
		for n, d := range devices {
			before := d.nickname
			d.verify(t, c)
			if before != "" {
				changed++
			}
			wg.Go(func() { d.use(c, n, picture, first) })
		}
		select {
		case <-acknowledged: // on a slow machine that takes a while
		case <-time.After(patience):
		}
		<-time.After(time.Duration(rand.IntN(1000)) * time.Millisecond)
		c.kill()
		wg.Wait()
		if strings.Contains(c.log.String(), "panic") {
			t.Errorf("round %d: %s", round, c.log)
		}
	}
	c := startChild(t, dir)
	for _, d := range devices {
		d.verify(t, c)
	}
	c.stop()
	if changed == 0 {
		t.Error("no device had changed anything: the test shows nothing")
	}
}
