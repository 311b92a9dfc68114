package graph

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// words are the names of the schema. gqlparser's messages quote what the client
// sent, which may be a login code or a token in the wrong place; of what they
// quote, only these words are kept.
type words map[string]bool

func newWords(schema *ast.Schema) words {
	w := words{}
	for _, t := range schema.Types {
		w[t.Name] = true
		for _, f := range t.Fields {
			w[f.Name] = true
			for _, a := range f.Arguments {
				w[a.Name] = true
			}
		}
		for _, v := range t.EnumValues {
			w[v.Name] = true
		}
	}
	for _, d := range schema.Directives {
		w[d.Name] = true
		for _, a := range d.Arguments {
			w[a.Name] = true
		}
	}
	return w
}

// parseFault tells where parsing failed, and nothing more: the message of the
// parser quotes what it found.
func (w words) parseFault(err error) *Fault {
	var e *gqlerror.Error
	if !errors.As(err, &e) {
		return parseFailed("The document cannot be parsed.")
	}
	if len(e.Locations) == 0 { // the only one without a place
		return parseFailed(fmt.Sprintf("The document has more than %d tokens.", MaxTokens))
	}
	return parseFailed("The document cannot be parsed here.", e.Locations...)
}

// validationFaults tells what is wrong with a document, maxErrors times at most.
func (w words) validationFaults(errs gqlerror.List) []*Fault {
	var faults []*Fault
	for _, err := range errs[:min(len(errs), maxErrors)] {
		faults = append(faults, invalid(w.redact(err), err.Locations...))
	}
	return faults
}

var (
	quoted = regexp.MustCompile(`"[^"]*"`)
	name   = regexp.MustCompile(`[_0-9A-Za-z]+`)
)

// redact returns the message of a validation error without the client's words.
// In the messages of gqlparser v2.5.64 a value stands at the end, after ": " or
// "found ", in those of ValuesOfCorrectType alone; all else of the client's is a
// Name, and quoted.
func (w words) redact(err *gqlerror.Error) string {
	message := err.Message
	if strings.HasPrefix(err.Rule, "ValuesOfCorrectType") {
		for _, before := range []string{": ", ", found "} {
			if head, _, ok := strings.Cut(message, before); ok {
				message = head + "."
			}
		}
	}
	return quoted.ReplaceAllStringFunc(message, func(text string) string { return w.quote(strings.Trim(text, `"`)) })
}

// quote puts a text between quotes, if all its names are words of the schema.
func (w words) quote(text string) string {
	for _, n := range name.FindAllString(text, -1) {
		if !w[n] {
			return `"…"`
		}
	}
	return `"` + text + `"`
}
