package wechat

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
)

// PushKeys are what the console of an app, or of the third-party platform, shows
// beside the address that pushes go to. Without AESKey pushes come in plain text,
// with it they must be sealed. After a change of the AESKey, the one before goes
// on working as PreviousAESKey.
type PushKeys struct {
	Token          Secret // 1 to 128 visible ASCII characters
	AESKey         Secret // EncodingAESKey: 43 characters of base64
	PreviousAESKey Secret
}

// Plain reports whether pushes come in plain text.
func (k PushKeys) Plain() bool { return k.AESKey.reveal() == "" }

// ComponentConfig is the third-party platform. Its pushes are always sealed.
type ComponentConfig struct {
	AppID  string
	Secret Secret
	PushKeys
}

// ParsePush reads the setting WECHAT_PUSH: appid:token:encodingAESKey, with
// :previousEncodingAESKey while pushes sealed with that one may still come, and
// without any key for plain pushes; comma separated, with space allowed around
// each. An error names an app by its place in the list and quotes nothing.
func ParsePush(s string) (map[string]PushKeys, error) {
	apps := map[string]PushKeys{}
	for i, text := range strings.Split(s, ",") {
		parts := strings.Split(strings.TrimSpace(text), ":")
		if len(parts) < 2 || len(parts) > 4 {
			return nil, fmt.Errorf("app %d is not of the form appid:token:encodingAESKey", i+1)
		}
		appID, keys := parts[0], pushKeys(parts[1:])
		if _, ok := apps[appID]; ok {
			return nil, fmt.Errorf("app %d: its AppID is there twice", i+1)
		}
		if !auth.IsAppID(appID) {
			return nil, fmt.Errorf("app %d: %w", i+1, errAppID)
		}
		if _, err := newDoor(appID, keys); err != nil {
			return nil, fmt.Errorf("app %d: %w", i+1, err)
		}
		apps[appID] = keys
	}
	return apps, nil
}

// ParseComponent reads the setting WECHAT_COMPONENT:
// appid:secret:token:encodingAESKey, and perhaps :previousEncodingAESKey. An error
// quotes nothing.
func ParseComponent(s string) (*ComponentConfig, error) {
	parts := strings.Split(strings.TrimSpace(s), ":")
	if len(parts) < 4 || len(parts) > 5 {
		return nil, errors.New("not of the form appid:secret:token:encodingAESKey")
	}
	c := &ComponentConfig{AppID: parts[0], Secret: NewSecret(parts[1]), PushKeys: pushKeys(parts[2:])}
	if _, err := c.check(); err != nil {
		return nil, err
	}
	return c, nil
}

// pushKeys are the token and up to two keys.
func pushKeys(parts []string) PushKeys {
	var secrets [3]Secret
	for i, p := range parts {
		secrets[i] = NewSecret(p)
	}
	return PushKeys{Token: secrets[0], AESKey: secrets[1], PreviousAESKey: secrets[2]}
}

// check returns the door of the platform's pushes.
func (c *ComponentConfig) check() (*door, error) {
	if err := checkApp(c.AppID, c.Secret.reveal()); err != nil {
		return nil, err
	}
	d, err := newDoor(c.AppID, c.PushKeys)
	switch {
	case err != nil:
		return nil, err
	case len(d.keys) == 0:
		return nil, errors.New("its EncodingAESKey is missing")
	}
	d.platform = true
	return d, nil
}

// newDoor checks keys and makes the door of the pushes sealed for owner.
func newDoor(owner string, keys PushKeys) (*door, error) {
	d := &door{owner: owner, token: keys.Token}
	if t := keys.Token.reveal(); t == "" || len(t) > 128 || !auth.VisibleASCII(t) {
		return nil, errors.New("a push Token is 1 to 128 visible ASCII characters")
	}
	for i, secret := range []Secret{keys.AESKey, keys.PreviousAESKey} {
		text := secret.reveal()
		if text == "" {
			continue
		}
		if i > 0 && len(d.keys) == 0 {
			return nil, errors.New("it has a previous EncodingAESKey alone")
		}
		// 43 characters are 258 bits for a key of 256: WeChat does not always make
		// the last two zero, and the decoder, which is not strict, does not mind.
		key, err := base64.StdEncoding.DecodeString(text + "=")
		if err != nil || len(text) != 43 || len(key) != 32 {
			return nil, errors.New("an EncodingAESKey is 43 characters of base64")
		}
		d.keys = append(d.keys, NewSecret(string(key)))
	}
	return d, nil
}
