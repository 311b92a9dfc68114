package auth

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
	"github.com/miniprofile/miniprofile/drivers"
)

func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	var kept []string
	for i := range 5 {
		token := c.mustLogin(t, fmt.Sprintf("p%d~1", i)).Tokens.AccessToken
		u := c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
		kept = append(kept, u.Avatar.id)
	}
	for i := range 150 {
		key := fmt.Sprintf("%s%s-512.jpg", pictureFolder, newID())
		if i%2 == 0 {
			key = incomingFolder + newID()
		}
		if err := c.objects.Put(t.Context(), key, strings.NewReader("x"), 1, "image/jpeg"); err != nil {
			t.Fatal(err)
		}
	}
	// The memory driver's objects are stored now, whatever the test's clock says.
	real := &clock{t: time.Now()}
	c.now = func() time.Time { return real.now().UTC().Truncate(time.Microsecond) }
	if n, err := c.SweepPictures(t.Context()); n != 0 || err != nil {
		t.Fatalf("removed %d young objects, %v", n, err)
	}
	real.add(sweepAge + time.Minute)
	if n, err := c.sweepWhenDue(t.Context()); n != 150 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	if blobs := w.blobs(t); len(blobs) != 2*len(kept) {
		t.Errorf("blobs %v", blobs)
	}
	c.objects.Put(t.Context(), incomingFolder+newID(), strings.NewReader("x"), 1, "image/jpeg")
	real.add(sweepEvery - time.Minute)
	if n, err := w.replica(t).sweepWhenDue(t.Context()); n != 0 || err != nil {
		t.Errorf("a second sweep in a day removed %d, %v", n, err)
	}
}

// orphan stores the objects of a picture and returns its id.
func (w *world) orphan(t testing.TB) (id string) {
	t.Helper()
	id = newID()
	for _, size := range []AvatarSize{AvatarSmall, AvatarLarge} {
		if err := w.openObjects().Put(t.Context(), pictureFolder+pictureName(id, size), strings.NewReader("x"), 1, "image/jpeg"); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// dress makes a picture a user's, in one commit with ops.
func (w *world) dress(t testing.TB, uid, picture string, ops ...drivers.Op) {
	t.Helper()
	for _, record := range w.records(t, kindUsers) {
		if record.Key != userKey(uid) {
			continue
		}
		user, err := decode[userRecord](record)
		if err != nil {
			t.Fatal(err)
		}
		user.Avatar = &avatarRecord{ID: picture, Status: AvatarAccepted}
		if err := w.openStore().Commit(t.Context(), append(ops, drivers.Replace(record, encode(user), time.Time{}))...); err != nil {
			t.Fatal(err)
		}
	}
}

// interrupted is a store and objects whose scans and lists can be interrupted: before
// they begin, and after each record or object, of which they read one at a time.
type interrupted struct {
	drivers.Store
	drivers.Objects
	then   func(moment int) // called at each moment, from 1
	moment int
}

func (i *interrupted) moments() {
	i.moment++
	i.then(i.moment)
}

func (i *interrupted) Close() error { return nil }

type interruptedStore struct{ *interrupted }

func (s interruptedStore) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	return s.Store.Get(ctx, keys...)
}

func (s interruptedStore) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		s.moments()
		for more := true; more; {
			more = false
			for record, err := range s.Store.Scan(ctx, kind, prefix, after) {
				if !yield(record, err) {
					return
				}
				after, more = record.Key.ID, true
				break
			}
			s.moments()
		}
	}
}

type interruptedObjects struct{ *interrupted }

func (o interruptedObjects) Get(ctx context.Context, key string) (drivers.Object, error) {
	return o.Objects.Get(ctx, key)
}

// List yields what is there when it begins. The clock of these objects stands still.
func (o interruptedObjects) List(ctx context.Context, prefix, after string) iter.Seq2[drivers.ObjectInfo, error] {
	return func(yield func(drivers.ObjectInfo, error) bool) {
		o.moments()
		for info, err := range o.Objects.List(ctx, prefix, after) {
			info.Modified = time.Unix(0, 0)
			if !yield(info, err) {
				return
			}
			o.moments()
		}
	}
}

// TestSweepBesideOthers interrupts a sweep twice, at any two moments: another
// replica stores a picture and then names it; or a user gets a picture and is then
// merged into another, whom a scan may have passed. No clock helps: the objects
// seem to be years old. No picture in use is lost, and what nobody names goes.
func TestSweepBesideOthers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, w *world, small, large string) (first, second func()){
		"a stored picture is named": func(t *testing.T, w *world, small, _ string) (first, second func()) {
			c := w.replica(t)
			var p *storedPicture
			first = func() {
				var err error
				if p, err = c.putPicture(t.Context(), small, avatar.Pictures{Large: []byte("x"), Small: []byte("x")}); err != nil {
					t.Fatal(err)
				}
			}
			second = func() {
				op, err := c.keep(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				w.dress(t, small, p.id, op)
			}
			return first, second
		},
		"accounts are merged": func(t *testing.T, w *world, small, large string) (first, second func()) {
			c := w.replica(t)
			first = func() { w.dress(t, large, w.orphan(t)) }
			second = func() {
				if _, err := c.MergeAccounts(t.Context(), small, large, false); err != nil {
					t.Error(err)
				}
				c.runJobs(t)
			}
			return first, second
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Up to 4 the sweep reads the users for the first time, or has not begun.
			for begin := 0; begin <= 4; begin++ {
				end := begin
				for reached := end; reached >= end; end++ {
					w := newWorld()
					c := w.replica(t)
					ids := []string{c.mustLogin(t, "ming~1").User.ID, c.mustLogin(t, "hong~1").User.ID}
					slices.Sort(ids)
					w.orphan(t)
					first, second := change(t, w, ids[0], ids[1])
					i := &interrupted{Store: w.openStore(), Objects: w.openObjects(), then: func(moment int) {
						if moment == begin {
							first()
						}
						if moment == end {
							second()
						}
					}}
					w.wrapStore = func(drivers.Store) drivers.Store { return interruptedStore{i} }
					w.wrapObjects = func(drivers.Objects) drivers.Objects { return interruptedObjects{i} }
					sweeper := w.replica(t)
					i.then(0)
					if _, err := sweeper.SweepPictures(t.Context()); err != nil {
						t.Fatalf("moments %d and %d: %v", begin, end, err)
					}
					if reached = i.moment; reached < end {
						second()
					}
					var want []string
					for _, record := range w.records(t, kindUsers) {
						if user, _ := decode[userRecord](record); user.Avatar != nil {
							want = append(want, pictureFolder+pictureName(user.Avatar.ID, AvatarSmall), pictureFolder+pictureName(user.Avatar.ID, AvatarLarge))
						}
					}
					if got := w.blobs(t); !slices.Equal(got, want) || len(want) != 2 {
						t.Errorf("moments %d and %d: there are %v, the profiles name %v", begin, end, got, want)
					}
				}
			}
		})
	}
}

// A server that is pointed at another store beside the objects of a first one
// removes nothing, and says so; the first goes on, and so does a copy of it.
func TestSweepOfAnothersObjects(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ada~1").Tokens.AccessToken
	c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 40)))})
	w.orphan(t)
	later := func() time.Time { return time.Now().Add(2 * sweepAge).UTC().Truncate(time.Microsecond) }
	c.now = later
	if n, err := c.SweepPictures(t.Context()); n != 2 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	before := w.blobs(t)
	other := newWorld()
	other.objects = w.openObjects()
	stranger := other.replica(t)
	stranger.now = later
	for range 2 {
		if n, err := stranger.SweepPictures(t.Context()); n != 0 || !errors.Is(err, errForeignObjects) {
			t.Errorf("removed %d of another store's, %v", n, err)
		}
	}
	if after := w.blobs(t); !slices.Equal(before, after) {
		t.Errorf("%v is left of %v", after, before)
	}
	w.orphan(t)
	again := w.replica(t)
	again.now = later
	if n, err := again.SweepPictures(t.Context()); n != 2 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
}
