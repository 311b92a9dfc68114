package drivers_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/miniprofile/miniprofile/drivers"
)

var thing = drivers.Key{Kind: "things", ID: "a"}

func TestCheckData(t *testing.T) {
	for data, want := range map[string]string{ // want: part of the error, "" for none
		`{}`: "",
		`{"a":{"b":[{"c":[1,-1,0]},null,true,false,"",{}]}}`: "",
		" {\n\"a\" : [ ] }\t":                                "",
		sized(drivers.MaxData):                               "",
		sized(drivers.MaxData + 1):                           "65537 bytes, want at most 65536",
		deep(`{"a":`, `{}`, `}`, drivers.MaxDepth-1):         "",
		deep(`{"a":`, `{}`, `}`, drivers.MaxDepth):           "deeper than 16 levels",
		deep(`{"a":`, `[]`, `}`, drivers.MaxDepth):           "deeper than 16 levels",
		deep(`{"a":`, `1`, `}`, drivers.MaxDepth):            "",
		`{"a":9007199254740991,"b":-9007199254740991}`:       "",
		`{"a":9007199254740992}`:                             "no integer within 2^53",
		`{"a":-9007199254740992}`:                            "no integer within 2^53",
		`{"a":` + strings.Repeat("9", 1000) + `}`:            "no integer within 2^53",
		`{"a":1.0}`:                "no integer within 2^53",
		`{"a":1e0}`:                "no integer within 2^53",
		`{"a":-0}`:                 "no integer within 2^53",
		`{"a":01}`:                 "not one JSON object",
		`{"a":+1}`:                 "not one JSON object",
		`{"a":NaN}`:                "not one JSON object",
		named(drivers.MaxName):     "",
		named(drivers.MaxName + 1): "a field name of 201 bytes",
		`{"` + strings.Repeat("n", 16) + `":[` + strings.Repeat("1,", 1<<15-20) + `1]}`: "",
		`{"` + strings.Repeat("n", 17) + `":[` + strings.Repeat("1,", 1<<15-20) + `1]}`: "long names above many values",
		`{"":1}`:                            "a field name of 0 bytes",
		`{"__a__":1}`:                       "reserved",
		`{"_\u005fa__":1}`:                  "reserved",
		`{"__a":1,"a__":1,"_a_":1}`:         "",
		`{"a":1,"b":{"a":1},"c":[{"a":1}]}`: "",
		`{"a":1,"a":1}`:                     `field "a" twice`,
		`{"a":1,"\u0061":1}`:                `field "a" twice`,
		`{"b":[{"a":1,"a":1}]}`:             `field "a" twice`,
		`{"a":[[]]}`:                        "an array directly in an array",
		`{"a":[1,{"b":[[1]]}]}`:             "an array directly in an array",
		`{"a":"\u0000"}`:                    "U+0000",
		`{"a\u0000":1}`:                     "U+0000",
		`{"a":"\\u0000"}`:                   "",
		"{\"a\":\"\x00\"}":                  "not one JSON object",
		"{\"a\":\"\n\"}":                    "not one JSON object",
		"{\"a\":\"\xff\"}":                  "invalid UTF-8",
		"{\"a\":\"\xed\xa0\x80\"}":          "invalid UTF-8",
		`{"a":"\ud83d\ude00\uD83D\uDE00"}`:  "",
		`{"a":"\ud83d"}`:                    "half of a surrogate pair",
		`{"a":"\ud83d\\ude00"}`:             "half of a surrogate pair",
		`{"a":"\ud83d\ud83d\ude00"}`:        "half of a surrogate pair",
		`{"a":"\ude00"}`:                    "half of a surrogate pair",
		`{"\ud83dx":1}`:                     "half of a surrogate pair",
		`{"a":"\\ud83d"}`:                   "",
		`{"a":"\ufffd"}`:                    "",
		``:                                  "not one JSON object",
		` `:                                 "not one JSON object",
		`[]`:                                "not one JSON object",
		`null`:                              "not one JSON object",
		`1`:                                 "not one JSON object",
		`}`:                                 "not one JSON object",
		`{`:                                 "not one JSON object",
		`{"a"`:                              "not one JSON object",
		`{"a":`:                             "not one JSON object",
		`{"a":1`:                            "not one JSON object",
		`{"a":1,`:                           "not one JSON object",
		`{"a":1,}`:                          "not one JSON object",
		`{,"a":1}`:                          "not one JSON object",
		`{"a" 1}`:                           "not one JSON object",
		`{"a":1 "b":2}`:                     "not one JSON object",
		`{"a":[1,]}`:                        "not one JSON object",
		`{"a":[1}`:                          "not one JSON object",
		`{"a":1]`:                           "not one JSON object",
		`{"a":[1 2]}`:                       "not one JSON object",
		`{1:1}`:                             "not one JSON object",
		`{"a":tru}`:                         "not one JSON object",
		`{"a":"\x"}`:                        "not one JSON object",
		`{}{}`:                              "not one JSON object",
		`{},`:                               "not one JSON object",
		`{}]`:                               "not one JSON object",
		`{} x`:                              "not one JSON object",
		"{}\x00":                            "not one JSON object",
		"{} \x00{}":                         "not one JSON object",
		"{\x00}":                            "not one JSON object",
		"{\"a\":\x00}":                      "not one JSON object",
	} {
		err := drivers.Check([]drivers.Op{drivers.Create(thing, json.RawMessage(data), time.Time{})})
		wantInvalid(t, fmt.Sprintf("%.60q", data), err, want)
	}
}

func TestCheckOps(t *testing.T) {
	ops := func(n int) []drivers.Op {
		ops := make([]drivers.Op, n)
		for i := range ops {
			ops[i] = drivers.Create(drivers.Key{Kind: "things", ID: fmt.Sprint(i)}, json.RawMessage(`{}`), time.Time{})
		}
		return ops
	}
	at := func(expires time.Time) []drivers.Op {
		return []drivers.Op{{Key: thing, Data: json.RawMessage(`{}`), Expires: expires}}
	}
	for _, c := range []struct {
		name string
		ops  []drivers.Op
		want string
	}{
		{"none", nil, "a commit of 0 ops, want 1 to 16"},
		{"one", ops(1), ""},
		{"MaxOps", ops(drivers.MaxOps), ""},
		{"too many", ops(drivers.MaxOps + 1), "a commit of 17 ops, want 1 to 16"},
		{"a key twice", append(ops(3), ops(1)...), "things/0 twice in one commit"},
		{"one ID in two kinds", []drivers.Op{{Key: thing, Data: json.RawMessage(`{}`)}, {Key: drivers.Key{Kind: "x", ID: "a"}, Data: json.RawMessage(`{}`)}}, ""},
		{"a bad op last", append(ops(3), drivers.Op{Key: thing, Data: json.RawMessage(`[]`)}), "things/a: not one JSON object"},
		{"a bad key", []drivers.Op{{Key: drivers.Key{Kind: "things", ID: "A"}, If: "1"}}, `id "A"`},
		{"delete", []drivers.Op{{Key: thing, If: "1"}}, ""},
		{"delete of nothing", []drivers.Op{{Key: thing}}, "delete without a revision"},
		{"empty data", []drivers.Op{{Key: thing, If: "1", Data: json.RawMessage{}}}, "not one JSON object"},
		{"expires never", at(time.Time{}), ""},
		{"expires first", at(time.Unix(0, 0).UTC()), ""},
		{"expires before", at(time.Unix(0, -1000).UTC()), "1970 to 9999"},
		{"expires last", at(time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)), ""},
		{"expires after", at(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "1970 to 9999"},
		{"expires in nanoseconds", at(time.Unix(1, 999).UTC()), "whole microseconds"},
		{"expires in a zone", at(time.Unix(1, 0).In(time.FixedZone("", 60))), "UTC"},
	} {
		wantInvalid(t, c.name, drivers.Check(c.ops), c.want)
	}
}

func TestCheckKeys(t *testing.T) {
	for k, ok := range map[drivers.Key]bool{
		{Kind: "a", ID: "0"}:                      true,
		{Kind: strings.Repeat("z", 32), ID: "a"}:  true,
		{Kind: strings.Repeat("z", 33), ID: "a"}:  false,
		{Kind: "", ID: "a"}:                       false,
		{Kind: "A", ID: "a"}:                      false,
		{Kind: "a1", ID: "a"}:                     false,
		{Kind: "a.", ID: "a"}:                     false,
		{Kind: "ä", ID: "a"}:                      false,
		{Kind: "a", ID: "0.a..9."}:                true,
		{Kind: "a", ID: strings.Repeat("9", 120)}: true,
		{Kind: "a", ID: strings.Repeat("9", 121)}: false,
		{Kind: "a", ID: ""}:                       false,
		{Kind: "a", ID: "."}:                      false,
		{Kind: "a", ID: "A"}:                      false,
		{Kind: "a", ID: "a/b"}:                    false,
		{Kind: "a", ID: "a-b"}:                    false,
		{Kind: "a", ID: "a_b"}:                    false,
		{Kind: "a", ID: "a\x00"}:                  false,
		{Kind: "a", ID: "ä"}:                      false,
	} {
		err := drivers.CheckKeys([]drivers.Key{thing, k})
		if (err == nil) != ok || err != nil && !errors.Is(err, drivers.ErrInvalid) {
			t.Errorf("CheckKeys(%q) is %v", k, err)
		}
		scan := drivers.CheckScan(k.Kind, k.ID, "")
		if want := ok || k.Kind == "a" && k.ID == ""; (scan == nil) != want {
			t.Errorf("CheckScan(%q, %q) is %v", k.Kind, k.ID, scan)
		}
		if after := drivers.CheckScan(k.Kind, "", k.ID); (after == nil) != (scan == nil) {
			t.Errorf("CheckScan judges prefix and after alike: %v, %v", scan, after)
		}
	}
	wantInvalid(t, "no keys", drivers.CheckKeys(nil), "")
	wantInvalid(t, "MaxKeys", drivers.CheckKeys(slicesOf(thing, drivers.MaxKeys)), "")
	wantInvalid(t, "too many", drivers.CheckKeys(slicesOf(thing, drivers.MaxKeys+1)), "101 keys, want at most 100")
}

func TestCheckObjects(t *testing.T) {
	for key, ok := range map[string]bool{
		"a": true, "0.a-b_c": true, "a/b/c": true, "a.": true, "a..": true,
		strings.Repeat("a", drivers.MaxObjectKey):   true,
		strings.Repeat("a", drivers.MaxObjectKey+1): false,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/..": false, "../a": false,
		"-a": false, "_a": false, "a/-b": false, "A": false, "a b": false, `a\b`: false, "a+b": false, "ä": false, "a\x00": false,
	} {
		if err := drivers.CheckObjectKey("ok", key); (err == nil) != ok || err != nil && !errors.Is(err, drivers.ErrInvalid) {
			t.Errorf("CheckObjectKey(%q) is %v", key, err)
		}
		if err := drivers.CheckPut(key, 0, "x"); (err == nil) != ok {
			t.Errorf("CheckPut(%q) is %v", key, err)
		}
		prefix := ok || key == "" || key == "a/" // the beginning of a key
		if err := drivers.CheckObjectPrefix(key, ""); (err == nil) != prefix {
			t.Errorf("CheckObjectPrefix(%q, ) is %v", key, err)
		}
		if err := drivers.CheckObjectPrefix("", key); (err == nil) != prefix {
			t.Errorf("CheckObjectPrefix(, %q) is %v", key, err)
		}
	}
	for size, want := range map[int64]string{-1: "object of -1 bytes", 0: "", drivers.MaxObject: "", drivers.MaxObject + 1: "object of 16777217 bytes"} {
		wantInvalid(t, fmt.Sprint("size ", size), drivers.CheckPut("a", size, "x"), want)
	}
	for contentType, want := range map[string]string{
		"": "content type", "x": "", "! ~": "", " x": "content type", "x ": "content type", "a\n": "content type", "a\x7f": "content type", "ä": "content type", "\xff": "content type",
		strings.Repeat("t", drivers.MaxContentType): "", strings.Repeat("t", drivers.MaxContentType+1): "content type",
	} {
		wantInvalid(t, fmt.Sprintf("type %q", contentType), drivers.CheckPut("a", 0, contentType), want)
	}
}

// TestCheckAccepts: whatever is within the limits is accepted.
func TestCheckAccepts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, err := json.Marshal(value(t, 1, false))
		if err != nil {
			t.Fatal(err)
		}
		if err := drivers.Check([]drivers.Op{drivers.Create(thing, b, time.Time{})}); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
	})
}

// value draws an object at depth 1, below it any value.
func value(t *rapid.T, depth int, inArray bool) any {
	kind := 5
	if depth > 1 {
		kind = rapid.IntRange(0, 5).Draw(t, "kind")
	}
	if depth >= 6 || kind == 4 && inArray {
		kind %= 4
	}
	n := rapid.IntRange(0, 4)
	switch kind {
	case 0:
		return rapid.Int64Range(-drivers.MaxInteger, drivers.MaxInteger).Draw(t, "number")
	case 1:
		return strings.ReplaceAll(rapid.String().Draw(t, "text"), "\x00", "")
	case 2:
		return rapid.Bool().Draw(t, "bool")
	case 3:
		return nil
	case 4:
		list := make([]any, n.Draw(t, "n"))
		for i := range list {
			list[i] = value(t, depth+1, true)
		}
		return list
	}
	object := make(map[string]any)
	for range n.Draw(t, "n") {
		object[rapid.StringMatching(`[a-z\p{Han}]{1,10}`).Draw(t, "name")] = value(t, depth+1, false)
	}
	return object
}

// FuzzCheck: Check never panics, and what it accepts encoding/json accepts, and keeps.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":{"b":[1,-1,{"c":null}],"d":"\ud83d\ude00"}}`, `{"a":"\ud83d"}`, `{"a":[[1]]}`, `{"a":1e3}`, `{"a":1,"a":2}`,
		`{"a":"\u0000"}`, `{"__a__":true}`, `{"a":-0}`, `{"a":1}}`, `{"a`, `[`, `{"a":"\`, `{"a":"\u`, `{"a":"\ud83d\`, `{"a":"\ud83d\u`, "{\"\xff\":1}", "{}\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		err := drivers.Check([]drivers.Op{{Key: thing, Data: data}})
		if !bytes.Equal(data, before) {
			t.Fatal("Check changed the data")
		}
		if err != nil {
			if data != nil && !errors.Is(err, drivers.ErrInvalid) {
				t.Fatalf("%v is not ErrInvalid", err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted, but not JSON: %q", data)
		}
		first := decode(t, data)
		again, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if second := decode(t, again); !reflect.DeepEqual(first, second) {
			t.Fatalf("accepted, but changed by encoding/json:\n%s\n%s", data, again)
		}
		// Escaping may make it longer; but for that, what comes back is acceptable.
		if err := drivers.Check([]drivers.Op{{Key: thing, Data: again}}); err != nil && len(again) <= drivers.MaxData {
			t.Fatalf("accepted, but not when encoded again: %v\n%s", err, again)
		}
	})
}

func decode(t *testing.T, data []byte) any {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("accepted, but not JSON: %v\n%s", err, data)
	}
	return v
}

func wantInvalid(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v, want no error", what, err)
	case want != "" && (!errors.Is(err, drivers.ErrInvalid) || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want ErrInvalid with %q", what, err, want)
	}
}

func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-8) + `"}` }

func named(n int) string { return `{"` + strings.Repeat("n", n) + `":1}` }

func deep(open, middle, close string, n int) string {
	return strings.Repeat(open, n) + middle + strings.Repeat(close, n)
}

func slicesOf(k drivers.Key, n int) []drivers.Key {
	ks := make([]drivers.Key, n)
	for i := range ks {
		ks[i] = k
	}
	return ks
}

func BenchmarkCheck(b *testing.B) {
	data := json.RawMessage(`{"version":7,"nickname":"小明","avatar":{"id":"bbbbbbbbbbbbbbbbbbbbbbbbbb","status":"ACCEPTED"},"gender":"FEMALE","preferences":"{\"theme\":\"dark\"}","identities":[{"app":"wxone","openid":"openid-1"}],"created":"2026-11-22T09:30:00.123456Z","updated":"2026-11-22T09:32:00.123456Z"}`)
	ops := []drivers.Op{drivers.Create(drivers.Key{Kind: "users", ID: "a"}, data, time.Time{})}
	b.ReportAllocs()
	for b.Loop() {
		if err := drivers.Check(ops); err != nil {
			b.Fatal(err)
		}
	}
}
