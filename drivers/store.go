package drivers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Limits of a Store. They are the least of what the stores we know can hold, so
// that data can move from any driver to any other.
const (
	MaxOps  = 16       // ops in one Commit; an account's login touches seven records
	MaxKeys = 100      // keys in one Get
	MaxData = 64 << 10 // bytes of one record's JSON; far below Firestore's 1 MiB, so a batch stays below its 10 MiB
	// MaxDepth is how deep objects and arrays may lie within one another, the
	// record's own braces counted. Firestore allows 20.
	MaxDepth = 16
	// MaxInteger is the largest magnitude of a number: what JavaScript, and so
	// every reader of JSON, holds exactly.
	MaxInteger = 1<<53 - 1
	MaxName    = 200 // bytes of one field name; Firestore allows 1500
	// MaxPaths bounds the names above each value, added up for all values: in an
	// index each value stands with its whole path, and Firestore allows 8 MiB of
	// index entries a document. A record of any sense has a few hundred bytes.
	MaxPaths = 512 << 10
)

// Sentinels of a Store. Compare with errors.Is.
var (
	// ErrConflict: some op's If did not hold. Nothing was written. Not a fault:
	// read again, compute again, commit again.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the call breaks the contract, a bug in the caller. Nothing was
	// read or written, and repeating the call cannot help.
	ErrInvalid = errors.New("invalid")
	// ErrClosed: Close had begun before the call, which did nothing.
	ErrClosed = errors.New("closed")
)

// BusyError is an error of a driver whose service asked to be left alone for a
// while. The driver does not wait that long; its caller may. Find it with errors.As.
type BusyError struct {
	After time.Duration // counted from when the error was returned
	Err   error
}

func (e *BusyError) Error() string { return fmt.Sprintf("%v; try again in %v", e.Err, e.After) }

func (e *BusyError) Unwrap() error { return e.Err }

// Store keeps JSON documents, called records, and changes them only
// conditionally. All methods may be called by any number of goroutines, and by
// any number of processes where the driver's package comment says so.
//
// Consistency: the store is linearizable per record, and a Commit is
// serializable with every other Commit and every Get. Whoever got nil from
// Commit, here or on another replica, and then calls Get, sees that commit.
//
// Durability: a Commit that returned nil survives a crash of the process and
// of the machine, unless the driver's package comment says that nothing does.
//
// Aliasing: a driver keeps no reference to what it was given and hands out no
// reference to what it keeps. A caller may change Data in place, before and after.
//
// Contexts: a call whose context has ended before it began returns the
// context's error and does nothing. A context that ends later may stop the
// call, with the same promise as any other error.
//
// Errors: ErrConflict, ErrInvalid and ErrClosed (wrapped) promise that nothing
// was written. After any other error of Commit the outcome is unknown, all or
// nothing but never a part: read to find out.
type Store interface {
	// Get returns the records of keys, in their order, as they all stood at one
	// moment; a Record with its Key and no Revision where nothing is stored,
	// which is no error. No keys is no error. A key may come twice.
	Get(ctx context.Context, keys ...Key) ([]Record, error)

	// Commit carries out all ops, or none. Ops on different keys do not conflict
	// with one another, whoever commits them, however close they lie. Ops of one
	// Commit have distinct keys.
	Commit(ctx context.Context, ops ...Op) error

	// Scan yields the records of kind whose ID begins with prefix and is greater
	// than after ("" for all), in the byte order of their IDs. Each record is
	// whole and stood in the store at some moment of the scan, but not all at the
	// same one: a record that is there all the while is yielded exactly once; one
	// that comes, goes or changes meanwhile may be yielded as it was before or
	// after, or not. The body of the loop may call any method of the store, Close too:
	// that does not wait for the loop. An error is yielded once, with the zero Record,
	// and ends the scan. To go on after an interruption, pass the last ID seen as after.
	Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[Record, error]

	// Close waits for the calls under way and releases what the store holds. Calls
	// that begin after it has begun return ErrClosed, at once: they do not wait for
	// what Close waits for. Closing twice is no error.
	Close() error
}

// Key names a record. Kind is [a-z]{1,32}; ID is [a-z0-9][a-z0-9.]{0,119}: so
// no driver ever has to escape anything, and no path can be smuggled in.
type Key struct{ Kind, ID string }

// String gives Kind and ID with a slash between: for errors and tests.
func (k Key) String() string { return k.Kind + "/" + k.ID }

// Revision names one state of one record. Equal revisions of a key promise
// equal data and expiry, nothing more: they have no order and no meaning
// outside the store that gave them, and a write of the same data may or may not
// give a new one. The empty Revision means that nothing is stored.
type Revision string

// Record is what a store keeps under a key.
type Record struct {
	Key      Key
	Revision Revision
	// Data is one JSON object. A driver may keep it in its engine's own form and
	// gives back equal JSON: the same names and values, not the same bytes.
	Data json.RawMessage
	// Expires is the moment, in UTC and whole microseconds, after which a driver
	// may drop the record; zero means never. A driver may take its time (Firestore:
	// days). Until it has, Get and Scan return the record and the caller judges.
	// A driver that drops a record drops it as a Delete would.
	Expires time.Time
}

// Exists reports whether the record is stored.
func (r Record) Exists() bool { return r.Revision != "" }

// Op is one conditional write. It says what the writer believes is stored (If),
// so a lost update cannot be written down. Make it with Create, Replace or Delete.
type Op struct {
	Key     Key
	If      Revision        // what must be stored now; "" means nothing
	Data    json.RawMessage // what to store; nil deletes
	Expires time.Time       // see Record; zero means never
}

// Create writes a record where nothing is stored.
func Create(key Key, data json.RawMessage, expires time.Time) Op {
	return Op{Key: key, Data: data, Expires: moment(expires)}
}

// Replace writes data over a record as it was read. Where the record did not
// exist, it creates.
func Replace(old Record, data json.RawMessage, expires time.Time) Op {
	return Op{Key: old.Key, If: old.Revision, Data: data, Expires: moment(expires)}
}

// Delete removes a record as it was read.
func Delete(old Record) Op { return Op{Key: old.Key, If: old.Revision} }

// moment gives t the precision and zone that every driver can keep.
func moment(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}
