package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// Kinds of records. What a user owns is filed under the user's id, so that one
// scan finds it all; natural keys are hashed, so that no openid stands in a key.
const (
	kindUsers      = "users"      // uid
	kindIdentities = "identities" // hash(app, openid)
	kindUnions     = "unions"     // hash(unionid)
	kindSessions   = "sessions"   // uid.sid
	kindCodes      = "logins"     // hash(app, code); of a phone button hash("phone", app, code)
	kindAudit      = "audit"      // uid.time
	kindJobs       = "jobs"       // time.random
	kindUploads    = "uploads"    // uid.upload
	kindSweeps     = "sweeps"     // pictures, owner
	kindDeadJobs   = "deadjobs"   // as they had it in jobs
	kindTokens     = "tokens"     // hash(what the token is, AppID)
	kindPhones     = "phones"     // hash(country code, number)
	kindConsents   = "consents"   // uid.scope
	kindChecks     = "checks"     // hash(app, trace id)
	kindPushes     = "pushes"     // hash(id of the push)
)

// Kinds are all kinds of records there are. Whoever moves a store goes by them: a
// kind that is not here would stay behind.
var Kinds = []string{kindUsers, kindIdentities, kindUnions, kindSessions, kindCodes, kindAudit, kindJobs, kindUploads, kindSweeps, kindDeadJobs, kindTokens, kindPhones, kindConsents, kindChecks, kindPushes}

// ExpiringKinds are those whose records may expire.
var ExpiringKinds = []string{kindSessions, kindCodes, kindAudit, kindUploads, kindChecks, kindPushes}

// The stored forms. Golden files in testdata hold each of them: a name or type
// changes here only together with a way to read the old form.
type (
	userRecord struct {
		Version     int            `json:"version"`
		Nickname    *string        `json:"nickname,omitempty"`
		Avatar      *avatarRecord  `json:"avatar,omitempty"`
		Gender      *Gender        `json:"gender,omitempty"`
		Birthday    *string        `json:"birthday,omitempty"`
		Region      *Region        `json:"region,omitempty"`
		Preferences string         `json:"preferences,omitempty"` // JSON as text: it may hold what a record may not
		Phone       *Phone         `json:"phone,omitempty"`
		Identities  []identityName `json:"identities"`
		Unions      []string       `json:"unions,omitempty"` // ids of unions that name this user
		Others      []string       `json:"others,omitempty"` // users who turned out to be the same person
		Created     time.Time      `json:"created"`
		Updated     time.Time      `json:"updated"`

		Epoch    string          `json:"epoch,omitempty"`    // random, new with each restoration: sessions of another one are dead
		Deletion *deletionRecord `json:"deletion,omitempty"` // wanted; no session lives
		Merged   string          `json:"merged,omitempty"`   // the user that this one has become; no session lives
	}
	deletionRecord struct {
		At      time.Time `json:"at"`
		Due     time.Time `json:"due"`               // a login before restores the account
		Erasing bool      `json:"erasing,omitempty"` // the erasure has begun: nothing restores the account
	}
	phoneRecord struct {
		User    string    `json:"user"`
		Created time.Time `json:"created"`
	}
	consentRecord struct {
		Scope     ConsentScope `json:"scope"`
		Purpose   string       `json:"purpose"`
		Policy    string       `json:"policy"`
		Granted   time.Time    `json:"granted"`
		Withdrawn *time.Time   `json:"withdrawn,omitempty"`
	}
	// tokenRecord is a token of WeChat's, or what is traded for one.
	tokenRecord struct {
		App     string     `json:"app"`
		Token   string     `json:"token,omitempty"`   // sealed
		Refresh string     `json:"refresh,omitempty"` // sealed; what renews the token of a merchant's app
		Since   *time.Time `json:"since,omitempty"`   // when the merchant authorised us
		Expires *time.Time `json:"expires,omitempty"` // the token
		Renew   *time.Time `json:"renew,omitempty"`   // from when one caller renews it
		Lease   string     `json:"lease,omitempty"`   // random, names that caller
		Until   *time.Time `json:"until,omitempty"`   // when the lease is over, or nobody asks before
	}
	// ticketRecord is the third-party platform's ticket.
	ticketRecord struct {
		Ticket string     `json:"ticket,omitempty"` // sealed
		At     *time.Time `json:"at,omitempty"`     // when WeChat made it
		Asked  *time.Time `json:"asked,omitempty"`  // when we asked for tickets again
	}
	// checkRecord says what a check of WeChat's is about.
	checkRecord struct {
		User    string `json:"user"`
		Picture string `json:"picture"`
	}
	// pushRecord says that a push has been taken.
	pushRecord struct {
		At time.Time `json:"at"`
	}
	avatarRecord struct {
		ID     string       `json:"id"`
		Status AvatarStatus `json:"status"`
	}
	identityName struct {
		App    string `json:"app"`
		OpenID string `json:"openid"`
	}
	identityRecord struct {
		User         string    `json:"user"`
		App          string    `json:"app"`
		OpenID       string    `json:"openid"`
		UnionID      string    `json:"unionid,omitempty"`
		SessionKey   string    `json:"sessionKey"` // sealed; empty when it has been forgotten
		SessionKeyAt time.Time `json:"sessionKeyAt"`
		Created      time.Time `json:"created"`
		Logins       int       `json:"logins,omitempty"` // how many there were; see sessionsEvery
	}
	unionRecord struct {
		User    string    `json:"user"`
		Created time.Time `json:"created"`
	}
	// sessionRecord expires with its refresh token: Record.Expires is the moment.
	sessionRecord struct {
		App     string    `json:"app"`
		Epoch   string    `json:"epoch,omitempty"`  // of the user when it began
		Person  string    `json:"person,omitempty"` // id of the identity that signed in
		Device  *string   `json:"device,omitempty"`
		Created time.Time `json:"created"`
		Seen    time.Time `json:"seen"`
		Counter int64     `json:"counter"` // of the newest refresh token
		Key     string    `json:"key"`     // sealed; signs the refresh tokens
	}
	auditRecord struct {
		At      time.Time  `json:"at"`
		Event   AuditEvent `json:"event"`
		Session string     `json:"session,omitempty"` // sid
		Fields  []string   `json:"fields,omitempty"`
	}
)

// encode gives the stored form of a record. It cannot fail: the records are
// structs of texts, numbers and times.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // \u003c for < would make six bytes of one
	if err := e.Encode(v); err != nil {
		panic("auth: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decode reads a record. A record that cannot be read was not written by us.
func decode[T any](r drivers.Record) (T, error) {
	var v T
	if err := json.Unmarshal(r.Data, &v); err != nil {
		return v, fmt.Errorf("record %v has another form", r.Key)
	}
	return v, nil
}

// put makes the op that writes v over a record as it was read, to stay until something
// changes it.
func put(old drivers.Record, v any) drivers.Op {
	return drivers.Replace(old, encode(v), time.Time{})
}

var lower = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newID returns 128 random bits as 26 lower-case characters: no two are equal,
// none can be guessed, and none lie close together in a store.
func newID() string {
	var b [16]byte
	rand.Read(b[:])
	return lower.EncodeToString(b[:])
}

// hashID makes an id of natural keys that may hold anything.
func hashID(parts ...string) string {
	var all []byte
	for _, p := range parts {
		all = append(strconv.AppendInt(all, int64(len(p)), 10), ':') // lengths: ("ab","c") is not ("a","bc")
		all = append(all, p...)
	}
	sum := sha256.Sum256(all)
	return lower.EncodeToString(sum[:])
}

// timeID makes an id that sorts by t, to the microsecond, and is unique.
func timeID(t time.Time) string { return timePrefix(t) + "." + newID()[:13] }

// timePrefix is what the ids of t begin with: they are greater, those before it less.
func timePrefix(t time.Time) string { return fmt.Sprintf("%016x", t.UnixMicro()) }

func userKey(uid string) drivers.Key { return drivers.Key{Kind: kindUsers, ID: uid} }

func identityKey(app, openid string) drivers.Key {
	return drivers.Key{Kind: kindIdentities, ID: hashID(app, openid)}
}

func unionKey(unionid string) drivers.Key {
	return drivers.Key{Kind: kindUnions, ID: hashID(unionid)}
}

func phoneKey(p Phone) drivers.Key {
	return drivers.Key{Kind: kindPhones, ID: hashID(p.CountryCode, p.Number)}
}

// touch counts a change and says when it was.
func (r *userRecord) touch(now time.Time) {
	r.Version++
	r.Updated = now
}

// hasNewerKey reports whether the stored session_key came later from WeChat than one
// that came at a moment: from a call that went on at the same time and was faster. A
// key of a moment yet to come is of a replica whose clock is ahead: that tells nothing,
// and the one who writes last is right.
func (r identityRecord) hasNewerKey(came, now time.Time) bool {
	return r.SessionKeyAt.After(came) && !r.SessionKeyAt.After(now)
}

// signsIn reports whether a session that is in time lets the user in: the account
// is neither deleted nor merged, nor was it since the session began.
func (r userRecord) signsIn(s sessionRecord) bool {
	return r.Deletion == nil && r.Merged == "" && r.Epoch == s.Epoch
}

// over is the error of a session that signsIn does not let in.
func (r userRecord) over(now time.Time) error {
	if r.Deletion != nil && !r.Deletion.due(now) {
		return fmt.Errorf("%w: %w", ErrUnauthenticated, ErrDeletionPending)
	}
	return fmt.Errorf("%w: the account was deleted or merged", ErrUnauthenticated)
}

// begunBy reports whether an identity has begun the session. One of an older
// version knows the app alone.
func (r sessionRecord) begunBy(i identityName) bool {
	return r.App == i.App && (r.Person == "" || r.Person == identityKey(i.App, i.OpenID).ID)
}

// sessionKey takes "uid.sid", which is also what tokens name.
func sessionKey(session string) drivers.Key { return drivers.Key{Kind: kindSessions, ID: session} }

// splitSession parts "uid.sid"; ok only where both look like ids of ours.
func splitSession(session string) (uid, sid string, ok bool) {
	uid, sid, _ = strings.Cut(session, ".")
	return uid, sid, isID(uid) && isID(sid)
}

func isID(s string) bool {
	if len(s) != 26 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// audited makes the op that files an entry of the audit.
func audited(uid string, e auditRecord) drivers.Op {
	key := drivers.Key{Kind: kindAudit, ID: uid + "." + timeID(e.At)}
	return drivers.Create(key, encode(e), e.At.Add(AuditLife))
}

// view is the user as its owner sees it from a session.
func (c *Core) view(uid, sid string, r userRecord) *User {
	u := &User{
		ID: uid, Version: r.Version, Nickname: r.Nickname, Gender: r.Gender, Birthday: r.Birthday, Region: r.Region, Phone: r.Phone,
		Preferences: json.RawMessage(`{}`), CreatedAt: r.Created, UpdatedAt: r.Updated, sid: sid, epoch: r.Epoch,
	}
	if r.Preferences != "" {
		u.Preferences = json.RawMessage(r.Preferences)
	}
	if r.Avatar != nil {
		u.Avatar = &Avatar{Status: r.Avatar.Status, id: r.Avatar.ID, at: c.pictureURL}
	}
	for _, i := range r.Identities {
		u.Identities = append(u.Identities, Identity{AppID: i.App, OpenID: i.OpenID})
	}
	u.OtherAccounts = append([]string{}, r.Others...)
	return u
}
