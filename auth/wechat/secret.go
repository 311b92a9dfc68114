package wechat

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
)

// Secret holds an AppSecret, or a Token or EncodingAESKey of push. However it is
// printed, logged or encoded, by itself or inside something else, it reads
// [redacted]; only this package can look inside. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt calls no method on an unexported field: it would
	// print a string, but of a pointer inside a struct it prints the address.
	text *string
}

const redacted = "[redacted]"

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{&text} }

func (s Secret) reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// String returns [redacted].
func (Secret) String() string { return redacted }

// GoString returns [redacted].
func (Secret) GoString() string { return redacted }

// Format writes [redacted], whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted]; encoding/json uses it too.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// ParseApps reads the setting WECHAT_APPS: appid:secret, comma separated, with
// space allowed around each pair. There is at least one app, and none twice. An
// error names an app by its place in the list and quotes nothing, for what
// stands in the place of an AppID may be a secret.
func ParseApps(s string) (map[string]Secret, error) {
	apps := map[string]Secret{}
	for i, pair := range strings.Split(s, ",") {
		appID, secret, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if !ok {
			return nil, fmt.Errorf("app %d is not of the form appid:secret", i+1)
		}
		if _, ok := apps[appID]; ok {
			return nil, fmt.Errorf("app %d: its AppID is there twice", i+1)
		}
		apps[appID] = NewSecret(secret)
		if err := checkApp(appID, secret); err != nil {
			return nil, fmt.Errorf("app %d: %w", i+1, err)
		}
	}
	return apps, nil
}

func checkApp(appID, secret string) error {
	switch {
	case !auth.IsAppID(appID):
		return errAppID
	case secret == "":
		return errors.New("its AppSecret is empty")
	case !auth.VisibleASCII(secret):
		return errors.New("its AppSecret holds a space or something unprintable")
	case strings.Contains(secret, ":"):
		return errors.New("its AppSecret holds a colon: an app is appid:secret; the token and key of a push are another setting's")
	case strings.HasPrefix(secret, "wx") && !strings.HasPrefix(appID, "wx"):
		return errors.New("its AppSecret looks like an AppID: an app is appid:secret")
	}
	return nil
}

var errAppID = errors.New("an AppID is 1 to 64 of A-Z a-z 0-9 _ -")
