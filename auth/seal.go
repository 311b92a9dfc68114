package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// keyring seals secrets at rest: AES-256-GCM under a key derived from each of
// the operator's secrets. The first seals, all open.
type keyring []sealKey

type sealKey struct {
	id   string // 8 hex digits, to tell which key opens what
	aead cipher.AEAD
}

// newKeyring derives a key from each secret.
func newKeyring(secrets []string) (keyring, error) {
	var ring keyring
	for _, secret := range secrets {
		key, err := derive(secret, "miniprofile seal 1")
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		ring = append(ring, sealKey{id: keyID(key), aead: aead})
	}
	return ring, nil
}

// seal makes text unreadable to whoever lacks the secret. place is the record
// that will hold it: moved to another record, it does not open.
func (ring keyring) seal(place drivers.Key, text string) string {
	k := ring[0]
	nonce := make([]byte, k.aead.NonceSize(), k.aead.NonceSize()+len(text)+k.aead.Overhead())
	rand.Read(nonce)
	sealed := k.aead.Seal(nonce, nonce, []byte(text), []byte(place.String()))
	return k.id + "." + base64.RawURLEncoding.EncodeToString(sealed)
}

// open gives back what seal was given.
func (ring keyring) open(place drivers.Key, sealed string) (string, error) {
	id, body, _ := strings.Cut(sealed, ".")
	for _, k := range ring {
		if k.id != id {
			continue
		}
		raw, err := base64.RawURLEncoding.DecodeString(body)
		if err != nil || len(raw) < k.aead.NonceSize() {
			break
		}
		text, err := k.aead.Open(nil, raw[:k.aead.NonceSize()], raw[k.aead.NonceSize():], []byte(place.String()))
		if err != nil {
			break
		}
		return string(text), nil
	}
	return "", ErrSealed
}

// newest reports whether the first secret has sealed it.
func (ring keyring) newest(sealed string) bool {
	return strings.HasPrefix(sealed, ring[0].id+".")
}

// derive makes a 32-byte key for one purpose of a secret.
func derive(secret, purpose string) ([]byte, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("a secret has %d bytes, want at least %d", len(secret), MinSecret)
	}
	return hkdf.Key(sha256.New, []byte(secret), nil, purpose, 32)
}

// keyID names a key without telling anything of it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("miniprofile key id "), key...))
	return hex.EncodeToString(sum[:4])
}

// CheckSecrets reads up to a hundred sessions of a store and returns how many it
// has read, with an error that is ErrSealed when one of them is sealed with none of
// secrets: then this is not what the store was used with, and those people are
// signed out.
func CheckSecrets(ctx context.Context, store drivers.Store, secrets []string) (sessions int, err error) {
	ring, err := newKeyring(secrets)
	if err != nil {
		return 0, err
	}
	sealed, now := 0, time.Now()
	for record, err := range store.Scan(ctx, kindSessions, "", "") {
		if err != nil {
			return sessions, err
		}
		if !sessionLive(record, now) {
			continue
		}
		session, err := decode[sessionRecord](record)
		if err != nil {
			return sessions, err
		}
		if _, err := ring.open(record.Key, session.Key); err != nil {
			sealed++
		}
		if sessions++; sessions == 100 {
			break
		}
	}
	if sealed > 0 {
		return sessions, fmt.Errorf("%d of %d sessions are %w", sealed, sessions, ErrSealed)
	}
	return sessions, nil
}
