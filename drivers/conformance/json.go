package conformance

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// testJSON stores values of every shape and wants equal ones back.
func testJSON(t tester, open func() drivers.Store) {
	s := open()
	values := []string{
		`{}`,
		`{"a":{},"b":[],"c":"","d":null,"e":true,"f":false,"g":0}`,
		`{"empty":[{},"",null,{"x":[]}]}`,
		`{"max":9007199254740991,"min":-9007199254740991,"zero":0,"minus":-1,"list":[1,2,3]}`,
		`{"昵称":"小程序","emoji":"👩‍👩‍👧‍👦🇨🇳👍🏽","astral":"𠮷𝄞","combining":"e\u0301 é","rtl":"שלום","zwj":"\u200d\ufeff"}`,
		`{"lines":"\u2028\u2029","escapes":"\"\\\/\b\f\n\r\t\u001f\u007f","html":"<&>'\u003c","pair":"\ud83d\ude00"}`,
		`{"noncharacters":"\uffff\ufffe","replacement":"\ufffd","private":"\ue000"}`,
		`{"a.b":1,"$set":2,"a/b":3,"a b":4,"` + "`" + `":5,"~":6,"[0]":7,"__half":8,"half__":9,"\u00e9":10,"e\u0301":11,"A":12,"a":13}`,
		`{"a":{"b":{"c":{"d":[{"e":[{"f":{"g":null}}]}]}}}}`,
		`{"spaces" : [ 1 ,
			2 ] }`,
		`{"text":"1","number":1,"bool":"true","nil":"null","time":"2026-01-01T00:00:00Z","binary":"AAECAw=="}`,
		`{"mixed":[1,"1",true,null,{"1":1},-5,"",9007199254740991]}`,
	}
	const promise = "a driver gives back equal JSON: the same names and values"
	for i, v := range values {
		k := keys("values", "v", i+1)[i]
		commit(t, s, drivers.Create(k, json.RawMessage(v), time.Time{}))
		if got := get1(t, s, k); !equalJSON(got.Data, []byte(v)) {
			t.Errorf("%s: Get after Create:\n got %s\nwant %s", promise, got.Data, v)
		}
	}
	for i, r := range scan(t, s, "values", "", "") {
		if !equalJSON(r.Data, []byte(values[i])) {
			t.Errorf("%s: Scan:\n got %s\nwant %s", promise, r.Data, values[i])
		}
	}
	// Replacing replaces: no field of the old value stays.
	k := key("values", "replaced")
	commit(t, s, drivers.Create(k, json.RawMessage(`{"old":1,"deep":{"old":2,"same":3}}`), time.Time{}))
	want := `{"deep":{"same":4}}`
	commit(t, s, drivers.Replace(get1(t, s, k), json.RawMessage(want), time.Time{}))
	if got := get1(t, s, k); !equalJSON(got.Data, []byte(want)) {
		t.Errorf("%s: Get after Replace:\n got %s\nwant %s", promise, got.Data, want)
	}
}

// equalJSON reports whether two texts hold the same JSON value.
func equalJSON(a, b []byte) bool {
	va, errA := decodeJSON(a)
	vb, errB := decodeJSON(b)
	return errA == nil && errB == nil && equalValue(va, vb)
}

func decodeJSON(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

func equalValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalValue)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equalValue)
	case json.Number:
		b, ok := b.(json.Number)
		if !ok {
			return false
		}
		x, okX := new(big.Rat).SetString(a.String())
		y, okY := new(big.Rat).SetString(b.String())
		return okX && okY && x.Cmp(y) == 0
	default:
		return a == b
	}
}
