package drivers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Check reports what is wrong with the ops of a Commit, as an error that is
// ErrInvalid, or nil. It is the first line of every Commit, so that all drivers
// refuse the same things: what any one store could not hold, none accepts.
//
// Ops: 1 to MaxOps, with valid and distinct keys; a delete names a revision.
// Expires: zero, or years 1970 to 9999 in whole microseconds.
// Data: one JSON object of at most MaxData bytes and MaxDepth levels in valid
// UTF-8; names not empty, not repeated in one object, at most MaxName bytes and
// not of the form __x__ (Firestore keeps those); no array directly in an array
// (Firestore again); no U+0000 (PostgreSQL) and no half of a surrogate pair in a
// name or text; numbers are integers, plainly written, within MaxInteger; the
// names above each value, added up for all values, at most MaxPaths bytes.
func Check(ops []Op) error {
	if len(ops) == 0 || len(ops) > MaxOps {
		return fmt.Errorf("%w: a commit of %d ops, want 1 to %d", ErrInvalid, len(ops), MaxOps)
	}
	for i, op := range ops {
		if err := checkKey(op.Key); err != nil {
			return err
		}
		for _, other := range ops[:i] {
			if other.Key == op.Key {
				return fmt.Errorf("%w: %v twice in one commit", ErrInvalid, op.Key)
			}
		}
		if op.Data == nil {
			if op.If == "" {
				return fmt.Errorf("%w: %v: delete without a revision", ErrInvalid, op.Key)
			}
			continue
		}
		if err := checkExpires(op.Expires); err != nil {
			return fmt.Errorf("%w: %v: %w", ErrInvalid, op.Key, err)
		}
		if err := checkData(op.Data); err != nil {
			return fmt.Errorf("%w: %v: %w", ErrInvalid, op.Key, err)
		}
	}
	return nil
}

// CheckKeys reports what is wrong with the keys of a Get, as an error that is
// ErrInvalid, or nil.
func CheckKeys(keys []Key) error {
	if len(keys) > MaxKeys {
		return fmt.Errorf("%w: %d keys, want at most %d", ErrInvalid, len(keys), MaxKeys)
	}
	for _, k := range keys {
		if err := checkKey(k); err != nil {
			return err
		}
	}
	return nil
}

// CheckScan reports what is wrong with the arguments of a Scan, as an error that
// is ErrInvalid, or nil. A prefix or after is empty or the beginning of an ID.
func CheckScan(kind, prefix, after string) error {
	if !validKind(kind) {
		return fmt.Errorf("%w: kind %q", ErrInvalid, kind)
	}
	if prefix != "" && !validID(prefix) {
		return fmt.Errorf("%w: prefix %q", ErrInvalid, prefix)
	}
	if after != "" && !validID(after) {
		return fmt.Errorf("%w: after %q", ErrInvalid, after)
	}
	return nil
}

// CheckPut reports what is wrong with the arguments of a Put, as an error that
// is ErrInvalid, or nil.
func CheckPut(key string, size int64, contentType string) error {
	if err := CheckObjectKey(key); err != nil {
		return err
	}
	if size < 0 || size > MaxObject {
		return fmt.Errorf("%w: object of %d bytes, want 0 to %d", ErrInvalid, size, MaxObject)
	}
	if contentType == "" || len(contentType) > MaxContentType || strings.Trim(contentType, " ") != contentType ||
		strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("%w: content type %q", ErrInvalid, contentType)
	}
	return nil
}

// CheckObjectKey reports what is wrong with the keys of objects, as an error
// that is ErrInvalid, or nil.
func CheckObjectKey(keys ...string) error {
	for _, key := range keys {
		ok := key != "" && len(key) <= MaxObjectKey
		for segment := range strings.SplitSeq(key, "/") {
			ok = ok && validSegment(segment)
		}
		if !ok {
			return fmt.Errorf("%w: object key %q", ErrInvalid, key)
		}
	}
	return nil
}

// CheckObjectPrefix reports what is wrong with the arguments of a List, as an
// error that is ErrInvalid, or nil. Each is empty or the beginning of a key, so
// it may end in a slash.
func CheckObjectPrefix(prefix, after string) error {
	for _, s := range []string{prefix, after} {
		if s == "" {
			continue
		}
		if err := CheckObjectKey(strings.TrimSuffix(s, "/")); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(k Key) error {
	if !validKind(k.Kind) {
		return fmt.Errorf("%w: kind %q, want [a-z]{1,32}", ErrInvalid, k.Kind)
	}
	if !validID(k.ID) {
		return fmt.Errorf("%w: id %q, want [a-z0-9][a-z0-9.]{0,119}", ErrInvalid, k.ID)
	}
	return nil
}

func validKind(s string) bool {
	if s == "" || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		if s[i] < 'a' || s[i] > 'z' {
			return false
		}
	}
	return true
}

func validID(s string) bool {
	if s == "" || len(s) > 120 || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

func validSegment(s string) bool {
	if s == "" || !alphanumeric(s[0]) {
		return false
	}
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '.' && s[i] != '_' && s[i] != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

func checkExpires(t time.Time) error {
	switch {
	case t.IsZero():
		return nil
	case t.Year() < 1970 || t.Year() > 9999:
		return errors.New("expires outside 1970 to 9999")
	case t.Location() != time.UTC || t.Nanosecond()%1000 != 0:
		return errors.New("expires not in UTC and whole microseconds")
	}
	return nil
}

func checkData(data json.RawMessage) error {
	if len(data) > MaxData {
		return fmt.Errorf("%d bytes, want at most %d", len(data), MaxData)
	}
	if !utf8.Valid(data) {
		return errors.New("invalid UTF-8")
	}
	w := walk{data: data}
	if w.next() != '{' {
		return errNotJSON
	}
	if err := w.object(1); err != nil {
		return err
	}
	if w.next(); w.at < len(w.data) {
		return errNotJSON
	}
	return nil
}

var errNotJSON = errors.New("not one JSON object")

// walk goes through text once and finds what is no JSON in it, and what JSON allows and
// a record does not: a commit would pay for each pass.
type walk struct {
	data  []byte
	at    int
	above int // bytes of the names above the value at hand
	paths int // the sum of it for all values
}

// next skips white space and returns the byte that begins the next token; at the end, 0,
// which begins none.
func (w *walk) next() byte {
	for ; w.at < len(w.data); w.at++ {
		switch c := w.data[w.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// more reports whether another member or element comes before the bracket that closes
// its object or array, and goes to what comes.
func (w *walk) more(first bool, closing byte) (bool, error) {
	switch c := w.next(); {
	case c == closing:
		w.at++
		return false, nil
	case first:
		return true, nil
	case c == ',':
		w.at++
		return true, nil
	}
	return false, errNotJSON
}

// object walks an object from its brace to behind its end.
func (w *walk) object(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("deeper than %d levels", MaxDepth)
	}
	w.at++
	var few [16][]byte
	names := few[:0]
	var many map[string]bool // once there are too many to compare each with each
	for first := true; ; first = false {
		if more, err := w.more(first, '}'); !more {
			return err
		}
		if w.next() != '"' {
			return errNotJSON
		}
		name, err := w.text()
		switch {
		case err != nil:
			return err
		case w.next() != ':':
			return errNotJSON
		case len(name) == 0 || len(name) > MaxName:
			return fmt.Errorf("a field name of %d bytes, want 1 to %d", len(name), MaxName)
		case bytes.HasPrefix(name, []byte("__")) && bytes.HasSuffix(name, []byte("__")):
			return fmt.Errorf("field name %q is reserved", name)
		case many[string(name)], slices.ContainsFunc(names, func(n []byte) bool { return bytes.Equal(n, name) }):
			return fmt.Errorf("field %q twice", name)
		}
		w.at++
		if len(names) < cap(names) {
			names = append(names, name)
		} else {
			if many == nil {
				many = map[string]bool{}
			}
			many[string(name)] = true
		}
		w.above += len(name)
		if err := w.value(depth, false); err != nil {
			return err
		}
		w.above -= len(name)
	}
}

// value walks one value.
func (w *walk) value(depth int, inArray bool) error {
	if w.paths += w.above; w.paths > MaxPaths {
		return fmt.Errorf("long names above many values: more than %d bytes", MaxPaths)
	}
	switch c := w.next(); {
	case c == '{':
		return w.object(depth + 1)
	case c == '[' && inArray:
		return errors.New("an array directly in an array")
	case c == '[':
		return w.array(depth + 1)
	case c == '"':
		_, err := w.text()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return w.number()
	}
	for _, name := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(w.data[w.at:], []byte(name)) {
			w.at += len(name)
			return nil
		}
	}
	return errNotJSON
}

// array walks an array from its bracket to behind its end.
func (w *walk) array(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("deeper than %d levels", MaxDepth)
	}
	w.at++
	for first := true; ; first = false {
		if more, err := w.more(first, ']'); !more {
			return err
		}
		if err := w.value(depth, true); err != nil {
			return err
		}
	}
}

// number walks a number.
func (w *walk) number() error {
	start := w.at
	for w.at < len(w.data) && strings.IndexByte("+-.eE0123456789", w.data[w.at]) >= 0 {
		w.at++
	}
	number := string(w.data[start:w.at])
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err != nil || n > MaxInteger || n < -MaxInteger || number == "-0":
		return fmt.Errorf("number %.40q is no integer within 2^53", number)
	case number != strconv.FormatInt(n, 10): // 007
		return errNotJSON
	}
	return nil
}

// text walks a string and returns what it says.
func (w *walk) text() ([]byte, error) {
	start := w.at
	escaped := false
	for w.at++; ; w.at++ {
		if w.at >= len(w.data) || w.data[w.at] < ' ' {
			return nil, errNotJSON
		}
		if w.data[w.at] == '"' {
			break
		}
		if w.data[w.at] == '\\' {
			escaped = true
			w.at++
		}
	}
	w.at++
	quoted := w.data[start:w.at]
	if !escaped {
		return quoted[1 : len(quoted)-1], nil
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		return nil, errNotJSON
	}
	if !pairedSurrogates(quoted) {
		return nil, errors.New("half of a surrogate pair")
	}
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("U+0000 in a name or text")
	}
	return []byte(text), nil
}

// pairedSurrogates reports whether every \uD800 to \uDFFF escape in data is part
// of a pair. encoding/json turns a lone one into U+FFFD without a word.
func pairedSurrogates(data []byte) bool {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		i++
		r := escape(data, i)
		switch {
		case r >= 0xDC00 && r <= 0xDFFF:
			return false
		case r >= 0xD800 && r <= 0xDBFF:
			if i+5 >= len(data) || data[i+5] != '\\' {
				return false
			}
			if low := escape(data, i+6); low < 0xDC00 || low > 0xDFFF {
				return false
			}
			i += 6
		}
	}
	return true
}

// escape returns the code unit of uXXXX at i, or -1.
func escape(data []byte, i int) int64 {
	if i+5 > len(data) || data[i] != 'u' {
		return -1
	}
	n, err := strconv.ParseInt(string(data[i+1:i+5]), 16, 32)
	if err != nil {
		return -1
	}
	return n
}
