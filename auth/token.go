package auth

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/maypok86/otter/v2"
	"github.com/miniprofile/miniprofile/drivers"
)

// audience is the aud of access tokens: this API.
const audience = "miniprofile"

// maxToken bounds a token in bytes, before any work is done on it. Ours have
// about 400.
const maxToken = 2048

// signer makes and checks access tokens: JWTs signed with Ed25519, with a key
// derived from each of the operator's secrets. The first signs, all verify.
type signer struct {
	issuer  string
	id      string // of the key that signs
	header  string // of the JWTs that it makes, encoded, with the dot: jwt.Token would make it anew for each
	private ed25519.PrivateKey
	public  map[string]ed25519.PublicKey // by key id
	jwks    []byte
	parser  *jwt.Parser
	now     func() time.Time
	// checked remembers tokens that were found good: to check one costs 40 µs, to
	// look it up 0.1.
	checked *otter.Cache[string, *checkedToken]
}

// checkedToken is what a good access token says. It also remembers what was
// last read for it, so that what has not changed is not decoded again.
type checkedToken struct {
	session string // uid.sid
	app     string
	expires time.Time
	seen    atomic.Pointer[seen]
}

// maxSeen bounds what is remembered of a user, as it is stored, in bytes: most have
// some hundreds. With the tokens, of which there are 16384, that is 60 MiB at most.
const maxSeen = 1 << 10

// seen is a user as a session saw it at a revision of the user's record, and that
// session. Many calls share it: nothing in it is changed.
type seen struct {
	revision        drivers.Revision
	record          userRecord
	user            *User
	sessionRevision drivers.Revision
	session         sessionRecord
}

// claims of an access token: sub is the user, sid the session, app the AppID.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	App     string `json:"app"`
}

// issuedClaims is claims for writing: the types of the jwt package take three times as long.
type issuedClaims struct {
	Issuer   string    `json:"iss"`
	Subject  string    `json:"sub"`
	Audience [1]string `json:"aud"`
	Expires  int64     `json:"exp"` // both in seconds since 1970
	Issued   int64     `json:"iat"`
	ID       string    `json:"jti"`
	Session  string    `json:"sid"`
	App      string    `json:"app"`
}

func newSigner(secrets []string, issuer string, now func() time.Time) (*signer, error) {
	s := &signer{issuer: issuer, public: map[string]ed25519.PublicKey{}, now: now}
	type jwk struct {
		Type      string `json:"kty"`
		Curve     string `json:"crv"`
		X         string `json:"x"`
		ID        string `json:"kid"`
		Use       string `json:"use"`
		Algorithm string `json:"alg"`
	}
	set := struct {
		Keys []jwk `json:"keys"`
	}{}
	for i, secret := range secrets {
		seed, err := derive(secret, "miniprofile access token 1")
		if err != nil {
			return nil, err
		}
		private := ed25519.NewKeyFromSeed(seed)
		public := private.Public().(ed25519.PublicKey)
		id := keyID(public)
		if i == 0 {
			s.id, s.private = id, private
			s.header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"`+id+`","typ":"JWT"}`)) + "."
		}
		s.public[id] = public
		set.Keys = append(set.Keys, jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(public), id, "sig", "EdDSA"})
	}
	jwks, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	s.jwks = jwks
	s.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithStrictDecoding(), jwt.WithExpirationRequired(),
		jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithTimeFunc(now))
	s.checked, err = otter.New(&otter.Options[string, *checkedToken]{MaximumSize: 1 << 14})
	return s, err
}

// sign makes an access token for a session, uid.sid.
func (s *signer) sign(session, app string) (string, time.Time, error) {
	uid, sid, _ := strings.Cut(session, ".")
	now := s.now().Truncate(time.Second)
	expires := now.Add(AccessTokenLife)
	body, err := json.Marshal(issuedClaims{
		Issuer: s.issuer, Subject: uid, Audience: [1]string{audience}, Expires: expires.Unix(), Issued: now.Unix(), ID: newID(),
		Session: sid, App: app,
	})
	if err != nil {
		return "", time.Time{}, err
	}
	signed := base64.RawURLEncoding.AppendEncode([]byte(s.header), body)
	signature := ed25519.Sign(s.private, signed)
	return string(base64.RawURLEncoding.AppendEncode(append(signed, '.'), signature)), expires.UTC(), nil
}

// check tells what a good access token says; anything else is
// ErrUnauthenticated. That its session still lives is for the caller to see.
func (s *signer) check(token string) (*checkedToken, error) {
	if t, ok := s.checked.GetIfPresent(token); ok {
		if s.now().Before(t.expires) {
			return t, nil
		}
		return nil, fmt.Errorf("%w: the access token has expired", ErrUnauthenticated)
	}
	if token == "" || len(token) > maxToken {
		return nil, fmt.Errorf("%w: no access token", ErrUnauthenticated)
	}
	var c claims
	_, err := s.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		if key, ok := s.public[id]; ok {
			return key, nil
		}
		return nil, jwt.ErrTokenUnverifiable
	})
	session := c.Subject + "." + c.Session
	if _, _, ok := splitSession(session); err != nil || !ok {
		// The parser's error may quote the token.
		return nil, fmt.Errorf("%w: the access token is invalid or has expired", ErrUnauthenticated)
	}
	t := &checkedToken{session: session, app: c.App, expires: c.ExpiresAt.Time}
	s.checked.Set(strings.Clone(token), t)
	return t, nil
}

// Caller tells whose a good access token is, and of which app. It reads nothing,
// so that the session still lives is not said.
func (c *Core) Caller(accessToken string) (user, app string, ok bool) {
	t, err := c.tokens.check(accessToken)
	if err != nil {
		return "", "", false
	}
	user, _, _ = strings.Cut(t.session, ".")
	return user, t.app, true
}

// A refresh token is r1.UID.SID.COUNTER.MAC, where MAC is an HMAC-SHA256 of all
// before it under the session's own key. So one record holds a session, one
// write makes a new token, and the same counter always gives the same token.
const refreshVersion = "r1"

// newRefreshKey makes the key of a session.
func newRefreshKey() string {
	var b [32]byte
	rand.Read(b[:])
	return string(b[:])
}

func refreshToken(session string, counter int64, key string) string {
	body := refreshVersion + "." + session + "." + strconv.FormatInt(counter, 10)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return body + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// parseRefreshToken parts a refresh token; whether it is good, only the session's key can tell.
func parseRefreshToken(token string) (session string, counter int64, err error) {
	parts := strings.Split(token[:min(len(token), maxToken)], ".")
	if len(parts) == 5 && parts[0] == refreshVersion {
		session = parts[1] + "." + parts[2]
		counter, err = strconv.ParseInt(parts[3], 10, 64)
		if _, _, ok := splitSession(session); ok && err == nil && counter > 0 {
			return session, counter, nil
		}
	}
	return "", 0, fmt.Errorf("%w: the refresh token is invalid", ErrUnauthenticated)
}

// refreshKey opens the key of a session, for issue. ErrUnauthenticated with ErrSealed when it
// cannot be opened.
func (c *Core) refreshKey(session string, r sessionRecord) (string, error) {
	key, err := c.seals.open(sessionKey(session), r.Key)
	if err != nil {
		return "", fmt.Errorf("%w: the session is %w", ErrUnauthenticated, err)
	}
	return key, nil
}

// issue makes the tokens of a session as its record says; key is r.Key, opened.
func (c *Core) issue(session string, r sessionRecord, key string, expires time.Time) (Tokens, error) {
	access, until, err := c.tokens.sign(session, r.App)
	if err != nil {
		return Tokens{}, fmt.Errorf("sign access token: %w", err)
	}
	return Tokens{
		AccessToken: access, AccessTokenExpiresAt: until,
		RefreshToken: refreshToken(session, r.Counter, key), RefreshTokenExpiresAt: expires,
	}, nil
}

// sessionLive reports whether a session's record is there and in time.
func sessionLive(r drivers.Record, now time.Time) bool { return r.Exists() && now.Before(r.Expires) }
