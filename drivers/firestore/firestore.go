// Package firestore keeps records in Google Cloud Firestore (Native mode), for
// when one machine is not enough: any number of processes may share a database.
//
// # URL
//
//	firestore://PROJECT[/DATABASE]
//
// PROJECT is the project's ID, DATABASE the database's; without it "(default)".
// There are no parameters. The credentials are the usual ones of Google's
// libraries: GOOGLE_APPLICATION_CREDENTIALS, those of gcloud auth
// application-default login, or the service account of the machine; they need
// the role roles/datastore.user. With FIRESTORE_EMULATOR_HOST=HOST:PORT in the
// environment, Google's emulator is used instead, without credentials.
//
// # Promises
//
// Those of drivers.Store, across processes and machines, and:
//
// OpenStore reads once, so that what a person must put right (credentials, a
// misspelt project, rights) is told at the start; an outage is not: the store
// opens, and works when Firestore does.
//
// A Get is one RPC and a Commit is one RPC. Reads are repeated, after a pause,
// while that may help. When a Commit fails, what is stored is read to find out
// what became of it: nil, ErrConflict, and a second attempt each need proof. What
// cannot be proven is returned as an error that says that the outcome is unknown.
//
// Each RPC has a deadline (5 seconds for a read, 10 for a commit, 20 for a part of
// a scan). No error of Firestore is hidden: each says what to do.
//
// # How a record looks
//
// The kind is the collection and the ID the name of the document in it. The
// document has two or three fields, so that no name in the data can collide:
//
//	data     map        the record's data: objects are maps, arrays arrays,
//	                    integers integers; data.nickname can be queried
//	expires  timestamp  Expires; absent when the record never expires
//	commit   string     which Commit wrote it: random, the same in all that it wrote
//
// The revision is the document's update time. As each Commit writes another
// value into commit, each changes the document, and with it the update time: a
// Firestore write that changes nothing would leave it as it was.
//
// What is edited by hand is read as it is, as long as it is of this form.
//
// # Setting up
//
// Firestore deletes expired documents, within about a day, once it is told to,
// for each kind:
//
//	gcloud firestore fields ttls update expires --enable-ttl \
//		--collection-group=sessions --project=PROJECT --database=DATABASE
//
// It indexes every field of every map. That costs storage and time at every
// write, random texts most, and a record with thousands of long nested names
// could exceed what one document may have in indexes (8 MiB; Firestore then
// refuses the write). Nothing here needs those indexes, only the order of names,
// which always exists. So exempt commit, and expires (as a time-ordered index it
// would be a hot range), and data in each kind that you do not query:
//
//	gcloud firestore indexes fields update data --disable-indexes \
//		--collection-group=sessions --project=PROJECT --database=DATABASE
//
// # Limits and cost
//
// Firestore sustains about one write a second on one document, and wants IDs
// that are not in a narrow range or in the order of time when they are written
// faster than 500 a second. A Commit that meets others on its document is
// repeated for a while, and else is an error.
//
//	Get     one document read a key, also where nothing is stored
//	Commit  one write or delete an op; when it fails, also one read an op
//	Scan    one read a record, and at least one for each query; one query for 128 records
//	open    one read
package firestore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

const defaultDatabase = "(default)"

var (
	projectID  = regexp.MustCompile(`^[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	databaseID = regexp.MustCompile(`^[a-z][a-z0-9-]{2,61}[a-z0-9]$`)
)

// place is a database and how to get there.
type place struct {
	project, database string
	emulator          string // HOST:PORT; empty for Google's
}

// path is the name of the database in the API.
func (p place) path() string { return "projects/" + p.project + "/databases/" + p.database }

// OpenStore opens the store in the database that u names; a drivers.Opener.
func OpenStore(ctx context.Context, u *url.URL) (drivers.Store, error) {
	p, err := parse(u)
	if err != nil {
		return nil, err
	}
	p.emulator = os.Getenv("FIRESTORE_EMULATOR_HOST")
	s, err := open(ctx, p, usual)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// CheckURL returns what is wrong with a URL of a store. It asks nobody.
func CheckURL(u *url.URL) error {
	_, err := parse(u)
	return err
}

// parse returns the database that u names.
func parse(u *url.URL) (place, error) {
	if u.Opaque != "" || u.User != nil || u.Host == "" {
		return place{}, errors.New("firestore: want firestore://PROJECT or firestore://PROJECT/DATABASE")
	}
	if err := drivers.CheckParameters(u); err != nil {
		return place{}, err
	}
	if !projectID.MatchString(u.Host) {
		return place{}, fmt.Errorf("firestore: project %q: an ID has 6 to 30 lower-case letters, digits and hyphens (it is not the project's name or number)", u.Host)
	}
	p := place{project: u.Host, database: strings.TrimPrefix(u.Path, "/")}
	if p.database == "" {
		p.database = defaultDatabase
	}
	if p.database != defaultDatabase && !databaseID.MatchString(p.database) {
		return place{}, fmt.Errorf("firestore: database %q: an ID has 4 to 63 lower-case letters, digits and hyphens, or is %s", p.database, defaultDatabase)
	}
	return p, nil
}
