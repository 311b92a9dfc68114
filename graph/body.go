package graph

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// request is what a client asks for. It holds slices of the body.
type request struct {
	query     []byte // the document, as a JSON string
	operation string // operationName
	variables []byte // a valid JSON object, or empty
	hash      string // SHA-256 of the document, in hex, or empty
	files     map[string]*spool
	get       bool // whether it may only read
}

// close frees the files.
func (q *request) close() {
	for _, file := range q.files {
		file.close()
	}
}

// readGet reads a request from the query of a URL.
func readGet(u *url.URL) (request, *Fault) {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return request{}, badRequest("The URL's query is malformed.")
	}
	q := request{get: true, operation: values.Get("operationName")}
	for _, name := range []string{"query", "operationName", "variables", "extensions"} {
		if !utf8.ValidString(values.Get(name)) {
			return request{}, badRequest("The request is not UTF-8.")
		}
	}
	if values.Has("query") {
		q.query, _ = json.Marshal(values.Get("query"))
	}
	if values.Has("documentId") {
		if fault := q.setHash(values.Get("documentId")); fault != nil {
			return request{}, fault
		}
	}
	for _, name := range []string{"variables", "extensions"} {
		text := bytes.TrimSpace([]byte(values.Get(name)))
		if len(text) == 0 || string(text) == "null" {
			continue
		}
		if text[0] != '{' || !json.Valid(text) {
			return request{}, badRequest("The " + name + " are not a JSON object.")
		}
		if name == "variables" {
			q.variables = text
		} else if fault := q.setExtensions(text); fault != nil {
			return request{}, fault
		}
	}
	if q.query == nil && q.hash == "" {
		return request{}, badRequest("There is no query.")
	}
	return q, nil
}

// readBody reads all of r into buf, limit bytes at most.
func readBody(r io.Reader, buf []byte, limit int64) ([]byte, *Fault) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return buf, tooLarge(limit)
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, badRequest("The body did not come to its end.")
		}
	}
}

// mediaType returns the type of a request's body, without parameters; empty
// where it is none, or says another encoding than UTF-8.
func mediaType(r *http.Request) (kind, boundary string) {
	header := r.Header.Get("Content-Type")
	if header == "application/json" {
		return header, ""
	}
	kind, parameters, err := mime.ParseMediaType(header)
	if charset, ok := parameters["charset"]; err != nil || ok && !isUTF8(charset) {
		return "", ""
	}
	return kind, parameters["boundary"]
}

// parseBody reads a request from JSON. It passes over the text once and makes
// no copy; what it does not need to understand yet it leaves for later.
func parseBody(text []byte) (request, *Fault) {
	if !utf8.Valid(text) {
		return request{}, badRequest("The request is not UTF-8.")
	}
	s := scanner{text: text}
	switch s.next() {
	case '{':
	case '[':
		return request{}, badRequest("Batches are not served; send one request each.")
	default:
		return request{}, badBody()
	}
	var q request
	for first := true; ; first = false {
		key, value, ok := s.member(first)
		if !ok {
			return request{}, badBody()
		}
		if key == nil {
			break
		}
		name, ok := unquote(key)
		if !ok {
			return request{}, badBody()
		}
		if fault := q.set(name, value); fault != nil {
			return request{}, fault
		}
	}
	if s.next() != 0 || s.at <= len(text) {
		return request{}, badBody()
	}
	if q.query == nil && q.hash == "" {
		return request{}, badRequest("There is no query.")
	}
	return q, nil
}

func badBody() *Fault { return badRequest("The request is not a JSON object.") }

// set takes over one member of the request's object.
func (q *request) set(name string, value []byte) *Fault {
	switch name {
	case "query":
		if value[0] != '"' {
			return badRequest("The query is not a string.")
		}
		q.query = value
		return nil
	case "operationName":
		if string(value) == "null" {
			q.operation = ""
			return nil
		}
		var ok bool
		if q.operation, ok = unquote(value); !ok {
			return badRequest("The operationName is not a string.")
		}
		return nil
	}
	if name == "documentId" && string(value) != "null" {
		hash, ok := unquote(value)
		if !ok {
			return badRequest("The documentId is not a string.")
		}
		return q.setHash(hash)
	}
	if !json.Valid(value) {
		return badBody()
	}
	if name == "variables" || name == "extensions" {
		switch {
		case string(value) == "null":
			value = nil
		case value[0] != '{':
			return badRequest("The " + name + " are not an object.")
		}
	}
	if name == "variables" {
		q.variables = value
	}
	if name == "extensions" && value != nil {
		return q.setExtensions(value)
	}
	return nil
}

// scanner finds the values of one level of JSON.
type scanner struct {
	text []byte
	at   int
}

// next returns the next byte that is no white space, and 0, passing the end, when there is none.
func (s *scanner) next() byte {
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	s.at = len(s.text) + 1
	return 0
}

// value returns the text of the next value, or nil where none can be. A string
// has its end where it ought to be, an object or array as many closing brackets
// as opening ones; more is not checked.
func (s *scanner) value() []byte {
	if s.next() == 0 {
		return nil
	}
	start, depth := s.at-1, 0
	for at := start; at < len(s.text); at++ {
		switch c := s.text[at]; c {
		case '"':
			for at++; at < len(s.text) && s.text[at] != '"'; at++ {
				if s.text[at] < ' ' {
					return nil
				}
				if s.text[at] == '\\' {
					at++
				}
			}
			if at >= len(s.text) {
				return nil
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return nil
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if depth > 0 {
				continue
			}
			return nil
		default:
			// A number or a name ends before the next delimiter.
			for at+1 < len(s.text) && strings.IndexByte(",:]}[{\" \n\t\r", s.text[at+1]) < 0 {
				at++
			}
		}
		if depth == 0 {
			s.at = at + 1
			return s.text[start:s.at]
		}
	}
	return nil
}

// member returns the name and the value of the next member of an object, the first after
// its opening brace; no name at its end. It is not ok where there is something else.
func (s *scanner) member(first bool) (name, value []byte, ok bool) {
	c := s.next()
	if c == '}' {
		return nil, nil, true
	}
	if !first {
		if c != ',' {
			return nil, nil, false
		}
		c = s.next()
	}
	s.at--
	if name = s.value(); c != '"' || name == nil || s.next() != ':' {
		return nil, nil, false
	}
	value = s.value()
	return name, value, value != nil
}

// members returns the members of a valid object, and of those of one name the last.
func members(object []byte) map[string][]byte {
	found := map[string][]byte{}
	s := scanner{text: object, at: 1}
	for first := true; ; first = false {
		key, value, ok := s.member(first)
		if !ok || key == nil {
			return found
		}
		if name, ok := unquote(key); ok {
			found[name] = value
		}
	}
}

// elements returns the elements of a valid array.
func elements(array []byte) (found [][]byte) {
	s := scanner{text: array, at: 1}
	for {
		value := s.value()
		if value == nil {
			return found
		}
		found = append(found, value)
		s.next() // a comma, or the end
	}
}

// unquote reads a JSON string.
func unquote(text []byte) (string, bool) {
	if text[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), true
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err == nil
}
