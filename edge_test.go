package main

import (
	"net/http"
	"testing"
)

// TestEdgeSettings: what the edge tells and takes is a matter of settings.
func TestEdgeSettings(t *testing.T) {
	t.Parallel()
	production := "WECHAT_APPS=wx0123456789abcdef:0123456789abcdef0123456789abcdef"
	for _, row := range []struct {
		settings   []string
		introspect bool
		byGet      int
	}{
		{nil, true, http.StatusOK},
		{[]string{production}, false, http.StatusOK},
		{[]string{production, "MINIPROFILE_INTROSPECTION=on", "MINIPROFILE_GET_QUERIES=off"}, true, http.StatusMethodNotAllowed},
		{[]string{"MINIPROFILE_INTROSPECTION=off"}, false, http.StatusOK},
	} {
		c := startChild(t, t.TempDir(), row.settings...)
		a, err := c.ask("", `{ __schema { queryType { name } } }`, nil)
		if err != nil || (len(a.Errors) == 0) != row.introspect {
			t.Errorf("%v: introspection answers %+v, %v", row.settings, a.Errors, err)
		}
		if status := fetchStatus(t, "http://"+c.address+"/graphql?query={__typename}"); status != row.byGet {
			t.Errorf("%v: by GET %d", row.settings, status)
		}
		c.stop()
	}
}
