package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/check"
	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/file"
	"github.com/miniprofile/miniprofile/drivers/minio"
	"github.com/miniprofile/miniprofile/server"
)

// checkAll is the command that tries what the settings name. Package check does it.
type checkAll struct {
	settings
	JSON bool `help:"Write the findings as JSON, for a machine."`
}

// Help implements kong.HelpProvider: what --help adds.
func (checkAll) Help() string {
	return `Reads the settings as the server does, writes, reads and deletes a record and an object, asks WeChat, and looks at the addresses, the certificate, the secrets, the clock and the public URL. It makes no store and no secret. Exit code 0 when nothing is wrong, else 1.`
}

// checkTime bounds it all.
const checkTime = time.Minute

// Run checks.
func (c *checkAll) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	report := c.report(ctx)
	write := report.Table
	if c.JSON {
		write = report.JSON
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if n := report.Failures(); n > 0 {
		return fmt.Errorf("%d of %d findings failed", n, len(report))
	}
	return nil
}

// report tries everything, however much of it is wrong.
func (c *checkAll) report(ctx context.Context) (r check.Report) {
	plan, err := c.plan(slog.New(slog.DiscardHandler))
	var wrong wrongs
	errors.As(err, &wrong)
	for _, err := range wrong {
		r = append(r, check.Failed("setting", err, "set it right: the server does not start with it"))
	}
	for _, text := range unknownSettings(os.Environ()) {
		r = append(r, check.Finding{Name: "setting", Status: check.Warn, Detail: text, Do: "correct or unset it"})
	}
	if server.TrustsAll(plan.edge.Proxies) {
		r = append(r, check.Finding{Name: "proxies", Status: check.Warn, Detail: "there is a network of all addresses among them", Do: trustsAll})
	}
	r = append(r, c.addresses()...)
	if plan.edge.Certificate != nil {
		r = append(r, check.Certificate(plan.edge.Certificate.End(), server.CertificateNotice))
	}
	store, found := c.checkStore(ctx)
	r = append(r, found...)
	if store != nil {
		defer store.Close()
	}
	r = append(r, c.checkObjects(ctx)...)
	r = append(r, c.checkSecret(ctx, store)...)
	if plan.weChat != nil {
		r = append(r, c.checkWeChat(ctx, plan.weChat)...)
	}
	if u, err := url.Parse(c.objects()); err == nil && u.Scheme == "minio" {
		scheme := "https://"
		if u.Query().Get("tls") == "false" {
			scheme = "http://"
		}
		r = append(r, check.Clock(ctx, "the object storage", scheme+u.Host)...)
	}
	if c.PublicURL == "" || plan.core.PublicURL != "" {
		r = append(r, check.PublicURL(ctx, plan.core.PublicURL, c.simulated())...)
	}
	return r
}

// addresses looks whether the server could listen at all that it is to at the same time.
func (c *checkAll) addresses() (r check.Report) {
	var held net.Listener
	setting, address := c.listens()
	for _, at := range [][2]string{{setting, address}, {"MINIPROFILE_ADMIN_LISTEN", c.AdminListen}} {
		if at[1] == "" || checkAddress(at[1]) != nil { // the latter is told already
			continue
		}
		listener, err := listen(at[0], at[1])
		switch {
		case err == nil:
			defer listener.Close()
			held = listener
			r = append(r, check.Finding{Name: "address", Status: check.OK, Detail: at[1]})
		case errors.Is(err, errInUse) && held != nil && freed(held, at[1]):
			r = append(r, check.Failed("address", fmt.Errorf("%s: %s is taken by %s", at[0], at[1], setting), "give it a port of its own"))
		case errors.Is(err, errInUse):
			r = append(r, check.Finding{Name: "address", Status: check.Warn, Detail: at[1] + " is in use", Do: "if it is not this server that runs there: " + err.Error()})
		default:
			r = append(r, check.Failed("address", err, "name an address of this machine: HOST:PORT, or :PORT for all"))
		}
	}
	return r
}

// freed reports whether an address can be listened on once held is closed.
func freed(held net.Listener, address string) bool {
	held.Close()
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
	}
	return err == nil
}

// checkStore tries the store, and returns it open, or nil.
func (c *checkAll) checkStore(ctx context.Context) (drivers.Store, check.Report) {
	store, err := c.openStore(ctx, stores.existing())
	if err != nil {
		return nil, check.Report{c.unopened("store", c.Store, err, "see MINIPROFILE_STORE")}
	}
	var r check.Report
	if path, _ := secretFile(c.Store); path != "" {
		f := check.Finding{Name: "store: place", Status: check.OK, Detail: filepath.Dir(path)}
		if !strings.HasPrefix(c.Store, "file:/") && !c.simulated() {
			f.Status, f.Do = check.Warn, "it depends on the folder in which the server is started: name it absolutely, as file:/var/lib/miniprofile"
		}
		r = append(r, f)
	}
	r = append(r, check.Store(ctx, store, unusable(c.Store))...)
	switch dead, err := auth.DeadJobs(ctx, store); {
	case err != nil:
		r = append(r, check.Failed("jobs", err, "see the store, above"))
	case dead > 0:
		r = append(r, check.Failed("jobs", fmt.Errorf("%d were given up", dead), "the log says why; miniprofile jobs --retry runs them again"))
	default:
		r = append(r, check.Finding{Name: "jobs", Status: check.OK, Detail: "none was given up"})
	}
	if u, err := url.Parse(c.Store); err == nil && u.Scheme == "firestore" {
		r = append(r, check.TTL(u.Host, strings.Trim(u.Path, "/"))...)
	}
	return store, r
}

// checkObjects tries the objects.
func (c *checkAll) checkObjects(ctx context.Context) check.Report {
	pictures, err := c.openObjects(ctx, objects.existing())
	if err != nil {
		return check.Report{c.unopened("objects", c.objects(), err, "see MINIPROFILE_OBJECTS")}
	}
	defer pictures.Close()
	return check.Objects(ctx, pictures, unusable(c.objects()))
}

// unopened says why the place at rawURL could not be opened, where that may be as it
// should.
func (c *checkAll) unopened(name, rawURL string, err error, do string) check.Finding {
	var missing *fs.PathError
	switch {
	case errors.Is(err, file.ErrInUse):
		return check.Finding{Name: name, Status: check.Warn, Detail: "in use by a running server", Do: "ask its /readyz, or stop it to try the store too"}
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &missing):
		if c.ReadOnly {
			return check.Failed(name, fmt.Errorf("there is no %s, and with MINIPROFILE_READ_ONLY the server makes nothing", missing.Path), "is this the right folder? Else start once without MINIPROFILE_READ_ONLY")
		}
		if err := canMake(rawURL); err != nil {
			return check.Failed(name, fmt.Errorf("there is no %s, and the server cannot make it: %w", missing.Path, err), aboutFolder(err, whoseFolder))
		}
		return check.Finding{Name: name, Status: check.Warn, Detail: "there is no " + missing.Path + ": the server makes it at its first start",
			Do: "if it should be there, this is the wrong folder or setting: best name the place absolutely, as file:/var/lib/miniprofile"}
	case errors.Is(err, minio.ErrNoBucket) && c.CreateBucket && !c.ReadOnly:
		return check.Finding{Name: name, Status: check.Warn, Detail: "there is no such bucket: the server makes it at its first start",
			Do: "if it should be there, correct MINIPROFILE_OBJECTS; the credentials must be allowed to make one"}
	}
	return check.Failed(name, err, aboutFolder(err, do))
}

// unusable is the advice where a place that is open cannot be used.
func unusable(rawURL string) string {
	switch scheme(rawURL) {
	case "file":
		return whoseFolder
	case "firestore", "minio":
		return "see the message; may the credentials write, read and delete in this place?"
	}
	return "see the message"
}

// whoseFolder is the advice where a folder cannot be used.
const whoseFolder = "whose is the folder? It must be the user's that serves, on a file system that can be written"

// aboutFolder is the advice about an error of a file system, else do.
func aboutFolder(err error, do string) string {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return whoseFolder
	}
	return do
}

// canMake returns why the server could not make a file: place.
func canMake(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return err
	}
	return file.CanMake(u)
}

// checkSecret looks at the secret. store may be nil.
func (c *checkAll) checkSecret(ctx context.Context, store drivers.Store) check.Report {
	secrets, path, err := c.secrets(ctx, store)
	switch {
	case err != nil && path != "":
		return check.Report{check.Failed("secret", err, aboutSecret(path, err))}
	case err != nil:
		return nil // told with the settings
	case secrets == nil:
		return check.Report{{Name: "secret", Status: check.OK, Detail: "none yet: the server makes it at its first start"}}
	}
	return check.Secrets(ctx, secrets, path, store)
}

// aboutSecret is the advice about the file of a secret that cannot be used. What is
// there may be the good one, so nobody is told to write over it.
func aboutSecret(path string, err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "give it to the user that serves: its content may be right"
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "restore " + path + ", after a copy from the store that was copied, or set MINIPROFILE_SECRET to what it held"
	}
	return "see the message; keep what is there until you know what it is"
}

// checkWeChat asks WeChat.
func (c *checkAll) checkWeChat(ctx context.Context, w *weChat) (r check.Report) {
	if w.sandbox != nil {
		r = append(r, check.Finding{Name: "WeChat", Status: check.Warn, Detail: "simulated: whoever can reach the server can log in as anyone",
			Do: c.leaveSandbox() + " for the real one"})
	}
	if len(w.plain) > 0 {
		r = append(r, check.Finding{Name: "WeChat: push", Status: check.Warn, Detail: "in plain text for " + strings.Join(w.plain, ", "), Do: plainPushes})
	}
	r = append(r, check.WeChat(ctx, w.client, w.apps)...)
	if w.sandbox == nil {
		r = append(r, check.Clock(ctx, "WeChat", c.WeChatURL)...)
	}
	return r
}
