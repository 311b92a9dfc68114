package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/miniprofile/miniprofile/drivers"
)

// mergeUsers is the command that merges two accounts. A file: store is one
// process's: stop the server first.
type mergeUsers struct {
	settings
	Keep   string `arg:"" help:"The id of the account that stays."`
	Other  string `arg:"" help:"The id of the account that goes."`
	DryRun bool   `help:"Only tell what would happen."`
}

// Run merges, or tells what it would do. What is left to move, the server moves
// when it runs.
func (m *mergeUsers) Run(ctx context.Context) error {
	return m.operate(ctx, func(core *auth.Core) error {
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
		return nil
	})
}

// deadJobs is the command about jobs that were given up.
type deadJobs struct {
	settings
	Retry bool `help:"Have the server run them again."`
}

// Run counts the dead jobs, or makes them due. It fails when there are some that
// were not made due.
func (d *deadJobs) Run(ctx context.Context) error {
	return d.operate(ctx, func(core *auth.Core) error {
		if d.Retry {
			n, err := core.RetryDeadJobs(ctx)
			fmt.Printf("%d jobs are due again\n", n)
			return err
		}
		n, err := core.DeadJobs(ctx)
		if err == nil && n > 0 {
			return fmt.Errorf("%d jobs were given up: the log says why; --retry runs them again", n)
		}
		fmt.Printf("%d jobs were given up\n", n)
		return err
	})
}

// operate opens the store for an operator's command.
func (s *settings) operate(ctx context.Context, do func(*auth.Core) error) (err error) {
	store, err := drivers.Open(ctx, s.Store, stores)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	pictures, err := s.openObjects(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pictures.Close()) }()
	secrets, err := s.secrets()
	if err != nil {
		return err
	}
	core, err := auth.New(auth.Config{
		Store: store, Objects: pictures, WeChat: noWeChat{}, Apps: []string{"none"}, Secrets: secrets, OldPictureLife: s.OldPictures,
	})
	if err != nil {
		return err
	}
	return do(core)
}

// noWeChat is for commands that have nothing to ask WeChat.
type noWeChat struct{ auth.WeChat }

// Component is none.
func (noWeChat) Component() string { return "" }
