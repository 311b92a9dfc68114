package auth

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miniprofile/miniprofile/drivers"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestStoredForms holds every form that is stored: what was written by an older
// version must be read by every newer one.
func TestStoredForms(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 9, 30, 0, 123456000, time.UTC)
	later := at.Add(2 * time.Minute)
	uid, sid := "aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"
	golden(t, "users", userRecord{
		Version: 7, Nickname: ptr("小明 <&>"), Avatar: &avatarRecord{ID: sid, Status: AvatarAccepted}, Gender: ptr(GenderFemale),
		Birthday: ptr("2001-02-03"), Region: &Region{Country: ptr("中国"), Province: ptr("广东"), City: ptr("深圳")},
		Preferences: `{"theme":"dark","scale":1.25}`, Identities: []identityName{{"wxone", "openid-1"}, {"wxtwo", "openid-2"}},
		Created: at, Updated: later,
	})
	golden(t, "users-new", userRecord{Version: 1, Identities: []identityName{{"wxone", "openid-1"}}, Created: at, Updated: at})
	golden(t, "identities", identityRecord{
		User: uid, App: "wxone", OpenID: "openid-1", UnionID: "unionid-1", SessionKey: "0a1b2c3d.c2VhbGVk", SessionKeyAt: later, Created: at,
	})
	golden(t, "identities-logins", identityRecord{
		User: uid, App: "wxone", OpenID: "openid-1", SessionKey: "0a1b2c3d.c2VhbGVk", SessionKeyAt: later, Created: at, Logins: 20,
	})
	golden(t, "jobs-boundsessions", jobRecord{Kind: jobBoundSessions, Args: encode(ofUser{uid})})
	golden(t, "unions", unionRecord{User: uid, Created: at})
	golden(t, "sessions", sessionRecord{App: "wxone", Device: ptr("iPhone 17"), Created: at, Seen: later, Counter: 3, Key: "0a1b2c3d.c2VhbGVk"})
	golden(t, "logins-sent", codeRecord{Request: "hash", State: codeSent, Holder: sid, At: at})
	golden(t, "logins-done", codeRecord{Request: "hash", State: codeDone, Holder: sid, Session: uid + "." + sid, Created: true, At: at})
	golden(t, "logins-failed", codeRecord{State: codeFailed, Holder: sid, At: at})
	golden(t, "logins-proof", codeRecord{State: codeDone, Holder: sid, At: at})
	golden(t, "audit", auditRecord{At: at, Event: ProfileUpdated, Session: sid, Fields: []string{"nickname", "avatar"}})
	golden(t, "uploads", uploadRecord{ContentType: "image/png", Size: 9, Created: at})
	golden(t, "uploads-used", uploadRecord{ContentType: "image/png", Size: 9, Created: at, Picture: sid})
	golden(t, "sweeps", sweepRecord{at})
	golden(t, "sweeps-owner", ownerRecord{"abcdefghijklmnopqrstuvwxyz"})
	golden(t, "jobs-upload", jobRecord{Kind: jobRemoveUpload, Args: encode(removedUpload{sid})})
	golden(t, "jobs-picturemoved", jobRecord{Kind: jobPictureMoved, Args: encode(removal{uid, sid})})
	golden(t, "users-all", userRecord{
		Version: 8, Phone: &Phone{"86", "13800138000"}, Identities: []identityName{{"wxone", "openid-1"}},
		Unions: []string{"unionhash"}, Others: []string{sid}, Created: at, Updated: later,
	})
	golden(t, "users-deleted", userRecord{Version: 8, Identities: []identityName{}, Created: at, Updated: at, Deletion: &deletionRecord{At: at, Due: later}})
	golden(t, "users-erasing", userRecord{Version: 8, Identities: []identityName{}, Created: at, Updated: at, Deletion: &deletionRecord{At: at, Due: later, Erasing: true}})
	golden(t, "users-restored", userRecord{Version: 8, Identities: []identityName{}, Created: at, Updated: at, Epoch: sid})
	golden(t, "users-merged", userRecord{Version: 8, Identities: []identityName{}, Created: at, Updated: at, Merged: sid})
	golden(t, "sessions-person", sessionRecord{App: "wxone", Person: "hash", Created: at, Seen: later, Counter: 1, Key: "0a1b2c3d.c2VhbGVk"})
	golden(t, "sessions-epoch", sessionRecord{App: "wxone", Epoch: sid, Person: "hash", Created: at, Seen: later, Counter: 1, Key: "0a1b2c3d.c2VhbGVk"})
	golden(t, "logins-phone", codeRecord{Request: "hash", State: codeDone, Holder: sid, Phone: "0a1b2c3d.c2VhbGVk", At: at})
	golden(t, "phones", phoneRecord{User: uid, Created: at})
	golden(t, "consents", consentRecord{Scope: ScopePhone, Purpose: "delivery", Policy: "v1", Granted: at, Withdrawn: &later})
	golden(t, "tokens", tokenRecord{App: "wxone", Token: "0a1b2c3d.c2VhbGVk", Refresh: "0a1b2c3d.c2VhbGVk", Since: &at, Expires: &later, Renew: &at, Lease: sid, Until: &later})
	golden(t, "tokens-ticket", ticketRecord{Ticket: "0a1b2c3d.c2VhbGVk", At: &at, Asked: &later})
	golden(t, "checks", checkRecord{User: uid, Picture: sid})
	golden(t, "pushes", pushRecord{At: at})
	golden(t, "deadjobs", jobRecord{Kind: jobPush, Args: encode(sealedPush{"0a1b2c3d.c2VhbGVk"}), Attempts: 20, Failed: &later})
	golden(t, "jobs-checkpicture", jobRecord{Kind: jobCheckPicture, Args: encode(pictureCheck{uid, sid, "hash"})})
	golden(t, "jobs-eraseaccount", jobRecord{Kind: jobEraseAccount, Args: encode(ofUser{uid})})
	golden(t, "jobs", jobRecord{Kind: jobRemovePicture, Args: encode(removal{uid, sid})})
	golden(t, "jobs-leased", jobRecord{Kind: jobRemovePicture, Args: encode(removal{uid, sid}), Attempts: 2, Lease: sid, Until: &later})
}

func golden[T any](t *testing.T, name string, want T) {
	t.Helper()
	file := filepath.Join("testdata", "records", name+".json")
	if *update {
		pretty, err := json.MarshalIndent(want, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(pretty, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode[T](drivers.Record{Data: text})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	sameJSON := cmp.Transformer("JSON", func(raw json.RawMessage) (v any) { json.Unmarshal(raw, &v); return v })
	if d := cmp.Diff(want, got, sameJSON); d != "" {
		t.Errorf("%s is read differently: %s", name, d)
	}
	var stored, written any
	if json.Unmarshal(text, &stored) != nil || json.Unmarshal(encode(want), &written) != nil {
		t.Fatal("not JSON")
	}
	if d := cmp.Diff(stored, written); d != "" {
		t.Errorf("%s is written differently: %s", name, d)
	}
}

// TestIDs holds how natural keys and moments become ids: they are stored too.
func TestIDs(t *testing.T) {
	t.Parallel()
	if got, want := identityKey("wxone", "openid-1").ID, "7ghwl6liklb5ds3a2dxhisrdrs5vbtspg5x6n725nza6awiczeiq"; got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
	if hashID("ab", "c") == hashID("a", "bc") {
		t.Error("parts of a key run together")
	}
	at := time.Date(2026, 11, 22, 9, 30, 0, 123456000, time.UTC)
	id := timeID(at)
	if got, err := timeOf(id); err != nil || !got.Equal(at) {
		t.Errorf("%s is %v, %v", id, got, err)
	}
	if earlier := timeID(at.Add(-time.Microsecond)); earlier >= id {
		t.Error("ids do not sort by time")
	}
	for range 100 {
		if id := newID(); !isID(id) {
			t.Errorf("%s is no id", id)
		}
	}
	for _, bad := range []string{"", "a", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "aaaaaaaaaaaaaaaaaaaaaaaaa1", "aaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if isID(bad) {
			t.Errorf("%q passes for an id", bad)
		}
	}
}
