package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth/wechat"
	"github.com/miniprofile/miniprofile/auth/wechat/sandbox"
)

// weChat is WeChat's API, real or simulated.
type weChat struct {
	client  *wechat.Client
	apps    []string
	sandbox *sandbox.Sandbox // nil where WeChat is real
	plain   []string         // the apps whose pushes come in plain text
}

// simulated reports whether the sandbox takes WeChat's place: no app is configured,
// or it is asked for.
func (s *settings) simulated() bool {
	return s.Apps == "" && s.Component == "" || s.WeChatURL == "sandbox"
}

// leaveSandbox says how to get the real WeChat.
func (s *settings) leaveSandbox() string {
	if s.Apps != "" || s.Component != "" {
		return "unset WECHAT_BASE_URL"
	}
	return "set WECHAT_APPS"
}

// checkSandbox refuses what looks as if others could reach the sandbox, in which
// anyone can be anyone: it is likelier that WECHAT_APPS got lost.
func (s *settings) checkSandbox() error {
	if !s.simulated() || s.SandboxAnywhere {
		return nil
	}
	where := ""
	setting, address := s.listens()
	host, _, err := net.SplitHostPort(address)
	u, _ := url.Parse(s.PublicURL)
	switch {
	case err == nil && !loopback(host):
		where = fmt.Sprintf("on %s (%s)", address, setting)
	case s.PublicURL != "" && u != nil && u.Host != "" && !loopback(u.Hostname()):
		where = fmt.Sprintf("as %s (MINIPROFILE_PUBLIC_URL)", u.Host)
	case len(s.TrustedProxies) > 0:
		where = "behind a proxy (MINIPROFILE_TRUSTED_PROXIES)"
	case checkURL(s.Store, stores) == nil && scheme(s.Store) != "file" && scheme(s.Store) != "memory":
		where = fmt.Sprintf("on a %s: store (MINIPROFILE_STORE)", scheme(s.Store))
	default:
		return nil
	}
	return wrongs{errors.New("the sandbox, in which anyone can be anyone, does not serve " + where + ": " + s.leaveSandbox() +
		", or set MINIPROFILE_SANDBOX_ANYWHERE=true if you mean it")}
}

// weChat makes the client of WeChat's API, which opens nothing before it is asked.
// Its error is wrongs.
func (s *settings) weChat() (*weChat, error) {
	var wrong wrongs
	var err error
	config := wechat.Config{BaseURL: s.WeChatURL}
	if s.Apps != "" {
		config.Apps, err = wechat.ParseApps(s.Apps)
		wrong.add("WECHAT_APPS", err)
	} else if isSet("WECHAT_APPS") && s.Component == "" && s.WeChatURL != "sandbox" {
		wrong.add("WECHAT_APPS", errors.New("is set, but empty: unset it if you mean the sandbox"))
	}
	if s.Push != "" {
		config.Push, err = wechat.ParsePush(s.Push)
		wrong.add("WECHAT_PUSH", err)
	}
	if s.Component != "" {
		config.Component, err = wechat.ParseComponent(s.Component)
		wrong.add("WECHAT_COMPONENT", err)
	}
	if s.WeChatURL != "sandbox" {
		if _, err = wechat.ParseBaseURL(s.WeChatURL); err != nil {
			wrong.add("WECHAT_BASE_URL", fmt.Errorf("%w: want https://api.weixin.qq.com, or sandbox", err))
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	w := &weChat{}
	if s.simulated() {
		if config.Apps == nil {
			config.Apps = map[string]wechat.Secret{sandbox.AppID: {}}
		}
		simulate(&config)
		w.sandbox = sandbox.New(time.Now, slices.Sorted(maps.Keys(config.Apps))...)
		config.BaseURL, config.Transport = "", w.sandbox
	} else if err := s.checkPush(config); err != nil {
		return nil, err
	}
	w.apps = slices.Sorted(maps.Keys(config.Apps))
	for app, keys := range config.Push {
		if keys.Plain() {
			w.plain = append(w.plain, app)
		}
	}
	slices.Sort(w.plain)
	if w.client, err = wechat.New(config); err != nil {
		wrong.add("WECHAT_APPS, WECHAT_PUSH, WECHAT_COMPONENT", err)
		return nil, wrong
	}
	return w, nil
}

// checkPush refuses pushes of apps that nobody knows, and content checks whose
// verdicts would never come.
func (s *settings) checkPush(config wechat.Config) error {
	var wrong wrongs
	apps := slices.Sorted(maps.Keys(config.Apps))
	for app := range config.Push { // its name is not told: a secret may stand in its place
		if !slices.Contains(apps, app) && config.Component == nil {
			wrong.add("WECHAT_PUSH", fmt.Errorf("it names an app that WECHAT_APPS does not: those are %s", strings.Join(apps, ", ")))
			break
		}
	}
	var missing []string
	for _, app := range apps {
		if _, ok := config.Push[app]; !ok {
			missing = append(missing, "no push of "+app)
		}
	}
	if s.PublicURL == "" {
		missing = append(missing, "no public URL")
	}
	if s.ContentCheck == "wechat" && len(missing) > 0 {
		wrong.add("MINIPROFILE_CONTENT_CHECK", errors.New("wechat needs WECHAT_PUSH for each app, by which the verdicts come, and MINIPROFILE_PUBLIC_URL, from which WeChat fetches pictures: "+
			"there is "+strings.Join(missing, ", ")))
	}
	return wrong.err()
}

// plainPushes is what there is to say of pushes in plain text.
const plainPushes = "pushes of these apps come in plain text, and are believed as far as the network that they come by: choose safe mode in WeChat's console, and add the AES key to WECHAT_PUSH"

// simulate puts the sandbox's secrets in the place of the operator's own, which
// are not for it.
func simulate(config *wechat.Config) {
	config.Push = map[string]wechat.PushKeys{}
	keys := func(appID string) wechat.PushKeys {
		token, key := sandbox.PushKeys(appID)
		return wechat.PushKeys{Token: wechat.NewSecret(token), AESKey: wechat.NewSecret(key)}
	}
	for app := range config.Apps {
		config.Apps[app], config.Push[app] = wechat.NewSecret(sandbox.Secret), keys(app)
	}
	config.Component = &wechat.ComponentConfig{
		AppID: sandbox.ComponentAppID, Secret: wechat.NewSecret(sandbox.Secret), PushKeys: keys(sandbox.ComponentAppID),
	}
}
