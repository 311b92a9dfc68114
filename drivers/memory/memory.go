// Package memory keeps records and objects in the memory of this process, for
// tests and for trying things out.
//
// # URL
//
//	memory:
//
// There is nothing to set: a path, host or parameter is an error. Each opening
// by URL is a new, empty space; a test that wants to open the same data twice,
// one after the other or at once as two replicas would, makes a Space.
//
// # Promises
//
// Those of drivers.Store and drivers.Objects but one: nothing survives the
// process. Expired records are kept until they are deleted.
package memory

import (
	"context"
	"errors"
	"net/url"

	"github.com/miniprofile/miniprofile/drivers"
)

// Space holds records and objects for as long as it is referred to. What is
// opened on it shares them; closing drops nothing. All methods may be called by
// any number of goroutines.
type Space struct {
	records records
	blobs   blobs
}

// New returns an empty space.
func New() *Space {
	return &Space{
		records: records{kinds: make(map[string]map[string]record)},
		blobs:   blobs{m: make(map[string]*blob)},
	}
}

// OpenStore opens a store on the records of the space.
func (s *Space) OpenStore() drivers.Store { return &store{records: &s.records} }

// OpenObjects opens objects on the blobs of the space.
func (s *Space) OpenObjects() drivers.Objects { return &objects{blobs: &s.blobs} }

// OpenStore opens a store on a new space; a drivers.Opener.
func OpenStore(_ context.Context, u *url.URL) (drivers.Store, error) {
	if err := CheckURL(u); err != nil {
		return nil, err
	}
	return New().OpenStore(), nil
}

// OpenObjects opens objects on a new space; a drivers.Opener.
func OpenObjects(_ context.Context, u *url.URL) (drivers.Objects, error) {
	if err := CheckURL(u); err != nil {
		return nil, err
	}
	return New().OpenObjects(), nil
}

// CheckURL returns what is wrong with a URL of a store or of objects.
func CheckURL(u *url.URL) error {
	if u.Opaque != "" || u.User != nil || u.Host != "" || u.Path != "" {
		return errors.New("memory: takes no path and no host")
	}
	return drivers.CheckParameters(u)
}
