package auth

import (
	"context"
	"encoding/json"
	"time"
)

// Export returns everything that is kept on a user that Me returned, as a JSON
// object for them to read and to take away. Secrets (keys and tokens, which say
// nothing about a person) are left out, and of the audit all but the newest
// MaxExportedAudit entries.
func (c *Core) Export(ctx context.Context, u *User) (json.RawMessage, error) {
	type identity struct {
		AppID        string    `json:"appId"`
		OpenID       string    `json:"openid"`
		UnionID      string    `json:"unionid,omitempty"`
		CreatedAt    time.Time `json:"createdAt"`
		LastSignedIn time.Time `json:"lastSignedIn"`
	}
	type picture struct {
		Small  string       `json:"small"`
		Large  string       `json:"large"`
		Status AvatarStatus `json:"status"`
	}
	type session struct {
		ID        string    `json:"id"`
		AppID     string    `json:"appId"`
		Device    *string   `json:"device,omitempty"`
		CreatedAt time.Time `json:"createdAt"`
		SeenAt    time.Time `json:"seenAt"`
		ExpiresAt time.Time `json:"expiresAt"`
	}
	type consent struct {
		Scope         ConsentScope `json:"scope"`
		Purpose       string       `json:"purpose"`
		PolicyVersion string       `json:"policyVersion"`
		GrantedAt     time.Time    `json:"grantedAt"`
		WithdrawnAt   *time.Time   `json:"withdrawnAt,omitempty"`
	}
	type entry struct {
		At        time.Time  `json:"at"`
		Event     AuditEvent `json:"event"`
		SessionID *string    `json:"sessionId,omitempty"`
		Fields    []string   `json:"fields,omitempty"`
	}
	out := struct {
		ExportedAt  time.Time       `json:"exportedAt"`
		ID          string          `json:"id"`
		Version     int             `json:"version"`
		Nickname    *string         `json:"nickname,omitempty"`
		Avatar      *picture        `json:"avatar,omitempty"`
		Phone       *Phone          `json:"phone,omitempty"`
		Gender      *Gender         `json:"gender,omitempty"`
		Birthday    *string         `json:"birthday,omitempty"`
		Region      *Region         `json:"region,omitempty"`
		Preferences json.RawMessage `json:"preferences"`
		CreatedAt   time.Time       `json:"createdAt"`
		UpdatedAt   time.Time       `json:"updatedAt"`
		Identities  []identity      `json:"identities"`
		Others      []string        `json:"otherAccounts"`
		Sessions    []session       `json:"sessions"`
		Consents    []consent       `json:"consents"`
		Audit       []entry         `json:"audit"`
	}{
		ExportedAt: c.now(), ID: u.ID, Version: u.Version, Nickname: u.Nickname, Gender: u.Gender, Birthday: u.Birthday,
		Region: u.Region, Phone: u.Phone, Preferences: u.Preferences, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		Identities: []identity{}, Others: u.OtherAccounts, Sessions: []session{}, Consents: []consent{}, Audit: []entry{},
	}
	if u.Avatar != nil {
		out.Avatar = &picture{u.Avatar.URL(AvatarSmall), u.Avatar.URL(AvatarLarge), u.Avatar.Status}
	}
	for _, i := range u.Identities {
		r, record, err := read[identityRecord](ctx, c, identityKey(i.AppID, i.OpenID))
		if err != nil {
			return nil, err
		}
		if !record.Exists() {
			continue
		}
		out.Identities = append(out.Identities, identity{r.App, r.OpenID, r.UnionID, r.Created, r.SessionKeyAt})
	}
	sessions, err := c.livingSessions(ctx, u)
	if err != nil {
		return nil, err
	}
	for _, s := range sessions {
		out.Sessions = append(out.Sessions, session{s.ID, s.AppID, s.Device, s.CreatedAt, s.SeenAt, s.ExpiresAt})
	}
	consents, err := c.Consents(ctx, u)
	if err != nil {
		return nil, err
	}
	for _, r := range consents {
		out.Consents = append(out.Consents, consent(*r))
	}
	audit, err := c.newestAudit(ctx, u.ID, MaxExportedAudit)
	if err != nil {
		return nil, err
	}
	for _, e := range audit {
		out.Audit = append(out.Audit, entry(*e))
	}
	return encode(out), nil
}
