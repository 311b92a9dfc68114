package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// All audits of the npm package graphql-http pass against the real program.
func TestAudits(t *testing.T) {
	t.Parallel()
	needs(t, "node", "npm")
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "audit.mjs"} {
		text, err := os.ReadFile(filepath.Join("graph", "audits", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), `"resolved"`) {
			t.Errorf("%s names a registry: which one it is, is the machine's business", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := command(t, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm must reach its registry to run this test: %v", err)
	}
	c := startChild(t, t.TempDir())
	audit := command(t, "node", "audit.mjs", "http://"+c.address+"/graphql")
	audit.Dir = dir
	out, err := audit.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "61 of 61") {
		t.Errorf("%v\n%s", err, out)
	}
	c.stop()
}
