package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	gqlparser "github.com/vektah/gqlparser/v2"
)

const meAll = `{ me { __typename id version nickname avatar { url small: url(size: SMALL) status } gender birthday
	region { country province city } preferences identities { appId openid } createdAt updatedAt } }`

func TestMe(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	a := h.post(t, operation(meAll), "Authorization", "bearer  the.token ")
	want := `{"data":{"me":{"__typename":"User","id":"u1","version":3,"nickname":"Ada \"\\\n\u0001 李 <&>","avatar":null,` +
		`"gender":null,"birthday":null,"region":null,"preferences":{"a":1.50},"identities":[{"appId":"app","openid":"open"}],` +
		`"createdAt":"2026-11-22T01:30:00.123Z","updatedAt":"0001-01-01T00:00:00.000Z"}}}` + "\n"
	if a.body != want || a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("%d %s\n got %s\nwant %s", a.StatusCode, a.Header, a.body, want)
	}
	if h.token != "the.token" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("token %q, %v", h.token, a.Header)
	}
	a = h.post(t, operation(`{ me { sessions { id } audit { event sessionId fields } } }`))
	if want := `{"data":{"me":{"sessions":[],"audit":[{"event":"LOGGED_IN","sessionId":null,"fields":[]}]}}}` + "\n"; a.body != want {
		t.Error(a.body)
	}
}

// A plan answers as gqlgen does, which carries out what has a directive.
func TestPlan(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	country, gender, avatar := "中国", auth.GenderOther, &auth.Avatar{Status: auth.AvatarAccepted}
	full := *h.user
	full.Gender, full.Region, full.Avatar = &gender, &auth.Region{Country: &country}, avatar
	full.Phone, full.OtherAccounts = &auth.Phone{CountryCode: "86", Number: "13800138000"}, []string{"u2", "u3"}
	full.Identities = append(full.Identities, auth.Identity{})
	bare := &auth.User{Preferences: json.RawMessage(`{}`)}
	for _, selection := range []string{
		strings.TrimSuffix(strings.TrimPrefix(meAll, "{ me {"), "} }"), `id`, `a: id b: id id`, `region { city } region { country }`, `phone { number } otherAccounts phone { countryCode }`,
		`...F ... on User { x: nickname } ... { gender }`, `avatar { ...A } avatar { s: url(size: SMALL) }`,
	} {
		fragments := ""
		if strings.Contains(selection, "...F") {
			fragments += ` fragment F on User { identities { openid } id }`
		}
		if strings.Contains(selection, "...A") {
			fragments += ` fragment A on Avatar { __typename url status }`
		}
		for _, u := range []*auth.User{&full, bare, nil} {
			for _, err := range []error{nil, auth.ErrUnauthenticated} {
				h.user, h.err = u, err
				if u == nil && err == nil {
					continue // the core gives one of the two
				}
				planned := h.post(t, operation(`{ it: me { `+selection+` } }`+fragments))
				plain := h.post(t, operation(`{ it: me @include(if: true) { `+selection+` } }`+fragments))
				if got, want := scrub(planned), scrub(plain); got != want {
					t.Errorf("%s\n got %s\nwant %s", selection, got, want)
				}
			}
		}
	}
	c := newChecker(false)
	schema := c.schema.Types["User"]
	for _, f := range schema.Fields {
		text := f.Name
		if of := c.schema.Types[f.Type.Name()]; len(of.Fields) > 0 {
			text += "{"
			for _, f := range of.Fields {
				text += " " + f.Name
			}
			text += "}"
		}
		key, _ := json.Marshal("{me{" + text + "}}")
		d, faults := c.check(key)
		if faults != nil {
			t.Fatalf("%s: %v", text, faults)
		}
		if d.plans[d.ast.Operations[0]] == nil && costs[f.Name] < 20 {
			t.Errorf("%s has no plan, and does not cost as what needs a call of its own", text)
		}
	}
}

// A planned mutation gives the core what gqlgen would give it, and answers as that does.
func TestPlannedMutations(t *testing.T) {
	t.Parallel()
	const user = `user { id nickname avatar { url } createdAt }`
	const tokens = `tokens { __typename accessToken accessTokenExpiresAt refreshToken r: refreshTokenExpiresAt }`
	for _, c := range []struct{ head, field, arguments, selection, variables string }{
		{``, `login`, `(input: {code: "c"})`, `created ` + user + tokens, `{}`},
		{`($in: LoginInput!)`, `login`, `(input: $in)`, tokens, `{"in": {"code": "c", "requestId": "r", "appId": null}}`},
		{`($in: LoginInput! = {code: "d"})`, `login`, `(input: $in)`, user, `{}`},
		{`($code: String!, $device: String)`, `login`, `(input: {code: $code, device: $device})`, `...L`, `{"code": "c"}`},
		{``, `refreshSession`, `(input: {refreshToken: "r"})`, `__typename ` + tokens, `{}`},
		{`($in: RefreshSessionInput!)`, `refreshSession`, `(input: $in)`, tokens, `{"in": {"refreshToken": "s"}}`},
		{``, `updateProfile`, `(input: {nickname: null, gender: OTHER, preferences: {n: 1.50, l: [2]}})`, user, `{}`},
		{`($in: UpdateProfileInput!)`, `updateProfile`, `(input: $in)`, user, `{"in": {
			"nickname": "n", "gender": null, "birthday": "2001-02-03", "region": {"country": "CN", "city": null},
			"preferences": {"n": 1.50}, "ifVersion": 3, "consent": {"purpose": "p", "policyVersion": "1", "scopes": ["NICKNAME", "GENDER"]}}}`},
		{`($in: UpdateProfileInput!)`, `updateProfile`, `(input: $in)`, user, `{"in": {}}`},
		{`($n: Int, $g: Gender = FEMALE)`, `updateProfile`, `(input: {ifVersion: $n, gender: $g})`, user, `{"n": null}`},
	} {
		fragments := ""
		if strings.Contains(c.selection, "...L") {
			fragments = ` fragment L on LoginPayload { created user { id } }`
		}
		text := func(directive string) string {
			return `mutation M` + c.head + ` { it: ` + c.field + c.arguments + directive + ` { ` + c.selection + ` } }` + fragments
		}
		key, _ := json.Marshal(text(""))
		checker := newChecker(false)
		if d, faults := checker.check(key); faults != nil || d.plans[d.ast.Operations[0]] == nil {
			t.Errorf("%s has no plan: %v", key, faults)
		}
		for _, err := range []error{nil, auth.ErrUnauthenticated, auth.ErrConflict, &auth.InvalidError{Field: "code", Reason: "empty"}} {
			ask := func(directive string) (string, *fake) {
				h := start(Options{})
				h.err = err
				body, _ := json.Marshal(map[string]any{"query": text(directive), "variables": json.RawMessage(c.variables)})
				return scrub(h.post(t, string(body), "Authorization", "Bearer the.token")), h.fake
			}
			got, planned := ask("")
			want, plain := ask(" @include(if: true)")
			if got != want {
				t.Errorf("%s\n got %s\nwant %s", key, got, want)
			}
			if !slices.Equal(planned.calls, plain.calls) || !reflect.DeepEqual(planned.login, plain.login) ||
				!reflect.DeepEqual(planned.input, plain.input) || planned.token != plain.token || len(planned.calls) != 1 {
				t.Errorf("%s: the core got %+v, want %+v", key, planned, plain)
			}
		}
	}
}

func scrub(a reply) string {
	return strings.ReplaceAll(a.body, a.Header.Get("X-Request-Id"), "ID")
}

// Each error of the core has a code; whoever adds one adds it here too.
func TestFaults(t *testing.T) {
	t.Parallel()
	codes := map[string]struct {
		err        error
		code       string
		retryAfter any
	}{
		"ErrUnauthenticated": {auth.ErrUnauthenticated, "UNAUTHENTICATED", nil},
		"ErrCodeRejected":    {auth.ErrCodeRejected, "LOGIN_CODE_REJECTED", nil},
		"ErrBlocked":         {auth.ErrBlocked, "ACCOUNT_BLOCKED", nil},
		"ErrConflict":        {auth.ErrConflict, "CONFLICT", nil},
		"ErrRateLimited":     {auth.ErrRateLimited, "RATE_LIMITED", 60.0},
		"ErrUpstream":        {auth.ErrUpstream, "UPSTREAM_UNAVAILABLE", 1.0},
		"ErrReadOnly":        {auth.ErrReadOnly, "READ_ONLY", 30.0},
		"ErrMisconfigured":   {auth.ErrMisconfigured, "UPSTREAM_MISCONFIGURED", nil},
		"ErrNotSent":         {errors.Join(auth.ErrUpstream, auth.ErrNotSent), "UPSTREAM_UNAVAILABLE", 1.0},
		"ours, and not sent": {errors.Join(errors.New("record has another form"), auth.ErrNotSent), "INTERNAL", nil},
		"ErrContentRejected": {&auth.FieldError{Field: "nickname", Err: auth.ErrContentRejected}, "CONTENT_REJECTED", nil},
		"ErrConsentRequired": {&auth.FieldError{Field: "phone", Err: auth.ErrConsentRequired}, "CONSENT_REQUIRED", nil},
		"ErrLogInAgain":      {fmt.Errorf("%w: %w", auth.ErrUnauthenticated, auth.ErrLogInAgain), "UNAUTHENTICATED", nil},
		"ErrDeletionPending": {fmt.Errorf("%w: %w", auth.ErrUnauthenticated, auth.ErrDeletionPending), "UNAUTHENTICATED", nil},
		"ErrSealed":          {fmt.Errorf("%w: %w", auth.ErrUnauthenticated, auth.ErrSealed), "UNAUTHENTICATED", nil}, // and logged
		// The core deals with these itself; if one slips through, nobody is told.
		"ErrTokenRejected":   {auth.ErrTokenRejected, "INTERNAL", nil},
		"ErrSessionKeyStale": {auth.ErrSessionKeyStale, "INTERNAL", nil},
		"ErrNotSeen":         {auth.ErrNotSeen, "INTERNAL", nil},
		"ErrTicketRejected":  {auth.ErrTicketRejected, "INTERNAL", nil},
		"ErrNotAuthorized":   {auth.ErrNotAuthorized, "INTERNAL", nil},
		"ErrPushRejected":    {auth.ErrPushRejected, "BAD_REQUEST", nil},
		"ErrNotFound":        {auth.ErrNotFound, "NOT_FOUND", nil},
		"canceled":           {context.Canceled, "UPSTREAM_UNAVAILABLE", nil},
		"deadline":           {context.DeadlineExceeded, "UPSTREAM_UNAVAILABLE", 1.0},
		"both":               {fmt.Errorf("%w: %w", auth.ErrUpstream, context.DeadlineExceeded), "UPSTREAM_UNAVAILABLE", 1.0},
		"later":              {&auth.LaterError{Err: auth.ErrRateLimited, After: 1500 * time.Millisecond}, "RATE_LIMITED", 2.0},
		"soon":               {&auth.LaterError{Err: auth.ErrUpstream, After: time.Millisecond}, "UPSTREAM_UNAVAILABLE", 1.0},
		"invalid":            {&auth.InvalidError{Field: "code", Reason: "empty"}, "BAD_USER_INPUT", nil},
		"unknown":            {errors.New("disk on fire"), "INTERNAL", nil},
	}
	file, err := parser.ParseFile(token.NewFileSet(), "../auth/errors.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			name := v.Names[0].Name
			if _, ok := codes[name]; !ok && strings.HasPrefix(name, "Err") { // and no local variable
				t.Errorf("%s has no code", name)
			}
		}
		return true
	})
	for name, want := range codes {
		for _, query := range []string{`mutation { login(input: {code: "c"}) { created } }`, `{ me { id } }`} {
			h := start(Options{})
			h.err = fmt.Errorf("operation: %w", want.err)
			a := h.post(t, operation(query))
			e := a.Errors[0]
			if a.StatusCode != 200 || a.code() != want.code || e.Extensions["retryAfter"] != want.retryAfter || len(e.Path) != 1 || len(e.Locations) != 1 || a.Data == nil {
				t.Errorf("%s: %d %s", name, a.StatusCode, a.body)
			}
			hints := map[string]any{"ErrLogInAgain": "LOG_IN_AGAIN", "ErrDeletionPending": "DELETION_PENDING"}
			if hint := e.Extensions["hint"]; hint != hints[name] {
				t.Errorf("%s: hint %v", name, hint)
			}
			logged := strings.Count(h.log.String(), "msg=")
			if silent := !slices.Contains([]string{"INTERNAL", "UPSTREAM_UNAVAILABLE", "UPSTREAM_MISCONFIGURED"}, want.code) && name != "ErrSealed" || name == "canceled"; silent != (logged == 0) || logged > 1 {
				t.Errorf("%s: log: %s", name, h.log.String())
			}
			if name == "ErrMisconfigured" && !strings.Contains(h.log.String(), "miniprofile check") {
				t.Errorf("%s: log: %s", name, h.log.String())
			}
			if name == "unknown" && (strings.Contains(a.body, "fire") || !strings.Contains(h.log.String(), "fire") ||
				!strings.Contains(h.log.String(), a.Header.Get("X-Request-Id"))) {
				t.Errorf("%s: %s %s", name, a.body, h.log.String())
			}
		}
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	for _, query := range []string{`{ me { id } }`, `{ me { id sessions { id } } }`, `mutation { logout { ended } }`, `{ a: me { id } b: me { id } }`} {
		h := start(Options{})
		h.panic = "a secret value"
		a := h.post(t, operation(query))
		log := h.log.String()
		if a.code() != "INTERNAL" || strings.Contains(a.body+log, "secret") || !strings.Contains(log, "fake).called") ||
			strings.Count(log, "msg=") != 1 || !strings.Contains(log, a.Header.Get("X-Request-Id")) {
			t.Errorf("%s\n%s", a.body, log)
		}
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	const me, login = `{me{id}}`, `mutation($i: LoginInput!){login(input:$i){created}}`
	update := `mutation($i: UpdateProfileInput!){updateProfile(input:$i){user{id}}}`
	for _, c := range []struct {
		name, body  string
		status      int // under application/json
		strict      int // under application/graphql-response+json
		code, field string
	}{
		{"me", operation(me), 200, 200, "", ""},
		{"null variables", operation(me, `null`), 200, 200, "", ""},
		{"unknown members", `{"x":{"y":["]}"]},"query":"{me{id}}","z":1}`, 200, 200, "", ""},
		{"escapes", `{"\u0071uery":"{me\u007bid}}"}`, 200, 200, "", ""},
		{"operationName", `{"query":"query A{me{id}} query B{me{id}}","operationName":"B"}`, 200, 200, "", ""},

		{"empty", ``, 400, 400, "BAD_REQUEST", ""},
		{"no JSON", `{"query"`, 400, 400, "BAD_REQUEST", ""},
		{"trailing", operation(me) + `x`, 400, 400, "BAD_REQUEST", ""},
		{"comma", `{"query":"{me{id}}",}`, 400, 400, "BAD_REQUEST", ""},
		{"bad extension", `{"query":"{me{id}}","x":{"a":tru}}`, 400, 400, "BAD_REQUEST", ""},
		{"bad escape", `{"query":"\x"}`, 400, 400, "BAD_REQUEST", ""},
		{"bad variables", `{"query":"{me{id}}","variables":{"a":}}`, 400, 400, "BAD_REQUEST", ""},
		{"UTF-8", "{\"query\":\"{me{id}}\xff\"}", 400, 400, "BAD_REQUEST", ""},
		{"batch", `[` + operation(me) + `]`, 400, 400, "BAD_REQUEST", ""},
		{"string", `"x"`, 400, 400, "BAD_REQUEST", ""},
		{"no query", `{}`, 400, 400, "BAD_REQUEST", ""},
		{"null query", `{"query":null}`, 400, 400, "BAD_REQUEST", ""},
		{"number query", `{"query":1}`, 400, 400, "BAD_REQUEST", ""},
		{"variables", operation(me, `[]`), 400, 400, "BAD_REQUEST", ""},
		{"operationName type", `{"query":"{me{id}}","operationName":1}`, 400, 400, "BAD_REQUEST", ""},
		{"extensions", `{"query":"{me{id}}","extensions":"x"}`, 400, 400, "BAD_REQUEST", ""},
		{"large", operation(me + strings.Repeat(" ", MaxBody)), 413, 413, "PAYLOAD_TOO_LARGE", ""},

		{"empty query", `{"query":""}`, 200, 400, "GRAPHQL_PARSE_FAILED", ""},
		{"parse", operation(`{`), 200, 400, "GRAPHQL_PARSE_FAILED", ""},
		{"tokens", operation(`{me{` + strings.Repeat("id ", MaxTokens) + `}}`), 200, 400, "GRAPHQL_PARSE_FAILED", ""},
		{"field", operation(`{you{id}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"operation", `{"query":"{me{id}}","operationName":"X"}`, 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"which operation", operation(`query A{me{id}} query B{me{id}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"subscription", operation(`subscription{me{id}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"schema", operation(`{__schema{types{name}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"defer", operation(`{me{...@defer{id}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"literal", operation(`mutation{login(input:{code:5}){created}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"upload literal", operation(`mutation{updateProfile(input:{avatar:"x"}){user{id}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"JSON literal", operation(`mutation{updateProfile(input:{preferences:[1]}){user{id}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},
		{"JSON variable", operation(`mutation($x:Int){updateProfile(input:{preferences:{a:$x}}){user{id}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},

		{"large literal", operation(`mutation{updateProfile(input:{ifVersion:2147483648}){user{id}}}`), 200, 400, "GRAPHQL_VALIDATION_FAILED", ""},

		{"missing variable", operation(login), 200, 400, "BAD_USER_INPUT", ""},
		{"null variable", operation(login, `{"i":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null for @skip", operation(`query($b:Boolean=true){me{id @skip(if:$b)}}`, `{"b":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null for @include, in a fragment", operation(`query($b:Boolean=true){me{...F}}fragment F on User{id @include(if:$b)}`, `{"b":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null for an argument that has a default", operation(`query($s:AvatarSize){me{avatar{url(size:$s)}}}`, `{"s":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"nothing for an argument that has a default", operation(`query($s:AvatarSize){me{avatar{url(size:$s)}}}`), 200, 200, "", ""},
		{"null for a variable that has a default", operation(`mutation($i:LoginInput={code:"c"}){login(input:$i){created}}`, `{"i":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null for a field, by a variable", operation(`mutation($c:String="c"){login(input:{code:$c}){created}}`, `{"c":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null in a list, by a variable", operation(`mutation($s:ConsentScope=PHONE){withdrawConsent(input:{scopes:[$s]}){user{id}}}`, `{"s":null}`), 200, 400, "BAD_USER_INPUT", ""},
		{"null where it may be", operation(`mutation($n:String="n"){updateProfile(input:{nickname:$n}){user{id}}}`, `{"n":null}`), 200, 200, "", ""},
		{"null to another operation", `{"query":"query A($b:Boolean=true){me{id @skip(if:$b)}} mutation B($b:Boolean){logout(input:{everywhere:$b}){ended}}","operationName":"B","variables":{"b":null}}`, 200, 200, "", ""},
		{"variable type", operation(login, `{"i":"x"}`), 200, 400, "BAD_USER_INPUT", ""},
		{"missing field", operation(login, `{"i":{}}`), 200, 400, "BAD_USER_INPUT", "code"},
		{"null field", operation(login, `{"i":{"code":null}}`), 200, 400, "BAD_USER_INPUT", "code"},
		{"field type", operation(login, `{"i":{"code":{"a":1}}}`), 200, 400, "BAD_USER_INPUT", "code"},
		{"unknown field", operation(login, `{"i":{"code":"c","x":1}}`), 200, 400, "BAD_USER_INPUT", ""},
		{"enum", operation(update, `{"i":{"gender":"female"}}`), 200, 400, "BAD_USER_INPUT", "gender"},
		{"integer", operation(update, `{"i":{"ifVersion":1.5}}`), 200, 400, "BAD_USER_INPUT", "ifVersion"},
		{"large integer", operation(update, `{"i":{"ifVersion":2147483648}}`), 200, 400, "BAD_USER_INPUT", "ifVersion"},
		{"integer string", operation(update, `{"i":{"ifVersion":"1"}}`), 200, 400, "BAD_USER_INPUT", "ifVersion"},
		{"JSON", operation(update, `{"i":{"preferences":"{}"}}`), 200, 400, "BAD_USER_INPUT", "preferences"},
		{"upload", operation(update, `{"i":{"avatar":"x"}}`), 200, 400, "BAD_USER_INPUT", "avatar"},
		{"inner field", operation(update, `{"i":{"region":{"city":1}}}`), 200, 400, "BAD_USER_INPUT", "region"},
		{"boolean", operation(`mutation($e: Boolean){logout(input:{everywhere:$e}){ended}}`, `{"e":"true"}`), 200, 400, "BAD_USER_INPUT", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for accept, status := range map[string]int{"application/json": c.status, "application/graphql-response+json": c.strict} {
				h := start(Options{})
				a := h.post(t, c.body, "Accept", accept)
				field := any("")
				if len(a.Errors) > 0 && a.Errors[0].Extensions["field"] != nil {
					field = a.Errors[0].Extensions["field"]
				}
				if a.StatusCode != status || a.code() != c.code || field != c.field || a.Header.Get("Content-Type") != accept+"; charset=utf-8" {
					t.Errorf("%d %s %s", a.StatusCode, a.Header.Get("Content-Type"), a.body)
				}
				if c.code != "" && (a.Data != nil || len(h.calls) > 0 || h.log.Len() > 0) {
					t.Errorf("%s, calls %v, log %s", a.body, h.calls, h.log.String())
				}
			}
		})
	}
}

// What is missing or too much is named, but not in words of the client's.
func TestInputMessages(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		operation(`mutation($input: LoginInput!){login(input:$input){created}}`):                          `missing: the variable "input" is a LoginInput!`,
		operation(`mutation($secret5: LoginInput!){login(input:$secret5){created}}`):                      `missing: the variable "…" is a LoginInput!`,
		operation(`mutation($i: LoginInput!){login(input:$i){created}}`, `{"i":{}}`):                      `missing: code of LoginInput is a String!`,
		operation(`mutation($i: LoginInput!){login(input:$i){created}}`, `{"i":{"code":"","secret5":1}}`): `LoginInput does not have such a field, but code, requestId, appId, device`,
	} {
		if a := start(Options{}).post(t, body); len(a.Errors) != 1 || a.Errors[0].Message != want {
			t.Errorf("%s: got %s", body, a.body)
		}
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method, target, contentType, body string
		status                                  int
		code                                    string
	}{
		{"get", "GET", "/?query={me{id}}", "", "", 200, ""},
		{"get variables", "GET", `/?query=query($s:AvatarSize!){me{avatar{url(size:$s)}}}&variables={"s":"SMALL"}&extensions={}`, "", "", 200, ""},
		{"get mutation", "GET", "/?query=mutation{logout{ended}}", "", "", 405, "METHOD_NOT_ALLOWED"},
		{"get nothing", "GET", "/", "", "", 400, "BAD_REQUEST"},
		{"get escape", "GET", "/?query=%zz", "", "", 400, "BAD_REQUEST"},
		{"get UTF-8", "GET", "/?query=%ff", "", "", 400, "BAD_REQUEST"},
		{"get bad variables", "GET", "/?query={me{id}}&variables=1", "", "", 400, "BAD_REQUEST"},
		{"get broken variables", "GET", "/?query={me{id}}&variables={", "", "", 400, "BAD_REQUEST"},
		{"put", "PUT", "/", "application/json", operation(`{me{id}}`), 405, "METHOD_NOT_ALLOWED"},
		{"no type", "POST", "/", "", operation(`{me{id}}`), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"text", "POST", "/", "text/plain", operation(`{me{id}}`), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"form", "POST", "/", "application/x-www-form-urlencoded", "query={me{id}}", 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"charset", "POST", "/", "application/json; charset=latin1", operation(`{me{id}}`), 415, "UNSUPPORTED_MEDIA_TYPE"},
		{"utf-8", "POST", "/", `Application/JSON; charset="UTF-8"`, operation(`{me{id}}`), 200, ""},
		{"no boundary", "POST", "/", "multipart/form-data", "", 415, "UNSUPPORTED_MEDIA_TYPE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := start(Options{})
			r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
			_, r.URL.RawQuery, _ = strings.Cut(c.target, "?")
			r.Header.Set("Content-Type", c.contentType)
			a := h.send(t, r)
			if a.StatusCode != c.status || a.code() != c.code || c.code != "" && (a.Data != nil || len(h.calls) > 0) {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			if (c.status == 405) != (a.Header.Get("Allow") != "") {
				t.Error(a.Header)
			}
		})
	}
	h := start(Options{})
	if a := h.post(t, operation(`{me{id}}`), "Content-Encoding", "gzip"); a.StatusCode != 415 {
		t.Error(a.StatusCode)
	}
}

func TestAccept(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	const old, strict, none = "application/json; charset=utf-8", "application/graphql-response+json; charset=utf-8", ""
	for accept, want := range map[string]string{
		"":                                  old,
		"*/*":                               old,
		"application/*":                     old,
		"application/graphql-response+json": strict,
		"application/graphql-response+json, application/json":                strict,
		"application/json, application/graphql-response+json; charset=utf-8": strict,
		"application/graphql-response+json;q=0.5, application/json":          old,
		"application/json;q=0.5, */*;q=0.1":                                  old,
		"application/json;q=0, */*":                                          strict,
		"APPLICATION/JSON":                                                   old,
		"text/html, */*;q=0.8":                                               old,
		"text/html":                                                          none,
		"application/json; charset=latin1":                                   none,
		"application/json;q=0":                                               none,
		"application/json;q=x":                                               none,
		"application/graphql-response+json;q=0.9,application/json;q=0.8,*/*;q=0.7": strict,
	} {
		r := newRequest("POST", "/", operation(`{me{id}}`), "Content-Type", "application/json")
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		a := h.send(t, r)
		if want == none {
			if a.StatusCode != 406 || a.code() != "NOT_ACCEPTABLE" {
				t.Errorf("%q: %d %s", accept, a.StatusCode, a.body)
			}
		} else if got := a.Header.Get("Content-Type"); got != want {
			t.Errorf("%q: %s", accept, got)
		}
	}
}

func TestUpdateProfile(t *testing.T) {
	t.Parallel()
	const query = `mutation($i: UpdateProfileInput!){updateProfile(input:$i){user{id}}}`
	h := start(Options{})
	h.post(t, operation(query, `{"i":{"nickname":null,"gender":"MALE","region":{"city":"x"},"preferences":{"b": 1.50, "a":[1e400,"<"]},"ifVersion":2.0}}`))
	in := h.input
	if !in.Nickname.Given || in.Nickname.To != nil || in.Birthday.Given || in.Avatar.Given || *in.Gender.To != auth.GenderMale ||
		*in.Region.To.City != "x" || in.Region.To.Country != nil || *in.IfVersion != 2 {
		t.Errorf("%+v", in)
	}
	if got := string(*in.Preferences.To); got != `{"b": 1.50, "a":[1e400,"<"]}` {
		t.Error(got)
	}
	// The same, in the document and as a default.
	const text = `{b: 1.50, a: [1e300, 1234567890123456789, "<", true, null]}`
	for _, query := range []string{
		`mutation{updateProfile(input:{preferences:` + text + `, nickname: null}){user{id}}}`,
		`mutation($p: JSON = ` + text + `){updateProfile(input:{preferences:$p, nickname: null}){user{id}}}`,
	} {
		a := h.post(t, operation(query))
		if a.code() != "" || !h.input.Nickname.Given || string(*h.input.Preferences.To) != `{"a":[1e300,1234567890123456789,"<",true,null],"b":1.50}` {
			t.Errorf("%s %+v", a.body, h.input)
		}
	}
	h.post(t, operation(query, `{"i":{"preferences":null,"avatar":null}}`))
	if in := h.input; !in.Preferences.Given || in.Preferences.To != nil || !in.Avatar.Given || in.Avatar.To != nil || in.Nickname.Given {
		t.Errorf("%+v", in)
	}
	for variables, want := range map[string]string{`{}`: "logout false false", `{"i":{"everywhere":true}}`: "logout false true", `{"i":{"sessionId":7}}`: "logout true false"} {
		h.post(t, operation(`mutation($i: LogoutInput){logout(input:$i){ended}}`, variables))
		if got := h.calls[len(h.calls)-1]; got != want {
			t.Errorf("%s: %s", variables, got)
		}
	}
}

// The inputs of all that concerns WeChat reach the core as they were meant.
func TestWeChatMutations(t *testing.T) {
	t.Parallel()
	h := start(Options{})
	for text, want := range map[string]string{
		`bindPhoneNumber(input: {code: null}) { user { id } }`:                                                 "bind true false false",
		`bindPhoneNumber(input: {code: "c", move: true}) { user { id } }`:                                      "bind true true true",
		`bindPhoneNumber(input: {encryptedData: "e", iv: "i"}) { user { id } }`:                                "bind false false false",
		`importWeChatProfile(input: {rawData: "r"}) { user { id } }`:                                           "import false",
		`importWeChatProfile(input: {overwrite: true}) { user { id } }`:                                        "import true",
		`recordConsent(input: {consent: {scopes: [PHONE], purpose: "p", policyVersion: "1"}}) { user { id } }`: "record {Scopes:[PHONE] Purpose:p PolicyVersion:1}",
		`withdrawConsent(input: {scopes: [NICKNAME, AVATAR]}) { user { id } }`:                                 "withdraw [NICKNAME AVATAR]",
		`mergeAccount(input: {code: "c"}) { merged }`:                                                          "merge c",
		`deleteAccount(input: {code: "c"}) { erasedAt }`:                                                       "delete c",
	} {
		a := h.post(t, operation(`mutation { `+text+` }`), "Authorization", "Bearer token-1")
		if got := h.calls[len(h.calls)-1]; a.code() != "" || got != want || h.token != "token-1" {
			t.Errorf("%s: %s, %s", text, got, a.body)
		}
	}
	a := h.post(t, operation(`{ me { export consents { scope withdrawnAt } } }`))
	if want := `{"me":{"export":{"id":"u1"},"consents":[{"scope":"PHONE","withdrawnAt":null}]}}`; string(a.Data) != want {
		t.Errorf("got %s", a.Data)
	}
	h.err = &auth.FieldError{Field: "phone", Err: auth.ErrConsentRequired}
	a = h.post(t, operation(`mutation { bindPhoneNumber(input: {code: "c"}) { user { id } } }`))
	if a.code() != "CONSENT_REQUIRED" || a.Errors[0].Extensions["field"] != "phone" {
		t.Errorf("got %s", a.body)
	}
}

// A secret in a wrong place stays there.
func TestSecretsAreNotEchoed(t *testing.T) {
	t.Parallel()
	const s = "SeCrEt0123456789"
	bodies := []string{
		s, `{"` + s + `"`, `"` + s + `"`, `{"query":"` + s + `"}`, `{"query":5,"x":"` + s + `"}`, `{"query":{"a":"` + s + `"}}`,
		`{"query":"{me{id}}","operationName":"` + s + `"}`, `{"query":"{me{id}}","operationName":{"` + s + `":1}}`,
		`{"query":"{me{id}}","variables":"` + s + `"}`, `{"query":"{me{id}}","variables":{"` + s + `"}`, `{"query":"\x` + s + `"}`,
		operation(`{me{id}}`, `{"`+s+`":"`+s+`"}`), `{"` + s + `":1,"query":"{me{id}}"}`,
	}
	for _, q := range []string{
		`{` + s + `}`, `{me{` + s + `}}`, `{me{id{` + s + `}}}`, `{me(` + s + `:1){id}}`, `{me{avatar{url(size:` + s + `)}}}`, `{me{avatar{url(size:"` + s + `")}}}`,
		`{me{avatar{url(` + s + `:1)}}}`, `{me @` + s + `{id}}`, `{me @skip(if:"` + s + `"){id}}`, `{me @skip(if:true,` + s + `:1){id}}`, `{me{...` + s + `}}`, `{me{...on ` + s + `{id}}}`,
		`fragment ` + s + ` on User{id} {me{id}}`, `fragment ` + s + ` on User{...` + s + `} {me{...` + s + `}}`, `query ` + s + `{me{id}} query ` + s + `{me{id}}`,
		`query($` + s + `:Int){me{id}}`, `query($` + s + `:Int,$` + s + `:Int){me{id}}`, `query($x:` + s + `){me{id}}`, `query(` + s + `){me{id}}`, `{me{id}} ` + s, `"` + s + `"`, `{me{id}} """` + s + `"""`, `"` + s,
		`{` + s + `:me{id} ` + s + `:__typename}`, `{me{` + s + `:id ` + s + `:version}}`, `{me{x:avatar{` + s + `:url} x:avatar{` + s + `:status}}}`, `{me{... ` + s + `}`, `# ` + s,
		`mutation{login(input:"` + s + `"){created}}`, `mutation{login(input:{code:` + s + `}){created}}`, `mutation{login(input:{code:{a:"` + s + `"}}){created}}`,
		`mutation{login(input:{code:["` + s + `"]}){created}}`, `mutation{login(input:{` + s + `:1}){created}}`, `mutation{login(input:{code:$` + s + `}){created}}`, `mutation{login(code:"` + s + `"){created}}`,
		`mutation{login(input:{code:"a` + s + `}){created}}`, `mutation{login(input:{code:"x" code:"` + s + `"}){created}}`, `mutation{login{created}} #` + s, `mutation{login(input:{code:"` + s + ` Did you mean \"` + s + `\""},x:1){created}}`,
		`mutation{logout(input:{everywhere:"` + s + `"}){ended}}`, `mutation{logout(input:{sessionId:` + s + `}){ended}}`, `mutation{updateProfile(input:{ifVersion:"` + s + `"}){user{id}}}`,
		`mutation{updateProfile(input:{gender:"` + s + `: found , User"}){user{id}}}`, `mutation{updateProfile(input:{gender:` + s + `}){user{id}}}`, `mutation{updateProfile(input:{avatar:"` + s + `"}){user{id}}}`,
		`mutation{updateProfile(input:{preferences:"` + s + `"}){user{id}}}`, `mutation{updateProfile(input:{preferences:{a:` + s + `}}){user{id}}}`, `mutation{updateProfile(input:{preferences:{a:$` + s + `}}){user{id}}}`,
		`mutation{updateProfile(input:{region:{` + s + `:"x"}}){user{id}}}`, `mutation{updateProfile(input:{region:"` + s + ` found User"}){user{id}}}`, s + `{me{id}}`, `subscription ` + s + `{me{id}}`,
		`query($x:Int="` + s + `"){me @skip(if:$x){id}}`, `query($x:` + s + `=1){me @skip(if:$x){id}}`, `query($x:String="` + s + `"){me @skip(if:$x){id}}`, `{me @skip(if:$` + s + `){id}}`, `{me{id(a:"` + s + `")}}`,
	} {
		bodies = append(bodies, operation(q))
	}
	for _, v := range []string{
		`"` + s + `"`, `{"` + s + `":1}`, `{"code":{"` + s + `":1}}`, `{"code":["` + s + `"]}`, `{"code":"c","appId":{"a":"` + s + `"}}`, `["` + s + `"]`, `{"code":true,"device":"` + s + `"}`,
	} {
		bodies = append(bodies, operation(`mutation($i:LoginInput!){login(input:$i){created}}`, `{"i":`+v+`}`))
	}
	for _, v := range []string{
		`{"gender":"` + s + `"}`, `{"ifVersion":"` + s + `"}`, `{"region":"` + s + `"}`, `{"region":{"` + s + `":1}}`, `{"avatar":"` + s + `"}`, `{"preferences":"` + s + `"}`, `{"nickname":{"a":"` + s + `"}}`,
	} {
		bodies = append(bodies, operation(`mutation($i:UpdateProfileInput!){updateProfile(input:$i){user{id}}}`, `{"i":`+v+`}`))
	}
	for _, introspection := range []bool{false, true} {
		for _, body := range bodies {
			h := start(Options{Introspection: introspection})
			h.err = auth.ErrCodeRejected
			a := h.post(t, body, "Authorization", "Bearer "+s)
			var call Call
			h.Serve(httptest.NewRecorder(), newRequest("POST", "/", body, "Content-Type", "application/json"), &call)
			if strings.Contains(a.body+h.log.String()+fmt.Sprint(a.Header)+call.Operation+call.Code, s) {
				t.Errorf("%s\nbecame %s%s", body, a.body, h.log.String())
			}
			if len(a.Errors) == 0 {
				t.Errorf("no error: %s\n%s", body, a.body)
			}
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	for on, want := range map[bool]string{
		true:  `Cannot query field "…" on type "User". Did you mean "nickname"?`,
		false: `Cannot query field "…" on type "User".`,
	} {
		if got := start(Options{Introspection: on}).post(t, operation(`{me{nicknam}}`)).Errors[0].Message; got != want {
			t.Errorf("%v: %s", on, got)
		}
	}
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	h := start(Options{Introspection: true})
	// What GraphiQL asks for.
	a := h.post(t, operation(`query IntrospectionQuery { __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
		types { ...FullType } directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
		fragment FullType on __Type { kind name description specifiedByURL isOneOf fields(includeDeprecated: true) { name description
		args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields(includeDeprecated: true) { ...InputValue }
		interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
		fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
		fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
		ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } } }`))
	if a.code() != "" || !strings.Contains(a.body, "UpdateProfileInput") || strings.Contains(a.body, `"defer"`) {
		t.Errorf("%.300s", a.body)
	}
}

// The schema is the client's manual: nothing in it goes without saying.
func TestEverythingIsDescribed(t *testing.T) {
	t.Parallel()
	schema := gqlparser.MustLoadSchema(sources...)
	if schema.Description == "" {
		t.Error("the schema is not described")
	}
	for name, of := range schema.Types {
		if of.BuiltIn || strings.HasPrefix(name, "__") {
			continue
		}
		if of.Description == "" {
			t.Errorf("%s is not described", name)
		}
		for _, f := range of.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			if f.Description == "" {
				t.Errorf("%s.%s is not described", name, f.Name)
			}
			for _, a := range f.Arguments {
				if a.Description == "" && a.Name != "input" {
					t.Errorf("%s.%s(%s) is not described", name, f.Name, a.Name)
				}
			}
		}
		for _, v := range of.EnumValues {
			if v.Description == "" {
				t.Errorf("%s.%s is not described", name, v.Name)
			}
		}
	}
	for _, f := range faults {
		if f.Code != "NOT_FOUND" && f.Code != "BAD_REQUEST" && !strings.Contains(schema.Description, f.Code+":") {
			t.Errorf("%s is not described", f.Code)
		}
	}
}

// TestLimitsAreDescribed: the schema says how large a request may be.
func TestLimitsAreDescribed(t *testing.T) {
	t.Parallel()
	description, _, _ := strings.Cut(strings.TrimPrefix(Schema(), `"""`), `"""`)
	description = strings.Join(strings.Fields(description), " ")
	for _, want := range []string{
		fmt.Sprintf("at most %d bytes of JSON", MaxBody), fmt.Sprintf("at most %d tokens and %d levels", MaxTokens, MaxDepth),
		fmt.Sprintf("at most %d root fields, and costs at most %d", MaxRoots, MaxCost),
		fmt.Sprintf("sessions, audit and consents count %d times", costs["sessions"]),
		fmt.Sprintf("preferences %d, export %d", costs["preferences"], costs["export"]),
	} {
		if !strings.Contains(description, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := newCache[*document]()
	put := func(key string) { c.put(key, &document{key: key}, len(key)) }
	for i := range 2 * cacheEntries {
		put(fmt.Sprint(i))
		c.get([]byte("0"))
	}
	if c.order.Len() != cacheEntries || c.get([]byte("0")) == nil || c.get([]byte("1")) != nil || len(c.byKey) != cacheEntries {
		t.Errorf("%d entries", c.order.Len())
	}
	for i := range 100 {
		put(fmt.Sprint(i) + strings.Repeat("x", cacheDocument-10))
	}
	if c.texts > cacheTexts {
		t.Errorf("%d bytes", c.texts)
	}
	before := c.order.Len()
	put(strings.Repeat("y", cacheDocument+1))
	if c.order.Len() != before {
		t.Error("too large a document was kept")
	}
}

// What is asked for is told in words of the schema, whatever a client calls it.
func TestField(t *testing.T) {
	t.Parallel()
	h := start(Options{Introspection: true})
	for query, want := range map[string]string{
		`query Secret { secret: me { id } }`:                          "me",
		`{ a: me { id } b: me { id } }`:                               "me",
		`{ me { id } __typename }`:                                    "me",
		`mutation { a: login(input: {code: "x"}) { created } }`:       "login",
		`{ ...F } fragment F on Query { ... on Query { me { id } } }`: "me",
		`mutation { logout { ended } refreshSession(input: {refreshToken: "x"}) { tokens { accessToken } } }`: "several",
		`{ __schema { queryType { name } } }`: "schema",
		`{ nothing }`:                         "",
	} {
		var call Call
		h.Serve(httptest.NewRecorder(), newRequest("POST", "/", operation(query), "Content-Type", "application/json"), &call)
		if call.Field != want {
			t.Errorf("%s: %q", query, call.Field)
		}
	}
	doc := func(text string) asked {
		key, _ := json.Marshal(text)
		d, faults := h.checker.check(key)
		if faults != nil {
			t.Fatal(faults)
		}
		return d.asks[d.ast.Operations[0]]
	}
	if a := doc(`mutation { a: login(input: {code: "x"}) { created } b: login(input: {code: "y"}) { created } ...F ...F }
		fragment F on Mutation { c: login(input: {code: "z"}) { created } }`); a.logins != 3 {
		t.Errorf("%+v", a)
	}
}

// Each call of the core is watched, planned or not, and nothing else is.
func TestWatch(t *testing.T) {
	t.Parallel()
	var told []string
	type key struct{}
	watch := func(ctx context.Context, field string) (context.Context, func(string)) {
		told = append(told, "+"+field)
		return context.WithValue(ctx, key{}, field), func(code string) { told = append(told, "-"+field+" "+code) }
	}
	h := start(Options{Watch: watch})
	for query, want := range map[string]string{
		`{ me { id } }`:                                      "+Query.me -Query.me ",
		`{ me { id sessions { id } } }`:                      "+Query.me -Query.me  +User.sessions -User.sessions ",
		`mutation { x: logout { ended } }`:                   "+Mutation.logout -Mutation.logout ",
		`mutation { login(input: {code: "c"}) { created } }`: "+Mutation.login -Mutation.login ",
		`{ me @include(if: true) { avatar { status } } }`:    "+Query.me -Query.me ",
	} {
		told = nil
		h.post(t, operation(query))
		if got := strings.Join(told, " "); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	h.err = auth.ErrUnauthenticated
	h.panic = nil
	told = nil
	h.post(t, operation(`{ me { id } }`))
	h.panic = "x"
	h.post(t, operation(`{ me { id } }`))
	h.post(t, operation(`mutation { logout { ended } }`))
	if got, want := strings.Join(told, " "), "+Query.me -Query.me UNAUTHENTICATED +Query.me -Query.me INTERNAL +Mutation.logout -Mutation.logout INTERNAL"; got != want {
		t.Error(got)
	}
}

func TestPostOnly(t *testing.T) {
	t.Parallel()
	h := start(Options{PostOnly: true})
	a := h.send(t, httptest.NewRequest("GET", "/?query={me{id}}", nil))
	if a.code() != "METHOD_NOT_ALLOWED" || a.StatusCode != http.StatusMethodNotAllowed || a.Header.Get("Allow") != "POST" {
		t.Errorf("by GET: %d %s", a.StatusCode, a.body)
	}
	if a := h.post(t, operation(`{me{id}}`)); a.code() != "" {
		t.Errorf("by POST: %s", a.body)
	}
}
