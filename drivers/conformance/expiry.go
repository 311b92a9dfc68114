package conformance

import (
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

func testExpiry(t tester, open func() drivers.Store) {
	s := open()
	const promise = "Expires is kept, in UTC and whole microseconds; zero means never"
	check := func(k drivers.Key, want time.Time) {
		t.Helper()
		for _, r := range append(get(t, s, k), scan(t, s, k.Kind, k.ID, "")...) {
			if !r.Expires.Equal(want) || r.Expires.IsZero() != want.IsZero() || r.Expires.Location() != time.UTC {
				t.Errorf("%s: got %v, want %v", promise, r.Expires, want)
			}
		}
	}
	zone := time.FixedZone("CST", 8*3600)
	for i, given := range []time.Time{
		{},
		time.Date(2999, 2, 3, 4, 5, 6, 123456000, time.UTC),
		time.Date(2999, 2, 3, 4, 5, 6, 1000, time.UTC),
		time.Date(2999, 2, 3, 4, 5, 6, 999999999, zone), // Create truncates
		time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Now().Add(time.Hour),
	} {
		k := keys("things", "k", i+1)[i]
		want := drivers.Create(k, number(i), given).Expires
		commit(t, s, drivers.Create(k, number(i), given))
		check(k, want)
		commit(t, s, drivers.Replace(get1(t, s, k), number(i), time.Time{}))
		check(k, time.Time{})
		commit(t, s, drivers.Replace(get1(t, s, k), number(i), given))
		check(k, want)
	}
}

// testExpired wants an expired record whole or gone, and conditions that hold
// for what Get says.
func testExpired(t tester, open func() drivers.Store) {
	s := open()
	const promise = "until a driver drops an expired record, Get and Scan return it; it drops it as a Delete would"
	for i, expires := range []time.Time{time.Unix(0, 0), time.Now().Add(-48 * time.Hour), time.Now().Add(-time.Millisecond)} {
		for j := range 3 {
			k := keys("things", "k", 3*i+j+1)[3*i+j]
			made := drivers.Create(k, number(i), expires)
			commit(t, s, made)
			r := get1(t, s, k)
			if !r.Exists() {
				if r.Data != nil || !r.Expires.IsZero() {
					t.Errorf("%s: a dropped record has data or expiry: %+v", promise, r)
				}
				commit(t, s, create(k, i))
				continue
			}
			if numberOf(r) != i || !r.Expires.Equal(made.Expires) {
				t.Errorf("%s: got %s %v, want %s %v", promise, r.Data, r.Expires, made.Data, made.Expires)
			}
			wantErr(t, promise+": Create over an expired record that Get returns", s.Commit(t.Context(), create(k, 9)), drivers.ErrConflict)
			switch j {
			case 0:
				commit(t, s, drivers.Delete(r))
			case 1:
				commit(t, s, replace(r, 7))
				if got := get1(t, s, k); numberOf(got) != 7 || !got.Expires.IsZero() {
					t.Errorf("an expired record may be replaced: got %+v", got)
				}
			case 2:
				if found := scan(t, s, "things", k.ID, ""); len(found) != 1 || found[0].Revision != r.Revision {
					t.Errorf("%s: Get returns it, Scan does not", promise)
				}
			}
		}
	}
}
