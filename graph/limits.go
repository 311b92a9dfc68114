package graph

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Limits of requests. A mini program's own requests have some 300 bytes, 50
// tokens, depth 4 and cost 40; GraphiQL asks for the schema with 500 tokens and
// depth 15.
const (
	MaxBody   = 64 << 10         // bytes of JSON
	MaxUpload = 10<<20 + 256<<10 // bytes of a multipart body: the largest picture and room
	MaxTokens = 2000             // of a document; validating is quadratic in them
	MaxDepth  = 20               // of fields within fields
	MaxRoots  = 8                // fields of an operation, which the core does one after the other
	MaxCost   = 1000             // fields of an answer, lists counted as costs says
	maxErrors = 10               // of one answer to an invalid document
)

// costs tells how many elements a list is counted as; reading it is what costs.
var costs = map[string]int{"sessions": 20, "audit": 20}

// measure is the size of a selection.
type measure struct{ depth, cost, roots int }

// meter measures selections. It remembers each fragment, so that its work is
// linear in the document: 26 fragments that each spread the next one twice are
// 67 million fields.
type meter struct {
	fragments ast.FragmentDefinitionList
	known     map[string]measure
	schema    bool // whether the schema is asked for
	directive bool // whether there is a directive
}

// check refuses documents that are too large to validate or to carry out.
// It runs before validation, so the document may be wrong in any way.
func (m *meter) check(doc *ast.QueryDocument, introspection bool) *Fault {
	m.fragments, m.known = doc.Fragments, map[string]measure{}
	for _, operation := range doc.Operations {
		size := m.selection(operation.SelectionSet)
		switch {
		case size.depth > MaxDepth:
			return invalid(fmt.Sprintf("The document is deeper than %d levels.", MaxDepth))
		case size.roots > MaxRoots:
			return invalid(fmt.Sprintf("The operation has more than %d fields.", MaxRoots))
		case size.cost > MaxCost:
			return invalid(fmt.Sprintf("The operation costs more than %d.", MaxCost))
		}
	}
	if m.schema && !introspection {
		return invalid("This server does not tell its schema.")
	}
	return nil
}

func (m *meter) selection(set ast.SelectionSet) measure {
	var sum measure
	for _, s := range set {
		var part measure
		switch s := s.(type) {
		case *ast.Field:
			m.directive = m.directive || len(s.Directives) > 0
			part = m.selection(s.SelectionSet)
			part = measure{part.depth + 1, max(costs[s.Name], 1) * (part.cost + 1), 1}
			if strings.HasPrefix(s.Name, "__") && s.Name != "__typename" {
				m.schema = true
			}
		case *ast.InlineFragment:
			m.directive = m.directive || len(s.Directives) > 0
			part = m.selection(s.SelectionSet)
		case *ast.FragmentSpread:
			m.directive = m.directive || len(s.Directives) > 0
			part = m.fragment(s.Name)
		}
		// Beyond the limit it does not matter by how much, but it must not overflow.
		sum = measure{max(sum.depth, part.depth), min(sum.cost+part.cost, MaxCost+1), min(sum.roots+part.roots, MaxRoots+1)}
	}
	return sum
}

func (m *meter) fragment(name string) measure {
	size, ok := m.known[name]
	if ok {
		return size
	}
	m.known[name] = size // a cycle ends here; validation will refuse it
	if f := m.fragments.ForName(name); f != nil {
		size = m.selection(f.SelectionSet)
		m.known[name] = size
	}
	return size
}
