package graph

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/lexer"
)

// Limits of requests. A mini program's own requests have some 300 bytes, 50
// tokens, depth 4 and cost 60; GraphiQL asks for the schema with 500 tokens,
// depth 15 and cost 800.
const (
	MaxBody    = 64 << 10         // bytes of JSON
	MaxUpload  = 10<<20 + 256<<10 // bytes of a multipart body: the largest picture and room
	MaxTokens  = 2000             // of a document
	MaxNesting = 50               // brackets within brackets: errors repeat values on each level
	MaxName    = 100              // bytes of a name: errors repeat it
	MaxDepth   = 20               // of fields within fields
	MaxRoots   = 8                // fields of an operation, which the core does one after the other
	MaxCost    = 1000             // fields of an answer, some counted as costs says
	MaxSize    = 2000             // selections of all operations; a fragment's count wherever it is spread
	MaxPairs   = 20_000           // pairs of fields of the same name: validating compares them
	maxErrors  = 10               // of one answer to an invalid document
)

// costs tells which fields are counted as many: what is read for them alone, and
// what may be long.
var costs = map[string]int{
	"sessions": 20, "audit": 20, "consents": 20, "export": 200, "preferences": 20,
	"types": 3, "fields": 2, // of the schema
}

// scan refuses a text whose names or nesting would make parsing or the errors of
// validation long.
func scan(text string) *Fault {
	l := lexer.New(&ast.Source{Input: text})
	for nesting, tokens := 0, 0; tokens <= MaxTokens; tokens++ {
		token, err := l.ReadToken()
		if err != nil {
			return nil // the parser tells
		}
		switch token.Kind {
		case lexer.EOF:
			return nil
		case lexer.Name:
			if len(token.Value) > MaxName {
				return parseFailed(fmt.Sprintf("A name has more than %d bytes.", MaxName), place(&token.Pos))
			}
		case lexer.BraceL, lexer.BracketL, lexer.ParenL:
			if nesting++; nesting > MaxNesting {
				return parseFailed(fmt.Sprintf("There are more than %d brackets within each other.", MaxNesting), place(&token.Pos))
			}
		case lexer.BraceR, lexer.BracketR, lexer.ParenR:
			nesting--
		}
	}
	return nil
}

// measure is the size of a selection.
type measure struct{ depth, cost, roots, size int }

// meter measures selections. It remembers each fragment, so that its work is
// linear in the document: 26 fragments that each spread the next one twice are
// 67 million fields.
type meter struct {
	fragments ast.FragmentDefinitionList
	known     map[*ast.FragmentDefinition]measure
	names     map[string]int // how many fields there are of each name, or alias
	pairs     int            // of the same name
	schema    bool           // whether the schema is asked for
	directive bool           // whether there is a directive
}

// check refuses documents that are too large to validate or to carry out.
// It runs before validation, so the document may be wrong in any way.
func (m *meter) check(doc *ast.QueryDocument, introspection bool) *Fault {
	m.fragments, m.known, m.names = doc.Fragments, map[*ast.FragmentDefinition]measure{}, map[string]int{}
	total := 0
	for _, operation := range doc.Operations {
		size := m.selection(operation.SelectionSet)
		total += size.size
		switch {
		case size.depth > MaxDepth:
			return invalid(fmt.Sprintf("The document is deeper than %d levels.", MaxDepth))
		case size.roots > MaxRoots:
			return invalid(fmt.Sprintf("The operation has more than %d root fields.", MaxRoots))
		case size.cost > MaxCost:
			return invalid(fmt.Sprintf("The operation costs more than %d: each field costs 1; sessions, audit and consents count 20 times, with all that is in them, preferences 20, export 200.", MaxCost))
		case total > MaxSize:
			return invalid(fmt.Sprintf("The operations select more than %d fields and fragments.", MaxSize))
		}
	}
	for _, f := range doc.Fragments { // what is not used, or has a name twice, is validated too
		m.fragment(f)
	}
	switch {
	case m.pairs > MaxPairs:
		return invalid("Too many fields have the same name.")
	case m.schema && !introspection:
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
			m.pairs += m.names[s.Alias]
			m.names[s.Alias]++
			part = m.selection(s.SelectionSet)
			part = measure{part.depth + 1, max(costs[s.Name], 1) * (part.cost + 1), 1, part.size}
			if strings.HasPrefix(s.Name, "__") && s.Name != "__typename" {
				m.schema = true
			}
		case *ast.InlineFragment:
			m.directive = m.directive || len(s.Directives) > 0
			part = m.selection(s.SelectionSet)
		case *ast.FragmentSpread:
			m.directive = m.directive || len(s.Directives) > 0
			if f := m.fragments.ForName(s.Name); f != nil {
				part = m.fragment(f)
			}
		}
		// Beyond the limit it does not matter by how much, but it must not overflow.
		sum = measure{
			max(sum.depth, part.depth), min(sum.cost+part.cost, MaxCost+1),
			min(sum.roots+part.roots, MaxRoots+1), min(sum.size+part.size+1, MaxSize+1),
		}
	}
	return sum
}

func (m *meter) fragment(f *ast.FragmentDefinition) measure {
	size, ok := m.known[f]
	if !ok {
		m.known[f] = size // a cycle ends here; validation will refuse it
		size = m.selection(f.SelectionSet)
		m.known[f] = size
	}
	return size
}
