package wechat

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

const (
	maxDepth  = 16  // of elements or objects within each other
	maxFields = 512 // of a message
	maxName   = 128 // bytes of a name
)

var errMessage = errors.New("malformed message")

// message is what a push tells, whatever it was written in: text by the lower-case
// name of its field, result.suggest for a field of a field. What stands in a list
// is not here. Of two fields of one name the first counts.
type message map[string]string

// parseMessage reads JSON or XML, told apart by the first byte: Content-Type is
// often wrong.
func parseMessage(body []byte) (message, error) {
	body = bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), " \t\r\n")
	m := message{}
	switch {
	case len(body) == 0 || len(body) > MaxPush:
		return nil, errMessage
	case body[0] == '{':
		return m, m.parseJSON(body)
	case body[0] == '<':
		return m, m.parseXML(body)
	}
	return nil, errMessage
}

// put keeps the first text of a name. WeChat's samples have names that begin with
// a space.
func (m message) put(path []string, text string) error {
	for i, name := range path {
		if len(name) > maxName {
			return errMessage
		}
		path[i] = strings.ToLower(strings.TrimSpace(name))
	}
	name := strings.Join(path, ".")
	if _, ok := m[name]; !ok {
		m[name] = strings.TrimSpace(text)
	}
	if len(m) > maxFields {
		return errMessage
	}
	return nil
}

func (m message) parseJSON(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if _, err := d.Token(); err != nil { // the first brace
		return errMessage
	}
	if err := m.object(d, nil); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errMessage
	}
	return nil
}

// object reads an object whose first brace has been read.
func (m message) object(d *json.Decoder, path []string) error {
	if len(path) > maxDepth {
		return errMessage
	}
	for {
		name, err := d.Token()
		if err != nil {
			return errMessage
		}
		if name == json.Delim('}') {
			return nil
		}
		value, err := d.Token()
		if err != nil {
			return errMessage
		}
		inner := append(path[:len(path):len(path)], name.(string))
		switch v := value.(type) {
		case json.Delim:
			if v == '{' {
				err = m.object(d, inner)
			} else {
				err = skipList(d)
			}
		case string:
			err = m.put(inner, v)
		case json.Number:
			err = m.put(inner, v.String())
		case bool:
			err = m.put(inner, map[bool]string{false: "0", true: "1"}[v])
		}
		if err != nil {
			return err
		}
	}
}

// skipList reads to the end of a list whose first bracket has been read.
func skipList(d *json.Decoder) error {
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if err != nil {
			return errMessage
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return nil
}

// parseXML reads one element with all that is in it; its own name does not matter.
// encoding/xml knows no entities but the five of XML, and declarations of others
// are refused.
func (m message) parseXML(body []byte) error {
	d := xml.NewDecoder(bytes.NewReader(body))
	var (
		path   []string // the root first
		text   strings.Builder
		nested bool // the element that ended last, or this one, holds others
		roots  int
	)
	for {
		token, err := d.Token()
		if err == io.EOF && roots == 1 && len(path) == 0 {
			return nil
		}
		if err != nil {
			return errMessage
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(path) == 0 {
				roots++
			}
			if path = append(path, t.Name.Local); len(path) > maxDepth || roots > 1 {
				return errMessage
			}
			text.Reset()
			nested = false
		case xml.CharData:
			if len(path) == 0 && len(bytes.TrimSpace(t)) > 0 {
				return errMessage
			}
			text.Write(t)
		case xml.EndElement:
			if !nested && len(path) > 1 {
				if err := m.put(append([]string(nil), path[1:]...), text.String()); err != nil {
					return err
				}
			}
			path, nested = path[:len(path)-1], true
			text.Reset()
		case xml.Directive:
			return errMessage
		}
	}
}
