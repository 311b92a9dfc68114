package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLivingWithWeChat pastes the README's section of that name into a shell
// beside the real program, its client and its sandbox.
func TestLivingWithWeChat(t *testing.T) {
	t.Parallel()
	needs(t, "bash", "curl", "sed")
	dir := t.TempDir()
	c := startChild(t, dir, "MINIPROFILE_CONTENT_CHECK=wechat")
	blocks := readmeBlocks(t, "README.md")["bash"]
	script := strings.ReplaceAll(strings.Join(blocks, "\n"), "localhost:8080", c.address)
	// A person waits for a second; on a busy machine what was pushed takes longer.
	for _, done := range []string{
		`ask '{ me { phone { number } } }' | grep -q '"phone":null'`,
		`(signin somebody wxmerchant1; ask '{ me { id } }') | grep -q '"id"'`,
	} {
		before := script
		if script = strings.Replace(script, "\nsleep 1\n", "\nuntil "+done+"; do sleep 0.1; done\n", 1); script == before {
			t.Fatalf("nobody waits for %s", done)
		}
	}
	shell := shell(t, dir, script)
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		`{"data":{"bindPhoneNumber":{"user":{"phone":{"countryCode":"86","number":"13800138000"}}}}}`,
		`{"data":{"importWeChatProfile":{"user":{"nickname":"hong"}}}}`,
		`{"data":{"me":{"consents":[{"scope":"PHONE","purpose":"delivery","policyVersion":"2026-11","grantedAt":`,
		`{"data":{"withdrawConsent":{"user":{"nickname":null}}}}`,
		`"body":"success"`,
		`{"data":{"me":{"phone":null,"audit":[{"event":"WECHAT_REVOKED","fields":["phone"]},{"event":"CONSENT_WITHDRAWN","fields":["nickname"]},`,
		`CONTENT_REJECTED`,
		`"body":"success"`,
		`"body":"success"`,
		`"otherAccounts":["`,
		`"otherAccounts":[],"identities":[{"appId":"wxmerchant1"},{"appId":"wxsandbox0000000"}]`,
		`{"data":{"me":{"export":{"exportedAt":`,
		`{"data":{"deleteAccount":{"erasedAt":`,
		`UNAUTHENTICATED`,
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d answers, want %d:\n%s\nlog:\n%s", len(lines), len(want), out, c.log)
	}
	for i, line := range lines {
		if !json.Valid([]byte(line)) || !strings.Contains(line, want[i]) {
			t.Errorf("answer %d is %s, want %s", i, line, want[i])
		}
	}
	c.stop()
	for _, secret := range []string{"13800138000", "hong~", "li~", "phone~", "delivery", "sandbox0sandbox0", "sandboxPushToken"} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, c.log)
		}
	}
}

// signIn logs a person of the sandbox in and returns the access token.
func (c *child) signIn(code string) string {
	c.t.Helper()
	a, err := c.ask("", loginText, object{"input": object{"code": code}})
	if err != nil || len(a.Errors) > 0 {
		c.t.Fatalf("login: %v %v", err, a.Errors)
	}
	return a.Data.Login.Tokens.AccessToken
}

// sandbox tells the simulated WeChat to do something, and returns what it says.
func (c *child) sandbox(what, order string) string {
	c.t.Helper()
	r, err := http.Post("http://"+c.address+"/sandbox/"+what, "application/json", strings.NewReader(order))
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		c.t.Fatalf("sandbox: %d %s, %v", r.StatusCode, body, err)
	}
	return string(body)
}

// text sends a query without variables and returns the answer as it is.
func (c *child) text(token, query string) string {
	c.t.Helper()
	body, _ := json.Marshal(object{"query": query})
	r, err := http.NewRequest("POST", "http://"+c.address+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// until asks again and again until the answer has want in it.
func (c *child) until(token, query, want string) {
	c.t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for {
		got := c.text(token, query)
		if strings.Contains(got, want) {
			return
		}
		select {
		case <-poll.C:
		case <-timeout:
			c.t.Fatalf("%s answers %s, never %s\n%s", query, got, want, c.log)
		}
	}
}

// TestWeChatThroughTheRealProgram goes through the real client and its sandbox:
// pictures get their verdicts, calls of WeChat fail and recover, forged messages
// are refused, and a deletion survives kill -9.
func TestWeChatThroughTheRealProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir, "MINIPROFILE_CONTENT_CHECK=wechat")
	picture := photograph(t, 300, 200)
	const status = `{ me { avatar { status } audit { event } } }`
	// Of one whose verdict does not come: others' may be there before we look.
	silent := c.signIn("li-silent~1")
	if a, err := c.setPicture(silent, picture); err != nil || len(a.Errors) > 0 {
		t.Fatalf("%v %v", err, a.Errors)
	}
	if got := c.text(silent, status); !strings.Contains(got, "PENDING") {
		t.Errorf("before the verdict: %s", got)
	}
	if got := c.text(silent, `mutation { deleteAccount(input: {code: "li-silent~delete"}) { erasedAt } }`); !strings.Contains(got, "erasedAt\":\"") {
		t.Fatal(got)
	}
	c.emptied(dir, patience)
	good, bad := c.signIn("ming~1"), c.signIn("hong-risky~1")
	for _, token := range []string{good, bad} {
		if a, err := c.setPicture(token, picture); err != nil || len(a.Errors) > 0 {
			t.Fatalf("%v %v", err, a.Errors)
		}
	}
	c.until(good, status, `"ACCEPTED"`)
	c.until(bad, status, `"CONTENT_REJECTED"`)
	if got := c.text(bad, status); !strings.Contains(got, `"avatar":null`) {
		t.Errorf("a picture that was rejected is there: %s", got)
	}
	// WeChat refuses the access token once: nobody notices. Its quota: the client is told.
	name := `mutation { updateProfile(input: {nickname: "%s"}) { user { nickname } } }`
	c.sandbox("fail", `{"api": "msg_sec_check", "errcode": 40001}`)
	if got := c.text(good, fmt.Sprintf(name, "one")); !strings.Contains(got, `"nickname":"one"`) {
		t.Errorf("after 40001: %s", got)
	}
	for errcode, code := range map[int]string{45009: "RATE_LIMITED", 61010: "CONTENT_REJECTED", -1: "UPSTREAM_UNAVAILABLE", 40164: "UPSTREAM_MISCONFIGURED"} {
		c.sandbox("fail", fmt.Sprintf(`{"api": "msg_sec_check", "errcode": %d}`, errcode))
		if got := c.text(good, fmt.Sprintf(name, "two")); !strings.Contains(got, code) {
			t.Errorf("after %d: %s", errcode, got)
		}
	}
	// Messages that are not WeChat's, or too old, or come twice.
	for order, want := range map[string]string{
		`"forge": "signature"`: `"status":403`, `"forge": "key"`: `"status":403`, `"forge": "appid"`: `"status":403`, `"age": 3600`: `"status":403`,
		`"times": 3, "format": "xml"`: `"body":"success"`,
	} {
		if got := c.sandbox("push", `{"event": "user_info_modified", "person": "nobody", `+order+`}`); !strings.Contains(strings.ReplaceAll(got, " ", ""), want) {
			t.Errorf("%s: %s", order, got)
		}
	}
	if got := c.sandbox("push", `{"event": "url_check"}`); !strings.Contains(strings.ReplaceAll(got, " ", ""), `"echoed":true`) {
		t.Errorf("url check: %s", got)
	}
	if storedPictures(t, dir) == 0 {
		t.Error("the accepted picture is not there")
	}
	// An acknowledged deletion is carried out, whatever happens to the process.
	if got := c.text(good, `mutation { deleteAccount(input: {code: "ming~delete"}) { erasedAt } }`); !strings.Contains(got, "erasedAt\":\"") {
		t.Fatal(got)
	}
	c.kill()
	c = startChild(t, dir, "MINIPROFILE_CONTENT_CHECK=wechat")
	if got := c.text(good, status); !strings.Contains(got, "UNAUTHENTICATED") {
		t.Errorf("after the deletion: %s", got)
	}
	// The kill may have come while the process that is no more had the job: it is
	// left alone until that lease is over, 2 minutes, and found by the next look for
	// the jobs of others, 15 seconds later at most.
	const lease, look = 2 * time.Minute, 15 * time.Second
	c.emptied(dir, lease+look+patience)
	c.stop()
	for _, secret := range []string{"ming~", "hong-risky~", "li-silent~", "sandbox0sandbox0", "sandboxPushToken", good} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, c.log)
		}
	}
}

// emptied waits until no picture is left in a store's folder.
func (c *child) emptied(dir string, within time.Duration) {
	c.t.Helper()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(within)
	for storedPictures(c.t, dir) > 0 {
		select {
		case <-poll.C:
		case <-timeout:
			c.t.Fatalf("pictures are left\n%s", c.log)
		}
	}
}

// storedPictures counts the files of pictures in a store's folder.
func storedPictures(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(dir, "data", "objects"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, ".jpg") && d.Type().IsRegular() {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we look
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOperatorsCommands merges two accounts from the command line, and counts dead jobs.
func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startChild(t, dir)
	id := func(token string) string {
		t.Helper()
		a, err := c.ask(token, meText, nil)
		if err != nil || a.Data.Me == nil {
			t.Fatalf("me: %v %v", err, a.Errors)
		}
		return a.Data.Me.ID
	}
	ming, hong := c.signIn("ming~1"), c.signIn("hong~1")
	keep, other := id(ming), id(hong)
	if a, err := c.ask(hong, updateText, object{"input": object{"nickname": "hong"}}); err != nil || len(a.Errors) > 0 {
		t.Fatalf("%v %v", err, a.Errors)
	}
	c.stop()
	run := func(want string, args ...string) {
		t.Helper()
		c := command(t, binary, args...)
		c.Dir = dir
		c.Env = []string{"HOME=" + dir}
		if out, err := c.CombinedOutput(); !strings.Contains(string(out), want) {
			t.Errorf("%v: %s, %v", args, out, err)
		}
	}
	run("0 jobs were given up", "jobs")
	run("0 jobs are due again", "jobs", "--retry")
	run("would merge "+other+" into "+keep+": takes nickname; 2 identities then", "merge", keep, other, "--dry-run")
	run("it is you who must know", "merge", keep, other, "--dry-run")
	run("merged "+other+" into "+keep, "merge", keep, other)
	run("not found", "merge", keep, other)
	c = startChild(t, dir)
	if got := id(c.signIn("hong~2")); got != keep {
		t.Errorf("hong logs in to %s, want %s", got, keep)
	}
	c.until(ming, `{ me { nickname } }`, `"hong"`)
	c.stop()
}
