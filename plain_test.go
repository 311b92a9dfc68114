package main

import (
	"strings"
	"testing"
)

// TestPlainPushesAreWarnedOf: whoever configures a push without its key reads what
// that means, for this app and not for one with a key.
func TestPlainPushesAreWarnedOf(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A", 43)
	c := startChild(t, t.TempDir(), "WECHAT_APPS=wxplain:secret,wxsealed:secret", "WECHAT_PUSH=wxplain:pushtoken,wxsealed:pushtoken:"+key)
	c.stop()
	log := c.log.String()
	if strings.Count(log, "in plain text") != 1 || !strings.Contains(log, `"apps":["wxplain"]`) || strings.Contains(log, "pushtoken") {
		t.Errorf("the log is\n%s", log)
	}
}
