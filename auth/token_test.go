package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestAccessTokensOfOthersAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	p := c.mustLogin(t, "ming~1")
	_, ours, _ := ed25519.GenerateKey(rand.Reader)
	good := func() claims {
		return claims{jwt.RegisteredClaims{
			Issuer: "test", Audience: jwt.ClaimStrings{audience}, Subject: p.User.ID,
			ExpiresAt: jwt.NewNumericDate(c.now().Add(time.Minute)),
		}, p.User.sid, testApp}
	}
	sign := func(method jwt.SigningMethod, key any, kid string, claims claims) string {
		t.Helper()
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	mine := func(change func(*claims)) string {
		cl := good()
		change(&cl)
		return sign(jwt.SigningMethodEdDSA, c.tokens.private, c.tokens.id, cl)
	}
	if _, err := c.Me(t.Context(), mine(func(*claims) {})); err != nil {
		t.Fatal("the test's own way of making tokens: ", err)
	}
	public := c.tokens.public[c.tokens.id]
	parts := strings.Split(p.Tokens.AccessToken, ".")
	for name, token := range map[string]string{
		"nothing":                "",
		"garbage":                "garbage",
		"two dots":               "..",
		"a megabyte":             strings.Repeat("a", 1<<20),
		"a refresh token":        p.Tokens.RefreshToken,
		"another key":            sign(jwt.SigningMethodEdDSA, ours, c.tokens.id, good()),
		"another key's id":       sign(jwt.SigningMethodEdDSA, ours, "00000000", good()),
		"no algorithm":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c.tokens.id, good()),
		"the public key as HMAC": sign(jwt.SigningMethodHS256, []byte(public), c.tokens.id, good()),
		"expired":                mine(func(c *claims) { c.ExpiresAt = jwt.NewNumericDate(w.clock.now().Add(-time.Second)) }),
		"no expiry":              mine(func(c *claims) { c.ExpiresAt = nil }),
		"not yet valid":          mine(func(c *claims) { c.NotBefore = jwt.NewNumericDate(w.clock.now().Add(time.Minute)) }),
		"another issuer":         mine(func(c *claims) { c.Issuer = "evil" }),
		"another audience":       mine(func(c *claims) { c.Audience = jwt.ClaimStrings{"evil"} }),
		"another user":           mine(func(c *claims) { c.Subject = newID() }),
		"a path as the user":     mine(func(c *claims) { c.Subject = "../users" }),
		"another session":        mine(func(c *claims) { c.Session = newID() }),
		"no session":             mine(func(c *claims) { c.Session = "" }),
		"a cut signature":        p.Tokens.AccessToken[:len(p.Tokens.AccessToken)-2],
		"a changed payload":      parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"x"}`)) + "." + parts[2],
		"white space":            " " + p.Tokens.AccessToken,
	} {
		for range 2 { // the second time it might be remembered
			_, err := c.Me(t.Context(), token)
			if !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%s: %v", name, err)
			}
			if len(token) > 10 && strings.Contains(fmt.Sprint(err), token[:10]) {
				t.Errorf("%s: the error shows the token", name)
			}
		}
	}
}

func TestARememberedTokenExpires(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	for range 2 {
		if _, err := c.Me(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.add(AccessTokenLife)
	_, err := c.Me(t.Context(), token)
	mustBe(t, err, ErrUnauthenticated)
}

// Another service verifies a token with nothing but the published keys.
func TestJWKSVerifiesAccessTokens(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	p := c.mustLogin(t, "ming~1")
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(c.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	var got claims
	_, err := jwt.ParseWithClaims(p.Tokens.AccessToken, &got, func(token *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k["kid"] == token.Header["kid"] && k["kty"] == "OKP" && k["crv"] == "Ed25519" {
				x, err := base64.RawURLEncoding.DecodeString(k["x"])
				return ed25519.PublicKey(x), err
			}
		}
		return nil, errors.New("no such key")
	}, jwt.WithTimeFunc(w.clock.now), jwt.WithIssuer("test"), jwt.WithAudience(audience))
	if err != nil || got.Subject != p.User.ID || got.App != testApp {
		t.Errorf("claims %+v, %v", got, err)
	}
}

func TestSealed(t *testing.T) {
	t.Parallel()
	ring, err := newKeyring([]string{strings.Repeat("a", MinSecret), strings.Repeat("b", MinSecret)})
	if err != nil {
		t.Fatal(err)
	}
	place := userKey("x")
	sealed := ring.seal(place, "the secret")
	if strings.Contains(sealed, "secret") || sealed == ring.seal(place, "the secret") {
		t.Error("not sealed, or always the same")
	}
	if text, err := ring[:1].open(place, sealed); err != nil || text != "the secret" {
		t.Errorf("opened %q, %v", text, err)
	}
	tampered := []byte(sealed)
	tampered[20] ^= 1 // A letter or digit becomes another one, or none of the alphabet.
	for name, f := range map[string]func() (string, error){
		"another place":  func() (string, error) { return ring.open(userKey("y"), sealed) },
		"another secret": func() (string, error) { return ring[1:].open(place, sealed) },
		"tampered":       func() (string, error) { return ring.open(place, string(tampered)) },
		"cut":            func() (string, error) { return ring.open(place, sealed[:12]) },
		"empty":          func() (string, error) { return ring.open(place, "") },
		"no base64":      func() (string, error) { return ring.open(place, sealed[:9]+"!") },
	} {
		if text, err := f(); err == nil {
			t.Errorf("%s: opened %q", name, text)
		}
	}
	if _, err := newKeyring([]string{"short"}); err == nil {
		t.Error("a short secret is taken")
	}
}

func BenchmarkMe(b *testing.B) {
	w := newWorld()
	c := w.replica(b)
	token := c.mustLogin(b, "ming~1").Tokens.AccessToken
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Me(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// A large account is not remembered, once for each of its tokens.
func TestALargeAccountIsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.replica(t)
	token := c.mustLogin(t, "ming~1").Tokens.AccessToken
	for _, row := range []struct {
		size       int
		remembered bool
	}{{100, true}, {MaxPreferences - 10, false}, {10, true}} {
		c.update(t, token, UpdateProfileInput{Preferences: set(json.RawMessage(`{"a":"` + strings.Repeat("x", row.size) + `"}`))})
		me, err := c.Me(t.Context(), token)
		if err != nil || len(me.Preferences) < row.size {
			t.Fatal(err)
		}
		checked, err := c.tokens.check(token)
		if err != nil || (checked.seen.Load() != nil) != row.remembered {
			t.Errorf("%d bytes of preferences: remembered %v, %v", row.size, checked.seen.Load() != nil, err)
		}
	}
}
