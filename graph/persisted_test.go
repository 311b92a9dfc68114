package graph

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const known = `query Known { me { id } }`

func byHash(query, hash string) string {
	body := map[string]any{"extensions": map[string]any{"persistedQuery": map[string]any{"version": 1, "sha256Hash": hash}}}
	if query != "" {
		body["query"] = query
	}
	text, _ := json.Marshal(body)
	return string(text)
}

func TestPersistedQueries(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	hash := hashOf(known)
	if a := h.post(t, byHash("", hash)); a.code() != "PERSISTED_QUERY_NOT_FOUND" || a.Errors[0].Message != "PersistedQueryNotFound" || a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.post(t, byHash("{ me { version } }", hash)); a.code() != "BAD_REQUEST" {
		t.Error(a.body)
	}
	if a := h.post(t, byHash("{ nothing }", hashOf("{ nothing }"))); a.code() != "GRAPHQL_VALIDATION_FAILED" {
		t.Error(a.body)
	}
	if a := h.post(t, byHash("", hashOf("{ nothing }"))); a.code() != "PERSISTED_QUERY_NOT_FOUND" {
		t.Error("what is invalid was kept")
	}
	want := h.post(t, operation(known)).body
	for _, body := range []string{byHash(known, hash), byHash("", hash), byHash("", strings.ToUpper(hash)), `{"documentId":"sha256:` + hash + `"}`, `{"documentId":"` + hash + `","query":` + fmt.Sprintf("%q", known) + `}`} {
		if a := h.post(t, body); a.body != want {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	for _, query := range []string{`documentId=sha256:` + hash, "extensions=" + url.QueryEscape(`{"persistedQuery":{"version":1,"sha256Hash":"`+hash+`"}}`)} {
		r := httptest.NewRequest("GET", "/?"+query, nil)
		if a := h.send(t, r); a.body != want {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	for _, body := range []string{
		byHash("", "x"), byHash("", strings.Repeat("g", 64)), `{"documentId":1}`, `{"documentId":"md5:` + hash + `"}`,
		`{"documentId":"` + hashOf("other") + `","extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}}`,
		`{"extensions":{"persistedQuery":{"version":2,"sha256Hash":"` + hash + `"}}}`, `{"extensions":{"persistedQuery":[]}}`,
		`{"extensions":{"other":"persistedQuery"}}`, `{"documentId":null}`,
	} {
		if a := h.post(t, body); a.code() != "BAD_REQUEST" || a.StatusCode != 400 {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	mutation := `mutation { logout { ended } }`
	h.post(t, byHash(mutation, hashOf(mutation)))
	if a := h.send(t, httptest.NewRequest("GET", "/?documentId="+hashOf(mutation), nil)); a.StatusCode != 405 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	// Whatever clients send, the cache has a bound in bytes.
	for n := range 3 * cacheEntries {
		query := fmt.Sprintf("{ me { id } } # %d %s", n, strings.Repeat("x", 2000))
		h.post(t, byHash(query, hashOf(query)))
	}
	if h.persisted.texts > cacheTexts || h.persisted.order.Len() > cacheEntries || h.cache.texts > cacheTexts {
		t.Errorf("%d bytes, %d texts", h.persisted.texts, h.persisted.order.Len())
	}
}

func TestTrusted(t *testing.T) {
	t.Parallel()
	hash := hashOf(known)
	manifest := func(entries map[string]string) []byte { text, _ := json.Marshal(entries); return text }
	m, err := ParseManifest(manifest(map[string]string{"sha256:" + hash: known, strings.ToUpper(hashOf(meAll)): meAll}))
	if err != nil || len(m.texts) != 2 {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("[]"), []byte("{}"), manifest(map[string]string{hash: meAll}), manifest(map[string]string{hashOf("{"): "{"}),
		manifest(map[string]string{hashOf("{ nothing }"): "{ nothing }"})} {
		if _, err := ParseManifest(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for _, only := range []bool{false, true} {
		h := start(Options{Trusted: m, OnlyTrusted: only})
		want := h.post(t, operation(known)).body
		if !strings.Contains(want, `"u1"`) {
			t.Error(want)
		}
		for _, body := range []string{`{"documentId":"sha256:` + hash + `"}`, byHash("", hash), byHash(known, hash)} {
			if a := h.post(t, body); a.body != want {
				t.Errorf("%s: %s", body, a.body)
			}
		}
		other := `{ me { version } }`
		for _, body := range []string{operation(other), byHash(other, hashOf(other)), byHash("", hashOf(other)), operation(strings.Repeat("{", 1500))} {
			a := h.post(t, body)
			if (a.code() == "DOCUMENT_NOT_TRUSTED") != only {
				t.Errorf("only %v: %s: %s", only, body, a.body)
			}
		}
	}
}
