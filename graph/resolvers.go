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
	ImportWeChatProfile(ctx context.Context, accessToken string, in auth.ImportWeChatProfileInput) (*auth.ImportWeChatProfilePayload, error)
	BindPhoneNumber(ctx context.Context, accessToken string, in auth.BindPhoneNumberInput) (*auth.BindPhoneNumberPayload, error)
	RecordConsent(ctx context.Context, accessToken string, in auth.RecordConsentInput) (*auth.RecordConsentPayload, error)
	WithdrawConsent(ctx context.Context, accessToken string, in auth.WithdrawConsentInput) (*auth.WithdrawConsentPayload, error)
	MergeAccount(ctx context.Context, accessToken string, in auth.MergeAccountInput) (*auth.MergeAccountPayload, error)
	DeleteAccount(ctx context.Context, accessToken string, in auth.DeleteAccountInput) (*auth.DeleteAccountPayload, error)
	Me(ctx context.Context, accessToken string) (*auth.User, error)
	Sessions(ctx context.Context, u *auth.User) ([]*auth.Session, error)
	Audit(ctx context.Context, u *auth.User) ([]*auth.AuditEntry, error)
	Consents(ctx context.Context, u *auth.User) ([]*auth.Consent, error)
	Export(ctx context.Context, u *auth.User) (json.RawMessage, error)
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

func (r user) Consents(ctx context.Context, u *auth.User) ([]*auth.Consent, error) {
	return r.core.Consents(ctx, u)
}

func (r user) Export(ctx context.Context, u *auth.User) (json.RawMessage, error) {
	return r.core.Export(ctx, u)
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

func (r mutation) ImportWeChatProfile(ctx context.Context, in auth.ImportWeChatProfileInput) (*auth.ImportWeChatProfilePayload, error) {
	return r.core.ImportWeChatProfile(ctx, accessToken(ctx), in)
}

func (r mutation) BindPhoneNumber(ctx context.Context, in BindPhoneNumberInput) (*auth.BindPhoneNumberPayload, error) {
	return r.core.BindPhoneNumber(ctx, accessToken(ctx), in.core())
}

func (r mutation) RecordConsent(ctx context.Context, in auth.RecordConsentInput) (*auth.RecordConsentPayload, error) {
	return r.core.RecordConsent(ctx, accessToken(ctx), in)
}

func (r mutation) WithdrawConsent(ctx context.Context, in auth.WithdrawConsentInput) (*auth.WithdrawConsentPayload, error) {
	return r.core.WithdrawConsent(ctx, accessToken(ctx), in)
}

func (r mutation) MergeAccount(ctx context.Context, in auth.MergeAccountInput) (*auth.MergeAccountPayload, error) {
	return r.core.MergeAccount(ctx, accessToken(ctx), in)
}

func (r mutation) DeleteAccount(ctx context.Context, in auth.DeleteAccountInput) (*auth.DeleteAccountPayload, error) {
	return r.core.DeleteAccount(ctx, accessToken(ctx), in)
}

// BindPhoneNumberInput is auth.BindPhoneNumberInput in gqlgen's words for what is
// absent, null and given.
type BindPhoneNumberInput struct {
	Code          graphql.Omittable[*string]
	EncryptedData *string
	Iv            *string
	Move          bool
	Consent       *auth.ConsentInput
}

func (in BindPhoneNumberInput) core() auth.BindPhoneNumberInput {
	return auth.BindPhoneNumberInput{Code: change(in.Code), EncryptedData: in.EncryptedData, IV: in.Iv, Move: in.Move, Consent: in.Consent}
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
	Consent        *auth.ConsentInput
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
		Consent:        in.Consent,
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
