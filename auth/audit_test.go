package auth

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// TestTheAuditIsReadFromItsEnd: whatever the shape of an audit, the newest entries
// are shown, and what is read for them is bounded.
func TestTheAuditIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		store := &counted{t: t}
		w.wrapStore = func(s drivers.Store) drivers.Store { store.Store = s; return store }
		c := w.replica(t)
		file := func(uid string, n int, every time.Duration, last time.Time) {
			t.Helper()
			for n > 0 {
				var ops []drivers.Op
				for range min(n, drivers.MaxOps) {
					n--
					ops = append(ops, audited(uid, auditRecord{At: last.Add(-time.Duration(n) * every), Event: LoggedIn}))
				}
				if err := w.openStore().Commit(t.Context(), ops...); err != nil {
					t.Fatal(err)
				}
			}
		}
		now := c.now()
		for name, test := range map[string]struct {
			fill       func(uid string)
			calls, all int // at most
		}{
			"none":  {func(string) {}, 1, 0},
			"short": {func(uid string) { file(uid, 200, 20*time.Hour, now) }, 1, 200},
			"even":  {func(uid string) { file(uid, 700, 4*time.Hour, now) }, 8, 700},
			"one burst, long ago": {func(uid string) {
				file(uid, 600, 100*time.Millisecond, now.Add(-30*24*time.Hour))
				file(uid, 7, time.Minute, now)
			}, 40, 607},
			"bursts": {func(uid string) {
				for day := range 8 {
					file(uid, 150+day, time.Millisecond, now.Add(-time.Duration(day)*5*24*time.Hour))
				}
			}, 40, 1228},
			"of a clock ahead": {func(uid string) {
				file(uid, 300, time.Minute, now)
				file(uid, 30, time.Second, now.Add(time.Hour))
			}, 20, 330},
			"older than it lasts": {func(uid string) {
				file(uid, 250, time.Minute, now.Add(-AuditLife-time.Second))
				file(uid, 3, time.Minute, now)
			}, 1, 3},
		} {
			u := &User{ID: newID()}
			test.fill(u.ID)
			var want []time.Time
			for record, err := range w.openStore().Scan(t.Context(), kindAudit, u.ID+".", "") {
				if err != nil {
					t.Fatal(err)
				}
				if r, err := decode[auditRecord](record); err != nil || now.After(record.Expires) {
					continue
				} else {
					want = append(want, r.At)
				}
			}
			slices.Reverse(want)
			if len(want) != test.all {
				t.Fatalf("%s: %d entries", name, len(want))
			}
			store.cost = cost{}
			got, err := c.Audit(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, want[:min(len(want), MaxAudit)], func(e *AuditEntry, at time.Time) bool { return e.At.Equal(at) }) {
				t.Errorf("%s: %d entries are not the newest", name, len(got))
			}
			if store.cost.calls > test.calls || store.cost.reads > test.calls*(2*MaxAudit+1) {
				t.Errorf("%s: costs %+v", name, store.cost)
			}
			store.cost = cost{}
			text, err := c.Export(t.Context(), u)
			if err != nil {
				t.Fatal(err)
			}
			var exported struct{ Audit []struct{ At time.Time } }
			if err := json.Unmarshal(text, &exported); err != nil {
				t.Fatal(err)
			}
			if len(exported.Audit) != min(len(want), MaxExportedAudit) || len(want) > 0 && !exported.Audit[0].At.Equal(want[0]) {
				t.Errorf("%s: %d entries are exported", name, len(exported.Audit))
			}
			if store.cost.calls > test.calls+2 { // the sessions and the consents
				t.Errorf("%s: the export costs %+v", name, store.cost)
			}
		}
	})
}

// What is over is not shown, though a driver has not dropped it yet.
func TestWhatIsOverIsNotExported(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	c.mustLogin(t, "ming~1")
	w.clock.add(RefreshTokenLife)
	p := c.mustLogin(t, "ming~2")
	exported := func() (out struct{ Sessions, Audit []any }) {
		t.Helper()
		text, err := c.Export(t.Context(), p.User)
		if err != nil || json.Unmarshal(text, &out) != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := exported(); len(out.Sessions) != 1 || len(out.Audit) != 2 {
		t.Errorf("%d sessions, %d entries", len(out.Sessions), len(out.Audit))
	}
	w.clock.add(AuditLife - time.Second)
	if out := exported(); len(out.Sessions) != 0 || len(out.Audit) != 1 {
		t.Errorf("later: %d sessions, %d entries", len(out.Sessions), len(out.Audit))
	}
}
