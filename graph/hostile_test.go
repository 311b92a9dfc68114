package graph

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// attack is a request that is to cost the server much more than its sender.
type attack struct {
	code        string // by which it is refused; empty where it is carried out
	body        string
	contentType string            // of the body; empty for JSON
	query       string            // of a GET, instead of a body
	header      map[string]string // besides
	untold      bool              // without Content-Length
}

func (a attack) request() *http.Request {
	method, contentType := "POST", a.contentType
	if a.query != "" {
		method = "GET"
	} else if contentType == "" {
		contentType = "application/json"
	}
	r := newRequest(method, "/", a.body, "Content-Type", contentType)
	r.URL.RawQuery = a.query
	for name, value := range a.header {
		r.Header.Set(name, value)
	}
	if a.untold {
		r.ContentLength = -1
	}
	return r
}

// attacks are the worst requests that we know, by name. They are as long as they
// may be, or a little longer; what is carried out costs no more than what is refused.
func attacks() map[string]attack {
	const (
		parse, invalid, input = "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_USER_INPUT"
		bad, large            = "BAD_REQUEST", "PAYLOAD_TOO_LARGE"
	)
	table := map[string]attack{}
	document := func(name, code, text string) { table[name] = attack{code: code, body: operation(text)} }
	again := strings.Repeat
	// series writes n texts, with their numbers from 0 in place of % and from 1 in place of ^.
	series := func(n int, text string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(strings.NewReplacer("%", fmt.Sprint(i), "^", fmt.Sprint(i+1)).Replace(text))
		}
		return b.String()
	}
	me := func(selection string) string { return `{me{` + selection + `}}` }
	user := func(name, selection string) string { return `fragment ` + name + ` on User{` + selection + `}` }
	login := func(input string) string { return `mutation{login(input:` + input + `){created}}` }
	preferences := func(text string) string {
		return `mutation{updateProfile(input:{preferences:` + text + `}){user{id}}}`
	}

	// Fragments that are many when they are spread.
	doubled := series(26, `fragment F% on User{...F^ ...F^}`) + user("F26", "id")
	ofTypes := series(26, `fragment F% on __Type{a:ofType{...F^} b:ofType{...F^}}`) + `fragment F26 on __Type{name}`
	document("fragments doubled", invalid, me(`...F0`)+doubled)
	document("fragments doubled, with fields", invalid, `{__schema{types{...F0}}}`+ofTypes)
	document("fragments doubled, not used", invalid, me(`id`)+ofTypes)
	document("fragments in a cycle", invalid, me(`...A`)+user("A", `...B`)+user("B", `...A`))
	document("fragments in a chain", "", me(`...F0`)+series(240, `fragment F% on User{...F^}`)+user("F240", "id"))
	document("fragments that all spread all", invalid, me(`...F0`)+series(30, user("F%", series(30, `...F%`))))
	document("many fragments", "", me(series(130, `...G% `))+series(130, user("G%", `a%:id id`)))
	document("fragments of one name", invalid, me(`...F`)+again(user("F", again("id ", 25)), 60))
	document("many operations of one fragment", invalid, series(105, `query A%{me{...F}}`)+user("F", series(333, `a%:id `)))
	document("as many operations of one fragment as may be", invalid, series(20, `query A%{me{...F}}`)+user("F", series(90, `a%:id `))) // none is named
	document("many operations of one fragment with variables", invalid, series(70, `query A%($v:Boolean!){...F}`)+`fragment F on Query{me{`+series(90, `a%:id@skip(if:$v) `)+`}}`)
	document("inline fragments", parse, me(again(`...{`, 480)+`id`+again(`}`, 480)))
	document("inline fragments side by side", invalid, me(again(`...{id}`, 390)))

	// Fields and aliases.
	document("one field again and again", invalid, me(again("id ", 990)))
	document("one field beyond the tokens", parse, me(again("id ", 6000)))
	document("one object again and again", invalid, me(again(`avatar{url} `, 330)))
	document("one object of arguments", invalid, me(`avatar{`+again(`url(size:SMALL) `, 240)+`}`))
	document("aliases", "", me(series(600, `a%:id `)))
	document("aliases beyond the tokens", parse, `{`+series(5000, `a%:me{id}`)+`}`)
	document("aliases beyond the body", large, `{`+series(20000, `a%:me{id}`)+`}`)
	document("aliases of what is long", invalid, me(series(600, `a%:preferences `)))
	document("aliases of exports", invalid, me(series(6, `a%:export `)))
	for _, list := range []string{`sessions{id}`, `audit{at}`, `consents{scope}`} {
		document("aliases of "+list, invalid, me(series(30, `a%:`+list)))
	}
	document("roots", invalid, `{`+series(9, `a%:me{id} `)+`}`)
	document("a tree in which all is the same", invalid, me(`id`)+`fragment F on __Type{`+tree(8)+`}`)
	document("deep fields", invalid, again(`{me`, 40)+again(`}`, 40))
	document("deeper fields", parse, again(`{me`, 20000))

	// Names, suggestions and messages.
	document("a long name", parse, me(again("nickname", 7000)))
	document("many long names", invalid, me(series(500, again("n", 90)+`% `)))
	document("a long name in many errors", parse, `query `+again("L", 50000)+me(series(240, `a%:id@skip(if:$v) `)))
	document("fields that nearly exist", invalid, me(series(660, `nicknam% `)))
	document("arguments that do not exist", invalid, me(`id(`+series(600, `x%:1 `)+`)`))
	document("types that nearly exist", invalid, me(series(330, `...on Usr%{id}`)))
	document("variables that are not used", invalid, `query(`+series(490, `$v%:Int `)+`)`+me(`id`))
	document("variables of one name", invalid, `query(`+again(`$v:Int `, 490)+`)`+me(`id`))
	document("directives", invalid, me(`id`+again(`@x`, 900)))
	document("directives that exist", invalid, me(`id`+again(`@skip(if:true)`, 280)))
	document("directives on each field", "", me(series(195, `a%:id@include(if:true) `)))

	// Values in the document.
	document("a deep list", parse, `{me(x:`+again("[", 60000))
	document("a deep list around a long string", parse, login(`{code:`+again("[", 900)+`"`+again("x", 50000)+`"`+again("]", 900)+`}`))
	document("the deepest list around the longest string", invalid, login(`{code:`+again("[", 46)+`"`+again("x", 60000)+`"`+again("]", 46)+`}`))
	document("the deepest object around the longest string", invalid, login(again("{code:", 47)+`"`+again("x", 60000)+`"`+again("}", 47)))
	document("a long string", "", login(`{code:"`+again("x", 60000)+`"}`))
	document("a string of escapes", "", login(`{code:"`+again(`\u00e9`, 8000)+`"}`))
	document("a string of lines", "", login(`{code:"""`+again("\n ", 20000)+`"""}`))
	document("a string without end", parse, login(`{code:"""`+again(`\"""`, 5000)))
	document("an object of unknown fields", invalid, login(`{`+series(490, `x%:1 `)+`}`))
	document("an object of one field", invalid, login(`{`+again(`code:"x" `, 490)+`}`))
	document("a list as a default", invalid, `query($a:[Int]=[`+again("1 ", 1900)+`])`+me(`id`))
	document("a long number", invalid, `mutation{updateProfile(input:{ifVersion:`+again("9", 60000)+`}){user{id}}}`)
	document("long numbers in JSON", invalid, preferences(`{`+series(480, `a%:`+again("9", 100)+` `)+`}`))
	document("JSON of wide objects", "", preferences(`{`+series(160, `a%:{b:[1 2 3]}`)+`}`))

	// Characters.
	document("comments", parse, again("#\n", 15000)+me(`id`))
	document("white space", "", again(" ", 60000)+me(`id`))
	document("marks of byte order", "", again("\ufeff", 20000)+me(`id`))
	document("characters that are none of GraphQL's", parse, again("\u2028", 9000))
	document("zeros", parse, again("\x00", 9000))
	table["a text of escapes"] = attack{body: `{"query":"` + again(`\u0020`, 10000) + `{me{id}}"}`}
	table["escapes of half characters"] = attack{code: parse, body: `{"query":"` + again(`\ud800`, 10000) + `{me{id}}"}`}
	table["bytes that are not UTF-8"] = attack{code: bad, body: `{"query":"{me{id}}` + again("\xc0\xaf", 20000) + `"}`}

	// The schema, where it is told.
	document("types under aliases", invalid, `{__schema{`+series(240, `a%:types{name description}`)+`}}`)
	document("fields of types under aliases", invalid, `{__schema{types{fields{`+series(330, `a%:description `)+`}}}}`)
	document("lists of the schema within each other", invalid, `{__schema{types{fields{type{ofType{fields{type{ofType{fields{type{ofType{fields{name}}}}}}}}}}}}}`)

	// Bodies and variables.
	variables := func(name, code, text string) {
		table[name] = attack{code: code, body: operation(`mutation($i:UpdateProfileInput!){updateProfile(input:$i){user{id}}}`, text)}
	}
	in := func(name, code, text string) { variables(name, code, `{"i":`+text+`}`) }
	variables("variables that nobody wants", input, `{"x":0`+series(5000, `,"x%":1`)+`}`)
	variables("deep JSON without end", bad, again(`{"a":`, 12000))
	in("deep JSON", "", `{"preferences":`+again(`{"a":`, 9900)+`1`+again("}", 9900)+`}`)
	in("deep JSON where it has no place", input, `{"region":`+again(`[`, 9000)+again("]", 9000)+`}`)
	in("wide JSON", "", `{"preferences":{"x":0`+series(5000, `,"x%":1`)+`}}`)
	in("unknown input fields", input, `{"x":0`+series(5000, `,"x%":1`)+`}`)
	in("one input field again and again", "", `{"nickname":"x"`+again(`,"nickname":"x"`, 3800)+`}`)
	in("a list where there is none", input, `{"gender":[`+again(`"MALE",`, 7000)+`"MALE"]}`)
	in("a long integer", input, `{"ifVersion":`+again("9", 60000)+`}`)
	in("a long exponent", input, `{"ifVersion":1e`+again("9", 60000)+`}`)
	in("a long fraction", "", `{"ifVersion":0.`+again("0", 60000)+`1}`)
	in("half a character", "", `{"nickname":"`+again(`\ud800`, 9000)+`"}`)
	withdraw := `mutation($i:WithdrawConsentInput!){withdrawConsent(input:$i){user{id}}}`
	table["a long list"] = attack{body: operation(withdraw, `{"i":{"scopes":[`+again(`"PHONE",`, 6800)+`"PHONE"]}}`)}
	table["a list within lists"] = attack{code: input, body: operation(withdraw, `{"i":{"scopes":`+again(`[`, 9000)+again(`]`, 9000)+`}}`)}
	table["members that nobody wants"] = attack{body: `{"query":"{me{id}}"` + series(5000, `,"x%":1`) + `}`}
	table["one member again and again"] = attack{body: `{"query":"{me{id}}"` + again(`,"query":"{me{id}}"`, 3000) + `}`}
	table["extensions again and again"] = attack{body: `{"query":"{me{id}}"` + again(`,"extensions":{"persistedQuery":null}`, 1600) + `}`}
	table["names of escapes"] = attack{body: `{"query":"{me{id}}"` + again(`,"\u0078":null`, 4000) + `}`}
	table["a number instead of an object"] = attack{code: bad, body: again("1", 60000)}
	table["an unknown hash"] = attack{code: "PERSISTED_QUERY_NOT_FOUND", body: `{"documentId":"sha256:` + again("0", 64) + `"}`}
	document("a body beyond all", large, again(" ", 8<<20))
	table["a body beyond all, not told"] = attack{code: large, body: `{"x":"` + again(" ", 8<<20) + `"}`, untold: true}

	// Heads; server.Run lets 16 KiB pass.
	table["an address of many parameters"] = attack{query: `query={me{id}}` + series(1800, `&x%=1`)}
	table["an address of escapes"] = attack{query: `query={me{id}}&operationName=` + again(`%20`, 5000), code: invalid}
	table["an address of variables"] = attack{query: `query={me{id}}&variables=` + again(`{"a":`, 3000), code: bad}
	table["an Accept of many kinds"] = attack{query: `query={me{id}}`, header: map[string]string{"Accept": again("application/json;q=0.1;charset=utf-8,", 400)}}
	table["a Content-Type of pieces"] = attack{code: bad, contentType: `multipart/form-data` + series(900, `; boundary*%*=%41`)}

	// Multipart bodies.
	multipart := func(name, code string, parts ...part) {
		body, contentType := form(parts...)
		table[name] = attack{code: code, body: body, contentType: contentType}
	}
	file := part{"f", "a.png", "x"}
	mapped := func(text string) part { return part{"map", "", text} }
	multipart("a map of many files", bad, operations, mapped(`{"f":["variables.i.avatar"]`+series(150, `,"f%":["variables.a"]`)+`}`), file)
	multipart("a map of many places", bad, operations, mapped(`{"f":["variables.i.avatar"`+again(`,"variables.i.avatar"`, 150)+`]}`), file)
	multipart("a map of a deep place", bad, operations, mapped(`{"f":["variables`+again(`.i`, 1500)+`"]}`), file)
	multipart("a map of a far index", bad, operations, mapped(`{"f":["variables.i.99999999999999999999"]}`), file)
	multipart("a map that is deep", bad, operations, mapped(`{"f":`+again(`[`, 2000)+again(`]`, 2000)+`}`), file)
	multipart("a map beyond its length", large, operations, mapped(again(" ", maxMap+1)), file)
	multipart("operations beyond their length", large, part{"operations", "", again(" ", MaxBody+1)}, paths, file)
	multipart("operations that are deep", bad, part{"operations", "", again(`{"query":`, 6000)}, paths, file)
	multipart("parts that nobody wants", bad, append([]part{operations, paths, file}, make([]part, 2*maxParts)...)...)
	multipart("a part that nobody wants, as long as it may be", "", operations, mapped(`{}`), part{"x", "", again("\r\n--", 2<<20)})
	multipart("a name of a part that is long", bad, operations, paths, part{again("f", 2*maxPartHead), "a.png", "x"})
	table["a part of many heads"] = attack{code: bad, contentType: `multipart/form-data; boundary=b`, body: "--b\r\n" + series(30000, "X%: y\r\n")}
	table["nearly the boundary, all over"] = attack{code: bad, contentType: `multipart/form-data; boundary=` + again("b", 70),
		body: "--" + again("b", 70) + "\r\n\r\n" + again("\r\n--"+again("b", 69), 100_000)}
	table["a form of line ends"] = attack{code: bad, contentType: `multipart/form-data; boundary=b`, body: again("\r\n", 4<<20)}
	return table
}

// tree is a selection in which each type has two fields of one name.
func tree(depth int) string {
	if depth == 0 {
		return "name"
	}
	return "ofType{" + tree(depth-1) + "}ofType{" + tree(depth-1) + "}"
}

// What would take an age is refused, for the reason that the table says, whether
// the schema is told or not.
func TestHostile(t *testing.T) {
	t.Parallel()
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, introspection := range []bool{false, true} {
				h := start(Options{Introspection: introspection})
				got := h.send(t, a.request())
				if got.code() != a.code || len(got.Errors) > maxErrors {
					t.Errorf("%d %.300s", got.StatusCode, got.body)
				}
				if len(got.body) > 16<<10 {
					t.Errorf("%d bytes", len(got.body))
				}
				if !h.idle() || h.log.Len() > 0 {
					t.Errorf("room is still taken, or the log says %s", h.log.String())
				}
			}
		})
	}
}

// It is answered within 50 ms and 8 MiB, and leaves nothing behind. Alone, for it
// measures: the best of many times, because other programs share the machine. Under the
// race detector the tests of all packages do, for minutes, so there the processor's time
// counts; by the clock, it is measured without.
func TestHostileTakesLittle(t *testing.T) {
	bound := 50 * time.Millisecond
	if raced {
		bound *= 10
	}
	const memory = 8 << 20
	h := start(Options{Introspection: true})
	table := attacks()
	send := func(a attack) (took time.Duration, allocated uint64) {
		h.cache, h.calls = newCache[*document](), nil // or the second time costs nothing
		r, w := a.request(), httptest.NewRecorder()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began, busy := time.Now(), cpuTime(t)
		h.ServeHTTP(w, r)
		if took = time.Since(began); raced {
			took = cpuTime(t) - busy
		}
		runtime.ReadMemStats(&after)
		return took, after.TotalAlloc - before.TotalAlloc
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the first one only empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	send(table["a long name"])
	before := heap()
	for name, a := range table {
		best, least := time.Hour, uint64(1<<62)
		for range 20 {
			took, allocated := send(a)
			best, least = min(best, took), min(least, allocated)
			if best <= bound && least <= memory {
				break
			}
		}
		if best > bound || least > memory {
			t.Errorf("%s takes %v and %d KiB", name, best, least>>10)
		}
		if testing.Verbose() && (best > bound/5 || least > memory/4) {
			t.Logf("%s: %v, %d KiB", name, best, least>>10)
		}
	}
	h.cache = newCache[*document]()
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes stay behind", grown)
	}
}

// cpuTime is how long this process has had a processor.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
