package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// ImportWeChatProfileInput is what wx.getUserInfo or wx.getUserProfile gave:
// rawData and signature, or encryptedData and iv, or all four.
type ImportWeChatProfileInput struct {
	RawData       *string
	Signature     *string
	EncryptedData *string
	IV            *string
	Overwrite     bool // sets also what is not empty
	Consent       *ConsentInput
}

// ImportWeChatProfilePayload is what ImportWeChatProfile gives.
type ImportWeChatProfilePayload struct{ User *User }

// ImportWeChatProfile sets nickname, gender and region to what WeChat told the
// client, where they are empty. The data is proved by the session_key, or refused.
// A picture is not fetched: the client uploads it. The placeholder nickname that
// WeChat gives for everyone is ignored.
//
// Errors: ErrUnauthenticated (with ErrLogInAgain when the session_key is stale),
// ErrConsentRequired, ErrContentRejected, ErrUpstream, or an *InvalidError for
// rawData, signature, encryptedData or iv.
func (c *Core) ImportWeChatProfile(ctx context.Context, accessToken string, in ImportWeChatProfileInput) (*ImportWeChatProfilePayload, error) {
	by, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	var told OpenData
	switch {
	case (in.RawData == nil) != (in.Signature == nil):
		return nil, &InvalidError{"signature", "goes with rawData"}
	case (in.EncryptedData == nil) != (in.IV == nil):
		return nil, &InvalidError{"iv", "goes with encryptedData"}
	case in.RawData == nil && in.EncryptedData == nil:
		return nil, &InvalidError{"rawData", "needed, or encryptedData"}
	}
	if in.RawData != nil {
		if told, err = c.rawData(ctx, by, *in.RawData, *in.Signature); err != nil {
			return nil, fmt.Errorf("import profile: %w", err)
		}
	}
	if in.EncryptedData != nil {
		if told, err = c.openData(ctx, by, *in.EncryptedData, *in.IV); err != nil {
			return nil, fmt.Errorf("import profile: %w", err)
		}
	}
	update, needs := told.profile()
	if !in.Overwrite {
		update, needs = update.missing(by.profile)
	}
	if err := c.demand(ctx, by, in.Consent, needs); err != nil {
		return nil, err // before WeChat is told anything
	}
	if update.Nickname.To != nil {
		if err := c.checkNickname(ctx, by, *update.Nickname.To); err != nil {
			return nil, fmt.Errorf("import profile: %w", err)
		}
	}
	user, err := c.change(ctx, by, false, needs, in.Consent, func(by caller, a *account) ([]drivers.Op, []string, error) {
		update := update
		if !in.Overwrite {
			update, _ = update.missing(a.user)
		}
		fields := a.user.apply(update, nil, "")
		if len(fields) == 0 {
			return nil, nil, nil
		}
		entry := auditRecord{At: c.now(), Event: ProfileUpdated, Session: by.user.sid, Fields: fields}
		return []drivers.Op{audited(a.uid, entry)}, fields, nil
	})
	if err != nil {
		return nil, fmt.Errorf("import profile: %w", err)
	}
	return &ImportWeChatProfilePayload{user}, nil
}

// anonymous is the nickname that WeChat gives where it does not tell the real one.
const anonymous = "微信用户"

// profile is what open data says of a profile, in our words, and its scopes. What
// is none of ours is left out.
func (d OpenData) profile() (in UpdateProfileInput, needs []ConsentScope) {
	if name, err := line("nickname", d.Nickname, MaxNickname); err == nil && name != anonymous {
		in.Nickname = Change[string]{true, &name}
		needs = append(needs, ScopeNickname)
	}
	if gender := map[int]Gender{1: GenderMale, 2: GenderFemale}[d.Gender]; gender != "" {
		in.Gender = Change[Gender]{true, &gender}
		needs = append(needs, ScopeGender)
	}
	var region Region
	for part, text := range map[**string]string{&region.Country: d.Country, &region.Province: d.Province, &region.City: d.City} {
		if text, err := line("region", text, maxRegion); err == nil {
			*part = &text
		}
	}
	if region != (Region{}) {
		in.Region = Change[Region]{true, &region}
		needs = append(needs, ScopeRegion)
	}
	return in, needs
}

// missing keeps of an update what is empty in a profile.
func (in UpdateProfileInput) missing(r userRecord) (out UpdateProfileInput, needs []ConsentScope) {
	if in.Nickname.Given && r.Nickname == nil {
		out.Nickname = in.Nickname
		needs = append(needs, ScopeNickname)
	}
	if in.Gender.Given && r.Gender == nil {
		out.Gender = in.Gender
		needs = append(needs, ScopeGender)
	}
	if in.Region.Given && r.Region == nil {
		out.Region = in.Region
		needs = append(needs, ScopeRegion)
	}
	return out, needs
}

// openData decrypts what the client sent of the caller.
func (c *Core) openData(ctx context.Context, by caller, data, iv string) (OpenData, error) {
	who, err := c.person(by)
	if err != nil {
		return OpenData{}, err
	}
	told, err := c.withSessionKey(ctx, who, func(key string) (OpenData, error) { return c.wechat.OpenData(who.App, key, data, iv) })
	switch age := c.now().Sub(told.At); {
	case err != nil:
		return told, err
	case age > openDataLife || age < -time.Minute:
		return told, &InvalidError{"encryptedData", "too old"}
	case told.OpenID != "" && told.OpenID != who.OpenID:
		return told, &InvalidError{"encryptedData", "of another person"}
	}
	return told, nil
}

// rawData checks what the client sent of the caller.
func (c *Core) rawData(ctx context.Context, by caller, text, signature string) (OpenData, error) {
	who, err := c.person(by)
	if err != nil {
		return OpenData{}, err
	}
	return c.withSessionKey(ctx, who, func(key string) (OpenData, error) { return c.wechat.RawData(key, text, signature) })
}

// withSessionKey opens data of a person with their session_key. A key that does
// not fit is forgotten, and nothing is told of data whose key is forgotten or
// replaced by then, however many ask at once.
//
// That is not for tidiness. AES-CBC tells nobody who made the data: whoever may
// ask again and again whether some fits the key can make data that does. So a key
// answers no once, and only a login brings another, which an honest client needs
// then anyway.
func (c *Core) withSessionKey(ctx context.Context, who identityName, open func(key string) (OpenData, error)) (OpenData, error) {
	if c.readOnly {
		return OpenData{}, fmt.Errorf("session_key: %w", ErrReadOnly) // it could not be forgotten
	}
	key, used, _, err := c.sessionKeyOf(ctx, who)
	if err != nil {
		return OpenData{}, err
	}
	told, failure := open(key)
	stale := errors.Is(failure, ErrSessionKeyStale)
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		_, current, record, err := c.sessionKeyOf(ctx, who)
		switch {
		case err != nil:
			return nil, err
		case current.SessionKey != used.SessionKey:
			return nil, errStaleKey
		case !stale:
			return nil, nil
		}
		current.SessionKey, current.SessionKeyAt = "", time.Time{}
		return []drivers.Op{put(record, current)}, nil
	})
	switch {
	case err != nil:
		return OpenData{}, err
	case stale:
		return OpenData{}, errStaleKey
	}
	return told, failure
}

var errStaleKey = fmt.Errorf("%w: %w: the session_key does not fit", ErrUnauthenticated, ErrLogInAgain)

// sessionKeyOf returns the newest session_key of a person, and the identity that has it.
func (c *Core) sessionKeyOf(ctx context.Context, who identityName) (key string, r identityRecord, record drivers.Record, err error) {
	r, record, err = read[identityRecord](ctx, c, identityKey(who.App, who.OpenID))
	if err != nil {
		return "", r, record, err
	}
	if !record.Exists() {
		return "", r, record, errStaleKey
	}
	if key, err = c.seals.open(record.Key, r.SessionKey); err != nil {
		return "", r, record, errStaleKey // forgotten, or the secret was changed; a login brings another
	}
	return key, r, record, nil
}

// CheckSessionKey asks WeChat whether the caller's session_key is still good;
// with reset it also has WeChat replace a good one, and keeps the new one. False
// means that only a new wx.login helps.
func (c *Core) CheckSessionKey(ctx context.Context, accessToken string, reset bool) (bool, error) {
	if reset && c.readOnly {
		return false, fmt.Errorf("session_key: %w", ErrReadOnly) // the new one could not be kept
	}
	by, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return false, err
	}
	who, err := c.person(by)
	if err != nil {
		return false, err
	}
	key, _, _, err := c.sessionKeyOf(ctx, who)
	if errors.Is(err, ErrLogInAgain) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	good, fresh := false, ""
	err = c.withToken(ctx, who.App, func(token string) (err error) {
		if !reset {
			good, err = c.wechat.CheckSessionKey(ctx, token, who.OpenID, key)
			return err
		}
		fresh, err = c.wechat.ResetSessionKey(ctx, token, who.OpenID, key)
		good = err == nil
		return err
	})
	if errors.Is(err, ErrSessionKeyStale) {
		return false, nil
	}
	if err != nil || !reset {
		return good && err == nil, err
	}
	ctx, cancel := outlive(ctx, keepTime) // the old key is dead now
	defer cancel()
	now := c.now()
	return true, c.transact(ctx, func() ([]drivers.Op, error) {
		r, record, err := read[identityRecord](ctx, c, identityKey(who.App, who.OpenID))
		if err != nil || !record.Exists() || r.hasNewerKey(now, c.now()) {
			return nil, err // gone, or a login was faster
		}
		r.SessionKey, r.SessionKeyAt = c.seals.seal(record.Key, fresh), now
		return []drivers.Op{put(record, r)}, nil
	})
}
