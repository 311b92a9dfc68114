package firestore

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"testing"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/miniprofile/miniprofile/drivers"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// TestDocument holds the stored form fast: what is in testdata lies in databases.
func TestDocument(t *testing.T) {
	const golden = "testdata/document.json"
	const data = `{"nickname":"小明","age":7,"far":-9007199254740991,"ok":true,"none":null,"tags":["a",{"b":[1]}],"empty":{"list":[],"map":{}}}`
	expires := time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)
	fields, err := encode(json.RawMessage(data), expires, "TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	doc := &pb.Document{Name: place{project: "demo-test", database: "main"}.name(thing), Fields: fields}
	if *rewrite {
		b, err := protojson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		json.Unmarshal(b, &v)
		b, _ = json.MarshalIndent(v, "", "\t") // protojson's own spaces vary on purpose
		if err := os.WriteFile(golden, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, err := protojson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(t, got, stored) {
		t.Errorf("a record is stored as %s, want %s", got, stored)
	}
	var old pb.Document
	if err := protojson.Unmarshal(stored, &old); err != nil {
		t.Fatal(err)
	}
	old.UpdateTime = timestamppb.New(time.UnixMicro(35))
	r, err := decode(thing, &old)
	if err != nil {
		t.Fatal(err)
	}
	if !equal(t, r.Data, []byte(data)) || !r.Expires.Equal(expires) || r.Revision != "z" {
		t.Errorf("got %+v with data %s", r, r.Data)
	}
}

func TestDecodeRefuses(t *testing.T) {
	value := func(s string) *pb.Value {
		var v pb.Value
		if err := protojson.Unmarshal([]byte(s), &v); err != nil {
			t.Fatal(err)
		}
		return &v
	}
	now := timestamppb.New(time.UnixMicro(1))
	object := value(`{"mapValue":{}}`)
	for name, doc := range map[string]*pb.Document{
		"no data":           {UpdateTime: now},
		"data is a text":    {UpdateTime: now, Fields: map[string]*pb.Value{"data": value(`{"stringValue":"a"}`)}},
		"expires is a text": {UpdateTime: now, Fields: map[string]*pb.Value{"data": object, "expires": value(`{"stringValue":"a"}`)}},
		"a double":          {UpdateTime: now, Fields: map[string]*pb.Value{"data": value(`{"mapValue":{"fields":{"a":{"doubleValue":1}}}}`)}},
		"a deep timestamp":  {UpdateTime: now, Fields: map[string]*pb.Value{"data": value(`{"mapValue":{"fields":{"a":{"arrayValue":{"values":[{"timestampValue":"2026-01-01T00:00:00Z"}]}}}}}`)}},
		"no update time":    {Fields: map[string]*pb.Value{"data": object}},
		"nanoseconds":       {UpdateTime: &timestamppb.Timestamp{Nanos: 1}, Fields: map[string]*pb.Value{"data": object}},
	} {
		if r, err := decode(thing, doc); err == nil || r.Exists() {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
	if _, err := decode(thing, &pb.Document{UpdateTime: now, Fields: map[string]*pb.Value{"data": object, "expires": value(`{"nullValue":null}`), "more": object}}); err != nil {
		t.Errorf("a field more, and expires null: %v", err)
	}
}

// TestRoundTrip stores what the contract allows, in every shape.
func TestRoundTrip(t *testing.T) {
	name := rapid.StringMatching(`[a-z.$ "é\x60/\\]{1,9}`)
	var value func(depth int) *rapid.Generator[any]
	object := func(depth int) *rapid.Generator[map[string]any] {
		return rapid.MapOfN(name, value(depth), 0, 5)
	}
	value = func(depth int) *rapid.Generator[any] {
		scalars := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().Filter(func(s string) bool {
				return drivers.Check([]drivers.Op{drivers.Create(thing, quote(s), time.Time{})}) == nil
			}).AsAny(),
			rapid.Int64Range(-drivers.MaxInteger, drivers.MaxInteger).AsAny(),
		}
		if depth == 0 {
			return rapid.OneOf(scalars...)
		}
		return rapid.OneOf(append(scalars,
			rapid.Deferred(func() *rapid.Generator[any] { return object(depth - 1).AsAny() }),
			rapid.Deferred(func() *rapid.Generator[any] { return rapid.SliceOfN(object(depth-1), 0, 4).AsAny() }))...)
	}
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(object(3).Draw(t, "object"))
		if err != nil {
			t.Fatal(err)
		}
		fields, err := encode(data, time.Time{}, "TOKEN")
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := decodeFields(fields)
		if err != nil {
			t.Fatal(err)
		}
		if !equal(t, got, data) {
			t.Errorf("got %s, want %s", got, data)
		}
		if err := drivers.Check([]drivers.Op{drivers.Create(thing, got, time.Time{})}); err != nil {
			t.Errorf("what comes back cannot be stored again: %v", err)
		}
	})
}

func quote(s string) json.RawMessage {
	b, _ := json.Marshal(map[string]string{"a": s})
	return b
}

func equal(t interface{ Fatal(...any) }, a, b []byte) bool {
	var x, y any
	for _, c := range []struct {
		b []byte
		v *any
	}{{a, &x}, {b, &y}} {
		if err := json.Unmarshal(c.b, c.v); err != nil {
			t.Fatal(err)
		}
	}
	return reflect.DeepEqual(x, y)
}
