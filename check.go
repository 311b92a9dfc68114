package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/check"
	"github.com/miniprofile/miniprofile/drivers"
)

// checkAll is the command that tries what the settings name. Package check does it.
type checkAll struct {
	settings
	JSON bool `help:"Write the findings as JSON, for a machine."`
}

// Help is of kong: what --help adds.
func (checkAll) Help() string {
	return `Writes, reads and deletes a record and an object, asks WeChat, and looks at the secrets, the clock and the public URL. Exit code 0 when nothing is wrong, else 1.`
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
	if report.Failed() {
		return errors.New("something is wrong")
	}
	return nil
}

// report tries everything.
func (c *checkAll) report(ctx context.Context) (r check.Report) {
	broken := func(name string, err error, do string) {
		r = append(r, check.Finding{Name: name, Status: check.Fail, Detail: err.Error(), Do: do})
	}
	store, err := drivers.Open(ctx, c.Store, stores)
	if err != nil {
		broken("store", err, "see MINIPROFILE_STORE. If a server has the folder open, ask its /readyz, or stop it to check")
	} else {
		defer store.Close()
		r = append(r, check.Store(ctx, store)...)
		switch dead, err := auth.DeadJobs(ctx, store); {
		case err != nil:
			broken("jobs", err, "see the store, above")
		case dead > 0:
			broken("jobs", fmt.Errorf("%d were given up", dead), "the log says why; miniprofile jobs --retry runs them again")
		default:
			r = append(r, check.Finding{Name: "jobs", Status: check.OK, Detail: "none was given up"})
		}
	}
	if u, err := url.Parse(c.Store); err == nil && u.Scheme == "firestore" {
		r = append(r, check.TTL(u.Host, strings.Trim(u.Path, "/"))...)
	}
	if pictures, err := drivers.Open(ctx, c.objects(), objects); err != nil {
		broken("objects", err, "see MINIPROFILE_OBJECTS")
	} else {
		defer pictures.Close()
		r = append(r, check.Objects(ctx, pictures)...)
	}
	if secrets, err := c.secrets(); err != nil {
		broken("secret", err, "set MINIPROFILE_SECRET, as to what this gives: openssl rand -base64 32")
	} else {
		path := ""
		if len(c.Secret) == 0 {
			path, _ = secretFile(c.Store)
		}
		r = append(r, check.Secrets(ctx, secrets, path, store)...)
	}
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} // the sandbox, if it comes to that, serves nobody else
	weChat, err := c.openWeChat(ctx, loopback, slog.New(slog.DiscardHandler))
	if err != nil {
		broken("WeChat", err, "see WECHAT_APPS and WECHAT_BASE_URL")
		return r
	}
	r = append(r, check.WeChat(ctx, weChat.client, weChat.apps, weChat.sandbox != nil)...)
	if weChat.sandbox == nil {
		r = append(r, check.Clock(ctx, "WeChat", c.WeChatURL)...)
	}
	if u, err := url.Parse(c.objects()); err == nil && u.Scheme == "minio" {
		scheme := "https://"
		if u.Query().Get("tls") == "false" {
			scheme = "http://"
		}
		r = append(r, check.Clock(ctx, "the object storage", scheme+u.Host)...)
	}
	return append(r, check.PublicURL(ctx, c.PublicURL, weChat.sandbox != nil)...)
}
