package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

// run runs the real program to its end.
func run(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := program(t, dir, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exited := (&exec.ExitError{}); err != nil && !errors.As(err, &exited) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// program is the real program in the folder dir, without settings of the machine.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	if err := buildBinary(); err != nil {
		t.Fatal(err)
	}
	cmd := command(t, binary, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	return cmd
}

// openPlace opens the store and the objects in a folder.
func openPlace(t *testing.T, dir string) (drivers.Store, drivers.Objects, func()) {
	t.Helper()
	u := &url.URL{Scheme: "file", Path: dir}
	store, err := file.OpenStore(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := file.OpenObjects(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return store, objects, func() {
		if err := errors.Join(store.Close(), objects.Close()); err != nil {
			t.Error(err)
		}
	}
}

// populated makes a place of n users, with what belongs to them, in dir.
func populated(t *testing.T, dir string, n int) {
	t.Helper()
	store, objects, done := openPlace(t, dir)
	defer done()
	id := func(r *rand.Rand) string {
		b := make([]byte, 26)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz234567"[r.IntN(32)]
		}
		return string(b)
	}
	const writers = 64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for i := 0; i < n/writers; {
				var ops []drivers.Op
				for ; i < n/writers && len(ops)+3 <= drivers.MaxOps; i++ {
					uid := id(r)
					ops = append(ops,
						drivers.Create(drivers.Key{Kind: "users", ID: uid}, json.RawMessage(fmt.Sprintf(`{"version":%d,"nickname":"小明"}`, i)), time.Time{}),
						drivers.Create(drivers.Key{Kind: "identities", ID: id(r) + id(r)}, json.RawMessage(`{"user":"`+uid+`"}`), time.Time{}),
						drivers.Create(drivers.Key{Kind: "sessions", ID: uid + "." + id(r)}, json.RawMessage(`{"counter":1}`), time.Now().Add(720*time.Hour)))
				}
				if err := store.Commit(t.Context(), ops...); err != nil {
					t.Error(err)
					return
				}
			}
			for range 4 {
				body := strings.Repeat(id(r), 1+r.IntN(2000))
				if err := objects.Put(t.Context(), "avatars/"+id(r)+"-512.jpg", strings.NewReader(body), int64(len(body)), "image/jpeg"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// inventory tells all that lies in the place in dir but for revisions.
func inventory(t *testing.T, dir string) map[string]string {
	t.Helper()
	store, objects, done := openPlace(t, dir)
	defer done()
	all := map[string]string{}
	for _, kind := range append([]string{"copies", "probes"}, auth.Kinds...) {
		for r, err := range store.Scan(t.Context(), kind, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			var data map[string]any // a driver may order names as it likes; the numbers here are small
			if err := json.Unmarshal(r.Data, &data); err != nil {
				t.Fatal(err)
			}
			all[r.Key.String()] = fmt.Sprint(data, r.Expires)
		}
	}
	for info, err := range objects.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		o, err := objects.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(o)
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
		all["objects/"+info.Key] = o.ContentType + " " + string(body)
	}
	return all
}

// TestCopyKilled kills the real program with -9 at twenty random moments of copies
// and runs it again: the target is the source, exactly.
func TestCopyKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	populated(t, filepath.Join(dir, "from"), 12_800)
	want := inventory(t, filepath.Join(dir, "from"))
	kills, resumed := 0, 0
	var whole time.Duration // that a copy takes here: its moments lie within, on any machine
	for round := 0; kills < 20; round++ {
		to := fmt.Sprint("to", round)
		for {
			cmd := program(t, dir, "copy", "--from", "file:from", "--to", "file:"+to)
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			began := time.Now()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			killed := false
			var moment <-chan time.Time
			if whole > 0 && kills < 20 {
				moment = time.After(rand.N(whole))
			}
			select {
			case err := <-exited:
				if err != nil {
					t.Fatalf("%v\n%s", err, errs.String())
				}
			case <-moment:
				cmd.Process.Kill()
				killed = <-exited != nil
			}
			if killed {
				kills++
				continue
			}
			if strings.Contains(out.String(), "went on") {
				resumed++
			}
			if whole == 0 {
				whole = time.Since(began)
			}
			break
		}
		if got := inventory(t, filepath.Join(dir, to)); !maps.Equal(want, got) {
			t.Fatalf("round %d, after %d kills: %.2000s", round, kills, cmp.Diff(want, got))
		}
		os.RemoveAll(filepath.Join(dir, to))
	}
	t.Logf("%d kills, %d copies that went on", kills, resumed)
	if resumed == 0 {
		t.Error("no copy was gone on with: the test shows nothing")
	}
}

// TestCopyCommand: what the command says and its exit codes.
func TestCopyCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	populated(t, filepath.Join(dir, "from"), 640)
	if err := os.WriteFile(filepath.Join(dir, "from", "secret"), []byte(strings.Repeat("secret-", 6)), 0o600); err != nil {
		t.Fatal(err)
	}
	populated(t, filepath.Join(dir, "occupied"), 64)
	for _, step := range []struct {
		name     string
		args     string
		code     int
		out, err string
	}{
		{"copied", "--from file:from --to file:to", 0, "copied and verified: 1,920 records (users 640, identities 640, sessions 640), 256 objects of", "verify objects: 256"},
		{"again", "--from file:from --to file:to", 0, "all was there before; verified: 1,920 records", ""},
		{"secret", "--from file:from --to file:to", 0, "cp -p " + filepath.Join(dir, "from", "secret") + " " + filepath.Join(dir, "to", "secret"), ""},
		{"records alone", "--from file:from --to file:records --without-objects", 0, "1,920 records (users 640, identities 640, sessions 640), 0 objects", ""},
		{"objects alone", "--from-objects file:from --to-objects file:records", 0, "0 records, 256 objects", ""},
		{"occupied", "--from file:from --to file:occupied", 3, "", "the target holds other data"},
		{"occupied by objects", "--from file:from --to file:fresh --to-objects file:occupied", 3, "", "object avatars/"},
		{"missing source", "--from file:misspelt --to file:fresh", 80, "", "no such file"},
		{"no scheme", "--from nowhere:x --to file:fresh", 80, "", "--from: open nowhere:x: unknown scheme"},
		{"nothing", "--from memory: --to file:unmade --without-objects", 80, "", "the source holds nothing"},
		{"no pictures there", "--from file:from --from-objects file:misspelt --to file:unmade", 80, "", "no such file"},
		{"objects away", "--from file:from --to file:unmade --to-objects minio://127.0.0.1:1/bucket?tls=false --create-bucket", 1, "", "no credentials"},
		{"to nowhere", "--from file:from --to other:x", 80, "", "known are file, "},
		{"into memory", "--from file:from --to memory:", 80, "", "gone when the command ends"},
		{"no flags", "", 80, "", "--from and --to"},
		{"half", "--from file:from", 80, "", "belong together"},
		{"same", "--from file:from --to file:from", 80, "", "the same"},
		{"same, by another name", "--from file:from --to file:./from/", 80, "", "the same"},
		{"no path", "--from file:from --to file:", 80, "", "--to: open file:: file: needs a path"},
		{"parameter", "--from file:from?x=1 --to file:fresh", 80, "", "--from: "},
		{"no bucket", "--from file:from --to file:fresh --to-objects minio://h", 80, "", "--to-objects: open minio://h: want"},
		{"objects go nowhere", "--from file:from --to firestore://demo-test", 80, "", "--to-objects"},
		{"objects twice", "--from file:from --to file:fresh --without-objects --to-objects file:fresh", 80, "", "--without-objects"},
		{"unknown flag", "--form file:from", 80, "", "unknown flag"},
	} {
		code, out, errs := run(t, dir, append([]string{"copy"}, strings.Fields(step.args)...)...)
		if code != step.code || !strings.Contains(out, step.out) || !strings.Contains(errs, step.err) {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", step.name, code, step.code, out, errs)
		}
		if strings.Contains(out+errs, "secret-") {
			t.Errorf("%s shows the secret: %s%s", step.name, out, errs)
		}
	}
	for _, name := range []string{"misspelt", "unmade"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
	// A copy that was interrupted before its end, whose target was spoilt since:
	// nobody may serve it, and verifying finds it.
	store, _, done := openPlace(t, filepath.Join(dir, "to"))
	var last drivers.Record
	for r, err := range store.Scan(t.Context(), "users", "", "") {
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	mark := drivers.Create(drivers.Key{Kind: "copies", ID: "unfinished"}, json.RawMessage(
		`{"from":"file:from","began":"2026-11-22T09:30:00Z","holder":"a","done":{"users":640,"identities":640,"sessions":640}}`), time.Time{})
	if err := store.Commit(t.Context(), drivers.Delete(last), mark); err != nil {
		t.Fatal(err)
	}
	done()
	if code, _, errs := run(t, dir, "serve", "--store", "file:to", "--listen", "127.0.0.1:0"); code != 1 || !strings.Contains(errs, "an unfinished copy from file:from") {
		t.Errorf("serve of an unfinished copy: exit code %d\n%s", code, errs)
	}
	code, _, errs := run(t, dir, "copy", "--from", "file:from", "--to", "file:to")
	if code != 4 || !strings.Contains(errs, last.Key.String()+": missing in the target") {
		t.Errorf("a target that was spoilt: exit code %d\n%s", code, errs)
	}
}

// TestMoveLive moves a system that serves: read-only beside the copy, then from
// the new place. Who was signed in stays so and sees all that was theirs.
func TestMoveLive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	d := &device{}
	a, err := c.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil {
		t.Fatal(err)
	}
	d.id, d.access, d.refresh = a.Data.Login.User.ID, a.Data.Login.Tokens.AccessToken, a.Data.Login.Tokens.RefreshToken
	if _, err := c.ask(d.access, updateText, object{"input": object{"nickname": "小明"}}); err != nil {
		t.Fatal(err)
	}
	d.nickname = "小明"
	if a, err = c.setPicture(d.access, photograph(t, 640, 480)); err != nil {
		t.Fatal(err)
	}
	d.picture = a.Data.UpdateProfile.User.Avatar.URL
	c.stop()
	before, err := os.ReadFile(filepath.Join(dir, "data", "store.db"))
	if err != nil {
		t.Fatal(err)
	}

	c = startChild(t, dir, "MINIPROFILE_READ_ONLY=true")
	for name, call := range map[string]func() (answer, error){
		"login":  func() (answer, error) { return c.ask("", loginText, object{"input": object{"code": "new~1"}}) },
		"update": func() (answer, error) { return c.ask(d.access, updateText, object{"input": object{"nickname": "x"}}) },
		"logout": func() (answer, error) {
			return c.ask(d.access, `mutation { logout { ended } }`, nil)
		},
		"picture": func() (answer, error) { return c.setPicture(d.access, photograph(t, 64, 64)) },
	} {
		a, err := call()
		if err != nil || len(a.Errors) != 1 || a.Errors[0].Extensions["code"] != "READ_ONLY" || a.Errors[0].Extensions["retryAfter"] != 30.0 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	d.verify(t, c) // me, the picture, and a refresh
	if r, err := http.Get("http://" + c.address + "/readyz"); err != nil || r.StatusCode != 200 {
		t.Errorf("not ready: %v, %v", r, err)
	}
	code, out, errs := run(t, dir, "copy", "--from", "file:data", "--to", "file:moved")
	if code != 0 || !strings.Contains(out, "copied and verified") {
		t.Fatalf("copy beside the server: exit code %d\n%s%s", code, out, errs)
	}
	d.verify(t, c)
	c.stop()
	if after, err := os.ReadFile(filepath.Join(dir, "data", "store.db")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the source has changed, %v", err)
	}

	// As the command said.
	_, command, _ := strings.Cut(out, "cp -p ")
	paths := strings.Fields(command)
	secret, err := os.ReadFile(paths[0])
	if err == nil {
		err = os.WriteFile(paths[1], secret, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c = startChild(t, dir, "MINIPROFILE_STORE=file:moved")
	d.verify(t, c)
	if a, err := c.ask(d.access, updateText, object{"input": object{"nickname": "new"}}); err != nil || a.Data.UpdateProfile.User.Nickname != "new" {
		t.Errorf("update in the new place: %+v, %v", a, err)
	}
	c.stop()
}

// TestCopyThroughFirestore moves from files to Firestore (its double) and back
// with the real program, killed three times on the way there.
func TestCopyThroughFirestore(t *testing.T) {
	t.Parallel()
	server, err := double.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.Create("demo-test", "(default)")
	dir := t.TempDir()
	populated(t, filepath.Join(dir, "from"), 3200)
	want := inventory(t, filepath.Join(dir, "from"))
	start := func(flags string) (*exec.Cmd, *bytes.Buffer) {
		cmd := program(t, dir, append([]string{"copy"}, strings.Fields(flags)...)...)
		cmd.Env = append(cmd.Env, "FIRESTORE_EMULATOR_HOST="+server.Addr())
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &out
	}
	const there = "--from file:from --to firestore://demo-test --to-objects file:pictures"
	for kills := 0; ; kills++ {
		cmd, out := start(there)
		if kills < 3 {
			timer := time.AfterFunc(time.Duration(200+rand.IntN(400))*time.Millisecond, func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
		if err := cmd.Wait(); err == nil {
			if !strings.Contains(out.String(), "serve the target with the same MINIPROFILE_SECRET") {
				t.Errorf("nothing of the secret:\n%s", out.String())
			}
			break
		} else if cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("%v\n%s", err, out.String())
		}
	}
	cmd, out := start("--from firestore://demo-test --from-objects file:pictures --to file:back")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if got := inventory(t, filepath.Join(dir, "back")); !maps.Equal(want, got) {
		t.Errorf("%.2000s", cmp.Diff(want, got))
	}
}

// TestCopyMakesBucket: a missing bucket is made when that is asked for, and otherwise
// the target stays unmade.
func TestCopyMakesBucket(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(gofakes3.New(s3mem.New()).Server())
	t.Cleanup(s.Close)
	dir := t.TempDir()
	populated(t, filepath.Join(dir, "from"), 64)
	for _, create := range []bool{false, true} {
		cmd := program(t, dir, "copy", "--from", "file:from", "--to", "file:to", "--to-objects", "minio://"+s.Listener.Addr().String()+"/pictures?tls=false")
		cmd.Env = append(cmd.Env, "MINIO_ACCESS_KEY=a", "MINIO_SECRET_KEY=b", fmt.Sprint("MINIPROFILE_CREATE_BUCKET=", create))
		out, err := cmd.CombinedOutput()
		if (err == nil) != create || !create && !strings.Contains(string(out), "--create-bucket") {
			t.Errorf("create %v: %v\n%s", create, err, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "to")); (err == nil) != create {
			t.Errorf("create %v: the target: %v", create, err)
		}
	}
}
