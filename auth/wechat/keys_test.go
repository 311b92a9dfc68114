package wechat

import (
	"strings"
	"testing"
)

func TestParsePush(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("b", 42) + "9"
	got, err := ParsePush(" wx1:tok:" + testAESKey + ", wx2:t-2:" + testAESKey + ":" + other + " ,wx3:t3,wx4:t4:\n")
	if err != nil || len(got) != 4 || got["wx1"].Token.reveal() != "tok" || got["wx1"].AESKey.reveal() != testAESKey || got["wx1"].PreviousAESKey.reveal() != "" ||
		got["wx2"].PreviousAESKey.reveal() != other || got["wx3"].AESKey.reveal() != "" || got["wx4"].Token.reveal() != "t4" {
		t.Errorf("got %v, %v", got, err)
	}
	checkSilent(t, got)
	for _, s := range []string{"", ",", "wx1", "wx1:", testSecret, testSecret + ":", "wx1:t:" + testSecret, "wx1:t:" + testAESKey + "A", "wx1:t:" + testAESKey[1:],
		"wx1:t:" + testAESKey[2:] + "==", "wx1:t::" + testAESKey, "wx1:t:" + testAESKey + ":" + testSecret, "wx1:t:" + testAESKey + ":" + testAESKey + ":x",
		"wx1:t:" + testAESKey + ",wx1:t:" + testAESKey, "w x:t", "wx1: " + testSecret, "wx1:" + strings.Repeat(testSecret, 5), ":t:" + testAESKey,
		"wx1:t:" + testAESKey[:40] + "\n" + "AA"} {
		if got, err := ParsePush(s); err == nil {
			t.Errorf("%q gives %v", s, got)
		} else {
			checkSilent(t, err)
		}
	}
}

func TestParseComponent(t *testing.T) {
	t.Parallel()
	got, err := ParseComponent(" wxc:" + testSecret + ":tok:" + testAESKey + "\n")
	if err != nil || got.AppID != "wxc" || got.Secret.reveal() != testSecret || got.Token.reveal() != "tok" || got.AESKey.reveal() != testAESKey {
		t.Errorf("got %v, %v", got, err)
	}
	checkSilent(t, got)
	checkSilent(t, *got)
	if got, err := ParseComponent("wxc:s:tok:" + testAESKey + ":" + testAESKey); err != nil || got.PreviousAESKey.reveal() != testAESKey {
		t.Errorf("got %v, %v", got, err)
	}
	for _, s := range []string{"", "wxc", "wxc:" + testSecret, "wxc:" + testSecret + ":tok", "wxc:" + testSecret + ":tok:", "wxc::tok:" + testAESKey,
		":" + testSecret + ":tok:" + testAESKey, "wxc:" + testSecret + "::" + testAESKey, "wxc:" + testSecret + ":tok:" + testSecret,
		"wxc:" + testSecret + ":tok::" + testAESKey, "wxc:s:tok:" + testAESKey + ":" + testAESKey + ":" + testSecret} {
		if got, err := ParseComponent(s); err == nil {
			t.Errorf("%q gives %v", s, got)
		} else {
			checkSilent(t, err)
		}
	}
}

func TestNewRefusesKeys(t *testing.T) {
	t.Parallel()
	apps := map[string]Secret{testApp: NewSecret(testSecret)}
	good := PushKeys{Token: NewSecret("t"), AESKey: NewSecret(testAESKey)}
	component := &ComponentConfig{AppID: "wxc", Secret: NewSecret(testSecret), PushKeys: good}
	for name, config := range map[string]Config{
		"bad AppID":         {Apps: apps, Push: map[string]PushKeys{testSecret + " ": good}},
		"no token":          {Apps: apps, Push: map[string]PushKeys{"wx1": {AESKey: good.AESKey}}},
		"bad key":           {Apps: apps, Push: map[string]PushKeys{"wx1": {Token: good.Token, AESKey: NewSecret(testSecret)}}},
		"component unnamed": {Apps: apps, Component: &ComponentConfig{Secret: NewSecret(testSecret), PushKeys: good}},
		"component bare":    {Apps: apps, Component: &ComponentConfig{AppID: "wxc", Secret: NewSecret(testSecret), PushKeys: PushKeys{Token: good.Token}}},
		"component twice":   {Apps: apps, Component: component, Push: map[string]PushKeys{"wxc": good}},
		"only push":         {Push: map[string]PushKeys{"wx1": good}},
	} {
		if _, err := New(config); err == nil {
			t.Errorf("%s: accepted", name)
		} else {
			checkSilent(t, err)
		}
	}
	c, err := New(Config{Component: component, Push: map[string]PushKeys{"wx1": good}})
	if err != nil {
		t.Error(err)
	}
	checkSilent(t, c)
}
