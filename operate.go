package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth"
)

// mergeUsers is the command that merges two accounts.
type mergeUsers struct {
	settings
	Keep   string `arg:"" help:"The id of the account that stays."`
	Other  string `arg:"" help:"The id of the account that goes."`
	DryRun bool   `help:"Only tell what would happen."`
}

// Help implements kong.HelpProvider: what --help adds.
func (mergeUsers) Help() string {
	return `A file: store is one process's: stop the server first.`
}

// Run merges, or tells what it would do. What is left to move, the server moves
// when it runs.
func (m *mergeUsers) Run(ctx context.Context) (err error) {
	w, err := m.weChat() // which is asked nothing
	if err != nil {
		return err
	}
	places, err := m.open(ctx, stores.existing(), objects.usual())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	core, err := auth.New(auth.Config{
		Store: places.store, Objects: places.objects, Secrets: places.secrets, WeChat: w.client, Apps: w.apps, OldPictureLife: m.OldPictures,
	})
	if err != nil {
		return err
	}
	report, err := core.MergeAccounts(ctx, m.Keep, m.Other, m.DryRun)
	if err != nil {
		return err
	}
	done := "merged"
	if m.DryRun {
		done = "would merge"
	}
	takes := "nothing"
	if len(report.Takes) > 0 {
		takes = strings.Join(report.Takes, ", ")
	}
	fmt.Printf("%s %s into %s: takes %s; %d identities then\n", done, report.Other, report.Keep, takes, report.Identities)
	if !report.Known {
		fmt.Println("WeChat has not said that they are one person's: it is you who must know")
	}
	return nil
}

// deadJobs is the command about jobs that were given up. It needs the store alone.
type deadJobs struct {
	settings
	Retry bool `help:"Have the server run them again."`
}

// Help implements kong.HelpProvider: what --help adds.
func (deadJobs) Help() string {
	return `A file: store is one process's: stop the server first. While it runs, its log and /metrics tell of such jobs.`
}

// Run counts the dead jobs, or makes them due. It fails when there are some that
// were not made due.
func (d *deadJobs) Run(ctx context.Context) (err error) {
	store, err := d.openStore(ctx, stores.existing())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if d.Retry {
		n, err := auth.RetryDeadJobs(ctx, store, time.Now())
		fmt.Printf("%d jobs are due again\n", n)
		return err
	}
	n, err := auth.DeadJobs(ctx, store)
	if err == nil && n > 0 {
		return fmt.Errorf("%d jobs were given up: the log says why; --retry runs them again", n)
	}
	fmt.Printf("%d jobs were given up\n", n)
	return err
}
