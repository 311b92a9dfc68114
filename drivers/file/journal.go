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
)

// A journal is a file of commits that are not in the database yet. To append to it
// is one write and one fsync of one place on the disk; a transaction of bbolt writes
// a page for each record and has two fsyncs. Journals are numbered: the store appends
// to the newest, and removes one when the database has all of it.
//
//	22 bytes  "miniprofile journal 1\n"
//	8 bytes   the store's id
//	8 bytes   the journal's number, big endian
//
// and then a frame for each batch of commits:
//
//	4 bytes   frameMark
//	4 bytes   length of the body, big endian
//	4 bytes   CRC-32C of the body
//	body      8 bytes number of the batch, big endian; for each record that is
//	          written: kind, ID, and either 0 for its deletion, or 1 and its stored
//	          form; each of the three after its length, as a uvarint
//
// A crash leaves at most one frame that is not whole, the last, and nobody was told
// that it is there. So one that is not whole and has a whole one after it is damage.
const (
	journalName  = "journal-"
	journalMagic = "miniprofile journal 1\n"
	frameMark    = "\xffmpj" // stands in no record: 0xff is not UTF-8
	journalHead  = len(journalMagic) + 8 + 8
	frameHead    = len(frameMark) + 4 + 4
	frameLeast   = 8 // zeros would be a frame of nothing: the CRC-32C of nothing is 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// mark says how far the database has come, and is kept there.
type mark struct {
	store   [8]byte // random: which store it is
	journal uint64  // the newest journal that is in the database
	batch   uint64  // the newest batch that is
}

// journal is the one that is written. Its file is made with the first frame.
type journal struct {
	dir    string
	store  [8]byte
	number uint64
	file   *os.File
	size   int64
	sync   func(*os.File) error // os.File.Sync; tests put a failing disk here
}

func journalPath(dir string, number uint64) string {
	return filepath.Join(dir, journalName+strconv.FormatUint(number, 10))
}

// append makes a frame durable. After an error that is full, the journal is as it
// was; after any other, nobody knows.
func (j *journal) append(frame []byte) error {
	if j.file == nil {
		if err := j.create(); err != nil {
			return err
		}
	}
	_, err := j.file.Write(frame)
	if err == nil {
		err = j.sync(j.file)
	}
	if err == nil {
		j.size += int64(len(frame))
		return nil
	}
	return j.undo(err, j.file.Truncate(j.size), j.file.Sync())
}

// undo returns the error err, from which the journal has recovered unless one of
// failed is an error too.
func (j *journal) undo(err error, failed ...error) error {
	if failed := errors.Join(failed...); failed != nil {
		return errors.New(err.Error() + "; " + failed.Error()) // full no more
	}
	return err
}

func (j *journal) create() error {
	path := journalPath(j.dir, j.number)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(journalHeader(j.store, j.number))
	if err == nil {
		err = errors.Join(j.sync(f), syncFolder(j.dir))
	}
	if err != nil {
		return j.undo(err, f.Close(), os.Remove(path))
	}
	j.file, j.size = f, int64(journalHead)
	return nil
}

func journalHeader(store [8]byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(journalMagic), store[:]...), number)
}

// next ends the journal and begins the one after it.
func (j *journal) next() {
	j.file.Close() // what was written is synced
	j.number, j.file, j.size = j.number+1, nil, 0
}

// beginFrame begins the frame of a batch in b, with room for its head.
func beginFrame(b []byte, batch uint64) []byte {
	b = append(b, make([]byte, frameHead)...)
	return binary.BigEndian.AppendUint64(b, batch)
}

func appendWrite(b []byte, w write) []byte {
	field := func(s int) { b = binary.AppendUvarint(b, uint64(s)) }
	field(len(w.kind))
	b = append(b, w.kind...)
	field(len(w.id))
	b = append(b, w.id...)
	if w.value == nil {
		return append(b, 0)
	}
	field(len(w.value))
	return append(b, w.value...)
}

// endFrame fills in the head of the frame that b is.
func endFrame(b []byte) []byte {
	copy(b, frameMark)
	body := b[frameHead:]
	binary.BigEndian.PutUint32(b[4:], uint32(len(body)))
	binary.BigEndian.PutUint32(b[8:], crc32.Checksum(body, castagnoli))
	return b
}

// cutFrame returns the body of the frame that data begins with, and what is after it.
func cutFrame(data []byte) (body, rest []byte, ok bool) {
	if len(data) < frameHead || string(data[:4]) != frameMark {
		return nil, nil, false
	}
	size := int64(binary.BigEndian.Uint32(data[4:]))
	if size < frameLeast || size > int64(len(data)-frameHead) {
		return nil, nil, false
	}
	body, rest = data[frameHead:frameHead+int(size)], data[frameHead+int(size):]
	return body, rest, crc32.Checksum(body, castagnoli) == binary.BigEndian.Uint32(data[8:])
}

// parseFrame reads the body of a frame into l.
func parseFrame(l layer, body []byte) (batch uint64, err error) {
	batch, body = binary.BigEndian.Uint64(body), body[8:]
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
	for len(body) > 0 && err == nil {
		w := write{kind: string(field()), id: string(field())}
		if v := field(); len(v) > 0 {
			if failed := checkHeader(v); failed != nil {
				return 0, failed
			}
			w.value = v
		}
		if err == nil {
			l.put(w)
		}
	}
	return batch, err
}

var errFrame = errors.New("a frame that is whole says nothing")

// parseJournal reads a journal into l, as far as it is whole, and returns the number
// of its last batch, or 0. What comes after is what a crash has left, or an error.
func parseJournal(l layer, data []byte, number uint64, store [8]byte) (batch uint64, whole bool, err error) {
	if !bytes.HasPrefix(data, journalHeader(store, number)) {
		return 0, false, tornOff(data)
	}
	for data = data[journalHead:]; len(data) > 0; {
		body, rest, ok := cutFrame(data)
		if !ok {
			return batch, false, tornOff(data[1:])
		}
		if batch, err = parseFrame(l, body); err != nil {
			return 0, false, err
		}
		data = rest
	}
	return batch, true, nil
}

// tornOff returns an error when there is a whole frame in what comes after a place
// that is not whole.
func tornOff(data []byte) error {
	for {
		i := bytes.Index(data, []byte(frameMark))
		if i < 0 {
			return nil
		}
		if _, _, ok := cutFrame(data[i:]); ok {
			return errNotWhole
		}
		data = data[i+1:]
	}
}

var errNotWhole = errors.New("not whole, or of another store")

// replay reads the journals in dir that come after m. It returns what they have, the
// mark of a database that has it too, and the paths of all journals there are.
// Damage is ErrDamaged.
func replay(dir string, m mark) (fresh layer, after mark, paths []string, err error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, m, nil, err
	}
	var numbers []uint64
	for _, f := range found {
		if text, ok := strings.CutPrefix(f.Name(), journalName); ok {
			if number, err := strconv.ParseUint(text, 10, 64); err == nil {
				numbers = append(numbers, number)
			}
		}
	}
	slices.Sort(numbers)
	fresh, after = layer{}, m
	whole := true
	for _, number := range numbers {
		path := journalPath(dir, number)
		paths = append(paths, path)
		if number <= m.journal {
			continue // a crash came between the last commit of the database and the removal
		}
		switch { // what has a successor was acknowledged to its end
		case number != after.journal+1:
			return nil, m, nil, fmt.Errorf("%s has no %s%d before it: %w", path, journalName, after.journal+1, ErrDamaged)
		case !whole:
			return nil, m, nil, fmt.Errorf("%s: %w: %w", journalPath(dir, after.journal), errNotWhole, ErrDamaged)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, m, nil, err
		}
		after.journal = number
		batch := uint64(0)
		if batch, whole, err = parseJournal(fresh, data, number, m.store); err != nil {
			return nil, m, nil, fmt.Errorf("%s: %w: %w", path, err, ErrDamaged)
		}
		after.batch = max(after.batch, batch)
	}
	return fresh, after, paths, nil
}
