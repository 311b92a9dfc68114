package double

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// The service's limits (Standard edition).
const (
	maxRequest     = 10 << 20 // bytes of a request
	maxDocument    = 1 << 20  // bytes of a document, counted as in documentSize
	maxText        = 1<<20 - 89
	maxName        = 1500 // bytes of a field's name, a collection's or a document's ID
	maxPath        = 6 << 10
	maxDepth       = 20 // of maps and arrays in one another
	maxEntries     = 40_000
	maxEntry       = 7680    // bytes of one index entry
	maxEntryBytes  = 8 << 20 // bytes of all index entries of a document
	indexedBytes   = 1500    // of a text
	maxPrecisionNs = 1000    // of a timestamp
)

var (
	databaseName = regexp.MustCompile(`^projects/[^/]+/databases/[^/]+$`)
	reserved     = regexp.MustCompile(`(?s)^__.*__$`)
)

func invalid(format string, args ...any) error {
	return status.Errorf(codes.InvalidArgument, format, args...)
}

// checkHeaders wants the headers by which the service knows who calls and routes
// the call to the database.
func checkHeaders(ctx context.Context, name string) error {
	if !databaseName.MatchString(name) {
		return invalid("database %q", name)
	}
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("authorization"); len(v) != 1 || v[0] != "Bearer owner" {
		return status.Error(codes.Unauthenticated, "Request is missing required authentication credential.")
	}
	if v := md.Get("google-cloud-resource-prefix"); len(v) != 1 || v[0] != name {
		return invalid("google-cloud-resource-prefix %q for the database %q", v, name)
	}
	parts := strings.Split(name, "/")
	for _, header := range md.Get("x-goog-request-params") {
		v, err := url.ParseQuery(header)
		if err == nil && (v.Get("database") == name || strings.HasPrefix(v.Get("parent"), name+"/documents") || v.Get("project_id") == parts[1] && v.Get("database_id") == parts[3]) {
			return nil
		}
	}
	return invalid("no routing header x-goog-request-params for the database %q", name)
}

// checkName returns a document's path within its database.
func checkName(database, name string) (string, error) {
	doc, ok := strings.CutPrefix(name, database+"/documents/")
	if !ok {
		return "", invalid("document %q is not in the database %q", name, database)
	}
	ids := strings.Split(doc, "/")
	if len(ids)%2 != 0 || len(name) > maxPath {
		return "", invalid("document name %q", name)
	}
	for _, id := range ids {
		if err := checkID("document or collection", id); err != nil {
			return "", err
		}
	}
	return doc, nil
}

func checkID(what, id string) error {
	if id == "" || len(id) > maxName || id == "." || id == ".." || strings.Contains(id, "/") || !utf8.ValidString(id) || reserved.MatchString(id) {
		return invalid("%s ID %q", what, id)
	}
	return nil
}

// checkCommit checks what can be checked without looking at what is stored.
func checkCommit(r *pb.CommitRequest) error {
	if proto.Size(r) > maxRequest {
		return invalid("Request payload size exceeds the limit: %d bytes.", maxRequest)
	}
	for _, w := range r.GetWrites() {
		if w.GetUpdateMask() != nil || len(w.GetUpdateTransforms()) > 0 || w.GetTransform() != nil {
			return unimplemented("a mask or a transform")
		}
		switch {
		case w.GetOperation() == nil:
			return invalid("a write without an operation")
		case w.GetUpdate() != nil:
			if err := checkDocument(r.GetDatabase(), w.GetUpdate()); err != nil {
				return err
			}
		default:
			if _, err := checkName(r.GetDatabase(), w.GetDelete()); err != nil {
				return err
			}
		}
		if err := checkCondition(w.GetCurrentDocument()); err != nil {
			return err
		}
	}
	return nil
}

func checkCondition(c *pb.Precondition) error {
	if c == nil {
		return nil
	}
	switch c := c.GetConditionType().(type) {
	case nil:
		return invalid("a condition without a type")
	case *pb.Precondition_UpdateTime:
		if !c.UpdateTime.IsValid() || c.UpdateTime.GetNanos()%maxPrecisionNs != 0 {
			return invalid("update_time %v is not aligned to microseconds", c.UpdateTime)
		}
	}
	return nil
}

func checkDocument(database string, doc *pb.Document) error {
	path, err := checkName(database, doc.GetName())
	if err != nil {
		return err
	}
	if doc.GetCreateTime() != nil || doc.GetUpdateTime() != nil {
		return invalid("create_time and update_time are output only")
	}
	if err := checkFields(doc.GetFields(), 0); err != nil {
		return err
	}
	if n := documentSize(path, doc.GetFields()); n > maxDocument {
		return invalid("The value of document %q is longer than %d bytes: %d.", doc.GetName(), maxDocument, n)
	}
	return checkIndexes(path, doc.GetFields())
}

func checkFields(fields map[string]*pb.Value, depth int) error {
	for name, v := range fields {
		if name == "" || len(name) > maxName || !utf8.ValidString(name) || reserved.MatchString(name) {
			return invalid("field name %q", name)
		}
		if err := checkValue(v, depth, false); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(v *pb.Value, depth int, inArray bool) error {
	switch v := v.GetValueType().(type) {
	case *pb.Value_NullValue, *pb.Value_BooleanValue, *pb.Value_IntegerValue, *pb.Value_DoubleValue:
		return nil
	case *pb.Value_TimestampValue:
		if !v.TimestampValue.IsValid() {
			return invalid("timestamp %v", v.TimestampValue)
		}
		return nil
	case *pb.Value_StringValue:
		if len(v.StringValue) > maxText || !utf8.ValidString(v.StringValue) {
			return invalid("a text of %d bytes, or no UTF-8", len(v.StringValue))
		}
		return nil
	case *pb.Value_BytesValue:
		if len(v.BytesValue) > maxText {
			return invalid("%d bytes", len(v.BytesValue))
		}
		return nil
	case *pb.Value_ArrayValue:
		if inArray {
			return invalid("Cannot convert an array value in an array value.")
		}
		if depth++; depth > maxDepth {
			return invalid("more than %d levels", maxDepth)
		}
		for _, value := range v.ArrayValue.GetValues() {
			if err := checkValue(value, depth, true); err != nil {
				return err
			}
		}
		return nil
	case *pb.Value_MapValue:
		if depth++; depth > maxDepth {
			return invalid("more than %d levels", maxDepth)
		}
		return checkFields(v.MapValue.GetFields(), depth)
	case nil:
		return invalid("Value must have a type.")
	}
	return unimplemented("a value of this type")
}

// documentSize and what it calls count as the service's documentation does.
func documentSize(path string, fields map[string]*pb.Value) int {
	return nameSize(path) + 32 + fieldsSize(fields)
}

func nameSize(path string) int { return len(path) + 1 + 16 }

func fieldsSize(fields map[string]*pb.Value) int {
	n := 0
	for name, v := range fields {
		n += len(name) + 1 + valueSize(v)
	}
	return n
}

func valueSize(v *pb.Value) int {
	switch v := v.GetValueType().(type) {
	case *pb.Value_NullValue, *pb.Value_BooleanValue:
		return 1
	case *pb.Value_StringValue:
		return len(v.StringValue) + 1
	case *pb.Value_BytesValue:
		return len(v.BytesValue)
	case *pb.Value_MapValue:
		return fieldsSize(v.MapValue.GetFields())
	case *pb.Value_ArrayValue:
		n := 0
		for _, value := range v.ArrayValue.GetValues() {
			n += valueSize(value)
		}
		return n
	}
	return 8
}

// checkIndexes counts the entries that a document has in the automatic indexes:
// two for each field that is neither map nor array, one for each element of an array.
func checkIndexes(path string, fields map[string]*pb.Value) error {
	entries, size, longest := 0, 0, 0
	add := func(n, field int, v *pb.Value) {
		entry := nameSize(path) + 32 + field + min(valueSize(v), indexedBytes)
		entries, size, longest = entries+n, size+n*entry, max(longest, entry)
	}
	var walk func(fields map[string]*pb.Value, above int)
	walk = func(fields map[string]*pb.Value, above int) {
		for name, v := range fields {
			field := above + len(name) + 1
			switch value := v.GetValueType().(type) {
			case *pb.Value_MapValue:
				walk(value.MapValue.GetFields(), field)
			case *pb.Value_ArrayValue:
				for _, element := range value.ArrayValue.GetValues() {
					add(1, field, element)
				}
			default:
				add(2, field, v)
			}
		}
	}
	walk(fields, 0)
	if entries > maxEntries || size > maxEntryBytes || longest > maxEntry {
		return invalid("too many index entries for entity: %d of %d bytes, the longest %d", entries, size, longest)
	}
	return nil
}
