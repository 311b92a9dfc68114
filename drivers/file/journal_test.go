package file

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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
	s.journalSize, s.journal.ahead = 1, 100
	return s, nil
}

// onSync puts a disk under a journal.
func (j *journal) onSync(sync func(*os.File) error) { j.sync, j.syncData = sync, sync }

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
			return errors.Join(errFull, tx.Rollback())
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
	s.journal.ahead = 0 // nothing after the last frame
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
			s.journalSize = 0
			n++
		}
	}
	return crashed(t, running), s, full
}

// last returns the number of the one thing in the store in dir, or -1.
func last(t *testing.T, dir string) (int, error) {
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
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	j := journal{dir: dir, folder: folder, store: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, number: 9}
	j.onSync((*os.File).Sync)
	defer j.close()
	frame := beginFrame(nil, 0x0a0b)
	value := encode(newStamp(1, 2), drivers.Create(thing(1), json.RawMessage(`{}`), time.Time{}))
	frame = appendChange(frame, change{drivers.Key{Kind: "things", ID: "a"}, value})
	frame = appendChange(frame, change{drivers.Key{Kind: "things", ID: "b"}, nil})
	if _, err := j.append(frame); err != nil {
		t.Fatal(err)
	}
	const golden = "miniprofile journal 1\n" + "\x01\x02\x03\x04\x05\x06\x07\x08" + "\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\xffmpj" + "\x00\x00\x00\x33" + "CRC." + "\x00\x00\x00\x00\x00\x00\x0a\x0b" +
		"\x06things" + "\x01a" + "\x17" + "\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00{}" +
		"\x06things" + "\x01b" + "\x00"
	crc := journalHead + 8
	text := []byte(files(t, dir)["journal-9"])
	if got := binary.BigEndian.Uint32(text[crc:]); got != 0x7f00c7e {
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
				if got, err := last(t, dir); err != nil || got != want {
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
			if got, err := last(t, folder); err != nil || got != want {
				t.Errorf("the newest is %d, %v, want %d", got, err, want)
			}
		})
	}
}

// TestZeros: a journal is longer than what is in it, a piece at a time, so that most
// commits do not change its length. Its header is safe before, or a crash could leave a
// long file without one. Whoever opens it does not take the zeros for damage.
func TestZeros(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	if s.journal.ahead != journalAhead {
		t.Errorf("%d bytes ahead, want %d", s.journal.ahead, journalAhead)
	}
	s.journal.ahead = 500
	headers := 0
	s.journal.sync = func(f *os.File) error {
		if info, err := f.Stat(); err == nil && !info.IsDir() {
			headers++
			if info.Size() != int64(journalHead) {
				t.Errorf("%d bytes are there before the header is safe", info.Size())
			}
		}
		return f.Sync()
	}
	var lengths []int64
	for n := range 30 {
		if err := s.Commit(t.Context(), create(n, time.Time{})); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(journalPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if ahead := info.Size() - s.journal.size; ahead < 0 || ahead > 500 || info.Size() != s.journal.laid {
			t.Errorf("after commit %d: %d bytes for %d, and %d are said to be laid out", n, info.Size(), s.journal.size, s.journal.laid)
		}
		if len(lengths) == 0 || info.Size() != lengths[len(lengths)-1] {
			lengths = append(lengths, info.Size())
		}
		if got := count(t, open(t, crashed(t, dir), time.Now, nil)); got != n+1 {
			t.Errorf("after a crash: %d records, want %d", got, n+1)
		}
	}
	if len(lengths) < 2 || len(lengths) > 6 || headers != 1 {
		t.Errorf("%d lengths in 30 commits, %d headers", len(lengths), headers)
	}
}

// TestSecure: a start makes safe what it reads before it changes anything. What a killed
// process wrote and never synced could still go with the power, after the start has
// removed a journal because of it, or has acknowledged what comes after it.
func TestSecure(t *testing.T) {
	dir, _, _ := journalled(t, 3, 4)
	before := files(t, dir)
	db, err := openDB(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	synced := map[string]bool{}
	untouched := func() {
		t.Helper()
		if !maps.Equal(files(t, dir), before) {
			t.Error("something was changed before all was safe")
		}
	}
	s := &store{db: db, readers: readers{db: db}, newer: layer{}, commitTx: func(tx *bbolt.Tx) error {
		if len(synced) != 4 {
			t.Errorf("the database takes in what is not safe, only %v", synced)
		}
		return tx.Commit()
	}}
	s.journal = journal{dir: dir, sync: func(f *os.File) error {
		untouched()
		synced[filepath.Base(f.Name())] = true
		return f.Sync()
	}}
	s.syncDB = func() error {
		untouched()
		synced[StoreName] = true
		return db.Sync()
	}
	if err := errors.Join(s.recover(), s.moved()); err != nil {
		t.Error(err)
	}
	if !synced["journal-1"] || !synced["journal-2"] || !synced[StoreName] || !synced[filepath.Base(dir)] {
		t.Errorf("only %v is safe", synced)
	}
	if left := names(t, dir); !slices.Equal(left, []string{StoreName}) {
		t.Errorf("files left: %v", left)
	}
	s.journal.close()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	// What cannot be made safe is not opened.
	s = &store{syncDB: func() error { return syscall.EIO }, journal: journal{dir: dir, sync: (*os.File).Sync}}
	if err := s.recover(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a disk that fails: %v", err)
	}
}

// TestManyJournals: a start goes on while the database takes in what a crash has left, but
// not where the start before did not come to the end of it: they would become ever more.
func TestManyJournals(t *testing.T) {
	for _, c := range []struct {
		journals int
		moving   bool
	}{{2, true}, {3, false}} {
		dir, _, _ := journalled(t, 3, 4)
		if c.journals > 2 {
			folder, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			j := journal{dir: dir, folder: folder, number: 3, sync: (*os.File).Sync, syncData: syncData}
			copy(j.store[:], files(t, dir)["journal-2"][len(journalMagic):])
			value := encode(newStamp(1, 8), create(7, time.Time{}))
			if _, err := j.append(appendChange(beginFrame(nil, 8), change{thing(7), value})); err != nil {
				t.Fatal(err)
			}
			j.close()
		}
		db, err := openDB(dir, false)
		if err != nil {
			t.Fatal(err)
		}
		s := &store{db: db, readers: readers{db: db}, newer: layer{}, commitTx: (*bbolt.Tx).Commit, syncDB: db.Sync}
		s.journal = journal{dir: dir, sync: (*os.File).Sync}
		if err := s.recover(); err != nil {
			t.Error(err)
		}
		if (s.moving != nil) != c.moving {
			t.Errorf("%d journals: the start has gone on: %t", c.journals, !c.moving)
		}
		if s.moving != nil {
			if err := s.moved(); err != nil {
				t.Error(err)
			}
		}
		if left := names(t, dir); !slices.Equal(left, []string{StoreName}) {
			t.Errorf("files left: %v", left)
		}
		s.journal.close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTornJournal: a journal that ends anywhere has all commits that are whole there,
// and so has one that ends with what was never written.
func TestTornJournal(t *testing.T) {
	dir, _, _ := journalled(t, 3)
	whole := files(t, dir)["journal-1"]
	ends, seed := []int{journalHead}, crc32.Checksum([]byte(whole[:journalHead]), castagnoli) // of the frames
	for end := journalHead; end < len(whole); ends = append(ends, end) {
		body, ok := cutFrame([]byte(whole[end:]), seed)
		if !ok {
			t.Fatal("a frame is not whole")
		}
		end += frameHead + len(body)
	}
	if len(ends) != 4 {
		t.Fatalf("%d frames", len(ends)-1)
	}
	for size := range len(whole) + 1 {
		for tail, text := range map[string]string{"": "", "zeros": strings.Repeat("\x00", 5000), "0xff": strings.Repeat("\xff", 50)} {
			if tail != "" && size < journalHead {
				continue // that is fsynced before all
			}
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
			if got, err := last(t, dir); err != nil || got != want {
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
		"zeros":                        func(f map[string]string) { f["journal-2"] = strings.Repeat("\x00", len(f["journal-2"])) },
		"zeros after a part of it":     func(f map[string]string) { f["journal-2"] = f["journal-2"][:9] + strings.Repeat("\x00", journalHead) },
		"the number":                   func(f map[string]string) { f["journal-2"] = flipped(f["journal-2"], journalHead-1) },
		"the end of one that has a successor": func(f map[string]string) {
			f["journal-1"] = f["journal-1"][:len(f["journal-1"])-1]
		},
		"one is missing":       func(f map[string]string) { delete(f, "journal-1") },
		"one of another store": func(f map[string]string) { f["journal-1"] = files(t, other)["journal-1"] },
		"one of another store that is torn": func(f map[string]string) {
			f["journal-2"] = strings.Replace(files(t, other)["journal-1"][:80], "\x01", "\x02", 1)
		},
		"no journal": func(f map[string]string) { f["journal-2"] = "what is this?" + strings.Repeat(" ", 60) },
		"a frame that is missing": func(f map[string]string) {
			f["journal-2"] = f["journal-2"][:journalHead] + f["journal-2"][frameEnd(f["journal-2"]):]
		},
		"a frame that is there twice": func(f map[string]string) {
			f["journal-2"] += f["journal-2"][journalHead:frameEnd(f["journal-2"])]
		},
		"a frame that says nothing": func(f map[string]string) {
			f["journal-1"] = reframed(f["journal-1"], func(body []byte) []byte { return append(body[:8], 200) })
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
			if err := refused(t, dir); !errors.Is(err, ErrDamaged) {
				t.Errorf("opened with %v", err)
			}
			if !maps.Equal(files(t, dir), spoilt) {
				t.Error("something has changed")
			}
		})
	}
	// One that the database has already is not looked at.
	if _, err := last(t, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "journal-1"), []byte("whatever"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := last(t, dir); err != nil || got != 5 || len(names(t, dir)) != 1 {
		t.Errorf("beside a journal that is in the database: %d, %v, %v", got, err, names(t, dir))
	}
}

// refused opens what must not open, to write and to read, and returns the error.
func refused(t *testing.T, dir string) error {
	t.Helper()
	_, err := openStore(dir, time.Now, nil)
	if err == nil || !strings.Contains(err.Error(), "journal-") {
		t.Errorf("opened with %v", err)
	}
	_, read := OpenStoreForReading(t.Context(), &url.URL{Scheme: "file", Path: dir})
	if fmt.Sprint(read) != fmt.Sprint(err) {
		t.Errorf("opened for reading with %v, and else with %v", read, err)
	}
	return err
}

// frameEnd returns where the first frame of a journal ends.
func frameEnd(text string) int {
	body, _ := cutFrame([]byte(text[journalHead:]), crc32.Checksum([]byte(text[:journalHead]), castagnoli))
	return journalHead + frameHead + len(body)
}

// reframed returns a journal whose first frame has another body.
func reframed(text string, other func(body []byte) []byte) string {
	body := other([]byte(text[journalHead+frameHead : frameEnd(text)]))
	frame := append(make([]byte, frameHead), body...)
	endFrame(frame, crc32.Checksum([]byte(text[:journalHead]), castagnoli))
	return text[:journalHead] + string(frame) + text[frameEnd(text):]
}

// TestNewerJournal: what a newer release has written is not called damaged, and stays.
func TestNewerJournal(t *testing.T) {
	for name, newer := range map[string]func(text string) string{
		"journal": func(text string) string { return strings.Replace(text, "journal 1", "journal 2", 1) },
		"record": func(text string) string {
			return reframed(text, func(body []byte) []byte {
				body[8+1+len("things")+1+len("k00000")+1] = version + 1
				return body
			})
		},
	} {
		dir, _, _ := journalled(t, 3)
		path := filepath.Join(dir, "journal-1")
		text := newer(files(t, dir)["journal-1"])
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := refused(t, dir); errors.Is(err, ErrDamaged) || files(t, dir)["journal-1"] != text {
			t.Errorf("%s: %v", name, err)
		}
	}
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
		s.journalSize = 0
	}
	write(0, 2000, 1500)
	same("one layer")
	begin()
	if err := s.moved(); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	write(0, 2000, 700)
	same("the database and one layer")
	begin()
	write(500, 1500, 700)
	same("the database and two layers")
	write(3000, 4000, 500) // beyond what the database has
	same("the database and longer layers")
	if s.older == nil || s.newer["things"] == nil {
		t.Error("there are no two layers")
	}
	full.Store(false)
	begin()
	write(0, 2000, 300)
	same("the database again")
}

// TestDenseLayers: a scan goes no farther at a time than it has looked into each layer.
func TestDenseLayers(t *testing.T) {
	for round, steps := range [][3]int{
		{50, 3, 2}, {50, 2, 3}, {3, 50, 2}, {3, 2, 50}, {2, 2, 2}, {1, 1, 1}, {1, 50, 70},
		{50, 3, 2}, {50, 2, 3}, {3, 50, 2}, {3, 2, 50}, {2, 2, 2}, {1, 1, 1}, {1, 50, 70},
	} {
		s := open(t, t.TempDir(), time.Now, nil)
		deleted := func(layer, id int) bool { return layer > 0 && (id%7 == 0) == (round < 7) }
		const n = 3000
		var want [n]string
		layers := [3]layer{{}, {}, {}}
		for i, step := range steps {
			for id := i; id < n; id += step {
				want[id] = fmt.Sprintf(`{"layer":%d}`, i)
				v := encode(newStamp(1, 1), drivers.Create(thing(id), json.RawMessage(want[id]), time.Time{}))
				if deleted(i, id) {
					want[id], v = "", nil
				}
				layers[i].put(thing(id), v)
			}
		}
		if err := s.takeIn(layers[0], mark{}); err != nil {
			t.Fatal(err)
		}
		s.older, s.newer = layers[1], layers[2]
		next := 0
		skip := func() {
			for next < n && want[next] == "" {
				next++
			}
		}
		skip()
		for r, err := range s.Scan(t.Context(), "things", "", "") {
			if err != nil || r.Key != thing(next) || string(r.Data) != want[next] {
				t.Fatalf("steps %v: %v %s, %v, want %v %s", steps, r.Key, r.Data, err, thing(next), want[next])
			}
			next++
			skip()
		}
		if next != n {
			t.Errorf("steps %v: the scan ended before %v", steps, thing(next))
		}
		s.older = nil
	}
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

// TestFailedMove: a database that failed for another reason than that it is full is not
// asked again, and nothing more is acknowledged.
func TestFailedMove(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	var asked atomic.Int32
	s.commitTx = func(tx *bbolt.Tx) error {
		asked.Add(1)
		return errors.Join(syscall.ENOSPC, tx.Rollback()) // as of fdatasync: nobody knows what is on the disk
	}
	if err := s.Commit(t.Context(), create(0, time.Time{})); err != nil {
		t.Fatal(err)
	}
	s.journalSize = 1
	if err := s.settle(); err != nil { // begins to move, as before a commit
		t.Fatal(err)
	}
	s.moving <- <-s.moving // it has ended
	if err := s.settle(); err == nil {
		t.Error("a commit would go on")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if asked.Load() != 1 || !slices.Contains(names(t, dir), "journal-1") {
		t.Errorf("the database was asked %d times; left: %v", asked.Load(), names(t, dir))
	}
	if n := count(t, open(t, dir, time.Now, nil)); n != 1 {
		t.Errorf("%d records, want 1", n)
	}
}

// TestLimit: a journal grows with the database, within bounds.
func TestLimit(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	s.journal.size = minJournalSize // where the size of the database begins to matter
	for _, c := range [][2]int64{{0, minJournalSize}, {8 * minJournalSize, minJournalSize}, {8*minJournalSize + 800, minJournalSize + 100},
		{8 * maxJournalSize, maxJournalSize}, {1 << 34, maxJournalSize}} {
		if err := os.Truncate(s.db.Path(), max(c[0], 1<<15)); err != nil {
			t.Fatal(err)
		}
		if got := s.limit(); got != c[1] {
			t.Errorf("with a database of %d bytes a journal has %d, want %d", c[0], got, c[1])
		}
	}
	s.journal.size = 0 // as it is
}

// TestSlowDatabase: while the database is slow, commits wait, or the journal would grow
// without end.
func TestSlowDatabase(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	s.journalSize = 1000
	long, beyond := make(chan bool, 1), make(chan bool, 1)
	s.journal.onSync(func(f *os.File) error {
		switch size := s.journal.size; {
		case size >= (maxJournals+1)*s.journalSize:
			beyond <- true
		case size >= (maxJournals-1)*s.journalSize && len(long) == 0:
			long <- true
		}
		return f.Sync()
	})
	var once sync.Once
	s.commitTx = func(tx *bbolt.Tx) error {
		once.Do(func() {
			<-long
			select {
			case <-beyond:
				t.Error("commits go on")
			case <-time.After(200 * time.Millisecond):
			}
		})
		return tx.Commit()
	}
	for i := range 100 {
		if err := s.Commit(t.Context(), create(i, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s); n != 100 {
		t.Errorf("%d records, want 100", n)
	}
}

// TestFileSizeLimit: where files may not grow, the store goes on to be read, and is
// opened again after a crash.
func TestFileSizeLimit(t *testing.T) {
	const child = "MINIPROFILE_FILE_SIZE_LIMIT_TEST"
	if os.Getenv(child) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestFileSizeLimit$")
		c.Env = append(os.Environ(), child+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := open(t, dir, time.Now, nil)
	s.journalSize = 20_000
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 200_000, Max: 200_000}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	data := json.RawMessage(`{"a":"` + strings.Repeat("x", 900) + `"}`)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = s.Commit(t.Context(), drivers.Create(thing(n), data, time.Time{}))
	}
	n--
	if !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), syscall.EFBIG.Error()) || n < 100 {
		t.Errorf("after %d commits: %v", n, err)
	}
	if got := count(t, s); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
	for range 3 {
		dir = crashed(t, dir)
		numbers, err := journals(dir)
		if err != nil {
			t.Fatal(err)
		}
		path := journalPath(dir, numbers[len(numbers)-1])
		torn := append([]byte(files(t, dir)[filepath.Base(path)]), frameMark+"torn"...)
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, time.Now, nil)
		if got := count(t, s); got != n {
			t.Errorf("after a crash: %d records, want %d", got, n)
		}
		if err := s.Commit(t.Context(), create(n, time.Time{})); err != nil {
			t.Errorf("after a crash: %v", err)
		}
		n++
	}
}

// TestOneMoment: whoever reads begins to read the database while the layers cannot
// change; begun before, it would miss what went from them to the database meanwhile.
func TestOneMoment(t *testing.T) {
	for name, reads := range map[string]func(s *store) error{
		"Get":    func(s *store) error { _, err := s.Get(t.Context(), thing(1)); return err },
		"Scan":   func(s *store) error { _, _, _, err := s.chunk(t.Context(), "things", "", ""); return err },
		"Commit": func(s *store) error { return s.Commit(t.Context(), create(2, time.Time{})) },
		"kinds":  func(s *store) error { _, err := s.kinds(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir(), time.Now, nil)
			if err := s.Commit(t.Context(), create(1, time.Time{})); err != nil {
				t.Fatal(err)
			}
			s.readers.pause() // ends those that are kept
			s.mu.Lock()
			done := make(chan error, 1)
			go func() { done <- reads(s) }()
			for until := time.Now().Add(50 * time.Millisecond); time.Now().Before(until); runtime.Gosched() {
				if s.db.Stats().OpenTxN > 0 {
					t.Error("it reads the database before it has the layers")
					break
				}
			}
			s.mu.Unlock()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReaderOfAPause: a reader that began during a pause is not kept beyond it.
func TestReaderOfAPause(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	put := func(changes ...change) {
		t.Helper()
		if err := s.db.Update(func(tx *bbolt.Tx) error { return putAll(tx, changes) }); err != nil {
			t.Fatal(err)
		}
	}
	put(change{thing(0), make([]byte, 300_000)}) // a file that must grow waits for readers
	put(change{thing(0), nil})
	s.readers.pause()
	r, err := s.readers.take()
	if err != nil {
		t.Fatal(err)
	}
	put(change{thing(1), encode(newStamp(1, 1), create(1, time.Time{}))})
	s.readers.resume()
	s.readers.give(r)
	if found, err := s.Get(t.Context(), thing(1)); err != nil || !found[0].Exists() {
		t.Errorf("a reader from before the commit was kept: %v", err)
	}
}

// TestOldStore: a store of before there were journals is read, written and swept.
func TestOldStore(t *testing.T) {
	dir := t.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, "store.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return putAll(tx, []change{{thing(0), encode(newStamp(7, 100), create(0, time.Time{}))}})
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := OpenStoreForReading(t.Context(), &url.URL{Scheme: "file", Path: dir})
	if err != nil || count(t, r) != 1 {
		t.Fatalf("read: %v", err)
	}
	r.Close()
	s := open(t, dir, time.Now, nil)
	if kinds, err := s.Kinds(t.Context()); err != nil || !slices.Equal(kinds, []string{"things"}) {
		t.Errorf("kinds %v, %v", kinds, err)
	}
	if err := s.sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Commit(t.Context(), create(1, time.Time{})); err != nil || count(t, s) != 2 {
		t.Errorf("written: %v", err)
	}
}

// TestBatchNumbers: a store counts on where it ended, or there were revisions twice.
func TestBatchNumbers(t *testing.T) {
	dir := t.TempDir()
	for want := range uint64(4) {
		s := open(t, dir, time.Now, nil)
		if s.batch != want {
			t.Errorf("opened at batch %d, want %d", s.batch, want)
		}
		if err := s.Commit(t.Context(), create(int(want), time.Time{})); err != nil {
			t.Fatal(err)
		}
		if want%2 == 0 {
			s.Close()
		} else {
			dir = crashed(t, dir)
		}
	}
}

// FuzzJournal: whatever the bytes are, reading them ends, and what is read is there.
func FuzzJournal(f *testing.F) {
	head := journalHeader([8]byte{}, 1)
	seed := crc32.Checksum(head, castagnoli)
	frame := appendChange(beginFrame(nil, 1), change{thing(1), append([]byte{version}, make([]byte, headerSize)...)})
	frame = appendChange(frame, change{thing(2), nil})
	endFrame(frame, seed)
	f.Add(append(head, frame...))
	f.Add([]byte(string(head) + frameMark + "\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := layer{}
		if after, err := parseJournal(l, data, mark{}); err == nil && (after.journal != 1 || after.batch > uint64(len(data))) {
			t.Errorf("%d bytes make %v", len(data), after)
		}
		for _, c := range l.changes() {
			if c.value != nil && checkHeader(c.value) != nil {
				t.Errorf("a record of no form: %x", c.value)
			}
		}
		// Beyond a fuzzer's luck: with the right checksum.
		if len(data) < 8 {
			return
		}
		frame := append(make([]byte, frameHead), data...)
		endFrame(frame, seed)
		parseJournal(layer{}, append(slices.Clone(head), frame...), mark{batch: binary.BigEndian.Uint64(data) - 1})
	})
}

// TestUnsafeIsUnseen: nobody sees a commit that is not safe yet.
func TestUnsafeIsUnseen(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	if err := s.Commit(t.Context(), create(0, time.Time{})); err != nil {
		t.Fatal(err)
	}
	syncing, safe := make(chan struct{}), make(chan struct{})
	s.journal.onSync(func(f *os.File) error {
		close(syncing)
		<-safe
		return f.Sync()
	})
	done := make(chan error)
	go func() { done <- s.Commit(t.Context(), create(1, time.Time{})) }()
	<-syncing
	found, err := s.Get(t.Context(), thing(1))
	if err != nil || found[0].Exists() || count(t, s) != 1 {
		t.Errorf("it is seen before it is safe: %v, %v", found, err)
	}
	close(safe)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s.journal.onSync((*os.File).Sync)
	if n := count(t, s); n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}

// TestDatabaseSyncs: bbolt is not told to leave the disk alone.
func TestDatabaseSyncs(t *testing.T) {
	if db := open(t, t.TempDir(), time.Now, nil).db; db.NoSync || db.NoGrowSync {
		t.Error("it does not sync")
	}
}

// TestJournalsAreClosed: no journal stays open that is not written any more.
func TestJournalsAreClosed(t *testing.T) {
	s := open(t, t.TempDir(), time.Now, nil)
	s.journalSize = 1
	opened := map[*os.File]bool{}
	s.journal.onSync(func(f *os.File) error {
		opened[f] = true
		return f.Sync()
	})
	for i := range 20 {
		if err := s.Commit(t.Context(), create(i, time.Time{})); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if len(opened) < 3 {
		t.Fatalf("only %d files were synced", len(opened))
	}
	for f := range opened {
		if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s is open: %v", f.Name(), err)
		}
	}
}
