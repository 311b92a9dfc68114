package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/miniprofile/miniprofile"

// rooms says what each room of the house may import of the others. A room that
// is not here may import nothing of ours.
var rooms = map[string][]string{
	"":                     {"auth", "auth/...", "check", "drivers", "drivers/...", "graph", "migrate", "server", "playground", "observe"},
	"server":               {"auth", "graph", "playground"},
	"graph":                {"auth"},
	"auth":                 {"auth/avatar", "drivers"},
	"auth/wechat":          {"auth"},
	"migrate":              {"drivers"},
	"check":                {"auth", "auth/wechat", "drivers", "migrate"},
	"drivers/conformance":  {"drivers"},
	"drivers/memory":       {"drivers", "drivers/internal/..."},
	"drivers/file":         {"drivers", "drivers/internal/..."},
	"drivers/firestore":    {"drivers", "drivers/internal/..."},
	"drivers/minio":        {"drivers", "drivers/internal/..."},
	"drivers/breaker":      {"drivers"},
	"drivers/internal/...": {"drivers"},
	"bench":                {"auth/avatar", "drivers", "drivers/file"},
	"observe":              {"auth", "auth/wechat", "drivers"},
}

// foreign says which libraries may be used in one place only.
var foreign = map[string][]string{
	"github.com/99designs/gqlgen":     {"graph"},
	"github.com/vektah/gqlparser":     {"graph"},
	"go.etcd.io/bbolt":                {"drivers/file"},
	"github.com/golang-jwt/jwt":       {"auth"},
	"github.com/alecthomas/kong":      {""},
	"golang.org/x/image":              {"auth/avatar"},
	"net/http":                        {"", "bench", "check", "drivers/minio", "drivers/minio/spoil", "server", "graph", "auth/wechat", "auth/wechat/sandbox", "playground", "observe"},
	"github.com/vbauerster/mpb":       {""},
	"github.com/prometheus":           {"observe"},
	"golang.org/x/time":               {"server"},
	"go.opentelemetry.io":             {"observe"},
	"log/slog":                        {"", "server", "graph", "auth/wechat"},
	"cloud.google.com/go/firestore":   {"drivers/firestore", "drivers/firestore/double"},
	"google.golang.org/grpc":          {"drivers/firestore", "drivers/firestore/double"},
	"github.com/minio/minio-go":       {"drivers/minio"},
	"github.com/sony/gobreaker":       {"drivers/breaker"},
	"testing":                         {"drivers/conformance"},
	"github.com/google/go-cmp":        {},
	"pgregory.net/rapid":              {},
	"github.com/rogpeppe/go-internal": {},
}

// TestWalls holds up the walls between the rooms: who may import whom.
func TestWalls(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{if .Module}}{{if eq .Module.Path "`+module+`"}}{{.ImportPath}} {{join .Imports " "}}{{end}}{{end}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		if len(imports) == 0 {
			continue
		}
		seen++
		room := short(imports[0])
		for _, path := range imports[1:] {
			if strings.HasPrefix(path, module) {
				if target := short(path); !allowed(target, find(rooms, room)) {
					t.Errorf("%s may not import %s", name(room), name(target))
				}
				continue
			}
			for library, users := range foreign {
				if (path == library || strings.HasPrefix(path, library+"/")) && !allowed(room, users) {
					t.Errorf("%s may not import %s", name(room), path)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("saw only %d packages", seen)
	}
}

func short(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

func name(room string) string {
	if room == "" {
		return "main"
	}
	return room
}

// find returns the rules of a room: its own, or those of a pattern it falls under.
func find(rules map[string][]string, room string) []string {
	if targets, ok := rules[room]; ok {
		return targets
	}
	for pattern, targets := range rules {
		if allowed(room, []string{pattern}) {
			return targets
		}
	}
	return nil
}

func allowed(room string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		folder, all := strings.CutSuffix(p, "/...")
		return p == room || all && strings.HasPrefix(room, folder+"/")
	})
}
