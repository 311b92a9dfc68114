package graph

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Manifest holds the documents that the operator trusts, by their hashes.
type Manifest struct {
	texts     map[string][]byte // as JSON strings, by hash
	documents map[string]*document
}

// ParseManifest reads {"HASH": "DOCUMENT", …}, where HASH is the SHA-256 of the
// document in hex, perhaps with sha256: before it. Each document must be one that
// this server carries out.
func ParseManifest(text []byte) (*Manifest, error) {
	var listed map[string]string
	if err := json.Unmarshal(text, &listed); err != nil {
		return nil, errors.New("the manifest is not a JSON object of documents by their hashes")
	}
	m := &Manifest{map[string][]byte{}, map[string]*document{}}
	c := newChecker(false)
	for name, query := range listed {
		hash := strings.ToLower(strings.TrimPrefix(name, "sha256:"))
		if hash != hashOf(query) {
			return nil, fmt.Errorf("%.80q is not the SHA-256 of its document", name)
		}
		key, err := json.Marshal(query)
		if err != nil {
			return nil, err
		}
		d, faults := c.check(key)
		if faults != nil {
			return nil, fmt.Errorf("the document %s: %s", hash, faults[0].Message)
		}
		m.texts[hash], m.documents[hash] = key, d
	}
	if len(m.texts) == 0 {
		return nil, errors.New("the manifest has no document")
	}
	return m, nil
}

func hashOf(query string) string {
	sum := sha256.Sum256([]byte(query))
	return hex.EncodeToString(sum[:])
}

// setHash takes over the hash of a document from documentId or
// extensions.persistedQuery.
func (q *request) setHash(hash string) *Fault {
	hash = strings.ToLower(strings.TrimPrefix(hash, "sha256:"))
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return badRequest("A document's hash is its SHA-256 in hex.")
	}
	if q.hash != "" && q.hash != hash {
		return badRequest("The documentId and the persistedQuery differ.")
	}
	q.hash = hash
	return nil
}

// setExtensions takes over what is known of the extensions, a JSON object.
func (q *request) setExtensions(text []byte) *Fault {
	if !bytes.Contains(text, []byte("persistedQuery")) {
		return nil
	}
	var extensions struct {
		PersistedQuery *struct {
			Version    int
			SHA256Hash string
		}
	}
	if err := json.Unmarshal(text, &extensions); err != nil {
		return badRequest("The persistedQuery is not {version, sha256Hash}.")
	}
	switch p := extensions.PersistedQuery; {
	case p == nil:
		return nil
	case p.Version != 1:
		return badRequest("The persistedQuery is of another version than 1.")
	default:
		return q.setHash(p.SHA256Hash)
	}
}

// document returns the document of a request: the trusted one, the one that was
// sent, or the one that was sent before with its hash.
func (h *Handler) document(q *request) (*document, []*Fault) {
	trusted := h.options.Trusted
	if q.query != nil && (q.hash != "" || h.options.OnlyTrusted) {
		var text string
		if err := json.Unmarshal(q.query, &text); err != nil {
			return nil, []*Fault{badRequest("The query is not a valid JSON string.")}
		}
		hash := hashOf(text)
		if q.hash != "" && q.hash != hash {
			return nil, []*Fault{badRequest("The hash is not that of the query.")}
		}
		q.hash = hash
	}
	if trusted != nil && q.hash != "" {
		if d := trusted.documents[q.hash]; d != nil {
			return d, nil
		}
	}
	if h.options.OnlyTrusted {
		return nil, []*Fault{{Status: 403, Code: "DOCUMENT_NOT_TRUSTED", Message: "This server carries out only documents that it knows."}}
	}
	key := q.query
	if key == nil {
		if key = h.persisted.get([]byte(q.hash)); key == nil {
			return nil, []*Fault{{Status: 404, Code: "PERSISTED_QUERY_NOT_FOUND", Message: "PersistedQueryNotFound"}}
		}
	}
	d := h.cache.get(key)
	if d == nil {
		var faults []*Fault
		if d, faults = h.checker.check(key); faults != nil {
			return nil, faults
		}
		h.cache.put(d.key, d, len(d.key))
	}
	if q.hash != "" {
		h.persisted.put(q.hash, []byte(d.key), len(d.key))
	}
	return d, nil
}
