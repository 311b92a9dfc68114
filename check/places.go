package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/migrate"
)

// Kind is the kind of the records that Store writes and deletes again. One that a
// crash leaves behind expires.
const Kind = "probes"

// Store writes a record, conditionally, reads it, and deletes it. do is what to do where
// the store cannot.
func Store(ctx context.Context, s drivers.Store, do string) Report {
	key := drivers.Key{Kind: Kind, ID: strings.ToLower(rand.Text())}
	expires := time.Now().Add(time.Hour)
	first, second := json.RawMessage(`{"probe":1}`), json.RawMessage(`{"probe":2}`)
	get := func(want json.RawMessage) (drivers.Record, error) {
		found, err := s.Get(ctx, key)
		switch {
		case err != nil:
			return drivers.Record{}, err
		case !found[0].Exists() && want == nil:
			return found[0], nil
		case !found[0].Exists(), !bytes.Equal(compact(found[0].Data), want):
			return drivers.Record{}, unfaithful("it does not give back what was written")
		}
		return found[0], nil
	}
	var record drivers.Record
	steps := []step{
		{"store: write", "a new record", func() error { return s.Commit(ctx, drivers.Create(key, first, expires)) }},
		{"store: read", "as it was written", func() (err error) { record, err = get(first); return err }},
		{"store: replace", "under a condition", func() error { return s.Commit(ctx, drivers.Replace(record, second, expires)) }},
		{"store: conflict", "an outdated write is refused", func() error {
			switch err := s.Commit(ctx, drivers.Replace(record, first, expires)); {
			case errors.Is(err, drivers.ErrConflict):
				return nil
			case err != nil:
				return err
			}
			return unfaithful("it accepts an outdated write: accounts would be lost on it")
		}},
		{"store: delete", "and it is gone", func() error {
			record, err := get(second)
			if err == nil {
				err = s.Commit(ctx, drivers.Delete(record))
			}
			if err == nil {
				_, err = get(nil)
			}
			return err
		}},
		{"store: complete", "no copy into it is unfinished", func() error { return migrate.Unfinished(ctx, s) }},
	}
	return try(do, steps)
}

// Objects puts an object, reads it, and deletes it. do is what to do where it cannot.
func Objects(ctx context.Context, o drivers.Objects, do string) Report {
	key := "probes/" + strings.ToLower(rand.Text())
	body := []byte(rand.Text())
	return try(do, []step{
		{"objects: put", fmt.Sprintf("%d bytes", len(body)), func() error {
			return o.Put(ctx, key, bytes.NewReader(body), int64(len(body)), "text/plain")
		}},
		{"objects: get", "as it was put", func() error {
			object, err := o.Get(ctx, key)
			if err != nil {
				return err
			}
			defer object.Close()
			got, err := io.ReadAll(object)
			if err == nil && !bytes.Equal(got, body) {
				return unfaithful("it does not give back what was put")
			}
			return err
		}},
		{"objects: delete", "and it is gone", func() error {
			if err := o.Delete(ctx, key); err != nil {
				return err
			}
			object, err := o.Get(ctx, key)
			if err == nil {
				return errors.Join(unfaithful("it is still there"), object.Close())
			}
			if !errors.Is(err, drivers.ErrNotFound) {
				return err
			}
			return nil
		}},
	})
}

// step is one thing to try.
type step struct {
	name, detail string
	f            func() error
}

// unfaithful is what a place does that it must not.
type unfaithful string

func (u unfaithful) Error() string { return string(u) }

// try takes steps until one fails.
func try(do string, steps []step) (r Report) {
	advise := func(err error) string {
		switch {
		case errors.As(err, new(unfaithful)):
			return "serve from another place: what is kept here is not safe"
		case errors.Is(err, migrate.ErrUnfinished):
			return "run the same miniprofile copy again, which goes on where it was, or name another store"
		}
		return do
	}
	for _, step := range steps {
		r = append(r, timed(step.name, step.detail, advise, step.f))
		if r.Failed() {
			break
		}
	}
	return r
}

// compact takes the white space out of JSON.
func compact(data []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}
