package graph

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	gqlparser "github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// What mini programs that are out there rely on stays: a field is deprecated, not
// removed. testdata/released.graphqls is the schema of the last release, and is
// replaced with each; while nothing is released, it is the one of the last merge.
func TestNothingBreaks(t *testing.T) {
	t.Parallel()
	released, err := os.ReadFile("testdata/released.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	old := gqlparser.MustLoadSchema(&ast.Source{Name: "released", Input: string(released)})
	for _, change := range breaking(old, gqlparser.MustLoadSchema(sources...)) {
		t.Errorf("breaks clients: %s", change)
	}
}

// breaking lists the changes from one schema to the next that break a client of
// the first.
func breaking(old, next *ast.Schema) (changes []string) {
	tell := func(format string, args ...any) { changes = append(changes, fmt.Sprintf(format, args...)) }
	for name, was := range old.Types {
		is := next.Types[name]
		switch {
		case was.BuiltIn || strings.HasPrefix(name, "__"):
			continue
		case is == nil:
			tell("%s is gone", name)
			continue
		case is.Kind != was.Kind:
			tell("%s is another kind of type", name)
			continue
		}
		for _, value := range was.EnumValues {
			if is.EnumValues.ForName(value.Name) == nil {
				tell("%s.%s is gone", name, value.Name)
			}
		}
		for _, member := range append(slices.Clone(was.Types), was.Interfaces...) {
			if !slices.Contains(is.Types, member) && !slices.Contains(is.Interfaces, member) {
				tell("%s has nothing to do with %s any more", name, member)
			}
		}
		for _, field := range was.Fields {
			now := is.Fields.ForName(field.Name)
			at := name + "." + field.Name
			switch {
			case strings.HasPrefix(field.Name, "__"):
				continue
			case now == nil:
				tell("%s is gone", at)
				continue
			case was.Kind == ast.InputObject:
				if !accepts(now.Type, field.Type) {
					tell("%s was %s and takes only %s", at, field.Type, now.Type)
				}
				if written(field.DefaultValue) != written(now.DefaultValue) {
					tell("%s has another default", at)
				}
				continue
			case !accepts(field.Type, now.Type):
				tell("%s was %s and may be %s", at, field.Type, now.Type)
			}
			for _, argument := range field.Arguments {
				to := now.Arguments.ForName(argument.Name)
				switch at := at + "(" + argument.Name + ")"; {
				case to == nil:
					tell("%s is gone", at)
				case !accepts(to.Type, argument.Type):
					tell("%s was %s and takes only %s", at, argument.Type, to.Type)
				case written(argument.DefaultValue) != written(to.DefaultValue):
					tell("%s has another default", at)
				}
			}
			for _, argument := range now.Arguments {
				if field.Arguments.ForName(argument.Name) == nil && argument.Type.NonNull && argument.DefaultValue == nil {
					tell("%s(%s) is new and required", at, argument.Name)
				}
			}
		}
		if was.Kind == ast.InputObject {
			for _, field := range is.Fields {
				if was.Fields.ForName(field.Name) == nil && field.Type.NonNull && field.DefaultValue == nil {
					tell("%s.%s is new and required", name, field.Name)
				}
			}
		}
	}
	slices.Sort(changes)
	return changes
}

// accepts reports whether whoever takes a wide type can take all of a narrow one.
func accepts(wide, narrow *ast.Type) bool {
	if wide.NonNull && !narrow.NonNull || (wide.Elem == nil) != (narrow.Elem == nil) {
		return false
	}
	if wide.Elem != nil {
		return accepts(wide.Elem, narrow.Elem)
	}
	return wide.NamedType == narrow.NamedType
}

func written(v *ast.Value) string {
	if v == nil {
		return ""
	}
	return v.String()
}

func TestBreaking(t *testing.T) {
	t.Parallel()
	const base = `type Query { a(x: Int, y: Int = 1): T b: [T!]! e: E } type T { id: ID! n: Int } enum E { A B } input I { x: Int y: Int! z: Int = 1 } union U = T | Q type Q { q(i: I): U }`
	load := func(text string) *ast.Schema { return gqlparser.MustLoadSchema(&ast.Source{Input: text}) }
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{"n: Int", "n: Int!", ""},
		{"n: Int", "n: Int m: Int", ""},
		{"n: Int", "n: Int @deprecated", ""},
		{"y: Int!", "y: Int", ""},
		{"x: Int y", "x: Int w: Int! = 1 w2: Int y", ""},
		{"A B", "A B C", ""},
		{"(x: Int,", "(x: Int, w: Int,", ""},
		{" n: Int", "", "T.n is gone"},
		{"id: ID!", "id: ID", "T.id was ID! and may be ID"},
		{"n: Int", "n: String", "T.n was Int and may be String"},
		{"b: [T!]!", "b: [T]!", "Query.b was [T!]! and may be [T]!"},
		{"b: [T!]!", "b: T!", "Query.b was [T!]! and may be T!"},
		{"A B", "A", "E.B is gone"},
		{"x: Int y: Int!", "x: Int! y: Int!", "I.x was Int and takes only Int!"},
		{"x: Int y", "x: Int w: Int! y", "I.w is new and required"},
		{"z: Int = 1", "z: Int = 2", "I.z has another default"},
		{" z: Int = 1", "", "I.z is gone"},
		{"(x: Int,", "(", "Query.a(x) is gone"},
		{"(x: Int,", "(x: Int!,", "Query.a(x) was Int and takes only Int!"},
		{"(x: Int,", "(x: Int, w: Int!,", "Query.a(w) is new and required"},
		{"y: Int = 1)", "y: Int)", "Query.a(y) has another default"},
		{"U = T | Q", "U = T", "U has nothing to do with Q any more"},
		{"enum E { A B }", "scalar E", "E is another kind of type"},
	} {
		if got := strings.Join(breaking(load(base), load(strings.Replace(base, c.from, c.to, 1))), "; "); got != c.want {
			t.Errorf("%q to %q: %s, want %s", c.from, c.to, got, c.want)
		}
	}
}
