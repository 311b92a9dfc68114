package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

// A journal is a file of commits that are not in the database yet. To append to it
// is one write and one fsync of one place on the disk; a transaction of bbolt writes
// a page for each record and has two fsyncs. Journals are numbered: the store appends
// to the newest, and removes one when the database has all of it. It begins with
//
//	22 bytes  "miniprofile journal 1\n"
//	8 bytes   the store's id
//	8 bytes   the journal's number, big endian
//
// which is fsynced first, and then has a frame for each batch of commits:
//
//	4 bytes   frameMark
//	4 bytes   length of the body, big endian
//	4 bytes   CRC-32C of the journal's first 38 bytes and the body
//	body      8 bytes number of the batch, big endian, one more than that before; for
//	          each record that is written: kind, ID, and its stored form, or nothing
//	          for its deletion; each of the three after its length, as a uvarint
//
// and zeros after the last, which are laid out a good piece ahead: then an fsync has to
// write the frame and nothing else, neither where it is nor how long the file has become.
//
// A crash leaves at most one frame that is not whole, the last, and nobody was told
// that it is there; its number is given again. A whole one after it, or a number that
// is missing, is damage.
const (
	journalName  = "journal-"
	journalForms = "miniprofile journal "
	journalMagic = journalForms + "1\n"
	frameMark    = "\xffmpj" // stands in no record: 0xff is not UTF-8
	journalHead  = len(journalMagic) + 8 + 8
	frameHead    = len(frameMark) + 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mark says how far the database has come, and is kept there.
type mark struct {
	store   [8]byte // random: which store it is
	journal uint64  // the newest journal that is in the database
	batch   uint64  // the newest batch that is
}

func journalPath(dir string, number uint64) string {
	return filepath.Join(dir, journalName+strconv.FormatUint(number, 10))
}

// journals returns the numbers of the journals in a folder, in order.
func journals(dir string) (numbers []uint64, err error) {
	files, err := os.ReadDir(dir)
	for _, f := range files {
		text, ok := strings.CutPrefix(f.Name(), journalName)
		number, err := strconv.ParseUint(text, 10, 64)
		if ok && err == nil && text == strconv.FormatUint(number, 10) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// journal is the one that is written. Its file is made with the first frame.
type journal struct {
	dir    string
	folder *os.File // dir, to sync it
	store  [8]byte
	number uint64
	file   *os.File
	size   int64 // without the zeros
	laid   int64 // with them, never less than size
	ahead  int64 // how many are laid out at a time

	// os.File.Sync, and syncData for a frame; tests put a failing disk here.
	sync, syncData func(*os.File) error
}

// append makes a frame durable. After an error, intact says that the journal surely
// is as it was.
func (j *journal) append(frame []byte) (intact bool, err error) {
	if j.file == nil {
		if intact, err := j.create(); err != nil {
			return intact, err
		}
	}
	endFrame(frame, crc32.Checksum(journalHeader(j.store, j.number), castagnoli))
	end := j.size + int64(len(frame))
	if end > j.laid {
		err = j.layOut(end + j.ahead)
	}
	if err == nil {
		_, err = j.file.WriteAt(frame, j.size)
	}
	if err == nil {
		err = j.syncData(j.file)
	}
	if err != nil {
		j.laid = j.size
		return full(err) && j.file.Truncate(j.size) == nil && j.file.Sync() == nil, err
	}
	j.size, j.laid = end, max(j.laid, end)
	return true, nil
}

// layOut writes zeros up to end. Where there is no space for them, there may be some for
// the frame.
func (j *journal) layOut(end int64) error {
	switch err := zeros(j.file, j.laid, end); {
	case full(err):
		return j.file.Truncate(j.laid)
	case err != nil:
		return err
	}
	j.laid = end
	return nil
}

func (j *journal) create() (intact bool, err error) {
	path := journalPath(j.dir, j.number)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return true, err
	}
	if _, err = f.Write(journalHeader(j.store, j.number)); err == nil {
		err = errors.Join(j.sync(f), j.sync(j.folder))
	}
	if err != nil {
		return full(err) && f.Close() == nil && os.Remove(path) == nil, err
	}
	j.file, j.size, j.laid = f, int64(journalHead), int64(journalHead)
	return true, nil
}

// zeros writes zeros from one place in a file to another.
func zeros(f *os.File, from, to int64) error {
	var none [64 << 10]byte
	for from < to {
		n, err := f.WriteAt(none[:min(to-from, int64(len(none)))], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// next ends the journal and begins the one after it.
func (j *journal) next() {
	j.file.Close() // what was written is synced
	j.number, j.file, j.size, j.laid = j.number+1, nil, 0, 0
}

// close ends the journal.
func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
	j.folder.Close()
}

// forget removes the journals up to a number. One that stays is removed another time.
func (j *journal) forget(upTo uint64) {
	numbers, _ := journals(j.dir)
	for _, number := range numbers {
		if number <= upTo {
			_ = os.Remove(journalPath(j.dir, number))
		}
	}
}

func journalHeader(store [8]byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(journalMagic), store[:]...), number)
}

// beginFrame begins the frame of a batch in b, with room for its head.
func beginFrame(b []byte, batch uint64) []byte {
	b = append(b, make([]byte, frameHead)...)
	return binary.BigEndian.AppendUint64(b, batch)
}

func appendChange(b []byte, c change) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(c.key.Kind))), c.key.Kind...)
	b = append(binary.AppendUvarint(b, uint64(len(c.key.ID))), c.key.ID...)
	return append(binary.AppendUvarint(b, uint64(len(c.value))), c.value...)
}

// endFrame fills in the head of the frame that b is. seed is the checksum of the
// journal's header.
func endFrame(b []byte, seed uint32) {
	copy(b, frameMark)
	body := b[frameHead:]
	binary.BigEndian.PutUint32(b[4:], uint32(len(body)))
	binary.BigEndian.PutUint32(b[8:], crc32.Update(seed, castagnoli, body))
}

// cutFrame returns the body of the frame that data begins with, if it is whole.
func cutFrame(data []byte, seed uint32) (body []byte, ok bool) {
	if len(data) < frameHead || string(data[:4]) != frameMark {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(data[4:]))
	if size < 8 || size > int64(len(data)-frameHead) {
		return nil, false
	}
	body = data[frameHead : frameHead+int(size)]
	return body, crc32.Update(seed, castagnoli, body) == binary.BigEndian.Uint32(data[8:])
}

// The ways in which a journal is damaged.
var (
	errNotWhole = fmt.Errorf("not whole: %w", ErrDamaged)
	errForeign  = fmt.Errorf("of another store: %w", ErrDamaged)
	errMissing  = fmt.Errorf("what comes before it is missing: %w", ErrDamaged)
	errFrame    = fmt.Errorf("a frame says nothing: %w", ErrDamaged)
)

// parseFrame reads what a body has, after the number of its batch, into l.
func parseFrame(l layer, body []byte) (err error) {
	field := func() []byte {
		size, n := binary.Uvarint(body)
		if n <= 0 || size > uint64(len(body)-n) {
			err = errFrame
			return nil
		}
		f := body[n : n+int(size)]
		body = body[n+int(size):]
		return f
	}
	for len(body) > 0 {
		k, v := drivers.Key{Kind: string(field()), ID: string(field())}, field()
		if err != nil {
			return err
		}
		if len(v) == 0 {
			v = nil
		} else if err := checkHeader(v); err != nil {
			return err
		}
		l.put(k, v)
	}
	return nil
}

// parseJournal reads the journal that comes after m into l, as far as it is whole, and
// returns the mark of a database that has it too.
func parseJournal(l layer, data []byte, m mark) (after mark, err error) {
	after = mark{m.store, m.journal + 1, m.batch}
	header := journalHeader(after.store, after.journal)
	if !bytes.HasPrefix(data, header) {
		return after, tornHeader(data, header)
	}
	seed := crc32.Checksum(header, castagnoli)
	for data = data[len(header):]; len(data) > 0; {
		body, ok := cutFrame(data, seed)
		if !ok {
			return after, tornFrame(data[1:], seed)
		}
		if batch := binary.BigEndian.Uint64(body); batch != after.batch+1 {
			return after, errMissing
		}
		if err := parseFrame(l, body[8:]); err != nil {
			return after, err
		}
		after.batch++
		data = data[frameHead+len(body):]
	}
	return after, nil
}

// tornHeader returns an error unless data is what a crash leaves of a journal that has
// nothing but its header: its beginning, and perhaps zeros.
func tornHeader(data, header []byte) error {
	begun := 0
	for begun < len(data) && begun < len(header) && data[begun] == header[begun] {
		begun++
	}
	switch {
	case len(data) <= len(header) && len(bytes.Trim(data[begun:], "\x00")) == 0:
		return nil
	case begun >= len(journalMagic):
		return errForeign
	case bytes.HasPrefix(data, []byte(journalForms)):
		return errors.New("made by a release that is newer than this one")
	}
	return errNotWhole
}

// tornFrame returns an error when there is a whole frame in what comes after one that
// is not.
func tornFrame(data []byte, seed uint32) error {
	for {
		i := bytes.Index(data, []byte(frameMark))
		if i < 0 {
			return nil
		}
		if _, ok := cutFrame(data[i:], seed); ok {
			return errNotWhole
		}
		data = data[i+1:]
	}
}

// replay reads the journals in dir that come after m. It returns what they have, and
// the mark of a database that has it too.
func replay(dir string, m mark) (l layer, after mark, err error) {
	numbers, err := journals(dir)
	if err != nil {
		return nil, m, err
	}
	l, after = layer{}, m
	for _, number := range numbers {
		if number <= m.journal {
			continue // a crash came between the last commit of the database and the removal
		}
		path := journalPath(dir, number)
		data, err := os.ReadFile(path)
		switch {
		case err != nil:
			return nil, m, err
		case number != after.journal+1:
			return nil, m, fmt.Errorf("%s: %w", path, errMissing)
		}
		if after, err = parseJournal(l, data, after); err != nil {
			return nil, m, fmt.Errorf("%s: %w", path, err)
		}
	}
	return l, after, nil
}
