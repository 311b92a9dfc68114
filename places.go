package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/breaker"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/drivers/firestore"
	"github.com/miniprofile/miniprofile/drivers/memory"
	"github.com/miniprofile/miniprofile/drivers/minio"
	"github.com/miniprofile/miniprofile/migrate"
)

// The drivers, by the scheme of their URLs: those that have stores, and those that
// have objects. One line in each that a driver has is all that it takes to serve it.
var (
	stores = schemes[drivers.Store]{
		"file":      {open: file.OpenStore, existing: file.OpenExistingStore, reading: file.OpenStoreForReading, checkURL: file.CheckURL},
		"firestore": {open: firestore.OpenStore, checkURL: firestore.CheckURL},
		"memory":    {open: memory.OpenStore, checkURL: memory.CheckURL},
	}
	objects = schemes[drivers.Objects]{
		"file":   {open: file.OpenObjects, existing: file.OpenExistingObjects, reading: file.OpenObjectsForReading, checkURL: file.CheckURL},
		"memory": {open: memory.OpenObjects, checkURL: memory.CheckURL},
		"minio":  {open: minio.OpenObjects, making: minio.CreateObjects, checkURL: minio.CheckURL},
	}
)

// schemes are drivers of stores, or of objects, by the scheme of their URLs.
type schemes[T any] map[string]driver[T]

// driver is what a driver has: open, and what else it has use for. Where another
// opener is nil, open takes its place; where checkURL is nil, every URL is right
// until it is opened.
type driver[T any] struct {
	open drivers.Opener[T]
	// existing makes nothing that is missing: in a wrong folder, an empty store would
	// look as if all were well.
	existing drivers.Opener[T]
	// reading is for reading alone: others may then read too, and nothing is made.
	reading drivers.Opener[T]
	// making makes what open wants to be there: a bucket.
	making drivers.Opener[T]
	// checkURL tells what is wrong with a URL, without opening or making anything.
	checkURL func(*url.URL) error
}

func (s schemes[T]) usual() map[string]drivers.Opener[T] {
	return s.openers(func(d driver[T]) drivers.Opener[T] { return d.open })
}

func (s schemes[T]) existing() map[string]drivers.Opener[T] {
	return s.openers(func(d driver[T]) drivers.Opener[T] { return d.existing })
}

func (s schemes[T]) reading() map[string]drivers.Opener[T] {
	return s.openers(func(d driver[T]) drivers.Opener[T] { return d.reading })
}

func (s schemes[T]) making() map[string]drivers.Opener[T] {
	return s.openers(func(d driver[T]) drivers.Opener[T] { return d.making })
}

func (s schemes[T]) openers(of func(driver[T]) drivers.Opener[T]) map[string]drivers.Opener[T] {
	openers := map[string]drivers.Opener[T]{}
	for scheme, d := range s {
		if openers[scheme] = of(d); openers[scheme] == nil {
			openers[scheme] = d.open
		}
	}
	return openers
}

// places are where everything lies, open.
type places struct {
	store   drivers.Store
	objects drivers.Objects
	secrets []string
}

// open opens the places by the openers of their schemes. A store that a copy has
// not filled is an error.
func (s *settings) open(ctx context.Context, stores map[string]drivers.Opener[drivers.Store], objects map[string]drivers.Opener[drivers.Objects]) (p *places, err error) {
	p = &places{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.store, err = s.openStore(ctx, stores); err != nil {
		return p, err
	}
	if err = migrate.Unfinished(ctx, p.store); err != nil {
		return p, fmt.Errorf("%s: %w", drivers.Redact(s.Store), err)
	}
	if p.objects, err = s.openObjects(ctx, objects); err != nil {
		return p, err
	}
	if p.secrets, _, err = s.secrets(ctx, p.store); err == nil && p.secrets == nil {
		p.secrets, err = s.makeSecret()
	}
	return p, err
}

// Close closes the places.
func (p *places) Close() (err error) {
	if p.objects != nil {
		err = p.objects.Close()
	}
	if p.store != nil {
		err = errors.Join(err, p.store.Close())
	}
	return err
}

// openStore opens the store.
func (s *settings) openStore(ctx context.Context, openers map[string]drivers.Opener[drivers.Store]) (drivers.Store, error) {
	store, err := drivers.Open(ctx, s.Store, openers)
	return store, inUse(err)
}

// inUse says what to do about a store that another process has open.
func inUse(err error) error {
	if errors.Is(err, file.ErrInUse) {
		return fmt.Errorf("%w: a file: store is one process's, so stop the other first", err)
	}
	return err
}

// openObjects opens the objects, behind a breaker: some lie behind a network.
func (s *settings) openObjects(ctx context.Context, openers map[string]drivers.Opener[drivers.Objects]) (drivers.Objects, error) {
	o, err := drivers.Open(ctx, s.objects(), openers)
	if err != nil {
		return nil, err
	}
	return breaker.Objects(o), nil
}

// objects is the URL of the objects: the store's, where it can hold objects too.
func (s *settings) objects() string { return cmp.Or(s.Objects, s.Store) }

// checkPlaces refuses URLs that no driver takes.
func (s *settings) checkPlaces() error {
	var wrong wrongs
	err := checkURL(s.Store, stores)
	wrong.add("MINIPROFILE_STORE", err)
	switch _, holds := objects[scheme(s.Store)]; {
	case s.Objects != "":
		wrong.add("MINIPROFILE_OBJECTS", checkURL(s.Objects, objects))
	case err == nil && !holds:
		wrong.add("MINIPROFILE_OBJECTS", fmt.Errorf("is needed: %s: holds no pictures", scheme(s.Store)))
	}
	if at := scheme(s.objects()); s.AvatarURL != "" && (at == "file" || at == "memory") {
		wrong.add("MINIPROFILE_AVATAR_URL", fmt.Errorf("pictures in %s are read through this server alone: unset it", drivers.Redact(s.objects())))
	}
	return wrong.err()
}

// checkURL returns an error when rawURL is none that one of these drivers takes.
func checkURL[T any](rawURL string, known schemes[T]) error {
	dry := map[string]drivers.Opener[struct{}]{}
	for scheme, d := range known {
		dry[scheme] = func(_ context.Context, u *url.URL) (none struct{}, err error) {
			if d.checkURL != nil {
				err = d.checkURL(u)
			}
			return none, err
		}
	}
	_, err := drivers.Open(context.Background(), rawURL, dry)
	return err
}

// scheme is that of a URL.
func scheme(rawURL string) string {
	before, _, _ := strings.Cut(rawURL, ":")
	return strings.ToLower(before)
}

// secrets are those that are set, or the one that a file: store keeps, with its
// path. None and no error means that there may be a first one: makeSecret's. For a
// store that holds data already, a new secret would sign everybody out: that is an
// error. store may be nil.
func (s *settings) secrets(ctx context.Context, store drivers.Store) (secrets []string, path string, err error) {
	if err := s.checkSecrets(); err != nil {
		return nil, "", fmt.Errorf("MINIPROFILE_SECRET: %w", err)
	}
	if len(s.Secret) > 0 || scheme(s.Store) == "memory" {
		return s.Secret, "", nil
	}
	u, err := url.Parse(s.Store)
	if err != nil {
		return nil, "", err
	}
	if path, err = file.SecretPath(u); err != nil {
		return nil, "", err
	}
	if _, err = os.Stat(path); err == nil {
		text, err := file.Secret(u)
		if err != nil {
			return nil, path, err
		}
		var secrets secretList
		if err = secrets.UnmarshalText([]byte(text)); err == nil {
			err = checkLength(secrets)
		}
		if err != nil {
			err = fmt.Errorf("the secret in %s: %w", path, err)
		}
		return secrets, path, err
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, path, err
	}
	if store == nil {
		return nil, path, nil
	}
	kinds, err := drivers.Kinds(ctx, store)
	if err == nil && len(kinds) > 0 {
		err = fmt.Errorf("%s is missing, and %s holds accounts: restore the secret from the backup, or set MINIPROFILE_SECRET to it. "+
			"If it is lost, everybody has to log in again with a new one: openssl rand -base64 32 >%s", path, filepath.Join(filepath.Dir(path), file.StoreName), path)
	}
	return nil, path, err
}

// makeSecret makes the first secret, as secrets allows.
func (s *settings) makeSecret() ([]string, error) {
	if scheme(s.Store) == "memory" {
		return []string{rand.Text() + rand.Text()}, nil // goes with what it protects
	}
	u, err := url.Parse(s.Store)
	if err != nil {
		return nil, err
	}
	secret, err := file.Secret(u)
	return []string{secret}, err
}

// secretFile returns where a file: store keeps its secret, and the secret, as far
// as there are.
func secretFile(store string) (path, secret string) {
	u, err := url.Parse(store)
	if err != nil || u.Scheme != "file" {
		return "", ""
	}
	if path, err = file.SecretPath(u); err != nil {
		return "", ""
	}
	text, _ := os.ReadFile(path) // what cannot be read is not there
	return path, strings.TrimSpace(string(text))
}
