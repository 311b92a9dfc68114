package auth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestKindsAreAll: every kind of record is a constant whose name begins with kind,
// every such constant is in Kinds, and no key is made with anything else. So who
// copies Kinds copies everything.
func TestKindsAreAll(t *testing.T) {
	t.Parallel()
	sources := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var constants []string
	keys := 0
	inspect := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if !strings.HasPrefix(name.Name, "kind") || i >= len(n.Values) {
					continue
				}
				if literal, ok := n.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					kind, _ := strconv.Unquote(literal.Value)
					constants = append(constants, kind)
				}
			}
		case *ast.CompositeLit:
			s, ok := n.Type.(*ast.SelectorExpr)
			if !ok || s.Sel.Name != "Key" || len(n.Elts) == 0 {
				return true
			}
			keys++
			pair, ok := n.Elts[0].(*ast.KeyValueExpr)
			if !ok {
				t.Errorf("%v: a key without field names", sources.Position(n.Pos()))
				return true
			}
			if kind, ok := pair.Value.(*ast.Ident); !ok || !strings.HasPrefix(kind.Name, "kind") {
				t.Errorf("%v: the kind is no constant", sources.Position(n.Pos()))
			}
		}
		return true
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(sources, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, inspect)
	}
	slices.Sort(constants)
	if want := slices.Sorted(slices.Values(Kinds)); !slices.Equal(constants, want) || len(constants) < 7 || keys < 5 {
		t.Errorf("Kinds are %v, the constants %v, in %d keys", want, constants, keys)
	}
	// Each kind has at least one golden form.
	files, err := os.ReadDir("testdata/records")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range Kinds {
		if !slices.ContainsFunc(files, func(f fs.DirEntry) bool { return strings.HasPrefix(f.Name(), kind) }) {
			t.Errorf("no golden form of %s", kind)
		}
	}
}
