package auth

import (
	"encoding/json"
	"time"
)

// User is an account with its profile, as its owner sees it. The core shares
// the values it returns between calls: do not change them.
type User struct {
	ID          string
	Version     int // grows with every change of the profile; see UpdateProfileInput
	Nickname    *string
	Avatar      *Avatar
	Gender      *Gender
	Birthday    *string // YYYY-MM-DD
	Region      *Region
	Preferences json.RawMessage // a JSON object
	Phone       *Phone
	Identities  []Identity
	// OtherAccounts are the ids of accounts that turned out to be the same person;
	// see Core.MergeAccount.
	OtherAccounts []string
	CreatedAt     time.Time
	UpdatedAt     time.Time

	sid   string // of the session that asks
	epoch string // of the user: that of their living sessions
}

// Identity is a user as one app knows them.
type Identity struct {
	AppID  string
	OpenID string
}

// Phone is a phone number that WeChat vouched for.
type Phone struct {
	CountryCode string `json:"countryCode"` // digits, as 86
	Number      string `json:"number"`      // digits, without the country code
}

// Avatar is a stored profile picture.
type Avatar struct {
	Status AvatarStatus
	id     string // of its objects; see pictureName
	at     func(name string) string
}

// URL tells where the JPEG of a size is. It is made when asked, so that a
// change of domain breaks nothing. Of an Avatar that no Core made it is a name
// only.
func (a *Avatar) URL(size AvatarSize) string {
	name := pictureName(a.id, size)
	if a.at == nil {
		return name
	}
	return a.at(name)
}

// AvatarSize is one of the sizes in which pictures are kept.
type AvatarSize string

// The sizes: squares of 132 and of 512 pixels.
const (
	AvatarSmall AvatarSize = "SMALL"
	AvatarLarge AvatarSize = "LARGE"
)

// AvatarStatus says whether a picture has been checked.
type AvatarStatus string

// The states of a picture.
const (
	AvatarPending  AvatarStatus = "PENDING"
	AvatarAccepted AvatarStatus = "ACCEPTED"
)

// Gender as the user states it.
type Gender string

// The genders.
const (
	GenderFemale Gender = "FEMALE"
	GenderMale   Gender = "MALE"
	GenderOther  Gender = "OTHER"
)

// Region is where a user lives; each part at most 64 characters.
type Region struct {
	Country  *string `json:"country,omitempty"`
	Province *string `json:"province,omitempty"`
	City     *string `json:"city,omitempty"`
}

// Session is a signed-in device.
type Session struct {
	ID        string
	Current   bool // whether it is the one that asks
	AppID     string
	Device    *string
	CreatedAt time.Time
	SeenAt    time.Time
	ExpiresAt time.Time
}

// AuditEntry is something that happened to an account.
type AuditEntry struct {
	At        time.Time
	Event     AuditEvent
	SessionID *string
	Fields    []string // the profile's fields that changed
}

// AuditEvent names what happened. Its values are stored: never change one.
type AuditEvent string

// The events; schema.graphqls describes them.
const (
	UserCreated        AuditEvent = "USER_CREATED"
	LoggedIn           AuditEvent = "LOGGED_IN"
	LoggedOut          AuditEvent = "LOGGED_OUT"
	SessionDropped     AuditEvent = "SESSION_DROPPED"
	RefreshTokenReused AuditEvent = "REFRESH_TOKEN_REUSED"
	ProfileUpdated     AuditEvent = "PROFILE_UPDATED"
	UnionIDBound       AuditEvent = "UNIONID_BOUND"
	UnionIDTaken       AuditEvent = "UNIONID_TAKEN"
	PhoneBound         AuditEvent = "PHONE_BOUND"
	PhoneUnbound       AuditEvent = "PHONE_UNBOUND"
	PhoneMovedAway     AuditEvent = "PHONE_MOVED_AWAY"
	ConsentGranted     AuditEvent = "CONSENT_GRANTED"
	ConsentWithdrawn   AuditEvent = "CONSENT_WITHDRAWN"
	ContentRejected    AuditEvent = "CONTENT_REJECTED"
	WeChatRevoked      AuditEvent = "WECHAT_REVOKED"
	WeChatCancelled    AuditEvent = "WECHAT_CANCELLED"
	WeChatCleaned      AuditEvent = "WECHAT_CLEANED"
	AccountsMerged     AuditEvent = "ACCOUNTS_MERGED"
	DeletionRequested  AuditEvent = "DELETION_REQUESTED"
	AccountRestored    AuditEvent = "ACCOUNT_RESTORED"
	AccountDeleted     AuditEvent = "ACCOUNT_DELETED"
)

// Tokens are what a client holds of a session. Printing them shows nothing.
type Tokens struct {
	AccessToken           string
	AccessTokenExpiresAt  time.Time
	RefreshToken          string
	RefreshTokenExpiresAt time.Time
}

// String hides the tokens.
func (Tokens) String() string { return "tokens" }

// GoString hides the tokens.
func (Tokens) GoString() string { return "tokens" }
