package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// ConsentScope names the data that a consent is about. Its values are stored.
type ConsentScope string

// The scopes: each is a field of the profile.
const (
	ScopeNickname    ConsentScope = "NICKNAME"
	ScopeAvatar      ConsentScope = "AVATAR"
	ScopePhone       ConsentScope = "PHONE"
	ScopeGender      ConsentScope = "GENDER"
	ScopeBirthday    ConsentScope = "BIRTHDAY"
	ScopeRegion      ConsentScope = "REGION"
	ScopePreferences ConsentScope = "PREFERENCES"
)

// scopes are all scopes. A commit has room for a consent to each.
var scopes = []ConsentScope{ScopeNickname, ScopeAvatar, ScopePhone, ScopeGender, ScopeBirthday, ScopeRegion, ScopePreferences}

// field is the name of the profile's field that a scope is about.
func (s ConsentScope) field() string { return strings.ToLower(string(s)) }

// consentAgain is for how long the same consent is that of a repeated call. Later it
// is given anew: a revocation of before, that is worked on late, is not about it.
const consentAgain = time.Minute

// Limits of a consent, in characters.
const (
	MaxPurpose       = 200
	MaxPolicyVersion = 64
)

// Consent is what a user agreed to.
type Consent struct {
	Scope         ConsentScope
	Purpose       string
	PolicyVersion string
	GrantedAt     time.Time // the last time
	WithdrawnAt   *time.Time
}

// ConsentInput is a consent that the user has just given.
type ConsentInput struct {
	Scopes        []ConsentScope // at least one
	Purpose       string         // what the data is for, in the words that the user saw
	PolicyVersion string         // of the privacy policy that the user saw
}

// RecordConsentInput is what RecordConsent needs.
type RecordConsentInput struct{ Consent ConsentInput }

// RecordConsentPayload is what RecordConsent gives.
type RecordConsentPayload struct{ User *User }

// WithdrawConsentInput says what the user takes back.
type WithdrawConsentInput struct{ Scopes []ConsentScope }

// WithdrawConsentPayload is what WithdrawConsent gives.
type WithdrawConsentPayload struct{ User *User }

// RecordConsent files the caller's consent. A new consent takes the place of an
// older one to the same scope; the audit keeps both.
//
// Errors: ErrUnauthenticated, ErrUpstream, or an *InvalidError for the field that is wrong.
func (c *Core) RecordConsent(ctx context.Context, accessToken string, in RecordConsentInput) (*RecordConsentPayload, error) {
	by, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	user, err := c.change(ctx, by, true, nil, &in.Consent, func(caller, *account) ([]drivers.Op, []string, error) { return nil, nil, nil })
	if err != nil {
		return nil, fmt.Errorf("record consent: %w", err)
	}
	return &RecordConsentPayload{user}, nil
}

// WithdrawConsent takes back the caller's consent and deletes the data that it
// covered. Withdrawing what was never granted deletes the data all the same.
//
// Errors: as RecordConsent.
func (c *Core) WithdrawConsent(ctx context.Context, accessToken string, in WithdrawConsentInput) (*WithdrawConsentPayload, error) {
	taken, err := checkScopes("scopes", in.Scopes)
	if err != nil {
		return nil, err
	}
	var user *User
	err = c.transact(ctx, func() ([]drivers.Op, error) {
		caller, err := c.authenticate(ctx, accessToken)
		if err != nil {
			return nil, err
		}
		a := caller.account()
		ops, err := c.withdrawal(ctx, &a, ConsentWithdrawn, caller.user.sid, taken)
		user = c.view(a.uid, caller.user.sid, a.user)
		return ops, err
	})
	if err != nil {
		return nil, fmt.Errorf("withdraw consent: %w", err)
	}
	c.wakeJobs()
	return &WithdrawConsentPayload{user}, nil
}

// Consents returns what a user that Me returned agreed to, by scope.
func (c *Core) Consents(ctx context.Context, u *User) ([]*Consent, error) {
	list := []*Consent{}
	for record, err := range c.store.Scan(ctx, kindConsents, u.ID+".", "") {
		if err != nil {
			return nil, storeError("scan", err)
		}
		r, err := decode[consentRecord](record)
		if err != nil {
			return nil, err
		}
		list = append(list, &Consent{r.Scope, r.Purpose, r.Policy, r.Granted, r.Withdrawn})
	}
	return list, nil
}

// demand fails, before anything is done, as change would for want of a good consent.
func (c *Core) demand(ctx context.Context, by caller, consent *ConsentInput, needs []ConsentScope) error {
	consent, err := checkConsent(consent)
	if err == nil {
		_, err = c.grant(ctx, by, consent, needs, c.now())
	}
	return err
}

// grant makes the ops that record a consent, and demands one to each of needs
// where the operator does.
func (c *Core) grant(ctx context.Context, by caller, consent *ConsentInput, needs []ConsentScope, now time.Time) ([]drivers.Op, error) {
	var given []ConsentScope
	if consent != nil {
		given = consent.Scopes
	}
	var missing []ConsentScope
	if c.requireConsent {
		for _, scope := range needs {
			if !slices.Contains(given, scope) {
				missing = append(missing, scope)
			}
		}
	}
	if len(given)+len(missing) == 0 {
		return nil, nil
	}
	records, err := c.consentRecords(ctx, by.user.ID, append(slices.Clone(given), missing...))
	if err != nil {
		return nil, err
	}
	for i, scope := range missing {
		record := records[len(given)+i]
		if r, err := decodeConsent(record); err != nil || !record.Exists() || r.Withdrawn != nil {
			if err != nil {
				return nil, err
			}
			return nil, &FieldError{scope.field(), ErrConsentRequired}
		}
	}
	var ops []drivers.Op
	var fields []string
	for i, scope := range given {
		r, err := decodeConsent(records[i])
		if err != nil {
			return nil, err
		}
		if records[i].Exists() && r.Withdrawn == nil && r.Purpose == consent.Purpose && r.Policy == consent.PolicyVersion && now.Sub(r.Granted) < consentAgain {
			continue // the same call again
		}
		r = consentRecord{Scope: scope, Purpose: consent.Purpose, Policy: consent.PolicyVersion, Granted: now}
		ops = append(ops, put(records[i], r))
		fields = append(fields, scope.field())
	}
	if len(fields) > 0 {
		ops = append(ops, audited(by.user.ID, auditRecord{At: now.Add(-time.Microsecond), Event: ConsentGranted, Session: by.user.sid, Fields: fields}))
	}
	return ops, nil
}

// withdrawal makes the ops that delete the data of scopes from an account, and
// the consents to them. No ops where there is neither.
func (c *Core) withdrawal(ctx context.Context, a *account, event AuditEvent, sid string, taken []ConsentScope) ([]drivers.Op, error) {
	now := c.now()
	var ops []drivers.Op
	fields := map[string]bool{}
	records, err := c.consentRecords(ctx, a.uid, taken)
	if err != nil {
		return nil, err
	}
	for i, scope := range taken {
		r, err := decodeConsent(records[i])
		if err != nil {
			return nil, err
		}
		if records[i].Exists() && r.Withdrawn == nil {
			r.Withdrawn = &now
			ops = append(ops, put(records[i], r))
			fields[scope.field()] = true
		}
		more, cleared, err := c.clear(ctx, a, scope, now)
		if err != nil {
			return nil, err
		}
		ops = append(ops, more...)
		if cleared {
			fields[scope.field()] = true
		}
	}
	if len(fields) == 0 {
		return nil, nil
	}
	var names []string
	for _, scope := range taken {
		if fields[scope.field()] {
			names = append(names, scope.field())
		}
	}
	// Always written: an update under way that counts on the consent must fail.
	a.user.touch(now)
	return append(ops, put(a.record, a.user),
		audited(a.uid, auditRecord{At: now, Event: event, Session: sid, Fields: names})), nil
}

// clear deletes the data of a scope from an account; the ops delete what lies elsewhere.
func (c *Core) clear(ctx context.Context, a *account, scope ConsentScope, now time.Time) (ops []drivers.Op, cleared bool, err error) {
	u := &a.user
	switch scope {
	case ScopeNickname:
		cleared, u.Nickname = u.Nickname != nil, nil
	case ScopeAvatar:
		if cleared = u.Avatar != nil; cleared {
			ops = append(ops, removeLater(a.uid, u.Avatar.ID, now))
			u.Avatar = nil
		}
	case ScopePhone:
		if cleared = u.Phone != nil; cleared {
			ops, err = c.freePhone(ctx, a.uid, *u.Phone)
			u.Phone = nil
		}
	case ScopeGender:
		cleared, u.Gender = u.Gender != nil, nil
	case ScopeBirthday:
		cleared, u.Birthday = u.Birthday != nil, nil
	case ScopeRegion:
		cleared, u.Region = u.Region != nil, nil
	case ScopePreferences:
		cleared, u.Preferences = u.Preferences != "", ""
	}
	return ops, cleared, err
}

func (c *Core) consentRecords(ctx context.Context, uid string, scopes []ConsentScope) ([]drivers.Record, error) {
	var keys []drivers.Key
	for _, scope := range scopes {
		keys = append(keys, drivers.Key{Kind: kindConsents, ID: uid + "." + scope.field()})
	}
	return c.get(ctx, keys...)
}

// decodeConsent reads a consent; the zero one where none is stored.
func decodeConsent(record drivers.Record) (consentRecord, error) {
	if !record.Exists() {
		return consentRecord{}, nil
	}
	return decode[consentRecord](record)
}

// checkConsent checks and tidies a consent, which may be nil.
func checkConsent(given *ConsentInput) (*ConsentInput, error) {
	if given == nil {
		return nil, nil
	}
	in := *given
	var err error
	if in.Scopes, err = checkScopes("consent", in.Scopes); err != nil {
		return nil, err
	}
	if in.Purpose, err = line("consent", in.Purpose, MaxPurpose); err != nil {
		return nil, err
	}
	in.PolicyVersion, err = line("consent", in.PolicyVersion, MaxPolicyVersion)
	return &in, err
}

// checkScopes returns the scopes, each once.
func checkScopes(field string, in []ConsentScope) (out []ConsentScope, err error) {
	for _, scope := range in {
		if !slices.Contains(scopes, scope) {
			return nil, &InvalidError{field, "no such scope"}
		}
		if !slices.Contains(out, scope) {
			out = append(out, scope)
		}
	}
	if len(out) == 0 {
		return nil, &InvalidError{field, "names no scope"}
	}
	return out, nil
}
