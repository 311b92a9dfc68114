package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// Limits of a profile.
const (
	MaxNickname         = 32       // characters as a person counts them
	MaxPreferences      = 16 << 10 // bytes of JSON without white space
	MaxPreferencesDepth = 16       // levels
	maxRegion           = 64       // characters of each part
)

// UpdateProfileInput says what to change.
type UpdateProfileInput struct {
	Nickname Change[string]
	Avatar   Change[Upload]
	// AvatarUploadID sets the avatar to the file of an upload that CreateAvatarUpload
	// began; not together with Avatar. Repeating it is safe.
	AvatarUploadID *string
	Gender         Change[Gender]
	Birthday       Change[string] // YYYY-MM-DD
	Region         Change[Region]
	Preferences    Change[json.RawMessage] // a JSON object
	IfVersion      *int                    // ErrConflict unless the profile is at this version
	Consent        *ConsentInput           // to what is set, when the user has just given it
}

// Change says what to do with one field: the zero Change leaves it as it is,
// Given with nil clears it, Given with a value sets it.
type Change[T any] struct {
	Given bool
	To    *T
}

// Upload is a picture as it came from the client.
type Upload struct {
	io.ReadSeeker
	Size int64 // bytes
}

// UpdateProfilePayload is what UpdateProfile gives.
type UpdateProfilePayload struct{ User *User }

// UpdateProfile changes the caller's profile: all of what in says, or nothing.
// Of several calls at once each has its effect; where they change the same field,
// one wins. A change to what is already there writes nothing.
//
// With a content check, a nickname is judged before it is set; a picture after it,
// and is PENDING until then.
//
// Errors: ErrUnauthenticated, ErrConflict (IfVersion), ErrConsentRequired,
// ErrContentRejected, ErrRateLimited, ErrUpstream, or an *InvalidError for the
// field that is wrong.
func (c *Core) UpdateProfile(ctx context.Context, accessToken string, in UpdateProfileInput) (*UpdateProfilePayload, error) {
	before, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	if err := c.checkProfile(&in); err != nil {
		return nil, err
	}
	if in.IfVersion != nil && *in.IfVersion != before.user.Version {
		return nil, ErrConflict
	}
	uploaded, err := c.takeUpload(ctx, before, &in)
	if err != nil {
		return nil, err
	}
	if uploaded != nil {
		defer uploaded.object.Close()
	}
	needs := in.sets()
	if err := c.demand(ctx, before, in.Consent, needs); err != nil {
		return nil, err // before anything is stored, or WeChat is told
	}
	fresh := true
	if to := in.Nickname.To; to != nil && (before.user.Nickname == nil || *before.user.Nickname != *to) {
		fresh = !c.checkContent // WeChat takes its time
		if err := c.checkNickname(ctx, before, *to); err != nil {
			return nil, fmt.Errorf("update profile: %w", err)
		}
	}
	var stored *storedPicture
	if in.Avatar.Given && in.Avatar.To != nil {
		ctx, cancel := context.WithTimeout(ctx, pictureTime)
		defer cancel()
		if stored, err = c.storePicture(ctx, before.user.ID, *in.Avatar.To); err != nil {
			return nil, err
		}
	}
	fresh = fresh && stored == nil // storing a picture takes long too
	user, err := c.change(ctx, before, fresh, needs, in.Consent, func(by caller, a *account) ([]drivers.Op, []string, error) {
		if in.IfVersion != nil && *in.IfVersion != a.user.Version {
			return nil, nil, ErrConflict
		}
		old, now := a.user.Avatar, c.now()
		fields := a.user.apply(in, stored, c.newPictureStatus())
		if len(fields) == 0 {
			return nil, nil, nil
		}
		ops := []drivers.Op{audited(a.uid, auditRecord{At: now, Event: ProfileUpdated, Session: by.user.sid, Fields: fields})}
		if in.Avatar.Given && old != nil {
			ops = append(ops, removeLater(a.uid, old.ID, now.Add(c.oldLife)))
		}
		if stored != nil {
			// Only while the job that would remove the new picture has not begun may
			// the profile name it.
			op, err := c.keep(ctx, stored)
			if err != nil {
				return nil, nil, err
			}
			checks, err := c.checkLater(by, stored.id, now)
			if err != nil {
				return nil, nil, err
			}
			ops = append(append(ops, op), checks...)
		}
		if uploaded != nil {
			used, err := c.use(ctx, uploaded, stored.id)
			if err != nil {
				return nil, nil, err
			}
			ops = append(ops, used...)
		}
		return ops, fields, nil
	})
	if err != nil {
		return nil, fmt.Errorf("update profile: %w", err)
	}
	return &UpdateProfilePayload{user}, nil
}

// takeUpload puts the file of a direct upload, when in names one, into in.Avatar,
// and returns the upload for the caller to close. It is nil when there is nothing
// to take: none is named, or it has been used for the picture that the profile has.
func (c *Core) takeUpload(ctx context.Context, caller caller, in *UpdateProfileInput) (*incoming, error) {
	if in.AvatarUploadID == nil {
		return nil, nil
	}
	if in.Avatar.Given {
		return nil, &InvalidError{"avatarUploadId", "not together with avatar"}
	}
	uploaded, err := c.openUpload(ctx, caller.user.ID, *in.AvatarUploadID)
	if err != nil {
		return nil, err
	}
	if picture := uploaded.upload.Picture; picture != "" {
		if caller.profile.Avatar == nil || caller.profile.Avatar.ID != picture {
			return nil, &InvalidError{"avatarUploadId", "names an upload that was used before"}
		}
		return nil, nil
	}
	in.Avatar = Change[Upload]{Given: true, To: &Upload{uploaded.object, uploaded.object.Size}}
	return uploaded, nil
}

// checkProfile checks and tidies what the client sent.
func (c *Core) checkProfile(in *UpdateProfileInput) (err error) {
	if to := in.Nickname.To; to != nil {
		if *to, err = line("nickname", *to, MaxNickname); err != nil {
			return err
		}
	}
	if to := in.Gender.To; to != nil && *to != GenderFemale && *to != GenderMale && *to != GenderOther {
		return &InvalidError{"gender", "none of FEMALE, MALE and OTHER"}
	}
	if to := in.Birthday.To; to != nil {
		// Somewhere on earth it is tomorrow already.
		day, err := time.Parse(time.DateOnly, *to)
		if err != nil || day.Year() < 1900 || day.After(c.now().Add(14*time.Hour)) {
			return &InvalidError{"birthday", "no date YYYY-MM-DD from 1900 to today"}
		}
	}
	if to := in.Region.To; to != nil {
		for _, part := range []**string{&to.Country, &to.Province, &to.City} {
			if *part == nil {
				continue
			}
			text, err := line("region", **part, maxRegion)
			if err != nil {
				return err
			}
			*part = &text
		}
		if *to == (Region{}) {
			in.Region.To = nil
		}
	}
	if to := in.Preferences.To; to != nil {
		if *to, err = checkPreferences(*to); err != nil {
			return err
		}
	}
	return nil
}

func checkPreferences(text json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil || b.Bytes()[0] != '{' {
		return nil, &InvalidError{"preferences", "no JSON object"}
	}
	if b.Len() > MaxPreferences {
		return nil, &InvalidError{"preferences", fmt.Sprintf("has more than %d bytes", MaxPreferences)}
	}
	d, depth := json.NewDecoder(bytes.NewReader(b.Bytes())), 0
	d.UseNumber() // 1e999 is no float64, and good JSON
	for {
		t, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return b.Bytes(), nil
		case err != nil:
			return nil, &InvalidError{"preferences", "no JSON object"}
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > MaxPreferencesDepth {
				return nil, &InvalidError{"preferences", fmt.Sprintf("deeper than %d levels", MaxPreferencesDepth)}
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// sets are the scopes of the data that an update sets, not those that it clears.
func (in UpdateProfileInput) sets() (scopes []ConsentScope) {
	add := func(scope ConsentScope, is bool) {
		if is {
			scopes = append(scopes, scope)
		}
	}
	add(ScopeNickname, in.Nickname.To != nil)
	add(ScopeAvatar, in.Avatar.To != nil)
	add(ScopeGender, in.Gender.To != nil)
	add(ScopeBirthday, in.Birthday.To != nil)
	add(ScopeRegion, in.Region.To != nil)
	add(ScopePreferences, in.Preferences.To != nil)
	return scopes
}

// apply changes r, with status for a new picture, and returns the names of the fields
// that are now different.
func (r *userRecord) apply(in UpdateProfileInput, stored *storedPicture, status AvatarStatus) (fields []string) {
	changed := func(name string, is bool) {
		if is {
			fields = append(fields, name)
		}
	}
	changed("nickname", assign(&r.Nickname, in.Nickname))
	changed("gender", assign(&r.Gender, in.Gender))
	changed("birthday", assign(&r.Birthday, in.Birthday))
	if in.Avatar.Given {
		changed("avatar", stored != nil || r.Avatar != nil)
		r.Avatar = nil
		if stored != nil {
			r.Avatar = &avatarRecord{ID: stored.id, Status: status}
		}
	}
	if in.Region.Given {
		old := r.Region
		r.Region = in.Region.To
		changed("region", string(encode(old)) != string(encode(r.Region)))
	}
	if in.Preferences.Given {
		old := r.Preferences
		r.Preferences = ""
		if to := in.Preferences.To; to != nil {
			r.Preferences = string(*to)
		}
		changed("preferences", old != r.Preferences)
	}
	return fields
}

// assign carries out a change and reports whether it made a difference.
func assign[T comparable](field **T, change Change[T]) bool {
	if !change.Given {
		return false
	}
	old := *field
	*field = change.To
	if old == nil || change.To == nil {
		return old != change.To
	}
	return *old != *change.To
}
