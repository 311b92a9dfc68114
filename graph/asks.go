package graph

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// asked is what an operation asks for, in words of the schema.
type asked struct {
	// field is the one root field; several where there are more, schema where the
	// schema is asked for.
	field string
	// logins is how many root fields are a login.
	logins int
}

// asks finds out what a good operation asks for. It walks each fragment once.
func asks(doc *ast.QueryDocument, operation *ast.OperationDefinition) asked {
	var a asked
	seen := map[string]bool{} // fragments and, after a colon, aliases
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				if key := ":" + s.Alias; !seen[key] {
					seen[key] = true
					a.add(s.Name)
				}
			case *ast.InlineFragment:
				walk(s.SelectionSet)
			case *ast.FragmentSpread:
				if f := doc.Fragments.ForName(s.Name); f != nil && !seen[s.Name] {
					seen[s.Name] = true
					walk(f.SelectionSet)
				}
			}
		}
	}
	walk(operation.SelectionSet)
	if a.field == "" {
		a.field = "schema" // __typename alone
	}
	return a
}

func (a *asked) add(name string) {
	if name == "login" {
		a.logins++
	}
	if name == "__typename" {
		return // some clients add it to everything
	}
	if strings.HasPrefix(name, "__") {
		name = "schema"
	}
	switch a.field {
	case "", name:
		a.field = name
	default:
		a.field = "several"
	}
}
