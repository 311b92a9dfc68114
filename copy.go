package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/check"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/migrate"
)

// copyAll is the command that moves everything to another store. Package migrate
// does it.
type copyAll struct {
	From           string `placeholder:"URL" help:"Store to copy from."`
	To             string `placeholder:"URL" help:"Store to copy to: empty, or what an interrupted copy left."`
	FromObjects    string `placeholder:"URL" help:"Where the pictures lie. The same place as --from when it is not set."`
	ToObjects      string `placeholder:"URL" help:"Where the pictures go. The same place as --to when it is not set."`
	WithoutObjects bool   `help:"Copy no pictures: they stay where they are."`
	CreateBucket   bool   `env:"MINIPROFILE_CREATE_BUCKET" help:"Make the bucket of a minio: target when it is missing."`
}

// Help implements kong.HelpProvider: what --help adds.
func (copyAll) Help() string {
	return `The source must not change meanwhile: stop the server, or let it serve with --read-only. Interrupted in any way, the same command goes on where it was.

Exit codes: 0 copied and verified; 1 not finished, the same command goes on; 3 the target holds other data; 4 source and target differ; 80 wrong flags, or a source that cannot be copied.`
}

// The exit codes of copy, for scripts.
const (
	exitOccupied  = 3
	exitDifferent = 4
)

// Run copies.
func (c *copyAll) Run(ctx context.Context) (err error) {
	config := migrate.Config{Kinds: auth.Kinds, Ignore: []string{check.Kind}, Source: drivers.Redact(cmp.Or(c.From, c.FromObjects))}
	fromObjects, toObjects, err := c.objects()
	if err != nil {
		return exit{err, exitUsage}
	}
	// The sources before the targets, and the bucket before the store: what cannot be
	// opened leaves nothing new behind.
	if c.From != "" {
		if config.From, err = drivers.Open(ctx, c.From, stores.reading()); err != nil {
			return sourceError(err)
		}
		defer config.From.Close()
	}
	if fromObjects != "" {
		if config.FromObjects, err = drivers.Open(ctx, fromObjects, objects.reading()); err != nil {
			return sourceError(err)
		}
		defer config.FromObjects.Close()
		openers := objects.usual()
		if c.CreateBucket {
			openers = objects.making()
		}
		if config.ToObjects, err = drivers.Open(ctx, toObjects, openers); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, config.ToObjects.Close()) }()
	}
	if c.From != "" {
		if config.To, err = drivers.Open(ctx, c.To, stores.usual()); err != nil {
			return inUse(err)
		}
		defer func() { err = errors.Join(err, config.To.Close()) }()
	}
	display := newDisplay(os.Stderr)
	config.Watch = display.show
	start := time.Now()
	result, err := migrate.Copy(ctx, config)
	display.close()
	switch {
	case errors.Is(err, migrate.ErrOccupied):
		did := "Nothing was written. "
		if result.Written > 0 {
			did = ""
		}
		return exit{fmt.Errorf("%w\n%sName an empty target, or empty this one", err, did), exitOccupied}
	case errors.Is(err, migrate.ErrDifferent):
		return exit{fmt.Errorf("%w\nDid anybody write meanwhile? Empty the target, keep the source still (serve --read-only) and copy again", err), exitDifferent}
	case errors.Is(err, migrate.ErrUnfinished):
		return exit{fmt.Errorf("%w: finish that one first", err), exitUsage}
	case errors.Is(err, migrate.ErrNothing), errors.Is(err, migrate.ErrUnknownKind):
		return exit{err, exitUsage}
	case ctx.Err() != nil:
		return errors.New("interrupted\nNot finished: the same command goes on where it was")
	case err != nil:
		return fmt.Errorf("%w\nNot finished: the same command goes on where it was", err)
	}
	fmt.Print(summary(result, auth.Kinds, time.Since(start)))
	if c.From != "" {
		fmt.Print(c.aboutSecret())
	}
	return nil
}

// objects returns the URLs of the pictures on both sides, or none when no pictures
// are to be copied.
func (c *copyAll) objects() (from, to string, err error) {
	if (c.From == "") != (c.To == "") {
		return "", "", errors.New("--from and --to belong together")
	}
	if err := c.checkURLs(); err != nil {
		return "", "", err
	}
	from, to = cmp.Or(c.FromObjects, ifObjects(c.From)), cmp.Or(c.ToObjects, ifObjects(c.To))
	switch {
	case c.WithoutObjects && (c.FromObjects != "" || c.ToObjects != ""):
		return "", "", errors.New("--without-objects copies no pictures, but some are named")
	case c.From == "" && (from == "" || to == ""):
		return "", "", errors.New("nothing to copy: --from and --to, or --from-objects and --to-objects")
	case c.From != "" && same(c.From, c.To):
		return "", "", errors.New("--from and --to are the same")
	case c.WithoutObjects || same(from, to):
		return "", "", nil
	case from == "":
		return "", "", errors.New("where are the pictures? Name them by --from-objects, or say --without-objects")
	case to == "":
		return "", "", errors.New("where do the pictures go? Name it by --to-objects, or say --without-objects if they stay where they are")
	}
	return from, to, nil
}

// checkURLs refuses URLs that no driver takes, and memory:, which comes and goes with the
// process.
func (c *copyAll) checkURLs() error {
	for flag, rawURL := range map[string]string{"--from": c.From, "--to": c.To} {
		if rawURL != "" {
			if err := checkURL(rawURL, stores); err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
		}
	}
	for flag, rawURL := range map[string]string{"--from-objects": c.FromObjects, "--to-objects": c.ToObjects} {
		if rawURL != "" {
			if err := checkURL(rawURL, objects); err != nil {
				return fmt.Errorf("%s: %w", flag, err)
			}
		}
	}
	if scheme(c.From) == "memory" || scheme(c.FromObjects) == "memory" {
		return errors.New("memory: is new in each process, so the source holds nothing")
	}
	if scheme(c.To) == "memory" || scheme(c.ToObjects) == "memory" {
		return errors.New("a copy into memory: is gone when the command ends")
	}
	return nil
}

// sourceError is the error of a source that cannot be opened: one that is not there is
// a wrong flag.
func sourceError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return exit{err, exitUsage}
	case errors.Is(err, file.ErrInUse):
		return fmt.Errorf("%w: stop it, or let it serve with --read-only meanwhile", err)
	}
	return err
}

// same reports whether two URLs name one place; a folder has many names.
func same(a, b string) bool {
	return a == b || folder(a) != "" && folder(a) == folder(b)
}

// folder is the absolute path of what a file: URL names, else empty.
func folder(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "file" {
		return ""
	}
	path, _ := file.Folder(u)
	return path
}

// ifObjects returns the URL of a store when its driver can hold objects too.
func ifObjects(store string) string {
	if _, ok := objects[scheme(store)]; ok {
		return store
	}
	return ""
}

// aboutSecret says how the secret moves: it is not copied, and without it every
// session is lost.
func (c *copyAll) aboutSecret() string {
	from, secret := secretFile(c.From)
	if secret == "" {
		return "The secret moves with you: serve the target with the same MINIPROFILE_SECRET, or everybody has to log in again.\n"
	}
	text := "The secret is not copied, and without it everybody has to log in again. Unless MINIPROFILE_SECRET is set, it is the file " + from + ".\n" +
		"Serve the target with MINIPROFILE_SECRET_FILE=" + from
	switch to, other := secretFile(c.To); {
	case other == secret:
		return "The secret is in the target already.\n"
	case other != "":
		return text + ": in " + to + " is another one.\n"
	case to != "":
		return text + ", or copy it before the first start: cp -p " + from + " " + to + "\n"
	}
	return text + ", or with its content as MINIPROFILE_SECRET.\n"
}
