package drivers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
// name or text; numbers are integers, plainly written, within MaxInteger.
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
	if contentType == "" || len(contentType) > MaxContentType || strings.ContainsFunc(contentType, func(r rune) bool { return r < ' ' || r > '~' }) {
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
	if !pairedSurrogates(data) {
		return errors.New("half of a surrogate pair")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	if err := checkObject(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

func checkObject(d *json.Decoder, depth int) error {
	names := make(map[string]bool, 8)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return errors.New("not JSON")
		}
		name := t.(string) // the decoder lets nothing else stand here
		switch {
		case name == "" || len(name) > MaxName:
			return fmt.Errorf("a field name of %d bytes, want 1 to %d", len(name), MaxName)
		case strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__"):
			return fmt.Errorf("field name %q is reserved", name)
		case strings.ContainsRune(name, 0):
			return errors.New("U+0000 in a field name")
		case names[name]:
			return fmt.Errorf("field %q twice", name)
		}
		names[name] = true
		if err := checkValue(d, depth, false); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int, inArray bool) error {
	t, err := d.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	switch t := t.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err != nil || n > MaxInteger || n < -MaxInteger || t == "-0" {
			return fmt.Errorf("number %.40q is no integer within 2^53", t.String())
		}
	case string:
		if strings.ContainsRune(t, 0) {
			return errors.New("U+0000 in a text")
		}
	case json.Delim:
		if depth++; depth > MaxDepth {
			return fmt.Errorf("deeper than %d levels", MaxDepth)
		}
		if t == '{' {
			return checkObject(d, depth)
		}
		if inArray {
			return errors.New("an array directly in an array")
		}
		for d.More() {
			if err := checkValue(d, depth, true); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return errors.New("not JSON")
		}
	}
	return nil
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
