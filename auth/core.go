package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
	"github.com/miniprofile/miniprofile/drivers"
	"golang.org/x/sync/singleflight"
)

// How long things last.
const (
	AccessTokenLife  = 15 * time.Minute
	RefreshTokenLife = 30 * 24 * time.Hour  // from the last refresh
	LoginRepeatable  = 10 * time.Minute     // how long a login may be repeated with the same requestId
	AuditLife        = 180 * 24 * time.Hour // how long audit entries are kept
)

// Config is what a Core is made of.
type Config struct {
	Store   drivers.Store
	Objects drivers.Objects
	WeChat  WeChat
	// Apps are the AppIDs that may log in. With one, login may leave appId out.
	Apps []string
	// Secrets protect what is stored and sign tokens; each has at least
	// MinSecret bytes. The first is used, the others only open and verify what
	// was made with them: so a secret is changed without signing anyone out.
	Secrets []string
	// Issuer is the iss of access tokens. A change of it makes clients refresh.
	Issuer string
	// PublicURL is where clients reach the server, as https://api.example.com:
	// the beginning of the addresses of pictures.
	PublicURL string
	// OldPictureLife is how long a replaced picture can still be fetched, for the
	// pages that show it.
	OldPictureLife time.Duration
	// JobDone, when it is not nil, is told of each job that was run.
	JobDone func(kind string, took time.Duration, err error)
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// MinSecret is the least length of a secret in bytes: 32 random characters.
const MinSecret = 32

// Core is the account backend. All its methods may be called by any number of
// goroutines; any number of Cores, in any number of processes, may share a store.
type Core struct {
	store    drivers.Store
	objects  drivers.Objects
	wechat   WeChat
	apps     []string
	seals    keyring
	tokens   *signer
	avatars  string // what a picture's name is appended to
	oldLife  time.Duration
	pictures *avatar.Processor
	jobDone  func(kind string, took time.Duration, err error)
	now      func() time.Time

	logins singleflight.Group
	work   sync.WaitGroup // logins that outlive their callers
	wake   chan struct{}  // has a value when a job may be due
}

// New makes a Core. It opens nothing and starts nothing: the store and the
// objects stay the caller's to close, after Wait.
func New(config Config) (*Core, error) {
	if config.Store == nil || config.Objects == nil || config.WeChat == nil || len(config.Apps) == 0 || len(config.Secrets) == 0 {
		return nil, errors.New("auth: a Core needs a store, objects, WeChat, an app and a secret")
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	c := &Core{
		store: config.Store, objects: config.Objects, wechat: config.WeChat, apps: config.Apps,
		avatars: strings.TrimSuffix(config.PublicURL, "/") + "/avatars/",
		oldLife: config.OldPictureLife, pictures: avatar.New(0),
		now:  func() time.Time { return now().UTC().Truncate(time.Microsecond) }, // what records can hold
		wake: make(chan struct{}, 1), jobDone: config.JobDone,
	}
	var err error
	if c.seals, err = newKeyring(config.Secrets); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if c.tokens, err = newSigner(config.Secrets, config.Issuer, c.now); err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return c, nil
}

// Wait returns when all logins have ended that go on after their callers gave
// up. Call it when no more calls come, before the store is closed.
func (c *Core) Wait() { c.work.Wait() }

// JWKS returns the public keys of access tokens as a JSON Web Key Set (RFC 7517).
// Do not change it.
func (c *Core) JWKS() []byte { return c.tokens.jwks }

// StoreReady asks the store whether it answers.
func (c *Core) StoreReady(ctx context.Context) error {
	_, err := c.get(ctx, userKey("ready"))
	return err
}

// ObjectsReady asks the objects whether they answer.
func (c *Core) ObjectsReady(ctx context.Context) error {
	object, err := c.objects.Get(ctx, pictureFolder+"ready")
	if err == nil {
		err = object.Close()
	}
	if err != nil && !errors.Is(err, drivers.ErrNotFound) {
		return fmt.Errorf("%w: objects: get: %w", ErrUpstream, err)
	}
	return nil
}
