package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNotShown(t *testing.T) {
	t.Parallel()
	secret := NewSecret(testSecret)
	config := Config{Apps: map[string]Secret{testApp: secret}}
	for _, v := range []any{secret, &secret, config, &config, []Secret{secret}, struct{ hidden Secret }{secret}, struct{ Shown Secret }{secret},
		struct{ hidden any }{&secret}, newClient(t, "", 0)} {
		checkSilent(t, v)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		checkSilent(t, log.String())
	}
	if got := fmt.Sprintf("%v %s %d %#v", secret, secret, secret, secret); strings.Count(got, redacted) != 4 {
		t.Errorf("got %q", got)
	}
	if got, err := json.Marshal(config.Apps); err != nil || string(got) != `{"`+testApp+`":"[redacted]"}` {
		t.Errorf("got %s, %v", got, err)
	}
	if secret.reveal() != testSecret || secret.String() != redacted || secret.GoString() != redacted || (Secret{}).reveal() != "" {
		t.Error("wrong contents")
	}
}

func TestParseApps(t *testing.T) {
	t.Parallel()
	got, err := ParseApps(" wx1:" + testSecret + ", wx_2-B:bc\n")
	if err != nil || len(got) != 2 || got["wx1"].reveal() != testSecret || got["wx_2-B"].reveal() != "bc" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", ",", "wx1", "wx1:", ":" + testSecret, testSecret, "wx1:" + testSecret + ",", "wx1:" + testSecret + ",wx1:b",
		"wx 1:" + testSecret, strings.Repeat("w", 65) + ":" + testSecret, "wx1:" + testSecret + " x", "wx1:" + testSecret + "\x00", "wxö:" + testSecret,
		testSecret + ".:wx1", "wx1:a-token-of-a-push:" + testSecret, testSecret + ":wx1"} {
		if got, err := ParseApps(s); err == nil {
			t.Errorf("%q gives %v", s, got)
		} else {
			checkSilent(t, err)
		}
	}
}
