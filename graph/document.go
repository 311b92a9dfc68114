package graph

import (
	"encoding/json"
	"strconv"
	"strings"

	gqlparser "github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// document is a text that was found good. It is never changed.
type document struct {
	key     string // the text as JSON
	ast     *ast.QueryDocument
	numbers map[string]any // see plain
	plans   map[*ast.OperationDefinition]*plan
	asks    map[*ast.OperationDefinition]asked
	needed  map[*ast.VariableDefinition]bool // whether its value must not be null where it is used
}

// checker finds out whether documents are good.
type checker struct {
	schema        *ast.Schema
	rules         *rules.Rules
	words         words
	introspection bool
}

// newChecker makes a checker of a schema of its own, without @defer: an answer
// is one JSON object.
func newChecker(introspection bool) *checker {
	schema := gqlparser.MustLoadSchema(sources...)
	delete(schema.Directives, "defer")
	r := rules.NewDefaultRules()
	if !introspection { // a suggestion tells the schema, and costs time
		for _, quiet := range []core.Rule{
			rules.FieldsOnCorrectTypeRuleWithoutSuggestions, rules.KnownArgumentNamesRuleWithoutSuggestions,
			rules.KnownTypeNamesRuleWithoutSuggestions, rules.ScalarLeafsRuleWithoutSuggestions,
			rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
		} {
			r.ReplaceRule(strings.TrimSuffix(quiet.Name, "WithoutSuggestions"), quiet.RuleFunc)
		}
	}
	return &checker{schema, r, newWords(schema), introspection}
}

// check parses and validates a text, of which key is the JSON form.
func (c *checker) check(key []byte) (*document, []*Fault) {
	var text string
	if err := json.Unmarshal(key, &text); err != nil {
		return nil, []*Fault{badRequest("The query is not a valid JSON string.")}
	}
	if fault := scan(text); fault != nil {
		return nil, []*Fault{fault}
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, MaxTokens)
	if err != nil {
		return nil, []*Fault{c.words.parseFault(err)}
	}
	if len(doc.Operations) == 0 {
		return nil, []*Fault{parseFailed("The document has no operation.")}
	}
	var m meter
	if fault := m.check(doc, c.introspection); fault != nil {
		return nil, []*Fault{fault}
	}
	if errs := validator.ValidateWithRules(c.schema, doc, c.rules); len(errs) > 0 {
		return nil, c.words.validationFaults(errs)
	}
	d := &document{key: string(key), ast: doc, asks: map[*ast.OperationDefinition]asked{}, needed: map[*ast.VariableDefinition]bool{}}
	c.needs(d)
	for _, operation := range doc.Operations {
		d.asks[operation] = asks(doc, operation)
	}
	if fault := d.literals(); fault != nil {
		return nil, []*Fault{fault}
	}
	if !m.directive {
		d.plans = map[*ast.OperationDefinition]*plan{}
		for _, operation := range doc.Operations {
			d.plans[operation] = newPlan(doc, operation)
		}
	}
	return d, nil
}

// needs notes which variables must not be null. Validation lets one that may be null stand
// where null may not, if either has a default: gqlgen then takes a null for no value, or
// panics when it is that of @skip.
func (c *checker) needs(d *document) {
	var events core.Events
	events.OnValue(func(_ *core.Walker, v *ast.Value) {
		if v.Kind == ast.Variable && v.VariableDefinition != nil && v.ExpectedType != nil && v.ExpectedType.NonNull {
			d.needed[v.VariableDefinition] = true
		}
	})
	core.Walk(c.schema, d.ast, &events)
}

// literals checks the values that stand in the document of what validation lets pass:
// custom scalars, and integers of any size.
func (d *document) literals() *Fault {
	var selection func(ast.SelectionSet) *Fault
	selection = func(set ast.SelectionSet) *Fault {
		for _, s := range set {
			var fault *Fault
			switch s := s.(type) {
			case *ast.Field:
				for _, argument := range s.Arguments {
					if fault = d.literal(argument.Value); fault != nil {
						return fault
					}
				}
				fault = selection(s.SelectionSet)
			case *ast.InlineFragment:
				fault = selection(s.SelectionSet)
			}
			if fault != nil {
				return fault
			}
		}
		return nil
	}
	for _, operation := range d.ast.Operations {
		for _, v := range operation.VariableDefinitions {
			if v.DefaultValue != nil {
				if fault := d.literal(v.DefaultValue); fault != nil {
					return fault
				}
			}
		}
		if fault := selection(operation.SelectionSet); fault != nil {
			return fault
		}
	}
	for _, fragment := range d.ast.Fragments {
		if fault := selection(fragment.SelectionSet); fault != nil {
			return fault
		}
	}
	return nil
}

func (d *document) literal(v *ast.Value) *Fault {
	if v.Kind == ast.Variable || v.Kind == ast.NullValue {
		return nil
	}
	if v.Definition != nil {
		switch v.Definition.Name {
		case "Upload":
			return invalid("An Upload is sent as a part of a multipart request.", place(v.Position))
		case "JSON":
			if v.Kind != ast.ObjectValue {
				return invalid("JSON must be an object.", place(v.Position))
			}
			return d.plain(v)
		case "Int":
			if _, err := strconv.ParseInt(v.Raw, 10, 32); v.Kind == ast.IntValue && err != nil {
				return invalid("An Int has 32 bits.", place(v.Position))
			}
		}
	}
	for _, child := range v.Children {
		if fault := d.literal(child.Value); fault != nil {
			return fault
		}
	}
	return nil
}

// plain checks a JSON object in the document. Its numbers must keep their text,
// but gqlparser makes int64 and float64 of them. So they become variables, whose
// names, being numbers, no client can use.
func (d *document) plain(v *ast.Value) *Fault {
	switch v.Kind {
	case ast.Variable:
		return invalid("JSON in the document holds no variables; make a variable of the whole.", place(v.Position))
	case ast.EnumValue:
		return invalid("JSON has no names as values.", place(v.Position))
	case ast.IntValue, ast.FloatValue:
		if d.numbers == nil {
			d.numbers = map[string]any{}
		}
		d.numbers[v.Raw] = json.Number(v.Raw)
		v.Kind = ast.Variable
	}
	for _, child := range v.Children {
		if fault := d.plain(child.Value); fault != nil {
			return fault
		}
	}
	return nil
}

func place(p *ast.Position) gqlerror.Location {
	return gqlerror.Location{Line: p.Line, Column: p.Column}
}
