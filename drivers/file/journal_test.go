package file

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/conformance"
	"github.com/miniprofile/miniprofile/drivers/memory"
)

// hasty is a store that begins a new journal with almost each batch, so that its
// commits are on their way to the database all the time.
func hasty(dir string) (drivers.Store, error) {
	s, err := openStore(dir, time.Now, nil)
	if err != nil {
		return nil, err
	}
	s.journalSize = 1
	return s, nil
}

func TestHastyStore(t *testing.T) {
	conformance.TestStore(t, func(t *testing.T) func() (drivers.Store, error) {
		dir := t.TempDir()
		return func() (drivers.Store, error) { return hasty(dir) }
	})
}

func TestHastyStoreCrash(t *testing.T) {
	conformance.CrashStore(t, (*testing.T).TempDir, hasty)
}

// files returns the contents of a folder by their names.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, f := range found {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts[f.Name()] = string(text)
	}
	return texts
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	return slices.Sorted(maps.Keys(files(t, dir)))
}

// whenFull returns a func for commitTx that fails while full is true.
func whenFull(full *atomic.Bool) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		if full.Load() {
			return errors.Join(&fullError{}, tx.Rollback())
		}
		return tx.Commit()
	}
}

// journalled makes a folder as a crash leaves it, with journals of so many commits
// each: each commit makes a record and deletes the one before. The store lives on;
// its database takes in nothing while full is true.
func journalled(t *testing.T, commits ...int) (dir string, s *store, full *atomic.Bool) {
	t.Helper()
	running := t.TempDir()
	s, full = open(t, running, time.Now, nil), new(atomic.Bool)
	full.Store(true)
	s.commitTx = whenFull(full)
	n := 0
	for i, more := range commits {
		if i > 0 {
			s.journalSize = s.journal.size
		}
		for range more {
			ops := []drivers.Op{create(n, time.Time{})}
			if n > 0 {
				found, err := s.Get(t.Context(), thing(n-1))
				if err != nil {
					t.Fatal(err)
				}
				ops = append(ops, drivers.Delete(found[0]))
			}
			if err := s.Commit(t.Context(), ops...); err != nil {
				t.Fatal(err)
			}
			s.journalSize = journalSize
			n++
		}
	}
	return crashed(t, running), s, full
}

// newest returns the number of the one thing in the store in dir, or -1.
func newest(t *testing.T, dir string) (int, error) {
	t.Helper()
	s, err := openStore(dir, time.Now, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	found := -1
	for r, err := range s.Scan(t.Context(), "things", "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if found >= 0 {
			t.Errorf("two records")
		}
		fmt.Sscanf(r.Key.ID, "k%d", &found)
	}
	return found, nil
}

// TestJournalForm holds the stored form of a journal.
func TestJournalForm(t *testing.T) {
	dir := t.TempDir()
	j := journal{dir: dir, store: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, number: 9, sync: (*os.File).Sync}
	frame := beginFrame(nil, 0x0a0b)
	frame = appendWrite(frame, write{"things", "a", encode(newStamp(1, 2), drivers.Create(thing(1), json.RawMessage(`{}`), time.Time{}))})
	frame = appendWrite(frame, write{"things", "b", nil})
	if err := j.append(endFrame(frame)); err != nil {
		t.Fatal(err)
	}
	const golden = "miniprofile journal 1\n" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\xffmpj" + "\x00\x00\x00\x33" + "CRC." + "\x00\x00\x00\x00\x00\x00\x0a\x0b" +
		"\x06things" + "\x01a" + "\x17" + "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00{}" +
		"\x06things" + "\x01b" + "\x00"
	crc := journalHead + 8
	text := []byte(files(t, dir)["journal-9"])
	if got := binary.BigEndian.Uint32(text[crc:]); got != 0xcc226d78 {
		t.Errorf("the checksum is %08x", got)
	}
	copy(text[crc:], "CRC.")
	if string(text) != golden {
		t.Errorf("the stored form changed:\n got %q\nwant %q", text, golden)
	}
}

// TestJournals: what was acknowledged and is not in the database yet is there after a
// crash, whatever it was in, and for who only reads too, who changes nothing.
func TestJournals(t *testing.T) {
	for _, commits := range [][]int{{}, {1}, {5}, {5, 1}, {3, 7}} {
		t.Run(fmt.Sprint(commits), func(t *testing.T) {
			dir, s, full := journalled(t, commits...)
			want := -1
			for _, n := range commits {
				want += n
			}
			if n := len(names(t, dir)); n != 1+len(commits) {
				t.Fatalf("%d files: %v", n, names(t, dir))
			}
			before := files(t, dir)
			r, err := OpenStoreForReading(t.Context(), &url.URL{Scheme: "file", Path: dir})
			if err != nil {
				t.Fatal(err)
			}
			if n := count(t, r); n != min(1, len(commits)) {
				t.Errorf("%d records for who only reads", n)
			}
			if want >= 0 {
				found, err := r.Get(t.Context(), thing(want), thing(want+1))
				if err != nil || !found[0].Exists() || found[1].Exists() {
					t.Errorf("who only reads gets %v, %v", found, err)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if !maps.Equal(files(t, dir), before) {
				t.Error("who only reads has changed something")
			}
			for range 2 {
				if got, err := newest(t, dir); err != nil || got != want {
					t.Errorf("the newest is %d, %v, want %d", got, err, want)
				}
				if left := names(t, dir); !slices.Equal(left, []string{"store.db"}) {
					t.Errorf("files left: %v", left)
				}
			}
			// And the one that lived on:
			full.Store(false)
			if n := count(t, s); n != min(1, len(commits)) {
				t.Errorf("%d records", n)
			}
			folder := s.journal.dir
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if left := names(t, folder); !slices.Equal(left, []string{"store.db"}) {
				t.Errorf("files left: %v", left)
			}
			if got, err := newest(t, folder); err != nil || got != want {
				t.Errorf("the newest is %d, %v, want %d", got, err, want)
			}
		})
	}
}

// TestTornJournal: a journal that ends anywhere has all commits that are whole there,
// and so has one that ends with what was never written.
func TestTornJournal(t *testing.T) {
	dir, _, _ := journalled(t, 3)
	whole := files(t, dir)["journal-1"]
	ends := []int{journalHead} // of the frames
	for data := []byte(whole[journalHead:]); len(data) > 0; {
		_, rest, ok := cutFrame(data)
		if !ok {
			t.Fatal("a frame is not whole")
		}
		ends, data = append(ends, len(whole)-len(rest)), rest
	}
	if len(ends) != 4 {
		t.Fatalf("%d frames", len(ends)-1)
	}
	for size := range len(whole) + 1 {
		for tail, text := range map[string]string{"": "", "zeros": strings.Repeat("\x00", 5000), "0xff": strings.Repeat("\xff", 50)} {
			dir := crashed(t, dir)
			if err := os.WriteFile(filepath.Join(dir, "journal-1"), []byte(whole[:size]+text), 0o600); err != nil {
				t.Fatal(err)
			}
			want := -1
			for _, end := range ends[1:] {
				if strings.HasPrefix(whole[:size]+text, whole[:end]) {
					want++
				}
			}
			if got, err := newest(t, dir); err != nil || got != want {
				t.Errorf("cut off at %d of %d, then %q: the newest is %d, %v, want %d", size, len(whole), tail, got, err, want)
			}
		}
	}
}

// TestDamagedJournal: what cannot be the work of a crash is told, and nothing is changed.
func TestDamagedJournal(t *testing.T) {
	dir, _, _ := journalled(t, 3, 3)
	good := files(t, dir)
	other, _, _ := journalled(t, 3)
	flipped := func(text string, at int) string {
		b := []byte(text)
		b[at] ^= 1
		return string(b)
	}
	first := journalHead + 2 // within the first frame
	for name, spoil := range map[string]func(f map[string]string){
		"a frame with others after it": func(f map[string]string) { f["journal-2"] = flipped(f["journal-2"], first) },
		"the length of a frame":        func(f map[string]string) { f["journal-2"] = flipped(f["journal-2"], first+4) },
		"the head":                     func(f map[string]string) { f["journal-2"] = flipped(f["journal-2"], 3) },
		"the number":                   func(f map[string]string) { f["journal-2"] = flipped(f["journal-2"], journalHead-1) },
		"the end of one that has a successor": func(f map[string]string) {
			f["journal-1"] = f["journal-1"][:len(f["journal-1"])-1]
		},
		"one is missing":       func(f map[string]string) { delete(f, "journal-1") },
		"one of another store": func(f map[string]string) { f["journal-1"] = files(t, other)["journal-1"] },
		"of a newer form":      func(f map[string]string) { f["journal-1"] = unknownForm(f["journal-1"]) },
		"a frame that says nothing": func(f map[string]string) {
			f["journal-1"] = f["journal-1"][:journalHead] + string(endFrame(append(beginFrame(nil, 1), 200)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := maps.Clone(good)
			spoil(spoilt)
			dir := t.TempDir()
			for name, text := range spoilt {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := openStore(dir, time.Now, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "journal-") {
				t.Errorf("opened with %v", err)
			}
			if _, err := OpenStoreForReading(t.Context(), &url.URL{Scheme: "file", Path: dir}); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened for reading with %v", err)
			}
			if !maps.Equal(files(t, dir), spoilt) {
				t.Error("something has changed")
			}
		})
	}
	// One that the database has already is not looked at.
	if _, err := newest(t, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journal-1"), []byte("whatever"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := newest(t, dir); err != nil || got != 5 || len(names(t, dir)) != 1 {
		t.Errorf("beside a journal that is in the database: %d, %v, %v", got, err, names(t, dir))
	}
}

// unknownForm returns a journal whose first record has a form that nobody knows.
func unknownForm(text string) string {
	body, rest, _ := cutFrame([]byte(text[journalHead:]))
	body = bytes.Clone(body)
	body[8+1+len("things")+1+len("k00000")+1] = version + 1
	frame := endFrame(append(make([]byte, frameHead), body...))
	return text[:journalHead] + string(frame) + string(rest)
}

// TestFullDatabase: while the database cannot take in more, commits go on until the
// journal is too long, and then fail; when there is space again, all is well.
func TestFullDatabase(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	var full atomic.Bool
	full.Store(true)
	s.commitTx = whenFull(&full)
	s.journalSize = 1000
	n := 0
	var err error
	for ; err == nil; n++ {
		err = s.Commit(t.Context(), create(n, time.Time{}))
	}
	if !errors.Is(err, syscall.ENOSPC) || n < 20 {
		t.Errorf("after %d commits: %v", n, err)
	}
	n-- // this one failed
	if got := count(t, s); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
	if got := count(t, open(t, crashed(t, dir), time.Now, nil)); got != n {
		t.Errorf("after a crash: %d records, want %d", got, n)
	}
	full.Store(false)
	for err != nil && errors.Is(err, syscall.ENOSPC) { // of the try that was under way
		err = s.Commit(t.Context(), create(n, time.Time{}))
	}
	if err != nil {
		t.Error(err)
	}
	if got := count(t, s); got != n+1 {
		t.Errorf("%d records, want %d", got, n+1)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"store.db"}) {
		t.Errorf("files left: %v", left)
	}
}

// TestLayers: what is in the database, on its way there and newer is scanned as one,
// each record once and in order, as a store has it that knows no layers.
func TestLayers(t *testing.T) {
	var full atomic.Bool
	s := open(t, t.TempDir(), time.Now, nil)
	s.commitTx = whenFull(&full)
	model, err := memory.OpenStore(t.Context(), &url.URL{Scheme: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	key := func(i int) drivers.Key { return drivers.Key{Kind: "things", ID: fmt.Sprintf("%c.%05d", 'a'+i%3, i)} }
	// write carries out the same in both.
	write := func(from, to, n int) {
		for range n {
			k := key(from + rand.IntN(to-from))
			size, remove := rand.IntN(100), rand.IntN(4) == 0
			if rand.IntN(50) == 0 {
				size = 60_000
			}
			for _, store := range []drivers.Store{s, model} {
				found, err := store.Get(t.Context(), k)
				if err != nil {
					t.Fatal(err)
				}
				op := drivers.Replace(found[0], json.RawMessage(`{"a":"`+strings.Repeat("x", size)+`"}`), time.Time{})
				if remove && found[0].Exists() {
					op = drivers.Delete(found[0])
				}
				if err := store.Commit(t.Context(), op); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	scan := func(store drivers.Store, prefix, after string) (all []string) {
		for r, err := range store.Scan(t.Context(), "things", prefix, after) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r.Key.ID+string(r.Data))
		}
		return all
	}
	same := func(layers string) {
		t.Helper()
		for _, prefix := range []string{"", "a.", "b.", "b.001", "z"} {
			for _, after := range []string{"", "a.00500", key(rand.IntN(2000)).ID, "c."} {
				if got, want := scan(s, prefix, after), scan(model, prefix, after); !slices.Equal(got, want) {
					t.Errorf("%s: a scan of %q after %q yields %d records, want %d, or others", layers, prefix, after, len(got), len(want))
				}
			}
		}
	}
	begin := func() { // the next journal
		s.journalSize = s.journal.size
		write(0, 2000, 1)
		s.journalSize = journalSize
	}
	write(0, 2000, 1500)
	same("one layer")
	begin()
	if err := <-s.moving; err != nil {
		t.Fatal(err)
	}
	s.moving = nil
	full.Store(true)
	write(0, 2000, 700)
	same("the database and one layer")
	begin()
	write(500, 1500, 700)
	same("the database and two layers")
	write(3000, 4000, 500) // beyond what the database has
	same("the database and longer layers")
	if s.older == nil || len(s.newer["things"]) == 0 {
		t.Error("there are no two layers")
	}
	full.Store(false)
	begin()
	write(0, 2000, 300)
	same("the database again")
}

// TestDeletedChunk: a scan goes on past a part of the database that is deleted, and
// yields what is newer and comes later once.
func TestDeletedChunk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	const n = 3 * chunkRecords
	for i := range n {
		if err := s.Commit(t.Context(), create(i, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	s.Close() // into the database
	s = open(t, dir, time.Now, nil)
	for i := range 2 * chunkRecords {
		found, err := s.Get(t.Context(), thing(i))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), drivers.Delete(found[0])); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(t.Context(), create(n, time.Time{})); err != nil {
		t.Fatal(err)
	}
	next := 2 * chunkRecords
	for r, err := range s.Scan(t.Context(), "things", "", "") {
		if err != nil || r.Key != thing(next) {
			t.Fatalf("%v, %v, want %v", r.Key, err, thing(next))
		}
		next++
	}
	if next != n+1 {
		t.Errorf("the scan ended before %v", thing(next))
	}
}

// FuzzJournal: whatever the bytes are, reading them ends, and what is read is there.
func FuzzJournal(f *testing.F) {
	head := journalMagic + strings.Repeat("\x00", 15) + "\x01"
	frame := appendWrite(beginFrame(nil, 1), write{"things", "a", append([]byte{version}, make([]byte, headerSize)...)})
	f.Add(append([]byte(head), endFrame(appendWrite(frame, write{"things", "b", nil}))...))
	f.Add([]byte(head + frameMark + "\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := layer{}
		_, whole, err := parseJournal(l, data, 1, [8]byte{})
		if whole && err != nil {
			t.Errorf("whole, and %v", err)
		}
		for _, w := range l.sorted() {
			if w.value != nil && checkHeader(w.value) != nil {
				t.Errorf("a record of no form: %x", w.value)
			}
		}
	})
}
