package firestore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

// start starts a double with one empty database.
func start(t *testing.T) (*double.Server, place) {
	t.Helper()
	server, err := double.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	p := place{project: "demo-test", database: defaultDatabase, emulator: server.Addr()}
	server.Create(p.project, p.database)
	return server, p
}

// empty returns an empty database: of Google's emulator when the environment
// names it, else of a double.
//
//	gcloud emulators firestore start --host-port=127.0.0.1:8085
//	FIRESTORE_EMULATOR_HOST=127.0.0.1:8085 go test ./drivers/firestore -run TestStore
func empty(t *testing.T) place {
	t.Helper()
	if emulator := os.Getenv("FIRESTORE_EMULATOR_HOST"); emulator != "" {
		return place{project: "demo-" + strings.ToLower(rand.Text()[:20]), database: defaultDatabase, emulator: emulator}
	}
	_, p := start(t)
	return p
}

func openAt(t *testing.T, p place, patience patience) *store {
	t.Helper()
	s, err := open(t.Context(), p, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	conformance.TestStore(t, func(t *testing.T) func() (drivers.Store, error) {
		p := empty(t)
		return func() (drivers.Store, error) { return open(t.Context(), p, usual) }
	})
}

func TestStoreCrash(t *testing.T) {
	var server *double.Server // in the parent, unless there is an emulator
	conformance.CrashStore(t, func(t *testing.T) string {
		p := place{project: "demo-" + strings.ToLower(rand.Text()[:20]), emulator: os.Getenv("FIRESTORE_EMULATOR_HOST")}
		if p.emulator == "" {
			server, p = start(t)
		}
		return p.project + " " + p.emulator
	}, func(at string) (drivers.Store, error) {
		if server != nil {
			server.Cut() // what the dead child sent and the double did not read is lost
		}
		project, emulator, _ := strings.Cut(at, " ")
		return open(t.Context(), place{project: project, database: defaultDatabase, emulator: emulator}, usual)
	})
}

func TestParse(t *testing.T) {
	for rawURL, want := range map[string]string{ // want: the database's path, or a part of the error
		"firestore://demo-test":             "projects/demo-test/databases/(default)",
		"firestore://demo-test/":            "projects/demo-test/databases/(default)",
		"firestore://demo-test/(default)":   "projects/demo-test/databases/(default)",
		"firestore://demo-test/%28default)": "projects/demo-test/databases/(default)",
		"firestore://demo-test/eu-1":        "projects/demo-test/databases/eu-1",
		"firestore:":                        "want firestore://PROJECT",
		"firestore:demo-test":               "want firestore://PROJECT",
		"firestore:///demo-test":            "want firestore://PROJECT",
		"firestore://me:secret@demo-test":   "want firestore://PROJECT",
		"firestore://demo-test:80":          `project "demo-test:80"`,
		"firestore://Demo-test":             `project "Demo-test"`,
		"firestore://demo_test":             `project "demo_test"`,
		"firestore://demo-":                 `project "demo-"`,
		"firestore://12345678":              `project "12345678"`,
		"firestore://demo-test/a":           `database "a"`,
		"firestore://demo-test/main/b":      `database "main/b"`,
		"firestore://demo-test/main/":       `database "main/"`,
		"firestore://demo-test/MAIN":        `database "MAIN"`,
		"firestore://demo-test?region=eu":   `unknown parameter "region"`,
		"firestore://demo-test#a":           "fragment",
	} {
		u, err := url.Parse(rawURL)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parse(u)
		got := p.path()
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s: got %q, want %q", rawURL, got, want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: the error shows the secret: %s", rawURL, got)
		}
	}
}

func TestOpenStore(t *testing.T) {
	server, p := start(t)
	server.Create("demo-test", "second")
	t.Setenv("FIRESTORE_EMULATOR_HOST", p.emulator)
	openers := map[string]drivers.Opener[drivers.Store]{"firestore": OpenStore}
	for _, rawURL := range []string{"firestore://demo-test", "firestore://demo-test/second"} {
		s, err := drivers.Open(t.Context(), rawURL, openers)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		// Each database is empty when it is opened.
		if err := s.Commit(t.Context(), drivers.Create(thing, json.RawMessage(`{}`), time.Time{})); err != nil {
			t.Error(err)
		}
	}
	for rawURL, want := range map[string]string{
		"firestore://demo-test/third": `open firestore://demo-test/third: there is no database "third" in project "demo-test"`,
		"firestore://demo-else":       `open firestore://demo-else: there is no database "(default)" in project "demo-else"`,
	} {
		if _, err := drivers.Open(t.Context(), rawURL, openers); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s…", err, want)
		}
	}
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", t.TempDir()+"/absent.json")
	if _, err := drivers.Open(t.Context(), "firestore://demo-test", openers); err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") {
		t.Errorf("without credentials: %v", err)
	}
}

// TestOpenDuringOutage: a store may be opened while Firestore is away, and works
// when it is back.
func TestOpenDuringOutage(t *testing.T) {
	server, p := start(t)
	server.Fail(func(string) double.Fault { return double.Fault{Stage: double.Before, Cut: true} })
	s := openAt(t, p, brisk)
	if _, err := s.Get(t.Context(), thing); err == nil || !strings.Contains(err.Error(), "no answer from the emulator") {
		t.Errorf("Get during an outage: %v", err)
	}
	server.Fail(nil)
	if _, err := s.Get(t.Context(), thing); err != nil {
		t.Errorf("Get after an outage: %v", err)
	}
}

// TestCalls counts RPCs. Whoever raises a number raises somebody's bill.
func TestCalls(t *testing.T) {
	server, p := start(t)
	s := openAt(t, p, usual)
	count := func(what string, want map[string]int, f func() error) {
		t.Helper()
		before := server.Calls()
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for method, n := range server.Calls() {
			if n -= before[method]; n != want[method] {
				t.Errorf("%s: %d calls of %s, want %d", what, n, method, want[method])
			}
		}
	}
	get, commit := map[string]int{"BatchGetDocuments": 1}, map[string]int{"Commit": 1}
	var keys []drivers.Key
	var creates []drivers.Op
	for i := range drivers.MaxOps {
		keys = append(keys, drivers.Key{Kind: "things", ID: string(rune('a' + i))})
		creates = append(creates, drivers.Create(keys[i], json.RawMessage(`{"a":1}`), time.Time{}))
	}
	var found []drivers.Record
	look := func() (err error) {
		found, err = s.Get(t.Context(), keys...)
		return err
	}
	count("Get of what is not there", get, look)
	count("Create", commit, func() error { return s.Commit(t.Context(), creates...) })
	count("Get", get, look)
	count("Get of nothing", nil, func() error { _, err := s.Get(t.Context()); return err })
	count("Replace and Delete", commit, func() error {
		return s.Commit(t.Context(), drivers.Replace(found[0], found[0].Data, time.Time{}), drivers.Delete(found[1]))
	})
	count("conflict", map[string]int{"Commit": 1, "BatchGetDocuments": 1}, func() error {
		err := s.Commit(t.Context(), drivers.Delete(found[0]))
		if !errors.Is(err, drivers.ErrConflict) {
			return errors.Join(errors.New("no conflict"), err)
		}
		return nil
	})
	count("an If that no store gave", nil, func() error {
		for _, r := range []drivers.Revision{"-1", "01", "+1", "A", "zzzzzzzzzzzz", "zzzzzzzzzzzzzzzzzzzz", "é"} {
			if err := s.Commit(t.Context(), drivers.Op{Key: thing, If: r}); !errors.Is(err, drivers.ErrConflict) {
				return errors.Join(errors.New("no conflict"), err)
			}
		}
		return nil
	})
	scan := func(after string) func() error {
		return func() error {
			for _, err := range s.Scan(t.Context(), "things", "", after) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	count("Scan", map[string]int{"RunQuery": 1}, scan(""))
	count("Scan of what cannot be", nil, func() error {
		for range s.Scan(t.Context(), "things", "a", "b") {
			t.Error("a record")
		}
		return nil
	})
}

// TestLateContext: the end of a context ends a call with the context's error.
func TestLateContext(t *testing.T) {
	server, p := start(t)
	s := openAt(t, p, usual)
	called := make(chan bool, 10)
	server.Fail(func(string) double.Fault {
		called <- true
		return double.Fault{Stage: double.Before}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := s.Get(ctx, thing); !errors.Is(err, ctx.Err()) || err == nil {
			t.Errorf("Get: %v", err)
		}
	})
	wait.Go(func() {
		err := s.Commit(ctx, drivers.Create(thing, json.RawMessage(`{}`), time.Time{}))
		if !errors.Is(err, ctx.Err()) || err == nil {
			t.Errorf("Commit: %v", err)
		}
	})
	wait.Go(func() {
		for _, err := range s.Scan(ctx, "things", "", "") {
			if !errors.Is(err, ctx.Err()) || err == nil {
				t.Errorf("Scan: %v", err)
			}
		}
	})
	for range 3 {
		<-called
	}
	cancel()
	wait.Wait()
}
