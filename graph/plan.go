package graph

import (
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/miniprofile/miniprofile/auth"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// plan is a query of me alone, made ready when its document was checked. Most
// requests are that, and gqlgen takes three times as long for one as all else
// takes together. What has directives, variables or fields that need a call of
// their own has no plan: gqlgen carries it out. A test compares the answers.
type plan struct {
	path ast.Path          // of the field me
	at   gqlerror.Location // of the field me
	head []byte            // of the data
	user write[*auth.User]
}

// write appends the JSON of a value.
type write[T any] func(b []byte, v T) []byte

// newPlan makes the plan of an operation without directives, or nil.
func newPlan(doc *ast.QueryDocument, operation *ast.OperationDefinition) *plan {
	roots := collect(doc, operation.SelectionSet, "Query")
	if operation.Operation != ast.Query || len(roots) != 1 || roots[0].Name != "me" {
		return nil
	}
	me := roots[0]
	user := object(doc, me.Selections, "User", userField)
	if user == nil {
		return nil
	}
	head := append(appendString([]byte(`"data":{`), me.Alias), ':')
	return &plan{ast.Path{ast.PathName(me.Alias)}, place(me.Position), head, user}
}

func collect(doc *ast.QueryDocument, set ast.SelectionSet, typeName string) []graphql.CollectedField {
	return graphql.CollectFields(&graphql.OperationContext{Doc: doc}, set, []string{typeName})
}

// object plans an object from the plans of its fields; nil where one has none.
func object[T any](doc *ast.QueryDocument, set ast.SelectionSet, typeName string, plan func(*ast.QueryDocument, graphql.CollectedField) write[T]) write[T] {
	type member struct {
		key   []byte
		write write[T]
	}
	var members []member
	before := byte('{')
	for _, f := range collect(doc, set, typeName) {
		var w write[T]
		if f.Name == "__typename" {
			w = func(b []byte, _ T) []byte { return appendString(b, typeName) }
		} else if w = plan(doc, f); w == nil {
			return nil
		}
		members = append(members, member{append(appendString([]byte{before}, f.Alias), ':'), w})
		before = ','
	}
	return func(b []byte, v T) []byte {
		for i := range members {
			b = members[i].write(append(b, members[i].key...), v)
		}
		return append(b, '}')
	}
}

// optional writes null, or what the pointer points to.
func optional[T any](b []byte, v *T, w write[*T]) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return w(b, v)
}

func text[T ~string](b []byte, v *T) []byte { return appendString(b, string(*v)) }

func userField(doc *ast.QueryDocument, f graphql.CollectedField) write[*auth.User] {
	switch f.Name {
	case "id":
		return func(b []byte, u *auth.User) []byte { return appendString(b, u.ID) }
	case "version":
		return func(b []byte, u *auth.User) []byte { return strconv.AppendInt(b, int64(u.Version), 10) }
	case "nickname":
		return func(b []byte, u *auth.User) []byte { return optional(b, u.Nickname, text) }
	case "gender":
		return func(b []byte, u *auth.User) []byte { return optional(b, u.Gender, text) }
	case "birthday":
		return func(b []byte, u *auth.User) []byte { return optional(b, u.Birthday, text) }
	case "preferences":
		return func(b []byte, u *auth.User) []byte { return append(b, u.Preferences...) }
	case "createdAt":
		return func(b []byte, u *auth.User) []byte { return appendTime(b, u.CreatedAt) }
	case "updatedAt":
		return func(b []byte, u *auth.User) []byte { return appendTime(b, u.UpdatedAt) }
	case "avatar":
		if avatar := object(doc, f.Selections, "Avatar", avatarField); avatar != nil {
			return func(b []byte, u *auth.User) []byte { return optional(b, u.Avatar, avatar) }
		}
	case "region":
		if region := object(doc, f.Selections, "Region", regionField); region != nil {
			return func(b []byte, u *auth.User) []byte { return optional(b, u.Region, region) }
		}
	case "phone":
		if phone := object(doc, f.Selections, "Phone", phoneField); phone != nil {
			return func(b []byte, u *auth.User) []byte { return optional(b, u.Phone, phone) }
		}
	case "otherAccounts":
		return func(b []byte, u *auth.User) []byte {
			b = append(b, '[')
			for i, id := range u.OtherAccounts {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendString(b, id)
			}
			return append(b, ']')
		}
	case "identities":
		if identity := object(doc, f.Selections, "Identity", identityField); identity != nil {
			return func(b []byte, u *auth.User) []byte {
				b = append(b, '[')
				for i := range u.Identities {
					if i > 0 {
						b = append(b, ',')
					}
					b = identity(b, &u.Identities[i])
				}
				return append(b, ']')
			}
		}
	}
	return nil
}

func avatarField(_ *ast.QueryDocument, f graphql.CollectedField) write[*auth.Avatar] {
	switch f.Name {
	case "url":
		for _, argument := range f.Arguments {
			if argument.Value.Kind == ast.Variable {
				return nil
			}
		}
		size, _ := f.ArgumentMap(nil)["size"].(string)
		return func(b []byte, a *auth.Avatar) []byte { return appendString(b, a.URL(auth.AvatarSize(size))) }
	case "status":
		return func(b []byte, a *auth.Avatar) []byte { return text(b, &a.Status) }
	}
	return nil
}

func regionField(_ *ast.QueryDocument, f graphql.CollectedField) write[*auth.Region] {
	switch f.Name {
	case "country":
		return func(b []byte, r *auth.Region) []byte { return optional(b, r.Country, text) }
	case "province":
		return func(b []byte, r *auth.Region) []byte { return optional(b, r.Province, text) }
	case "city":
		return func(b []byte, r *auth.Region) []byte { return optional(b, r.City, text) }
	}
	return nil
}

func phoneField(_ *ast.QueryDocument, f graphql.CollectedField) write[*auth.Phone] {
	switch f.Name {
	case "countryCode":
		return func(b []byte, p *auth.Phone) []byte { return appendString(b, p.CountryCode) }
	case "number":
		return func(b []byte, p *auth.Phone) []byte { return appendString(b, p.Number) }
	}
	return nil
}

func identityField(_ *ast.QueryDocument, f graphql.CollectedField) write[*auth.Identity] {
	switch f.Name {
	case "appId":
		return func(b []byte, i *auth.Identity) []byte { return appendString(b, i.AppID) }
	case "openid":
		return func(b []byte, i *auth.Identity) []byte { return appendString(b, i.OpenID) }
	}
	return nil
}

// appendTime writes the scalar Time.
func appendTime(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, timeFormat) }

// appendString writes a JSON string as gqlgen does.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\t':
			b = append(b, `\t`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}
