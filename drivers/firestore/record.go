package firestore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/miniprofile/miniprofile/drivers"
)

// The fields of a document.
const (
	fieldData    = "data"
	fieldExpires = "expires"
	fieldCommit  = "commit"
)

// name returns the name of a record's document.
func (p place) name(k drivers.Key) string {
	return p.path() + "/documents/" + k.Kind + "/" + k.ID
}

// key is the opposite of name.
func (p place) key(name string) (drivers.Key, error) {
	rest, ok := strings.CutPrefix(name, p.path()+"/documents/")
	kind, id, found := strings.Cut(rest, "/")
	if !ok || !found {
		return drivers.Key{}, fmt.Errorf("a document of another place: %q", name)
	}
	return drivers.Key{Kind: kind, ID: id}, nil
}

// encode returns the fields of a document. data has passed drivers.Check.
func encode(data json.RawMessage, expires time.Time, token string) (map[string]*pb.Value, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		return nil, err
	}
	value, err := encodeValue(object)
	if err != nil {
		return nil, err
	}
	fields := map[string]*pb.Value{fieldData: value, fieldCommit: text(token)}
	if !expires.IsZero() {
		fields[fieldExpires] = &pb.Value{ValueType: &pb.Value_TimestampValue{TimestampValue: timestamppb.New(expires)}}
	}
	return fields, nil
}

func encodeValue(v any) (*pb.Value, error) {
	switch v := v.(type) {
	case nil:
		return &pb.Value{ValueType: &pb.Value_NullValue{NullValue: structpb.NullValue_NULL_VALUE}}, nil
	case bool:
		return &pb.Value{ValueType: &pb.Value_BooleanValue{BooleanValue: v}}, nil
	case string:
		return text(v), nil
	case json.Number:
		n, err := v.Int64()
		return &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: n}}, err
	case []any:
		values := make([]*pb.Value, len(v))
		for i := range v {
			var err error
			if values[i], err = encodeValue(v[i]); err != nil {
				return nil, err
			}
		}
		return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: values}}}, nil
	case map[string]any:
		fields := make(map[string]*pb.Value, len(v))
		for name := range v {
			var err error
			if fields[name], err = encodeValue(v[name]); err != nil {
				return nil, err
			}
		}
		return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: fields}}}, nil
	}
	return nil, fmt.Errorf("a %T is no JSON", v)
}

func text(s string) *pb.Value { return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: s}} }

// decode returns the record of a document.
func decode(k drivers.Key, doc *pb.Document) (drivers.Record, error) {
	r := drivers.Record{Key: k}
	var err error
	if r.Revision, err = revision(doc.GetUpdateTime()); err == nil {
		r.Data, r.Expires, err = decodeFields(doc.GetFields())
	}
	if err != nil {
		return drivers.Record{}, fmt.Errorf("document %v was not written by miniprofile, or was edited: %w", k, err)
	}
	return r, nil
}

func decodeFields(fields map[string]*pb.Value) (json.RawMessage, time.Time, error) {
	object, ok := fields[fieldData].GetValueType().(*pb.Value_MapValue)
	if !ok {
		return nil, time.Time{}, errors.New("data is not a map")
	}
	data, err := appendMap(nil, object.MapValue.GetFields())
	if err != nil {
		return nil, time.Time{}, err
	}
	switch expires := fields[fieldExpires].GetValueType().(type) {
	case nil, *pb.Value_NullValue:
		return data, time.Time{}, nil
	case *pb.Value_TimestampValue:
		return data, expires.TimestampValue.AsTime(), nil
	default:
		return nil, time.Time{}, errors.New("expires is not a timestamp")
	}
}

func appendMap(b []byte, fields map[string]*pb.Value) ([]byte, error) {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		var err error
		if b, err = appendValue(b, fields[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return append(b, '}'), nil
}

func appendValue(b []byte, v *pb.Value) ([]byte, error) {
	switch v := v.GetValueType().(type) {
	case *pb.Value_NullValue:
		return append(b, "null"...), nil
	case *pb.Value_BooleanValue:
		return strconv.AppendBool(b, v.BooleanValue), nil
	case *pb.Value_StringValue:
		return appendText(b, v.StringValue), nil
	case *pb.Value_IntegerValue:
		return strconv.AppendInt(b, v.IntegerValue, 10), nil
	case *pb.Value_ArrayValue:
		b = append(b, '[')
		for i, value := range v.ArrayValue.GetValues() {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendValue(b, value); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *pb.Value_MapValue:
		return appendMap(b, v.MapValue.GetFields())
	default:
		return nil, fmt.Errorf("a %T has no place in JSON", v)
	}
}

func appendText(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string never fails
	return append(b, quoted...)
}

// revision returns the revision of a document that was updated at t: the
// microseconds since 1970, in base 36.
func revision(t *timestamppb.Timestamp) (drivers.Revision, error) {
	if !t.IsValid() || t.GetNanos()%1000 != 0 {
		return "", fmt.Errorf("its update time is %v, no whole microsecond", t)
	}
	return drivers.Revision(strconv.FormatInt(t.AsTime().UnixMicro(), 36)), nil
}

// updateTime is the opposite of revision. What no document can have is not ok.
func updateTime(r drivers.Revision) (t *timestamppb.Timestamp, ok bool) {
	micros, err := strconv.ParseInt(string(r), 36, 64)
	if err != nil || micros < 0 || strconv.FormatInt(micros, 36) != string(r) {
		return nil, false
	}
	t = timestamppb.New(time.UnixMicro(micros))
	return t, t.IsValid()
}
