package drivers_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/miniprofile/miniprofile/drivers"
)

func TestConstructors(t *testing.T) {
	data := json.RawMessage(`{"a":1}`)
	old := drivers.Record{Key: thing, Revision: "7", Data: json.RawMessage(`{}`), Expires: time.Unix(9, 0)}
	given := time.Date(2030, 1, 2, 11, 4, 5, 123456789, time.FixedZone("CST", 8*3600))
	kept := time.Date(2030, 1, 2, 3, 4, 5, 123456000, time.UTC)
	for name, c := range map[string]struct{ got, want drivers.Op }{
		"create":             {drivers.Create(thing, data, given), drivers.Op{Key: thing, Data: data, Expires: kept}},
		"create for ever":    {drivers.Create(thing, data, time.Time{}), drivers.Op{Key: thing, Data: data}},
		"replace":            {drivers.Replace(old, data, given), drivers.Op{Key: thing, If: "7", Data: data, Expires: kept}},
		"replace of nothing": {drivers.Replace(drivers.Record{Key: thing}, data, time.Time{}), drivers.Op{Key: thing, Data: data}},
		"delete":             {drivers.Delete(old), drivers.Op{Key: thing, If: "7"}},
		"zero in a zone":     {drivers.Create(thing, data, time.Time{}.In(time.FixedZone("CST", 8*3600))), drivers.Op{Key: thing, Data: data}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if err := drivers.Check([]drivers.Op{c.got}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := thing.String(); got != "things/a" {
		t.Errorf("String is %q", got)
	}
	if !old.Exists() || (drivers.Record{Key: thing}).Exists() {
		t.Error("a record exists when it has a revision")
	}
}
