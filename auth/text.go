package auth

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// line checks and tidies one line of text that people will see: NFC, without
// space around it, 1 to limit characters as a person counts them (grapheme
// clusters, UAX #29), at least one of them visible, and no characters that break
// lines, control terminals or turn the direction of the text around them.
func line(field, text string, limit int) (string, error) {
	// A character may carry any number of accents: bound the bytes first. A family
	// emoji has 25.
	if len(text) > 32*limit {
		return "", tooLong(field, limit)
	}
	text = strings.TrimSpace(norm.NFC.String(text))
	if strings.ContainsFunc(text, forbidden) {
		return "", &InvalidError{field, "has control or text-direction characters"}
	}
	if !strings.ContainsFunc(text, visible) {
		return "", &InvalidError{field, "empty"}
	}
	if uniseg.GraphemeClusterCount(text) > limit {
		return "", tooLong(field, limit)
	}
	return text, nil
}

func tooLong(field string, limit int) error {
	return &InvalidError{field, fmt.Sprintf("longer than %d characters", limit)}
}

// forbidden are the controls (Cc), the separators of lines and paragraphs, and
// the embeddings, overrides and isolates of direction (UAX #9).
func forbidden(r rune) bool {
	return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' ||
		'\u202A' <= r && r <= '\u202E' || '\u2066' <= r && r <= '\u2069'
}

// visible tells what has a shape of its own from spaces, joiners, accents and fillers.
func visible(r rune) bool {
	switch r {
	case '\u115F', '\u1160', '\u3164', '\uFFA0', '\u2800': // letters and signs that look like nothing
		return false
	}
	return unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
}
