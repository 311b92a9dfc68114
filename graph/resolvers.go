package graph

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/miniprofile/miniprofile/auth"
)

// Core is what the resolvers need of package auth; *auth.Core fulfils it.
type Core interface {
	Login(ctx context.Context, in auth.LoginInput) (*auth.LoginPayload, error)
	RefreshSession(ctx context.Context, in auth.RefreshSessionInput) (*auth.RefreshSessionPayload, error)
	Logout(ctx context.Context, accessToken string, in auth.LogoutInput) (*auth.LogoutPayload, error)
	CreateAvatarUpload(ctx context.Context, accessToken string, in auth.CreateAvatarUploadInput) (*auth.CreateAvatarUploadPayload, error)
	UpdateProfile(ctx context.Context, accessToken string, in auth.UpdateProfileInput) (*auth.UpdateProfilePayload, error)
	Me(ctx context.Context, accessToken string) (*auth.User, error)
	Sessions(ctx context.Context, u *auth.User) ([]*auth.Session, error)
	Audit(ctx context.Context, u *auth.User) ([]*auth.AuditEntry, error)
}

var _ Core = (*auth.Core)(nil)

// resolvers makes one call of the core for each field that needs one.
type resolvers struct{ core Core }

// query, mutation and user are resolvers under the names that gqlgen wants.
type (
	query    struct{ resolvers }
	mutation struct{ resolvers }
	user     struct{ resolvers }
)

func (r resolvers) Query() QueryResolver       { return query{r} }
func (r resolvers) Mutation() MutationResolver { return mutation{r} }
func (r resolvers) User() UserResolver         { return user{r} }

func (r query) Me(ctx context.Context) (*auth.User, error) {
	return r.core.Me(ctx, accessToken(ctx))
}

func (r user) Sessions(ctx context.Context, u *auth.User) ([]*auth.Session, error) {
	return r.core.Sessions(ctx, u)
}

func (r user) Audit(ctx context.Context, u *auth.User) ([]*auth.AuditEntry, error) {
	return r.core.Audit(ctx, u)
}

func (r mutation) Login(ctx context.Context, in auth.LoginInput) (*auth.LoginPayload, error) {
	return r.core.Login(ctx, in)
}

func (r mutation) RefreshSession(ctx context.Context, in auth.RefreshSessionInput) (*auth.RefreshSessionPayload, error) {
	return r.core.RefreshSession(ctx, in)
}

func (r mutation) Logout(ctx context.Context, in *auth.LogoutInput) (*auth.LogoutPayload, error) {
	if in == nil {
		in = &auth.LogoutInput{}
	}
	return r.core.Logout(ctx, accessToken(ctx), *in)
}

func (r mutation) CreateAvatarUpload(ctx context.Context, in auth.CreateAvatarUploadInput) (*auth.CreateAvatarUploadPayload, error) {
	return r.core.CreateAvatarUpload(ctx, accessToken(ctx), in)
}

func (r mutation) UpdateProfile(ctx context.Context, in UpdateProfileInput) (*auth.UpdateProfilePayload, error) {
	return r.core.UpdateProfile(ctx, accessToken(ctx), in.core())
}

// UpdateProfileInput is auth.UpdateProfileInput in gqlgen's words for what is
// absent, null and given.
type UpdateProfileInput struct {
	Nickname graphql.Omittable[*string]
	Avatar   graphql.Omittable[*graphql.Upload]
	// AvatarUploadID is left as it is by null too: an upload cannot be cleared.
	AvatarUploadID *string
	Gender         graphql.Omittable[*auth.Gender]
	Birthday       graphql.Omittable[*string]
	Region         graphql.Omittable[*auth.Region]
	Preferences    graphql.Omittable[json.RawMessage]
	IfVersion      *int
}

func (in UpdateProfileInput) core() auth.UpdateProfileInput {
	out := auth.UpdateProfileInput{
		Nickname:       change(in.Nickname),
		Gender:         change(in.Gender),
		Birthday:       change(in.Birthday),
		Region:         change(in.Region),
		Avatar:         auth.Change[auth.Upload]{Given: in.Avatar.IsSet()},
		Preferences:    auth.Change[json.RawMessage]{Given: in.Preferences.IsSet()},
		IfVersion:      in.IfVersion,
		AvatarUploadID: in.AvatarUploadID,
	}
	if upload := in.Avatar.Value(); upload != nil {
		out.Avatar.To = &auth.Upload{ReadSeeker: upload.File, Size: upload.Size}
	}
	if text := in.Preferences.Value(); text != nil {
		out.Preferences.To = &text
	}
	return out
}

func change[T any](o graphql.Omittable[*T]) auth.Change[T] {
	to, given := o.ValueOK()
	return auth.Change[T]{Given: given, To: to}
}
