package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/miniprofile/miniprofile/auth"
)

const uploadQuery = `mutation($i: UpdateProfileInput!){updateProfile(input:$i){user{id}}}`

var (
	operations = part{"operations", "", operation(uploadQuery, `{"i":{"avatar":null}}`)}
	paths      = part{"map", "", `{"f":["variables.i.avatar"]}`}
)

// permute calls f with each order of parts.
func permute(parts []part, f func([]part)) {
	var swap func(n int)
	swap = func(n int) {
		if n == len(parts) {
			f(parts)
			return
		}
		for i := n; i < len(parts); i++ {
			parts[n], parts[i] = parts[i], parts[n]
			swap(n + 1)
			parts[n], parts[i] = parts[i], parts[n]
		}
	}
	swap(0)
}

func TestUploadInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 10, uploadMemory - 1, uploadMemory, uploadMemory + 1, 1 << 20} {
		content := strings.Repeat("x", size)
		orders := 0
		permute([]part{operations, paths, {"f", "a.png", content}, {"extra", "", "y"}}, func(parts []part) {
			orders++
			h := start(Options{})
			a := h.form(t, parts...)
			if a.code() != "" || string(h.file) != content || h.token != "token" || !h.idle() {
				t.Errorf("%.300s: %.300s", parts, a.body)
			}
		})
		if orders != 24 {
			t.Fatal(orders)
		}
	}
	h := start(Options{})
	if a := h.form(t, operations, part{"map", "", "{}"}); a.code() != "" || !h.input.Avatar.Given {
		t.Error(a.body)
	}
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	file := part{"f", "a.png", "x"}
	mapped := func(text string) part { return part{"map", "", text} }
	for name, c := range map[string]struct {
		parts  []part
		status int
		code   string
	}{
		"nothing":           {nil, 400, "BAD_REQUEST"},
		"no operations":     {[]part{paths, file}, 400, "BAD_REQUEST"},
		"no map":            {[]part{operations, file}, 400, "BAD_REQUEST"},
		"no file":           {[]part{operations, paths}, 400, "BAD_REQUEST"},
		"two files":         {[]part{operations, paths, file, {"g", "b.png", "y"}}, 400, "BAD_REQUEST"},
		"two operations":    {[]part{operations, operations, paths, file}, 400, "BAD_REQUEST"},
		"two maps":          {[]part{operations, paths, paths, file}, 400, "BAD_REQUEST"},
		"file not named":    {[]part{operations, paths, {"f", "", "x"}}, 400, "BAD_REQUEST"},
		"other file":        {[]part{operations, paths, {"g", "a.png", "x"}}, 400, "BAD_REQUEST"},
		"two places":        {[]part{operations, mapped(`{"f":["variables.i.avatar","variables.i.avatar"]}`), file}, 400, "BAD_REQUEST"},
		"no place":          {[]part{operations, mapped(`{"f":[]}`), file}, 400, "BAD_REQUEST"},
		"unknown variable":  {[]part{operations, mapped(`{"f":["variables.x"]}`), file}, 400, "BAD_REQUEST"},
		"index":             {[]part{operations, mapped(`{"f":["variables.i.0"]}`), file}, 400, "BAD_REQUEST"},
		"batch place":       {[]part{operations, mapped(`{"f":["0.variables.i.avatar"]}`), file}, 400, "BAD_REQUEST"},
		"too deep":          {[]part{operations, mapped(`{"f":["variables.i.avatar.x"]}`), file}, 400, "BAD_REQUEST"},
		"not an upload":     {[]part{operations, mapped(`{"f":["variables.i.nickname"]}`), file}, 400, "BAD_REQUEST"},
		"whole input":       {[]part{operations, mapped(`{"f":["variables.i"]}`), file}, 400, "BAD_REQUEST"},
		"dots":              {[]part{operations, mapped(`{"f":["variables..."]}`), file}, 400, "BAD_REQUEST"},
		"map type":          {[]part{operations, mapped(`{"f":"variables.i.avatar"}`), file}, 400, "BAD_REQUEST"},
		"map JSON":          {[]part{operations, mapped(`{`), file}, 400, "BAD_REQUEST"},
		"large map":         {[]part{operations, mapped(strings.Repeat(" ", maxMap+1)), file}, 413, "PAYLOAD_TOO_LARGE"},
		"large operations":  {[]part{{"operations", "", strings.Repeat(" ", MaxBody+1)}, paths, file}, 413, "PAYLOAD_TOO_LARGE"},
		"batch":             {[]part{{"operations", "", "[" + operations.text + "]"}, paths, file}, 400, "BAD_REQUEST"},
		"value in place":    {[]part{{"operations", "", operation(uploadQuery, `{"i":{"avatar":"x"}}`)}, paths, file}, 200, "BAD_USER_INPUT"},
		"absent in place":   {[]part{{"operations", "", operation(uploadQuery, `{"i":{}}`)}, paths, file}, 400, "BAD_REQUEST"},
		"invalid":           {[]part{{"operations", "", operation(`{you}`)}, paths, file}, 200, "GRAPHQL_VALIDATION_FAILED"},
		"large file":        {[]part{operations, paths, {"f", "a.png", strings.Repeat("x", MaxUpload)}}, 413, "PAYLOAD_TOO_LARGE"},
		"large extra":       {[]part{operations, paths, {"x", "", strings.Repeat("x", MaxUpload)}}, 413, "PAYLOAD_TOO_LARGE"},
		"many parts":        {append([]part{operations, paths, file}, make([]part, maxParts)...), 400, "BAD_REQUEST"},
		"long head of part": {[]part{operations, paths, {"f", strings.Repeat("x", 2*maxPartHead), "x"}}, 400, "BAD_REQUEST"},
	} {
		for _, told := range []bool{true, false} {
			h := start(Options{})
			body, contentType := form(c.parts...)
			r := newRequest("POST", "/", body, "Content-Type", contentType)
			if !told {
				r.ContentLength = -1
			}
			a := h.send(t, r)
			if a.StatusCode != c.status || a.code() != c.code || len(h.calls) > 0 || h.log.Len() > 0 || !h.idle() || a.Data != nil {
				t.Errorf("%s: %d %s %s", name, a.StatusCode, a.body, h.log.String())
			}
		}
	}
	body, contentType := form(operations, paths, part{"f", "a.png", strings.Repeat("x", 1<<20)})
	for _, n := range []int{len(body) - 3, len(body) - 100, 1000, 100, 10, 0} {
		h := start(Options{})
		a := h.send(t, newRequest("POST", "/", body[:n], "Content-Type", contentType))
		if a.code() != "BAD_REQUEST" || len(h.calls) > 0 || h.log.Len() > 0 {
			t.Errorf("cut at %d: %s %s", n, a.body, h.log.String())
		}
		a = h.send(t, newRequest("POST", "/", strings.ReplaceAll(body, "\r\n", "\n"), "Content-Type", contentType))
		if a.code() == "" && string(h.file) == "" {
			t.Errorf("bare newlines: %s", a.body)
		}
	}
}

func TestCrossSite(t *testing.T) {
	t.Parallel()
	body, contentType := form(operations, paths, part{"f", "a.png", "x"})
	for header, refused := range map[[2]string]bool{
		{"Sec-Fetch-Site", "cross-site"}:  true,
		{"Sec-Fetch-Site", "same-site"}:   true,
		{"Sec-Fetch-Site", "same-origin"}: false,
		{"Origin", "https://evil.test"}:   true,
		{"Origin", "https://example.com"}: false,
		{"X-None", ""}:                    false,
	} {
		h := start(Options{})
		a := h.send(t, newRequest("POST", "https://example.com/graphql", body, "Content-Type", contentType, header[0], header[1]))
		if refused != (a.StatusCode == 403 && a.code() == "BAD_REQUEST" && len(h.calls) == 0) || refused == (a.code() == "") {
			t.Errorf("%s: %d %s", header, a.StatusCode, a.body)
		}
	}
}

// idle reports whether nothing of an upload is left.
func (h *harness) idle() bool {
	all := h.uploads.room.TryAcquire(UploadRoom)
	if all {
		h.uploads.room.Release(UploadRoom)
	}
	memory := h.uploads.memory.TryAcquire(memoryRoom)
	if memory {
		h.uploads.memory.Release(memoryRoom)
	}
	return all && memory
}

func TestUploadsAtATime(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	body, contentType := form(operations, paths, part{"f", "a.png", "x"})
	full := int64(UploadRoom - len(body) + 1)
	if !h.uploads.room.TryAcquire(full) {
		t.Fatal("no room")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	a := h.send(t, newRequest("POST", "/", body, "Content-Type", contentType).WithContext(ctx))
	if a.StatusCode != http.StatusTooManyRequests || a.code() != "RATE_LIMITED" || a.Header.Get("Retry-After") != "5" || len(h.calls) > 0 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.post(t, operation(`{me{id}}`)); a.code() != "" {
		t.Error(a.body)
	}
	go h.uploads.room.Release(full)
	if a := h.form(t, operations, paths, part{"f", "a.png", "x"}); a.code() != "" {
		t.Error(a.body)
	}
	// One that does not say how long it is takes the room of the largest.
	h.uploads.room.Acquire(t.Context(), UploadRoom-MaxUpload+1)
	r := newRequest("POST", "/", body, "Content-Type", contentType).WithContext(ctx)
	r.ContentLength = -1
	if a := h.send(t, r); a.code() != "RATE_LIMITED" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// Who announces much and sends nothing keeps nobody else out.
func TestUploadsOfOneAddress(t *testing.T) {
	t.Parallel()
	u := newUploads()
	r := newRequest("POST", "/", "")
	r.ContentLength = MaxUpload
	greedy, other := netip.MustParseAddr("6.6.6.6"), netip.MustParseAddr("1.1.1.1")
	var frees []func()
	for range uploadShare / MaxUpload {
		free, fault := u.admit(r, greedy)
		if fault != nil {
			t.Fatal(fault)
		}
		frees = append(frees, free)
	}
	if _, fault := u.admit(r, greedy); fault == nil || fault.Code != "RATE_LIMITED" || fault.RetryAfter != uploadRetry {
		t.Errorf("more than its share: %v", fault)
	}
	free, fault := u.admit(r, other)
	if fault != nil {
		t.Fatalf("another address: %v", fault)
	}
	for _, free := range append(frees, free) {
		free()
	}
	if !u.room.TryAcquire(UploadRoom) || len(u.shares) != 0 {
		t.Errorf("%v is left", u.shares)
	}
}

// TestManySmallUploads: files that would lie in memory lie on disk when there are many.
func TestManySmallUploads(t *testing.T) {
	t.Parallel()
	u := newUploads()
	var files []*spool
	large := 0
	for i := range 40 {
		content := strings.Repeat("x", 1000+i)
		s, err := u.spool(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if s.large != nil {
			large++
		}
		if got, err := io.ReadAll(s.reader()); err != nil || string(got) != content || s.size != int64(len(content)) {
			t.Errorf("file %d: %d bytes of %d, %v", i, len(got), s.size, err)
		}
		files = append(files, s)
	}
	if large != 8 {
		t.Errorf("%d of 40 lie on disk", large)
	}
	for _, s := range files {
		s.close()
	}
	if !u.memory.TryAcquire(memoryRoom) {
		t.Error("memory is lost")
	}
}

// A body is understood as encoding/json understands it, or refused.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		operation(`{me{id}}`), operation(uploadQuery, `{"i":{"nickname":"x"}}`), `{"query":"{me{id}}","operationName":null}`, `[]`, `{"query":1}`, ` { "query" : "{me{id}}" } `,
		`{"a":[{"b":"]}"}],"query":"x"}`, `{"query":"\u007b"}`, `{"query":"x","variables":{"a":1}}`, `{"query":"x",}`, `{,}`, `{"query":"x"}{`, "{\"query\":\"\x00\"}", `{"query":"a" "b":1}`, `{"x":-,"query":""}`,
	} {
		f.Add(seed)
	}
	h := start(Options{})
	f.Fuzz(func(t *testing.T, body string) {
		q, fault := parseBody([]byte(body))
		var want map[string]json.RawMessage
		err := json.Unmarshal([]byte(body), &want)
		if fault == nil {
			var text string
			if json.Unmarshal(q.query, &text) == nil && err != nil {
				t.Fatalf("%q was let pass: %v", body, err)
			}
			if err == nil && !bytes.Equal(q.query, want["query"]) {
				t.Fatalf("%q: query %q, want %q", body, q.query, want["query"])
			}
		} else if err == nil && utf8.ValidString(body) && want != nil && strings.HasPrefix(string(want["query"]), `"`) &&
			good(want["variables"], "{") && good(want["extensions"], "{") && good(want["operationName"], `"`) {
			t.Fatalf("%q was refused: %v", body, fault)
		}
		h.post(t, body)
		h.calls = h.calls[:0]
	})
}

func good(text json.RawMessage, first string) bool {
	return text == nil || string(text) == "null" || strings.HasPrefix(string(text), first)
}

// No body makes the reader of multipart bodies panic.
func FuzzMultipart(f *testing.F) {
	const boundary = "b"
	normal := func(parts ...part) string {
		body, contentType := form(parts...)
		return strings.ReplaceAll(body, strings.TrimPrefix(contentType, "multipart/form-data; boundary="), boundary)
	}
	f.Add(normal(operations, paths, part{"f", "a.png", "x"}))
	f.Add(normal(part{"f", "a.png", "x"}, part{"map", "", `{"f":["variables.i"]}`}, operations))
	f.Add(normal(part{"operations", "", `{"query":"mutation($i:[Upload]){x}","variables":{"i":[null]}}`}, part{"map", "", `{"f":["variables.i.0"]}`}))
	f.Add("--b\r\n\r\n--b--")
	h := start(Options{})
	f.Fuzz(func(t *testing.T, body string) {
		h.send(t, newRequest("POST", "/", body, "Content-Type", "multipart/form-data; boundary="+boundary))
		if !h.idle() {
			t.Fatal("room is lost")
		}
		h.calls = h.calls[:0]
	})
}

// Valid objects and arrays are taken apart as encoding/json does it.
func FuzzParts(f *testing.F) {
	for _, seed := range []string{`{}`, ` [ ] `, `{"a":1,"b":[],"a":{"c":"}"}}`, `{ "\u0061" : "\"" , "b" : -1.5e3 , "" : null }`, `[1,"]",[2,[3]],{"a":[]} ,true]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimSpace(text)
		if !utf8.ValidString(text) || !json.Valid([]byte(text)) {
			return
		}
		var got, want any
		var err error
		switch text[0] {
		case '{':
			object := map[string]json.RawMessage{}
			err = json.Unmarshal([]byte(text), &object)
			got, want = members([]byte(text)), object
		case '[':
			var array []json.RawMessage
			err = json.Unmarshal([]byte(text), &array)
			got, want = elements([]byte(text)), array
		}
		if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); err != nil || g != w {
			t.Errorf("%s: %s, want %s, %v", text, g, w, err)
		}
	})
}

// No variables make coercion panic, and what it lets pass the core understands.
func FuzzVariables(f *testing.F) {
	f.Add(`{"i":{"nickname":"x","region":{"city":null},"ifVersion":1e0,"preferences":{"a":[]}}}`)
	f.Add(`{"i":{"gender":"MALE","avatar":null,"birthday":"x"}}`)
	f.Add(`{"i":[]}`)
	h := start(Options{})
	f.Fuzz(func(t *testing.T, variables string) {
		if !json.Valid([]byte(variables)) {
			return
		}
		a := h.post(t, operation(uploadQuery, variables))
		if a.code() == "INTERNAL" {
			t.Fatalf("%s: %s", variables, a.body)
		}
		h.calls = h.calls[:0]
	})
}

// No document makes the handler panic, and none is the server's fault.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{
		meAll, uploadQuery, `query($s:AvatarSize=SMALL){me{avatar{url(size:$s)}}}`, `mutation{updateProfile(input:{preferences:{a:1.50,b:[{c:null}]}}){user{id}}}`,
		`{__schema{types{name fields(includeDeprecated:true){name args{defaultValue}}}}}`, `{__type(name:"User"){possibleTypes{name}}}`,
		`query($b:Boolean=true){me@skip(if:$b){id}}`,
		`query($b:Boolean!=true){me@skip(if:$b){...F@include(if:$b)}}fragment F on User{sessions{id}}`, `mutation{login(input:{code:"""x"""}){created}}`,
	} {
		f.Add(text)
	}
	h := start(Options{Introspection: true})
	variable := regexp.MustCompile(`\$([_A-Za-z][_0-9A-Za-z]*)`)
	f.Fuzz(func(t *testing.T, text string) {
		nulls := map[string]any{}
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			nulls[m[1]] = nil
		}
		variables, _ := json.Marshal(nulls)
		for _, body := range []string{operation(text), operation(text, string(variables))} {
			if a := h.post(t, body); a.code() == "INTERNAL" || h.log.Len() > 0 {
				t.Fatalf("%s: %s %s", body, a.body, h.log.String())
			}
		}
		h.calls = h.calls[:0]
	})
}

// No head and no address make the handler panic, and by GET nothing is changed.
func FuzzTransport(f *testing.F) {
	const form, text = "multipart/form-data; boundary=b", "application/json"
	for _, seed := range [][5]string{
		{"GET", "query={me{id}}", "", "", ""},
		{"GET", `query=query($s:AvatarSize!){me{avatar{url(size:$s)}}}&variables={"s":"SMALL"}&operationName=&extensions={}`, "*/*", "", ""},
		{"GET", "query=mutation{logout{ended}}", "application/*;q=0.5, text/html", "", ""},
		{"GET", "documentId=sha256:" + hashOf(known), "", "", ""},
		{"GET", `extensions={"persistedQuery":{"version":1,"sha256Hash":"` + hashOf(known) + `"}}&query=%7Bme%7Bid%7D%7D;a`, "", "", ""},
		{"POST", "query={me{id}}", "application/graphql-response+json;charset=utf-8", text + `;charset="utf-8"`, operation(`{me{id}}`)},
		{"POST", "", mediaResponse.header, text, `{"documentId":"` + hashOf(known) + `","extensions":{"persistedQuery":{"version":1}}}`},
		{"POST", "", "", form, "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{}\r\n--b--"},
		{"POST", "", "", `multipart/form-data; boundary*0=b; boundary*1=c`, "--bc--"},
		{"PUT", "%zz", ";q=,", "text/plain", "x"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	h := start(Options{Introspection: true})
	f.Fuzz(func(t *testing.T, method, query, accept, contentType, body string) {
		r := newRequest("POST", "/graphql", body, "Accept", accept, "Content-Type", contentType)
		r.Method, r.URL.RawQuery = method, query
		a := h.send(t, r)
		for _, call := range h.calls {
			if method != http.MethodPost && !slices.Contains([]string{"me", "sessions", "audit", "consents", "export"}, call) {
				t.Fatalf("%s ?%s: %s", method, query, call)
			}
		}
		h.calls = h.calls[:0]
		if a.code() == "INTERNAL" || h.log.Len() > 0 || !h.idle() || a.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %v %s %s", a.StatusCode, a.Header, a.body, h.log.String())
		}
	})
}

func BenchmarkUpload(b *testing.B) {
	h := start(Options{})
	h.user = &auth.User{}
	body, contentType := form(operations, paths, part{"f", "a.png", strings.Repeat("x", 1<<20)})
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest("POST", "/", body, "Content-Type", contentType))
		if w.Code != 200 {
			b.Fatal(w.Body.String())
		}
	}
}
