package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestPhoneNumberOfAnOlderClient binds what the sandbox encrypts for a client, by
// the real program and its client: WeChat's own, and what was forged.
func TestPhoneNumberOfAnOlderClient(t *testing.T) {
	t.Parallel()
	c := startChild(t, t.TempDir())
	token := c.signIn("ming~1")
	bind := func(query, more, want string) {
		t.Helper()
		r, err := http.Get("http://" + c.address + "/sandbox/opendata?person=ming&phone=13800138000" + query)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var o struct{ EncryptedData, IV string }
		body, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(body, &o) != nil {
			t.Fatalf("%s, %v", body, err)
		}
		call := fmt.Sprintf(`mutation { bindPhoneNumber(input: {encryptedData: %q, iv: %q%s}) { user { phone { number } } } }`, o.EncryptedData, o.IV, more)
		if got := c.text(token, call); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	bind("&forged=1", "", `"field":"encryptedData"`)
	bind("", ", move: true", `"field":"move"`)
	bind("", "", `"number":"13800138000"`)
	bind("&stale=1", "", "UNAUTHENTICATED")
	bind("", "", "UNAUTHENTICATED") // the key is forgotten
	token = c.signIn("ming~2")
	bind("", "", `"number":"13800138000"`)
	c.stop()
}
