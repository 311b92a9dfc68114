package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"
)

// timeFormat is RFC 3339 with milliseconds, of a time in UTC.
const timeFormat = `"2006-01-02T15:04:05.000Z"`

// MarshalTime writes the scalar Time.
func MarshalTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { w.Write(appendTime(nil, t)) })
}

// UnmarshalTime is there because generated code needs it to compile. No input has a Time.
func UnmarshalTime(any) (time.Time, error) {
	return time.Time{}, errors.New("no input has a Time")
}

// MarshalJSON writes the scalar JSON as it is.
func MarshalJSON(text json.RawMessage) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { w.Write(text) })
}

// UnmarshalJSON reads the scalar JSON: the text of a variable, or what gqlgen
// makes of an object in the document.
func UnmarshalJSON(v any) (json.RawMessage, error) {
	if text, ok := v.(json.RawMessage); ok {
		return text, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
