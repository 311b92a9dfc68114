// Package conformance is the suite that every driver must pass: the contracts
// of package drivers, sentence by sentence, concurrency and crashes included.
// There are no opt-outs.
//
// A driver calls it from a test in its own folder:
//
//	func TestStore(t *testing.T) {
//		conformance.TestStore(t, func(t *testing.T) func() (drivers.Store, error) {
//			dir := t.TempDir()
//			return func() (drivers.Store, error) { return openStore(dir) }
//		})
//	}
//
// Each subtest gets a place of its own and runs in parallel with the others.
// What a failure prints begins with the sentence of the contract that is broken. A
// call that never returns is one too: its trial waits a minute for it, or half of what
// go test's -timeout leaves, and then says so.
// broken_test.go shows that the suite catches what it claims to catch.
package conformance

import (
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// TestStore tests a driver's Store. place makes an empty place and returns the
// function that opens it, which is called again after Close: what was stored must
// then be there.
func TestStore(t *testing.T, place func(t *testing.T) func() (drivers.Store, error)) {
	for _, c := range storeTrials {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in(live{t}, place(t))
		})
	}
}

// TestObjects tests a driver's Objects; place is as for TestStore.
func TestObjects(t *testing.T, place func(t *testing.T) func() (drivers.Objects, error)) {
	for _, c := range objectsTrials {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.in(live{t}, place(t))
		})
	}
}

var storeTrials = []trial[drivers.Store]{
	{"Get", testGet},
	{"JSON", testJSON},
	{"Aliasing", testAliasing},
	{"Limits", testLimits},
	{"Refusals", testRefusals},
	{"Batch", testBatch},
	{"Atomicity", testAtomicity},
	{"Conflicts", testConflicts},
	{"LostUpdate", testLostUpdate},
	{"Counter", testCounter},
	{"CreateRace", testCreateRace},
	{"Strangers", testStrangers},
	{"OneMoment", testOneMoment},
	{"ReadYourWrites", testReadYourWrites},
	{"Revisions", testRevisions},
	{"RevisionsUnderChange", testRevisionsUnderChange},
	{"RevisionsNeverReturn", testRevisionsNeverReturn},
	{"Kinds", testKinds},
	{"Expiry", testExpiry},
	{"Expired", testExpired},
	{"Scan", testScan},
	{"ScanMany", testScanMany},
	{"ScanBody", testScanBody},
	{"ScanUnderChange", testScanUnderChange},
	{"ScanCancelled", testScanCancelled},
	{"StoreContexts", testStoreContexts},
	{"StoreClosed", testStoreClosed},
	{"StoreCloseRace", testStoreCloseRace},
	{"StoreReopen", testStoreReopen},
}

var objectsTrials = []trial[drivers.Objects]{
	{"PutGet", testPutGet},
	{"Sizes", testSizes},
	{"Replace", testReplace},
	{"BadReaders", testBadReaders},
	{"ObjectLimits", testObjectLimits},
	{"NotFound", testNotFound},
	{"Delete", testDelete},
	{"ETag", testETag},
	{"Seek", testSeek},
	{"ReadersDuringReplace", testReadersDuringReplace},
	{"OpenDuringReplace", testOpenDuringReplace},
	{"PutRace", testPutRace},
	{"List", testList},
	{"ListMany", testListMany},
	{"ListBody", testListBody},
	{"ListUnderChange", testListUnderChange},
	{"ObjectsContexts", testObjectsContexts},
	{"ObjectsClosed", testObjectsClosed},
	{"ObjectsCloseWaits", testObjectsCloseWaits},
	{"ObjectsCloseRace", testObjectsCloseRace},
	{"ObjectsReopen", testObjectsReopen},
}

// live is a tester that go test runs.
type live struct{ *testing.T }

// patience ends before go test does, which would not print what has failed.
func (l live) patience() time.Duration {
	patience := time.Minute
	if end, ok := l.Deadline(); ok {
		patience = min(patience, time.Until(end)/2)
	}
	return patience
}
