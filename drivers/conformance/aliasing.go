package conformance

import (
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func testAliasing(t tester, open func() drivers.Store) {
	s := open()
	ks := keys("things", "k", 3)
	const in = "a driver keeps no reference to what it was given"
	const out = "a driver hands out no reference to what it keeps"
	check := func(promise string) {
		t.Helper()
		for i, r := range get(t, s, ks...) {
			if numberOf(r) != i {
				t.Fatalf("%s: %v is %s", promise, r.Key, r.Data)
			}
		}
	}
	spoil := func(b []byte) {
		for i := range b {
			b[i] = 'x'
		}
	}
	for i, k := range ks {
		data := number(i)
		commit(t, s, drivers.Create(k, data, time.Time{}))
		spoil(data)
	}
	check(in + ": data changed after a Create")
	for i, r := range get(t, s, ks...) {
		data := number(i)
		commit(t, s, drivers.Replace(r, data, time.Time{}))
		spoil(data)
	}
	check(in + ": data changed after a Replace")
	found := get(t, s, ks...)
	_ = append(found[0].Data, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"...)
	if numberOf(found[1]) != 1 {
		t.Errorf("%s: appending to one record of a Get changed the next", out)
	}
	for _, r := range found {
		spoil(r.Data)
	}
	check(out + ": the result of a Get was changed")
	for r, err := range s.Scan(t.Context(), "things", "", "") {
		if err != nil {
			t.Fatalf("Scan: %v", err)
		}
		spoil(r.Data)
	}
	check(out + ": the result of a Scan was changed")
	twice := get(t, s, ks[0], ks[0])
	spoil(twice[0].Data)
	if numberOf(twice[1]) != 0 {
		t.Errorf("%s: a key that came twice shares its data", out)
	}
}
