package graph

import (
	"net/http"
	"strconv"
	"strings"
)

// media is a form of the answer.
type media struct {
	name   string
	header string
	values []string // of the header, shared by all answers
	strict bool     // whether the status tells that the request failed
}

// The two forms of GraphQL over HTTP. By application/json a status other than
// 200 means that no GraphQL server was reached, so a well-formed request gets 200.
var (
	mediaJSON     = newMedia("application/json", false)
	mediaResponse = newMedia("application/graphql-response+json", true)
)

func newMedia(name string, strict bool) *media {
	header := name + "; charset=utf-8"
	return &media{name, header, []string{header}, strict}
}

// negotiate chooses the form that the client likes best: by q, and
// the newer one only when it is named. It returns nil
// when the client wants neither.
func negotiate(r *http.Request) *media {
	accept := r.Header["Accept"]
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "*/*" || accept[0] == mediaJSON.name) {
		return mediaJSON
	}
	ranges := strings.Join(accept, ",")
	jsonQ, _ := quality(ranges, mediaJSON.name)
	responseQ, responseNamed := quality(ranges, mediaResponse.name)
	switch {
	case jsonQ == 0 && responseQ == 0:
		return nil
	case responseQ > jsonQ || responseQ == jsonQ && responseNamed == 2:
		return mediaResponse
	}
	return mediaJSON
}

// quality returns the q of the most specific range that matches name, and how
// specific it is: 0 for */*, 1 for application/*, 2 for the name.
func quality(ranges, name string) (q float64, specific int) {
	specific = -1
	for part := range strings.SplitSeq(ranges, ",") {
		kind, parameters, _ := strings.Cut(part, ";")
		var level int
		switch kind = strings.TrimSpace(kind); {
		case strings.EqualFold(kind, name):
			level = 2
		case strings.EqualFold(kind, "application/*"):
			level = 1
		case kind == "*/*":
			level = 0
		default:
			continue
		}
		weight, utf8 := 1.0, true
		for parameter := range strings.SplitSeq(parameters, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
			switch strings.ToLower(key) {
			case "q":
				n, err := strconv.ParseFloat(value, 64)
				if err != nil || !(n >= 0 && n <= 1) {
					n = 0
				}
				weight = n
			case "charset":
				utf8 = isUTF8(strings.Trim(value, `"`))
			}
		}
		if utf8 && level > specific {
			q, specific = weight, level
		}
	}
	return q, specific
}

func isUTF8(charset string) bool {
	return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
