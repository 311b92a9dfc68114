package graph

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/miniprofile/miniprofile/auth"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// plan is an operation of one field, of those that are asked for most, made ready when
// its document was checked. gqlgen takes for me three times as long as all else takes
// together, and for updateProfile a seventh. What has directives, other fields, or
// within them such that need a call of their own has no plan: gqlgen carries it out.
// A test compares the answers.
type plan struct {
	field  string            // as Query.me
	path   ast.Path          // of the field
	at     gqlerror.Location // of the field
	head   []byte            // of the data
	failed []byte            // the data when there is an error
	call   call
}

// call makes a call of the core and returns what writes its answer.
type call func(ctx context.Context, core Core, accessToken string, variables map[string]any) (func(b []byte) []byte, error)

// write appends the JSON of a value.
type write[T any] func(b []byte, v T) []byte

// newPlan makes the plan of an operation without directives, or nil.
func newPlan(doc *ast.QueryDocument, operation *ast.OperationDefinition) *plan {
	root := "Query"
	if operation.Operation == ast.Mutation {
		root = "Mutation"
	}
	fields := collect(doc, operation.SelectionSet, root)
	if len(fields) != 1 {
		return nil
	}
	f := fields[0]
	p := &plan{
		field: root + "." + f.Name, path: ast.Path{ast.PathName(f.Alias)}, at: place(f.Position),
		head: append(appendString([]byte(`"data":{`), f.Alias), ':'), failed: []byte(`"data":null`),
	}
	var ec executionContext // its state is for resolvers
	switch p.field {
	case "Query.me":
		p.failed = append(slices.Clone(p.head), "null}"...)
		p.call = calling(object(doc, f.Selections, "User", userField),
			func(ctx context.Context, core Core, token string, _ map[string]any) (*auth.User, error) {
				return core.Me(ctx, token)
			})
	case "Mutation.login":
		p.call = mutating(f, ec.field_Mutation_login_args, object(doc, f.Selections, "LoginPayload", loginField),
			func(ctx context.Context, core Core, _ string, in auth.LoginInput) (*auth.LoginPayload, error) {
				return core.Login(ctx, in)
			})
	case "Mutation.refreshSession":
		p.call = mutating(f, ec.field_Mutation_refreshSession_args, object(doc, f.Selections, "RefreshSessionPayload", refreshField),
			func(ctx context.Context, core Core, _ string, in auth.RefreshSessionInput) (*auth.RefreshSessionPayload, error) {
				return core.RefreshSession(ctx, in)
			})
	case "Mutation.updateProfile":
		p.call = mutating(f, ec.field_Mutation_updateProfile_args, object(doc, f.Selections, "UpdateProfilePayload", updateField),
			func(ctx context.Context, core Core, token string, in UpdateProfileInput) (*auth.UpdateProfilePayload, error) {
				return core.UpdateProfile(ctx, token, in.core())
			})
	}
	if p.call == nil {
		return nil
	}
	return p
}

// calling makes a call of what asks the core and what writes its answer; nil where
// nothing does.
func calling[T any](w write[T], ask func(ctx context.Context, core Core, token string, variables map[string]any) (T, error)) call {
	if w == nil {
		return nil
	}
	return func(ctx context.Context, core Core, token string, variables map[string]any) (func(b []byte) []byte, error) {
		v, err := ask(ctx, core, token, variables)
		if err != nil {
			return nil, err
		}
		return func(b []byte) []byte { return w(b, v) }, nil
	}
}

// mutating is calling for a mutation, whose argument input gqlgen's own arguments reads.
func mutating[In, T any](f graphql.CollectedField, arguments func(context.Context, map[string]any) (map[string]any, error),
	w write[T], ask func(ctx context.Context, core Core, token string, in In) (T, error)) call {
	return calling(w, func(ctx context.Context, core Core, token string, variables map[string]any) (v T, err error) {
		values, err := arguments(ctx, f.ArgumentMap(variables))
		if err != nil {
			return v, err
		}
		return ask(ctx, core, token, values["input"].(In))
	})
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

// within writes a part of a value; nil where nothing writes that.
func within[T, P any](w write[P], part func(T) P) write[T] {
	if w == nil {
		return nil
	}
	return func(b []byte, v T) []byte { return w(b, part(v)) }
}

// optional writes null, or what the pointer points to.
func optional[T any](b []byte, v *T, w write[*T]) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	return w(b, v)
}

func text[T ~string](b []byte, v *T) []byte { return appendString(b, string(*v)) }

func loginField(doc *ast.QueryDocument, f graphql.CollectedField) write[*auth.LoginPayload] {
	switch f.Name {
	case "tokens":
		return within(object(doc, f.Selections, "Tokens", tokensField), func(p *auth.LoginPayload) *auth.Tokens { return &p.Tokens })
	case "user":
		return within(object(doc, f.Selections, "User", userField), func(p *auth.LoginPayload) *auth.User { return p.User })
	case "created":
		return func(b []byte, p *auth.LoginPayload) []byte { return strconv.AppendBool(b, p.Created) }
	}
	return nil
}

func refreshField(doc *ast.QueryDocument, f graphql.CollectedField) write[*auth.RefreshSessionPayload] {
	return within(object(doc, f.Selections, "Tokens", tokensField), func(p *auth.RefreshSessionPayload) *auth.Tokens { return &p.Tokens })
}

func updateField(doc *ast.QueryDocument, f graphql.CollectedField) write[*auth.UpdateProfilePayload] {
	return within(object(doc, f.Selections, "User", userField), func(p *auth.UpdateProfilePayload) *auth.User { return p.User })
}

func tokensField(_ *ast.QueryDocument, f graphql.CollectedField) write[*auth.Tokens] {
	switch f.Name {
	case "accessToken":
		return func(b []byte, t *auth.Tokens) []byte { return appendString(b, t.AccessToken) }
	case "accessTokenExpiresAt":
		return func(b []byte, t *auth.Tokens) []byte { return appendTime(b, t.AccessTokenExpiresAt) }
	case "refreshToken":
		return func(b []byte, t *auth.Tokens) []byte { return appendString(b, t.RefreshToken) }
	case "refreshTokenExpiresAt":
		return func(b []byte, t *auth.Tokens) []byte { return appendTime(b, t.RefreshTokenExpiresAt) }
	}
	return nil
}

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
