package graph

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// coercer makes Go values of variables as the schema wants them. gqlparser has
// one too, but it lets pass what the specification does not (strings as Int,
// enums in any case), quotes the client's values, and needs them decoded before,
// which loses the text of numbers.
type coercer struct {
	schema   *ast.Schema
	words    words
	document *document
	files    map[string]*spool // by path, as variables.input.avatar; taken out when used
	at       gqlerror.Location // of the variable
}

// variables returns the values of an operation's variables. text is a valid JSON object
// or empty.
func (c *coercer) variables(operation *ast.OperationDefinition, text []byte) (map[string]any, *Fault) {
	var given map[string][]byte
	if len(text) > 0 {
		given = members(text)
	}
	values := make(map[string]any, len(operation.VariableDefinitions))
	for _, v := range operation.VariableDefinitions {
		c.at = place(v.Position)
		text, ok := given[v.Variable]
		switch {
		case ok:
			value, fault := c.value(v.Type, text, "variables."+v.Variable, "")
			if fault != nil {
				return nil, fault
			}
			if value == nil && c.document.needed[v] {
				return nil, badInput("", "must not be null where it is used", c.at)
			}
			values[v.Variable] = value
		case v.DefaultValue != nil:
			value, err := v.DefaultValue.Value(c.document.numbers)
			if err != nil {
				return nil, badInput("", "has a default out of range", c.at)
			}
			values[v.Variable] = value
		case v.Type.NonNull:
			return nil, badInput("", "missing: the variable "+c.words.quote(v.Variable)+" is a "+v.Type.String(), c.at)
		}
	}
	if len(c.files) > 0 {
		return nil, badRequest("The map names no variable of the type Upload that is null.")
	}
	return values, nil
}

// value makes a value of a type. field is the input field that it belongs to,
// the outermost one, or empty.
func (c *coercer) value(t *ast.Type, text []byte, path, field string) (any, *Fault) {
	wrong := func(reason string) (any, *Fault) { return nil, badInput(field, reason, c.at) }
	definition := c.schema.Types[t.Name()]
	if t.Elem == nil && definition.Name == "Upload" {
		if file := c.files[path]; file != nil && string(text) == "null" {
			delete(c.files, path)
			return graphql.Upload{File: file.reader(), Size: file.size}, nil
		}
	}
	if string(text) == "null" {
		if t.NonNull {
			return wrong("must not be null")
		}
		return nil, nil
	}
	if t.Elem != nil {
		items := [][]byte{text} // one value is a list of one
		if text[0] == '[' {
			items = elements(text)
		}
		list := make([]any, len(items))
		for i, item := range items {
			var fault *Fault
			if list[i], fault = c.value(t.Elem, item, path+"."+strconv.Itoa(i), field); fault != nil {
				return nil, fault
			}
		}
		return list, nil
	}
	switch definition.Kind {
	case ast.InputObject:
		return c.object(definition, text, path, field)
	case ast.Enum:
		if s, ok := unquote(text); ok && definition.EnumValues.ForName(s) != nil {
			return s, nil
		}
		return wrong("must be one of the values of " + definition.Name)
	}
	switch definition.Name {
	case "String":
		if s, ok := unquote(text); ok {
			return s, nil
		}
		return wrong("must be a string")
	case "ID":
		if s, ok := unquote(text); ok {
			return s, nil
		}
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return n, nil
		}
		return wrong("must be an ID")
	case "Boolean":
		if b := string(text); b == "true" || b == "false" {
			return b == "true", nil
		}
		return wrong("must be true or false")
	case "Int":
		// 1.0 and 1e0 are integers too.
		if n, err := strconv.ParseFloat(string(text), 64); err == nil && n == math.Trunc(n) && n >= math.MinInt32 && n <= math.MaxInt32 {
			return int64(n), nil
		}
		return wrong("must be an integer of 32 bits")
	case "Float":
		if n, err := strconv.ParseFloat(string(text), 64); err == nil {
			return n, nil
		}
		return wrong("must be a number")
	case "JSON":
		if text[0] != '{' {
			return wrong("must be a JSON object")
		}
		return json.RawMessage(bytes.Clone(text)), nil // the body's memory is used again
	case "Upload":
		return wrong("must be a part of a multipart request")
	}
	return wrong("must not be given")
}

func (c *coercer) object(definition *ast.Definition, text []byte, path, field string) (any, *Fault) {
	fieldOf := func(name string) string {
		if field != "" {
			return field
		}
		return name
	}
	if text[0] != '{' {
		return nil, badInput(field, "must be an object", c.at)
	}
	given := members(text)
	for name := range given {
		if definition.Fields.ForName(name) == nil {
			return nil, badInput(field, definition.Name+" does not have such a field, but "+fieldNames(definition), c.at)
		}
	}
	values := make(map[string]any, len(given))
	for _, f := range definition.Fields {
		text, ok := given[f.Name]
		switch {
		case ok:
			value, fault := c.value(f.Type, text, path+"."+f.Name, fieldOf(f.Name))
			if fault != nil {
				return nil, fault
			}
			values[f.Name] = value
		case f.DefaultValue != nil: // the generated code fills it in
		case f.Type.NonNull:
			return nil, badInput(fieldOf(f.Name), "missing: "+f.Name+" of "+definition.Name+" is a "+f.Type.String(), c.at)
		}
	}
	return values, nil
}

// fieldNames are the names of the fields of an input type, with commas between.
func fieldNames(definition *ast.Definition) string {
	var names []string
	for _, f := range definition.Fields {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}
