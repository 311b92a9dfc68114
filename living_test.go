package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
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
	shell := exec.Command("bash", "-c", script)
	shell.Dir = dir
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
