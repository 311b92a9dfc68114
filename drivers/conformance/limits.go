package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// testLimits wants what lies at the edge of each limit accepted.
func testLimits(t tester, open func() drivers.Store) {
	s := open()
	ks := []drivers.Key{
		key("a", "a"), key(strings.Repeat("z", 32), "0"), key("a", strings.Repeat("9", 120)),
		key("a", "a."), key("a", "a..b"), key("abcdefghijklmnopqrstuvwxyz", "0123456789.abcdefghijklmnopqrstuvwxyz"),
	}
	for i, k := range ks {
		commit(t, s, create(k, i))
		if numberOf(get1(t, s, k)) != i {
			t.Errorf("Kind is [a-z]{1,32}; ID is [a-z0-9][a-z0-9.]{0,119}: %v is not kept", k)
		}
		if len(scan(t, s, k.Kind, k.ID, "")) == 0 {
			t.Errorf("Scan yields the records of kind whose ID begins with prefix: %v is not found", k)
		}
	}
	for name, data := range map[string]string{
		"MaxData":          sized(drivers.MaxData),
		"MaxDepth objects": nested(drivers.MaxDepth),
		"MaxDepth arrays":  nestedArrays(drivers.MaxDepth),
		"MaxInteger":       fmt.Sprintf(`{"a":%d,"b":%d}`, drivers.MaxInteger, -drivers.MaxInteger),
		"MaxName":          `{"` + strings.Repeat("n", drivers.MaxName) + `":1}`,
		"surrogate pair":   `{"a":"\uD83D\uDE00"}`,
		"no surrogate":     `{"a":"\\uD83D"}`,
		"many fields":      manyFields(2000),
	} {
		k := key("data", "k")
		commit(t, s, drivers.Replace(get1(t, s, k), json.RawMessage(data), time.Time{}))
		if got := get1(t, s, k); !equalJSON(got.Data, []byte(data)) {
			t.Errorf("what is within the limits is stored: %s: got %.100s, want %.100s", name, got.Data, data)
		}
	}
	var ops []drivers.Op
	batch := keys("batch", "k", drivers.MaxOps)
	for _, k := range batch {
		ops = append(ops, drivers.Create(k, json.RawMessage(sized(drivers.MaxData)), time.Time{}))
	}
	commit(t, s, ops...)
	for _, r := range get(t, s, batch...) {
		if len(r.Data) < drivers.MaxData/2 {
			t.Errorf("MaxOps ops of MaxData bytes fit in one Commit: %v has %d bytes", r.Key, len(r.Data))
		}
	}
	many := keys("batch", "k", drivers.MaxKeys)
	if n := len(get(t, s, many...)); n != drivers.MaxKeys {
		t.Errorf("MaxKeys keys fit in one Get: got %d records", n)
	}
}

// testRefusals wants what lies past the edge refused, and nothing done.
func testRefusals(t tester, open func() drivers.Store) {
	s := open()
	const promise = "ErrInvalid: the call breaks the contract, nothing was read or written"
	ok := key("things", "ok")
	var tooMany []drivers.Op
	for i, k := range keys("things", "k", drivers.MaxOps+1) {
		tooMany = append(tooMany, create(k, i))
	}
	commits := map[string][]drivers.Op{
		"no ops":                    nil,
		"too many ops":              tooMany,
		"a key twice":               {create(ok, 1), create(ok, 2)},
		"delete without a revision": {{Key: ok}},
		"expires before 1970":       {drivers.Create(ok, number(1), time.Unix(-1, 0))},
		"expires after 9999":        {drivers.Create(ok, number(1), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
		"expires in nanoseconds":    {{Key: ok, Data: number(1), Expires: time.Unix(0, 1).UTC()}},
		"expires in a zone":         {{Key: ok, Data: number(1), Expires: time.Unix(0, 0).In(time.FixedZone("", 3600))}},
	}
	for _, k := range badKeys() {
		commits[fmt.Sprintf("key %q", k)] = []drivers.Op{create(k, 1)}
	}
	for name, data := range map[string]string{
		"empty":                 ``,
		"no object":             `[]`,
		"null":                  `null`,
		"text":                  `"a"`,
		"cut":                   `{"a":1`,
		"comma":                 `{"a":1,}`,
		"two values":            `{}{}`,
		"past MaxData":          sized(drivers.MaxData + 1),
		"past MaxDepth objects": nested(drivers.MaxDepth + 1),
		"past MaxDepth arrays":  nestedArrays(drivers.MaxDepth + 1),
		"past MaxInteger":       fmt.Sprintf(`{"a":%d}`, drivers.MaxInteger+1),
		"past -MaxInteger":      fmt.Sprintf(`{"a":%d}`, -drivers.MaxInteger-1),
		"past int64":            `{"a":18446744073709551616}`,
		"fraction":              `{"a":1.5}`,
		"exponent":              `{"a":1e3}`,
		"minus zero":            `{"a":-0}`,
		"nested array":          `{"a":[[1]]}`,
		"deep nested array":     `{"a":[{"b":[1,[2]]}]}`,
		"reserved name":         `{"__a__":1}`,
		"deep reserved name":    `{"a":[{"__name__":1}]}`,
		"empty name":            `{"":1}`,
		"past MaxName":          `{"` + strings.Repeat("n", drivers.MaxName+1) + `":1}`,
		"name twice":            `{"a":1,"\u0061":2}`,
		"U+0000":                `{"a":"\u0000"}`,
		"U+0000 in a name":      `{"a\u0000":1}`,
		"high surrogate":        `{"a":"\uD83D"}`,
		"low surrogate":         `{"a":"\uDE00"}`,
		"swapped surrogates":    `{"a":"\uDE00\uD83D"}`,
		"surrogate in a name":   `{"\uD83D":1}`,
		"invalid UTF-8":         "{\"a\":\"\xff\"}",
	} {
		commits[name] = []drivers.Op{{Key: ok, Data: json.RawMessage(data)}}
	}
	for name, ops := range commits {
		wantErr(t, promise+": Commit with "+name, s.Commit(t.Context(), ops...), drivers.ErrInvalid)
	}
	for _, k := range badKeys() {
		_, err := s.Get(t.Context(), ok, k)
		wantErr(t, fmt.Sprintf("%s: Get of %q", promise, k), err, drivers.ErrInvalid)
	}
	_, err := s.Get(t.Context(), keys("things", "k", drivers.MaxKeys+1)...)
	wantErr(t, promise+": Get of too many keys", err, drivers.ErrInvalid)
	for _, args := range [][3]string{{"", "", ""}, {"A", "", ""}, {"things", "A", ""}, {"things", ".", ""}, {"things", "", "A"}, {"things", "a/", ""}} {
		n := 0
		for r, err := range s.Scan(t.Context(), args[0], args[1], args[2]) {
			n++
			wantErr(t, fmt.Sprintf("%s: Scan of %q", promise, args), err, drivers.ErrInvalid)
			if r.Key != (drivers.Key{}) || r.Exists() {
				t.Errorf("an error is yielded with the zero Record: got %+v", r)
			}
		}
		if n != 1 {
			t.Errorf("an error is yielded once: Scan of %q yielded %d times", args, n)
		}
	}
	if found := scan(t, s, "things", "", ""); len(found) != 0 {
		t.Errorf("%s: found %v", promise, found[0].Key)
	}
}

func badKeys() []drivers.Key {
	return []drivers.Key{
		key("", "a"), key("A", "a"), key("a1", "a"), key("a.b", "a"), key("ä", "a"), key(strings.Repeat("a", 33), "a"),
		key("a", ""), key("a", "."), key("a", ".."), key("a", ".a"), key("a", "A"), key("a", "a/b"), key("a", "a_b"),
		key("a", "a b"), key("a", "a\x00"), key("a", "ä"), key("a", strings.Repeat("a", 121)),
	}
}

// sized returns an object of n bytes.
func sized(n int) string { return `{"a":"` + strings.Repeat("x", n-len(`{"a":""}`)) + `"}` }

// nested returns objects of a depth.
func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1)
}

// nestedArrays returns objects and arrays by turns, of an even depth, or with an
// object more.
func nestedArrays(depth int) string {
	s := strings.Repeat(`{"a":[`, depth/2) + strings.Repeat(`]}`, depth/2)
	if depth%2 == 1 {
		s = `{"a":` + s + `}`
	}
	return s
}

func manyFields(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%d":%d`, i, i)
	}
	return "{" + strings.Join(fields, ",") + "}"
}
