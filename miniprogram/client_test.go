// Package miniprogram_test runs the tests of the mini program's side, which are
// written in JavaScript, against the program that this repository builds.
package miniprogram_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is where build puts the program.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "miniprogram-test-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "miniprofile")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var build = sync.OnceValue(func() error {
	c := exec.Command("go", "build", "-o", binary, ".")
	c.Dir = ".."
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// missing skips a test for want of something; CI, which sets CI, must have it.
func missing(t *testing.T, cure string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("CI needs this test: " + cure)
	}
	t.Skip(cure)
}

func needNode(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		missing(t, "install Node 20 or newer to run this test")
	}
}

func needPackages(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("node_modules/typescript"); err != nil {
		missing(t, "run npm ci in miniprogram to run this test")
	}
}

func node(t *testing.T, arguments ...string) {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	// None needs so long even where the machine is busy; told so, node ends its children too.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "node", arguments...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	c.Env = append(os.Environ(), "MINIPROFILE_BINARY="+binary)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("node %v: %v\n%s", arguments, err, out)
	}
}

// TestTypes checks the client and the demo with the TypeScript compiler, their
// operations with schema.graphqls, and that the generated types are up to date.
func TestTypes(t *testing.T) {
	t.Parallel()
	needNode(t)
	needPackages(t)
	node(t, "node_modules/typescript/bin/tsc", "-p", ".")
	node(t, "node_modules/typescript/bin/tsc", "-p", "tsconfig.browser.json")
	node(t, "generate.mjs", "--check")
}

// TestDemo renders the pages of the demo over the real program, and looks at
// what is published.
func TestDemo(t *testing.T) {
	t.Parallel()
	needNode(t)
	needPackages(t)
	node(t, "--test", "--test-reporter=spec", "test/demo.test.mjs", "test/package.test.mjs")
}

// TestClient drives the client and the real program over a bad network.
func TestClient(t *testing.T) {
	t.Parallel()
	needNode(t)
	node(t, "--test", "--test-reporter=spec", "test/client.test.mjs")
}
