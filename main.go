// Miniprofile is the account and profile backend of WeChat mini programs: one
// binary that speaks GraphQL. README.md says how to use it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by -ldflags "-X main.version=…"; see versionOf.
var version = "dev"

// commands are what the binary can do. Serve is what it does when told nothing.
type commands struct {
	Serve   serve       `cmd:"" default:"withargs" help:"Serve the API (the default)."`
	Copy    copyAll     `cmd:"" help:"Copy all accounts and pictures to another store, and verify."`
	Check   checkAll    `cmd:"" help:"Try the store, the objects, WeChat and everything else that the settings name."`
	Merge   mergeUsers  `cmd:"" help:"Merge two accounts that are one person."`
	Jobs    deadJobs    `cmd:"" help:"Count the jobs that were given up, or run them again."`
	Version versionText `cmd:"" help:"Print the version."`
}

type versionText struct{}

func (versionText) Run() error {
	_, err := fmt.Println(version)
	return err
}

func main() {
	spareTheCollector()
	moreProcessors()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	version = versionOf(version)
	parser := kong.Must(&commands{},
		kong.Name("miniprofile"),
		kong.Description("Accounts and profiles for WeChat mini programs."),
		kong.ShortUsageOnError(),
		kong.Resolvers(secretFiles{}),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	cli, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(nameSetting(parser.Model, err))
	parser.FatalIfErrorf(cli.Run())
}

// versionOf is what the linker has set, or else the version and revision that go
// build has noted.
func versionOf(set string) string {
	if info, ok := debug.ReadBuildInfo(); ok && set == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return set
}

// spareTheCollector trades memory that a server has for time: with a live heap of
// some 10 MiB, Go's default would collect hundreds of times a second under load.
// GOGC and GOMEMLIMIT, when set, count instead.
func spareTheCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(128 << 20)
	}
}

// moreProcessors gives Go's scheduler two processors more than there are, for two threads that
// wait for the disk: that of the file store's commits, and that which brings them to its
// database. In a system call, a thread keeps its processor until Go finds that it takes
// long, and that is a good part of an fsync. On two processors, logins and updates are
// some eight per cent more; on a single one, me would lose more than that. Go does not
// follow a quota that changes any more then. GOMAXPROCS, when set, counts instead.
func moreProcessors() {
	if n := runtime.GOMAXPROCS(0); n > 1 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(n + 2)
	}
}

// exitUsage is the exit code of wrong flags and settings: kong's.
const exitUsage = 80

// exit is an error with an exit code of its own.
type exit struct {
	error
	code int
}

// ExitCode implements kong.ExitCoder.
func (e exit) ExitCode() int { return e.code }
