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
	// DefaultPictureTimeout is how long a picture waits for its verdict: WeChat
	// promises one within half an hour.
	DefaultPictureTimeout = time.Hour
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
	// AvatarURL is where the root of the objects can be read without this server,
	// as the address of a public bucket or of a CDN before it; empty when pictures
	// are read through PublicURL. The objects must be a drivers.PublicURLer.
	AvatarURL string
	// OldPictureLife is how long a replaced picture can still be fetched, for the
	// pages that show it.
	OldPictureLife time.Duration
	// ReadOnly lets nothing change, for as long as the data is moved: what would
	// write is ErrReadOnly, what only reads goes on, a refresh gives new access
	// tokens but no new refresh token, and no job runs.
	ReadOnly bool
	// RequireConsent refuses to set data of a user without their consent to its scope.
	RequireConsent bool
	// CheckContent has WeChat judge nicknames and pictures.
	CheckContent bool
	// AcceptDoubtful lets pass what WeChat cannot judge; else it is rejected.
	AcceptDoubtful bool
	// PictureTimeout is how long a picture waits for its verdict; zero means
	// DefaultPictureTimeout. Then it counts as what WeChat cannot judge.
	PictureTimeout time.Duration
	// DeletionDelay is how long a deleted account can still be restored, by a login.
	DeletionDelay time.Duration
	// DeletedAuditLife is how long the audit of a deleted account is kept, without
	// anything that says whose it was; at most AuditLife, zero for not at all.
	DeletedAuditLife time.Duration
	// JobDone, when it is not nil, is told of each job that was run, as often as it
	// was; of one that was given up with an ErrJobDead.
	JobDone func(kind string, took time.Duration, err error)
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// MinSecret is the least length of a secret in bytes: 32 random characters.
const MinSecret = 32

// Core is the account backend. All its methods may be called by any number of
// goroutines; any number of Cores, in any number of processes, may share a store.
type Core struct {
	store   drivers.Store
	objects drivers.Objects
	wechat  WeChat
	apps    []string
	seals   keyring
	tokens  *signer
	// pictureURL tells where the picture of a name is.
	pictureURL func(name string) string
	uploads    string // what an upload's name is appended to
	oldLife    time.Duration
	pictures   *avatar.Processor
	jobDone    func(kind string, took time.Duration, err error)
	now        func() time.Time
	readOnly   bool // store and objects refuse all writes

	requireConsent   bool
	checkContent     bool
	doubtful         Verdict // what WeChat cannot judge is this
	pictureTimeout   time.Duration
	deletionDelay    time.Duration
	deletedAuditLife time.Duration

	logins singleflight.Group
	work   sync.WaitGroup // logins under way
	wake   chan struct{}  // has a value when a job may be due
}

// New makes a Core. It opens nothing and starts nothing: the store and the
// objects stay the caller's to close, after Wait.
func New(config Config) (*Core, error) {
	if config.Store == nil || config.Objects == nil || config.WeChat == nil || len(config.Secrets) == 0 ||
		len(config.Apps) == 0 && config.WeChat.Component() == "" {
		return nil, errors.New("auth: a Core needs a store, objects, WeChat, an app or a third-party platform, and a secret")
	}
	now := config.Now
	if now == nil {
		now = time.Now
	}
	publicURL := strings.TrimSuffix(config.PublicURL, "/")
	c := &Core{
		store: config.Store, objects: config.Objects, wechat: config.WeChat, apps: config.Apps,
		pictureURL: func(name string) string { return publicURL + "/avatars/" + name },
		uploads:    publicURL + "/uploads/",
		oldLife:    config.OldPictureLife, pictures: avatar.New(0),
		now:  func() time.Time { return now().UTC().Truncate(time.Microsecond) }, // what records can hold
		wake: make(chan struct{}, 1), jobDone: config.JobDone,

		requireConsent: config.RequireConsent, checkContent: config.CheckContent, doubtful: VerdictRisky,
		pictureTimeout: config.PictureTimeout, deletionDelay: config.DeletionDelay,
		deletedAuditLife: min(config.DeletedAuditLife, AuditLife),
	}
	if config.AcceptDoubtful {
		c.doubtful = VerdictPass
	}
	if c.pictureTimeout == 0 {
		c.pictureTimeout = DefaultPictureTimeout
	}
	if config.AvatarURL != "" {
		public, ok := config.Objects.(drivers.PublicURLer)
		if !ok {
			return nil, errors.New("auth: these objects cannot be read without this server")
		}
		c.pictureURL = func(name string) string { return public.PublicURL(config.AvatarURL, pictureFolder+name) }
	}
	if config.ReadOnly { // the one place that refuses writes
		c.readOnly = true
		c.store, c.objects = drivers.ReadOnlyStore(config.Store), drivers.ReadOnlyObjects(config.Objects)
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

// Wait returns when all logins have ended, also those whose callers are gone. Call
// it when no more calls come, before the store is closed.
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
