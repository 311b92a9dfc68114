package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/miniprofile/miniprofile/drivers"
)

const (
	crashPlace   = "MINIPROFILE_CONFORMANCE_CRASH" // in the child's environment: what is tested, colon, place
	crashRounds  = 8
	crashWriters = 8
)

// CrashStore kills a process that commits, with SIGKILL at random moments, and
// looks what is there: every acknowledged commit, and of the others all or
// nothing. The process is this test binary, running the calling test once more;
// so the test calls CrashStore first and does nothing before. place makes an
// empty place and returns its name, which open understands in either process.
func CrashStore(t *testing.T, place func(t *testing.T) string, open func(place string) (drivers.Store, error)) {
	crash(t, "store", 400, place, open, func(ctx context.Context, s drivers.Store, w int, ack func(int) error) error {
		n, err := crashStoreNumber(ctx, s, w)
		for err == nil {
			n++
			if err = crashStoreStep(ctx, s, w, n); err == nil {
				err = ack(n)
			}
		}
		return err
	}, crashStoreNumber)
}

// CrashObjects is CrashStore for objects: an acknowledged Put and Delete is
// there, and no object is ever half-written.
func CrashObjects(t *testing.T, place func(t *testing.T) string, open func(place string) (drivers.Objects, error)) {
	crash(t, "objects", 80, place, open, func(ctx context.Context, o drivers.Objects, w int, ack func(int) error) error {
		n, err := crashObjectsNumber(ctx, o, w)
		for err == nil {
			n++
			if err = crashObjectsStep(ctx, o, w, n); err == nil {
				err = ack(n)
			}
		}
		return err
	}, crashObjectsNumber)
}

// crash is both; it kills before the number acks of acknowledgements is reached. In the child it runs write for each writer until it is killed;
// in the parent it starts and kills the child and wants number to find, for each
// writer, the last step acknowledged or the one after.
func crash[D io.Closer](t *testing.T, what string, acks int, place func(t *testing.T) string, open func(string) (D, error),
	write func(ctx context.Context, d D, w int, ack func(n int) error) error,
	number func(ctx context.Context, d D, w int) (int, error),
) {
	if env, ok := os.LookupEnv(crashPlace); ok {
		if place, ok := strings.CutPrefix(env, what+":"); ok {
			t.Fatal(crashChild(t.Context(), place, open, write))
		}
		return // the child of the other test
	}
	at := place(t)
	acked := make([]int, crashWriters)
	for round := range crashRounds {
		if err := crashParent(t, what+":"+at, rand.IntN(acks), acked); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		d, err := open(at)
		if err != nil {
			t.Fatalf("round %d: what a crash leaves can be opened: %v", round, err)
		}
		for w := range acked {
			n, err := number(t.Context(), d, w)
			if err != nil {
				t.Errorf("round %d: %v", round, err)
			} else if n < acked[w] || n > acked[w]+1 {
				t.Errorf("round %d: an acknowledged write survives a crash, and what was not begun does not happen: writer %d acknowledged step %d and is at %d", round, w, acked[w], n)
			}
			acked[w] = n
		}
		if err := d.Close(); err != nil {
			t.Errorf("round %d: Close: %v", round, err)
		}
		if t.Failed() {
			return
		}
	}
}

// crashChild writes and tells on standard output, a line for each step, until
// it is killed or its parent has gone.
func crashChild[D io.Closer](ctx context.Context, place string, open func(string) (D, error), write func(context.Context, D, int, func(int) error) error) error {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	d, err := open(place)
	if err != nil {
		return err
	}
	errs := make([]error, crashWriters)
	together(crashWriters, func(w int) {
		errs[w] = write(ctx, d, w, func(n int) error {
			_, err := fmt.Printf("ack %d %d\n", w, n) // one write(2): nothing is buffered
			return err
		})
	})
	return errors.Join(errs...)
}

// crashParent runs a child, kills it when no acknowledgement is left, and brings
// acked up to date.
func crashParent(t *testing.T, env string, left int, acked []int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	child := exec.Command(self, "-test.run="+pattern, "-test.v=false")
	child.Env = append(os.Environ(), crashPlace+"="+env)
	stdin, err := child.StdinPipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	kill := sync.OnceFunc(func() { child.Process.Kill() }) // SIGKILL
	defer child.Wait()
	defer kill()
	var other []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); { // until the pipe ends with the child
		var w, n int
		if _, err := fmt.Sscanf(lines.Text(), "ack %d %d", &w, &n); err != nil {
			other = append(other, lines.Text())
			continue
		}
		acked[w] = n
		if left--; left <= 0 {
			kill()
		}
	}
	if left > 0 {
		return fmt.Errorf("the child ended by itself:\n%s", strings.Join(other, "\n"))
	}
	return nil
}

// crashStoreStep commits step n of writer w: replaces two records, one of them
// big, creates one and deletes one.
func crashStoreStep(ctx context.Context, s drivers.Store, w, n int) error {
	a, b, last, next := crashKeys(w, n)
	found, err := s.Get(ctx, a, b, last)
	if err != nil {
		return err
	}
	big := fmt.Appendf(nil, `{"n":%d,"filler":%q}`, n, strings.Repeat("x", n*977%9000))
	ops := []drivers.Op{replace(found[0], n), drivers.Replace(found[1], big, found[1].Expires), create(next, n)}
	if n > 1 {
		ops = append(ops, drivers.Delete(found[2]))
	}
	return s.Commit(ctx, ops...)
}

func crashKeys(w, n int) (a, b, last, next drivers.Key) {
	return key("things", fmt.Sprintf("a%d", w)), key("others", fmt.Sprintf("b%d", w)),
		key("steps", fmt.Sprintf("w%d.%d", w, n-1)), key("steps", fmt.Sprintf("w%d.%d", w, n))
}

// crashStoreNumber returns at which step writer w is, or what is torn.
func crashStoreNumber(ctx context.Context, s drivers.Store, w int) (int, error) {
	a, b, _, _ := crashKeys(w, 0)
	found, err := s.Get(ctx, a, b)
	if err != nil {
		return 0, err
	}
	n := max(0, numberOf(found[0]))
	if numberOf(found[1]) != numberOf(found[0]) {
		return 0, fmt.Errorf("a commit is there whole or not at all: writer %d has steps %d and %d", w, numberOf(found[0]), numberOf(found[1]))
	}
	steps := 0
	for r, err := range s.Scan(ctx, "steps", fmt.Sprintf("w%d.", w), "") {
		if err != nil {
			return 0, err
		}
		if steps++; numberOf(r) != n {
			return 0, fmt.Errorf("a commit is there whole or not at all: writer %d at step %d has %v", w, n, r.Key)
		}
	}
	if steps != min(n, 1) {
		return 0, fmt.Errorf("a commit is there whole or not at all: writer %d at step %d has %d records of steps", w, n, steps)
	}
	return n, nil
}

// crashObjectsStep puts a new object, replaces one, and deletes the new one of
// the step before.
func crashObjectsStep(ctx context.Context, o drivers.Objects, w, n int) error {
	content := version(n, 100+n*7919%150_000)
	for _, name := range []string{crashNew(w, n), crashObject(w)} {
		if err := o.Put(ctx, name, strings.NewReader(content), int64(len(content)), "text/plain"); err != nil {
			return err
		}
	}
	if n > 1 {
		return o.Delete(ctx, crashNew(w, n-1))
	}
	return nil
}

func crashObject(w int) string { return fmt.Sprintf("w/%d/object", w) }

func crashNew(w, n int) string { return fmt.Sprintf("w/%d/new/%08d", w, n) }

// crashObjectsNumber returns at which step writer w is, or what is torn, and
// brings a step that was cut off to its end.
func crashObjectsNumber(ctx context.Context, o drivers.Objects, w int) (int, error) {
	n := 0
	var news []int
	for info, err := range o.List(ctx, fmt.Sprintf("w/%d/", w), "") {
		if err != nil {
			return 0, err
		}
		_, content, err := fetch(ctx, o, info.Key)
		if err != nil {
			return 0, err
		}
		v, err := versionOf(content)
		if err != nil {
			return 0, fmt.Errorf("no half-written object is ever there: %s: %w", info.Key, err)
		}
		if info.Key == crashObject(w) {
			n = v
			continue
		}
		if info.Key != crashNew(w, v) {
			return 0, fmt.Errorf("an object is what was put under its key: %s has version %d", info.Key, v)
		}
		news = append(news, v)
	}
	// The step was cut off after its first Put: that one may be there, no other.
	// Or after its second: then the new one of the step before may be there too.
	switch {
	case len(news) == 0 && n == 0:
	case len(news) == 1 && news[0] == n:
	case len(news) == 1 && n == 0 && news[0] == 1:
		return 0, o.Delete(ctx, crashNew(w, 1))
	case len(news) == 2 && news[0] == n && news[1] == n+1:
		return n, o.Delete(ctx, crashNew(w, n+1))
	case len(news) == 2 && news[0] == n-1 && news[1] == n:
		return n, o.Delete(ctx, crashNew(w, n-1))
	default:
		return 0, fmt.Errorf("an acknowledged Put and Delete survives a crash: writer %d at step %d has new objects of steps %v", w, n, news)
	}
	return n, nil
}
