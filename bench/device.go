package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"time"
)

// device is a client of a soak: a person's, of whom nobody else knows, so that it
// knows what each answer must be.
type device struct {
	*soaking
	number, count int
	attacked      int // how many attacks there were

	conn net.Conn
	r    *bufio.Reader

	id, access, refresh string
	nickname, picture   string // as acknowledged; the path of a picture
}

// patience is far more than any answer takes.
const patience = time.Minute

// step sends the next request of a round of a hundred, and looks at its answer.
func (d *device) step() error {
	at := (d.count + 37*d.number) % 100 // each begins elsewhere
	d.count++
	switch {
	case d.access == "":
		return d.login()
	case at == 99:
		return d.logout()
	case at == 10:
		return d.setPicture()
	case at == 60:
		return d.uploadPicture()
	case at%50 == 30:
		return d.renew()
	case at%20 == 15:
		return d.rename()
	case at%10 == 5:
		return d.look()
	case at%10 == 8:
		return d.attack()
	}
	return d.me()
}

// answered is what GraphQL answers.
type answered struct {
	Data struct {
		Login, RefreshSession struct {
			Tokens struct{ AccessToken, RefreshToken string }
			User   struct{ ID string }
		}
		UpdateProfile      struct{ User person }
		Me                 *person
		Logout             struct{ Ended int }
		CreateAvatarUpload struct {
			ID, URL, FileField string
			Fields             []struct{ Name, Value string }
		}
	}
	Errors []struct{ Extensions struct{ Code string } }
}

type person struct {
	ID, Nickname string
	Avatar       *struct{ URL string }
}

const (
	soakMe      = `query Me { me { id nickname avatar { url } sessions { id } } }`
	soakUpdate  = `mutation Set($input: UpdateProfileInput!) { updateProfile(input: $input) { user { id nickname avatar { url } } } }`
	soakRefresh = `mutation Refresh($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken refreshToken } } }`
	soakUpload  = `mutation Upload($input: CreateAvatarUploadInput!) { createAvatarUpload(input: $input) { id url fileField fields { name value } } }`
)

type input = map[string]any

func (d *device) login() error {
	d.entrance <- struct{}{}
	defer func() { <-d.entrance }()
	var a answered
	n := logins.Add(1)
	err := d.ask(&a, post("", loginQuery, input{"input": input{"code": fmt.Sprintf("soak%s-%d~%d", runID, d.number, n), "requestId": fmt.Sprintf("request-%d", n)}}))
	if err != nil {
		return err
	}
	if d.id == "" {
		d.id = a.Data.Login.User.ID
	}
	d.access, d.refresh = a.Data.Login.Tokens.AccessToken, a.Data.Login.Tokens.RefreshToken
	return d.expect("login", a.Data.Login.User.ID == d.id && d.access != "" && d.refresh != "")
}

func (d *device) me() error {
	var a answered
	if err := d.ask(&a, post(d.access, soakMe, nil)); err != nil {
		return err
	}
	me := a.Data.Me
	return d.expect("me", me != nil && me.ID == d.id && me.Nickname == d.nickname && (me.Avatar == nil) == (d.picture == "") && (me.Avatar == nil || path(me.Avatar.URL) == d.picture))
}

func (d *device) renew() error {
	var a answered
	if err := d.ask(&a, post("", soakRefresh, input{"input": input{"refreshToken": d.refresh}})); err != nil {
		return err
	}
	d.access, d.refresh = a.Data.RefreshSession.Tokens.AccessToken, a.Data.RefreshSession.Tokens.RefreshToken
	return d.expect("refreshSession", d.access != "" && d.refresh != "")
}

func (d *device) rename() error {
	d.nickname = fmt.Sprintf("小明 %d %d", d.number, d.count)
	var a answered
	if err := d.ask(&a, post(d.access, soakUpdate, input{"input": input{"nickname": d.nickname}})); err != nil {
		return err
	}
	return d.expect("nickname", a.Data.UpdateProfile.User.Nickname == d.nickname)
}

// logout ends the session, which is dead at the next request.
func (d *device) logout() error {
	var a answered
	if err := d.ask(&a, post(d.access, `mutation { logout { ended } }`, nil)); err != nil {
		return err
	}
	if err := d.expect("logout", a.Data.Logout.Ended == 1); err != nil {
		return err
	}
	dead := d.access
	d.access, d.refresh = "", ""
	return d.refused(post(dead, meQuery, nil), 200, "UNAUTHENTICATED")
}

// setPicture sends a picture as wx.uploadFile does.
func (d *device) setPicture() error {
	operations, err := json.Marshal(map[string]any{"query": soakUpdate, "variables": input{"input": input{"avatar": nil}}})
	if err != nil {
		return err
	}
	var a answered
	err = d.ask(&a, form("/graphql", d.access, "picture", d.photo, "operations", string(operations), "map", `{"picture":["variables.input.avatar"]}`))
	if err != nil {
		return err
	}
	return d.pictured(&a)
}

// uploadPicture sends a picture as createAvatarUpload says.
func (d *device) uploadPicture() error {
	var a answered
	if err := d.ask(&a, post(d.access, soakUpload, input{"input": input{"contentType": "image/jpeg", "size": len(d.photo)}})); err != nil {
		return err
	}
	upload := a.Data.CreateAvatarUpload
	var fields []string
	for _, f := range upload.Fields {
		fields = append(fields, f.Name, f.Value)
	}
	status, body, err := d.exchange(form(path(upload.URL), "", upload.FileField, d.photo, fields...))
	if err != nil || status != http.StatusNoContent {
		return fmt.Errorf("upload: %d %.300s %w", status, body, err)
	}
	a = answered{}
	if err := d.ask(&a, post(d.access, soakUpdate, input{"input": input{"avatarUploadId": upload.ID}})); err != nil {
		return err
	}
	return d.pictured(&a)
}

func (d *device) pictured(a *answered) error {
	user := a.Data.UpdateProfile.User
	if err := d.expect("avatar", user.ID == d.id && user.Avatar != nil && path(user.Avatar.URL) != d.picture); err != nil {
		return err
	}
	d.picture = path(user.Avatar.URL)
	return nil
}

// look gets the picture of the profile.
func (d *device) look() error {
	if d.picture == "" {
		return d.me()
	}
	status, body, err := d.exchange(get(d.picture))
	if err != nil {
		return err
	}
	return d.expect("picture", status == http.StatusOK && bytes.HasPrefix(body, []byte("\xff\xd8")) && bytes.HasSuffix(body, []byte("\xff\xd9")))
}

func (d *device) expect(what string, right bool) error {
	if !right {
		return fmt.Errorf("%s: the answer is wrong", what)
	}
	return nil
}

// ask sends a request of GraphQL that is to succeed.
func (d *device) ask(a *answered, request []byte) error {
	status, body, err := d.exchange(request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, a); err != nil || status != http.StatusOK || len(a.Errors) > 0 {
		return fmt.Errorf("status %d: %.300s %w", status, body, err)
	}
	return nil
}

// refused sends a request that is to fail with a status, and a code where it
// reaches us.
func (d *device) refused(request []byte, status int, code string) error {
	got, body, err := d.exchange(request)
	if err != nil {
		return err
	}
	var a answered
	if code != "" {
		err = json.Unmarshal(body, &a)
	}
	if err != nil || got != status || code != "" && (len(a.Errors) == 0 || a.Errors[0].Extensions.Code != code) {
		return fmt.Errorf("status %d instead of %d %s: %.300s %w", got, status, code, body, err)
	}
	return nil
}

// exchange sends a request on the device's connection, or on a new one where the
// server closed that.
func (d *device) exchange(request []byte) (status int, body []byte, err error) {
	if err := d.write(request); err != nil {
		return 0, nil, err
	}
	response, err := http.ReadResponse(d.r, nil)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		return 0, nil, err
	}
	if response.Close {
		d.hangUp()
	}
	d.answered.Add(1)
	return response.StatusCode, body, nil
}

func (d *device) write(request []byte) (err error) {
	if d.conn == nil {
		if d.conn, err = net.Dial("tcp", d.server.address); err != nil {
			return err
		}
		d.r = bufio.NewReader(d.conn)
	}
	d.conn.SetDeadline(time.Now().Add(patience))
	_, err = d.conn.Write(request)
	return err
}

func (d *device) hangUp() {
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
}

// attack sends the next of what nobody should send.
func (d *device) attack() error {
	a := attacks[d.attacked%len(attacks)]
	d.attacked++
	if a.status == 0 { // and goes without waiting
		err := d.write([]byte(a.request(d)))
		d.hangUp()
		return err
	}
	err := d.refused([]byte(a.request(d)), a.status, a.code)
	if err != nil {
		return fmt.Errorf("%s: %w", a.name, err)
	}
	return nil
}

// attacks are what nobody should send, and how it is answered: with a status, and
// a code where the request reaches us and not only net/http.
var attacks = []struct {
	name    string
	request func(d *device) string
	status  int
	code    string
}{
	{"nonsense instead of HTTP", text("\x16\x03\x01\x02\x00\r\n\r\n"), 400, ""},
	{"a head that is too long", text("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10)), 0, ""},
	{"half a head", text("POST /graphql HTTP/1.1\r\nHost: x\r\nContent-"), 0, ""},
	{"half a body", text(head("POST", "/graphql", "application/json", 100) + `{"query":`), 0, ""},
	{"half a picture", func(d *device) string {
		whole := form("/graphql", d.access, "picture", d.photo)
		return string(whole[:len(whole)/2])
	}, 0, ""},
	{"a body that is too long", text(head("POST", "/graphql", "application/json", 1<<30)), 413, "PAYLOAD_TOO_LARGE"},
	{"a form that is too long", text(head("POST", "/graphql", "multipart/form-data; boundary=b", 1<<30)), 413, "PAYLOAD_TOO_LARGE"},
	{"a form that is none", text(head("POST", "/graphql", "multipart/form-data; boundary=b", 5) + "hello"), 400, "BAD_REQUEST"},
	{"a body that is no JSON", text(head("POST", "/graphql", "application/json", 5) + "hello"), 400, "BAD_REQUEST"},
	{"a batch", text(head("POST", "/graphql", "application/json", 21) + `[{"query":"{me{id}}"}]`[:21]), 400, "BAD_REQUEST"},
	{"another type", text(head("POST", "/graphql", "text/plain", 5) + "hello"), 415, "UNSUPPORTED_MEDIA_TYPE"},
	{"another method", text("PUT /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), 405, "METHOD_NOT_ALLOWED"},
	{"another answer", text("GET /graphql?query={__typename} HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"), 406, "NOT_ACCEPTABLE"},
	{"a mutation by GET", text("GET /graphql?query=mutation{logout{ended}} HTTP/1.1\r\nHost: x\r\n\r\n"), 405, "METHOD_NOT_ALLOWED"},
	{"a path that is none", text("GET /admin.php HTTP/1.1\r\nHost: x\r\n\r\n"), 404, "NOT_FOUND"},
	{"a picture that is none", text("GET /avatars/aaaaaaaaaaaaaaaaaaaaaaaaaa-512.jpg HTTP/1.1\r\nHost: x\r\n\r\n"), 404, "NOT_FOUND"},
	{"a message of WeChat's that is none", text(head("POST", "/wechat/push/wxsandbox0000000?signature=x&timestamp=1&nonce=1", "application/json", 2) + "{}"), 403, "BAD_REQUEST"},
	{"roots", asked("{" + strings.Repeat("me{id} ", 300) + "}"), 200, "GRAPHQL_VALIDATION_FAILED"},
	{"depth", asked(strings.Repeat("{me", 2000)), 200, "GRAPHQL_PARSE_FAILED"},
	{"one field again and again", asked("{me{" + strings.Repeat("id ", 990) + "}}"), 200, "GRAPHQL_VALIDATION_FAILED"},
	{"never the same", func(d *device) string {
		return string(post("", fmt.Sprintf("query Q%d_%d { me { nothing } }", d.number, d.count), nil))
	}, 200, "GRAPHQL_VALIDATION_FAILED"},
	{"never the same, and good", func(d *device) string {
		return string(post("", fmt.Sprintf("query Q%d_%d { me { id } }", d.number, d.count), nil))
	}, 200, "UNAUTHENTICATED"},
	{"a hash that is unknown", func(d *device) string {
		body := fmt.Sprintf(`{"documentId":"%064x"}`, d.count)
		return head("POST", "/graphql", "application/json", len(body)) + body
	}, 200, "PERSISTED_QUERY_NOT_FOUND"},
	{"a long token", func(*device) string { return string(post(strings.Repeat("t", 900), meQuery, nil)) }, 200, "UNAUTHENTICATED"},
	{"a refresh token that is none", func(*device) string {
		return string(post("", soakRefresh, input{"input": input{"refreshToken": "r1." + strings.Repeat("x", 80)}}))
	}, 200, "UNAUTHENTICATED"},
	{"a code that is used", func(d *device) string {
		return string(post("", loginQuery, input{"input": input{"code": fmt.Sprintf("used~%d-%d", d.number, d.count)}}))
	}, 200, "LOGIN_CODE_REJECTED"},
	{"a name that is too long", func(d *device) string {
		return string(post(d.access, soakUpdate, input{"input": input{"nickname": strings.Repeat("长", 100)}}))
	}, 200, "BAD_USER_INPUT"},
	{"a file that is no picture", func(d *device) string { return badPicture(d, []byte("hello")) }, 200, "BAD_USER_INPUT"},
	{"a picture of 50000 by 50000", func(d *device) string { return badPicture(d, []byte(vastPNG)) }, 200, "BAD_USER_INPUT"},
	{"a picture that ends early", func(d *device) string { return badPicture(d, d.photo[:len(d.photo)/2]) }, 200, "BAD_USER_INPUT"},
}

// vastPNG is the head of a picture that would take 10 GB.
const vastPNG = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xc3\x50\x00\x00\xc3\x50\x08\x06\x00\x00\x00\x00\x00\x00\x00"

func text(t string) func(*device) string { return func(*device) string { return t } }

func asked(document string) func(*device) string { return text(string(post("", document, nil))) }

func badPicture(d *device, picture []byte) string {
	operations, err := json.Marshal(map[string]any{"query": soakUpdate, "variables": input{"input": input{"avatar": nil}}})
	if err != nil {
		panic(err)
	}
	return string(form("/graphql", d.access, "picture", picture, "operations", string(operations), "map", `{"picture":["variables.input.avatar"]}`))
}

// head is that of a request with a body.
func head(method, target, contentType string, length int) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: soak\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", method, target, contentType, length)
}

// form is a request with a file and fields, which are names and values in turn.
func form(target, token, fileField string, file []byte, fields ...string) []byte {
	var b, whole bytes.Buffer
	w := multipart.NewWriter(&b)
	for n := 0; n < len(fields); n += 2 {
		w.WriteField(fields[n], fields[n+1])
	}
	part, err := w.CreateFormFile(fileField, "photo.jpg")
	if err = errors.Join(err, func() error { _, err := part.Write(file); return err }(), w.Close()); err != nil {
		panic(err) // it is written to memory
	}
	whole.WriteString(strings.TrimSuffix(head("POST", target, w.FormDataContentType(), b.Len()), "\r\n"))
	if token != "" {
		fmt.Fprintf(&whole, "Authorization: Bearer %s\r\n", token)
	}
	whole.WriteString("\r\n")
	whole.Write(b.Bytes())
	return whole.Bytes()
}

// path cuts the origin off an address of ours.
func path(address string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(address, "http://"), "/")
	return "/" + rest
}
