package server

import (
	"bytes"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
)

// form sends a form of createAvatarUpload as wx.uploadFile does.
func (h *harness) form(t testing.TB, path, field string, file []byte) reply {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	w.WriteField("extra", "ignored")
	if file != nil {
		part, _ := w.CreateFormFile(field, "a.png")
		part.Write(file)
	}
	w.Close()
	r := httptest.NewRequest("POST", path, &b)
	r.Header.Set("Content-Type", w.FormDataContentType())
	return h.send(t, r)
}

func TestDirectUpload(t *testing.T) {
	t.Parallel()
	h := start(t)
	access, _ := h.login(t, "ada")
	picture := pngOf(t)
	a := h.ask(t, access, `mutation($i: CreateAvatarUploadInput!) { createAvatarUpload(input: $i) { id url fileField fields { name value } maxBytes } }`,
		map[string]any{"i": map[string]any{"contentType": "image/png", "size": len(picture)}})
	id, url := a.at(t, "createAvatarUpload.id"), a.at(t, "createAvatarUpload.url").(string)
	field := a.at(t, "createAvatarUpload.fileField").(string)
	path := strings.TrimPrefix(url, publicURL)
	for name, row := range map[string]struct {
		reply  reply
		status int
		code   string
	}{
		"no file":    {h.form(t, path, field, nil), 400, "BAD_REQUEST"},
		"too large":  {h.form(t, path, field, append([]byte("x"), picture...)), 400, "BAD_USER_INPUT"},
		"another":    {h.form(t, path[:len(path)-26]+strings.Repeat("a", 26), field, picture), 404, "NOT_FOUND"},
		"no form":    {h.send(t, httptest.NewRequest("POST", path, strings.NewReader("x"))), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"not a POST": {h.send(t, httptest.NewRequest("GET", path, nil)), 405, "METHOD_NOT_ALLOWED"},
	} {
		if row.reply.StatusCode != row.status || row.reply.Errors[0].Extensions.Code != row.code || row.reply.Errors[0].Extensions.RequestID == "" {
			t.Errorf("%s: %d %s", name, row.reply.StatusCode, row.reply.body)
		}
	}
	if a := h.form(t, path, field, picture); a.StatusCode != 204 {
		t.Fatalf("upload: %d %s", a.StatusCode, a.body)
	}
	a = h.ask(t, access, `mutation($i: UpdateProfileInput!) { updateProfile(input: $i) { user { avatar { url } } } }`,
		map[string]any{"i": map[string]any{"avatarUploadId": id}})
	picturePath := strings.TrimPrefix(a.at(t, "updateProfile.user.avatar.url").(string), publicURL)
	if a := h.send(t, httptest.NewRequest("GET", picturePath, nil)); a.StatusCode != 200 || a.Header.Get("Content-Type") != "image/jpeg" {
		t.Errorf("%s: %d", picturePath, a.StatusCode)
	}
	if strings.Contains(h.log.String(), id.(string)) {
		t.Error("the log shows the upload's address, which is a secret")
	}
}
