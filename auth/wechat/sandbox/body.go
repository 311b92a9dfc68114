package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
)

// maxBody bounds a request, in bytes.
const maxBody = 64 << 10

// escaped is what WeChat does not take for text.
var escaped = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)

// refusesBody reports whether it has answered because the request is no POST of
// JSON; else v has it.
func (s *Sandbox) refusesBody(w http.ResponseWriter, r *http.Request, v any) bool {
	if r.Method != http.MethodPost {
		s.refuse(w, 43002, "require POST method")
		return true
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case err != nil:
		s.refuse(w, 47001, "data format error")
	case len(body) == 0:
		s.refuse(w, 44002, "empty post data")
	case escaped.Match(body):
		s.refuse(w, 40033, `invalid charset. please check your request, if include \uxxxx will create fail`)
	case json.Unmarshal(body, v) != nil:
		s.refuse(w, 47001, "data format error")
	default:
		return false
	}
	return true
}
