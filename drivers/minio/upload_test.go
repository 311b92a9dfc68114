package minio

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// send posts a form as wx.uploadFile does, and returns whether it was taken.
func send(t *testing.T, form drivers.UploadForm, content, contentType string) (ok bool, answer string) {
	t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, name := range slices.Sorted(maps.Keys(form.Fields)) {
		if err := w.WriteField(name, form.Fields[name]); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="` + form.FileField + `"; filename="photo.jpg"`},
		"Content-Type":        {contentType},
	})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(part, content)
	w.Close()
	resp, err := http.Post(form.URL, w.FormDataContentType(), &body)
	if err != nil {
		return false, err.Error() // a service may close the connection on what is too large
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode/100 == 2, resp.Status + " " + string(text)
}

func TestSignUpload(t *testing.T) {
	onAll(t, func(t *testing.T, host string) {
		o := openBucket(t, host)
		const maxSize = 1000
		soon := time.Now().Add(10 * time.Minute)
		form, err := o.SignUpload(t.Context(), "incoming/a", "image/jpeg", maxSize, soon)
		if err != nil {
			t.Fatal(err)
		}
		if form.FileField != "file" || strings.Contains(form.URL, secretKey) {
			t.Errorf("the form: %+v", form)
		}
		for _, content := range []string{"x", strings.Repeat("x", maxSize)} {
			if ok, answer := send(t, form, content, "image/jpeg"); !ok {
				t.Fatalf("an upload of %d bytes: %s", len(content), answer)
			}
			object, err := o.Get(t.Context(), "incoming/a")
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(object)
			if err != nil || string(got) != content || object.ContentType != "image/jpeg" {
				t.Errorf("uploaded: %d bytes of %s, %v; want %d", len(got), object.ContentType, err, len(content))
			}
			object.Close()
		}
		if strings.HasSuffix(t.Name(), "gofakes3") {
			return // it looks at neither policy nor signature
		}
		ended, err := o.form(t.Context(), "incoming/b,1", "image/jpeg", maxSize, time.Now().Add(-time.Second))
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := form
		elsewhere.URL = strings.Replace(form.URL, o.bucket, openBucket(t, host).bucket, 1)
		with := func(name, value string) drivers.UploadForm {
			changed := form
			changed.Fields = maps.Clone(form.Fields)
			changed.Fields[name] = value
			return changed
		}
		for name, c := range map[string]struct {
			form    drivers.UploadForm
			content string
		}{
			"too large":       {form, strings.Repeat("y", maxSize+1)},
			"much too large":  {form, strings.Repeat("y", maxSize*1000)},
			"empty":           {form, ""},
			"another key":     {with("key", "incoming/b,1"), "y"},
			"another type":    {with("Content-Type", "text/html"), "y"},
			"another bucket":  {elsewhere, "y"},
			"another policy":  {with("policy", ended.Fields["policy"]), "y"},
			"wrong signature": {with("x-amz-signature", strings.Repeat("0", 64)), "y"},
			"ended":           {ended, "y"},
		} {
			if ok, answer := send(t, c.form, c.content, c.form.Fields["Content-Type"]); ok {
				t.Errorf("%s: the service took it: %s", name, answer)
			}
		}
		if got := rawNames(t, o); !slices.Equal(got, []string{"incoming/a,1"}) {
			t.Errorf("what is refused leaves nothing: %q", got)
		}
		if info := rawInfo(t, o, "incoming/a,1"); info.Size != maxSize {
			t.Errorf("what is refused leaves what was there: now %d bytes", info.Size)
		}
	})
}

func TestSignUploadInvalid(t *testing.T) {
	setCredentials(t)
	o := openBucket(t, fakeServer(t))
	soon := time.Now().Add(time.Minute)
	for name, sign := range map[string]func() (drivers.UploadForm, error){
		"key":  func() (drivers.UploadForm, error) { return o.SignUpload(t.Context(), "A", "x", 1, soon) },
		"type": func() (drivers.UploadForm, error) { return o.SignUpload(t.Context(), "a", "", 1, soon) },
		"size": func() (drivers.UploadForm, error) { return o.SignUpload(t.Context(), "a", "x", 0, soon) },
		"more": func() (drivers.UploadForm, error) {
			return o.SignUpload(t.Context(), "a", "x", drivers.MaxObject+1, soon)
		},
		"time": func() (drivers.UploadForm, error) {
			return o.SignUpload(t.Context(), "a", "x", 1, time.Now().Add(-time.Second))
		},
	} {
		if _, err := sign(); !errors.Is(err, drivers.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.Close()
	if _, err := o.SignUpload(t.Context(), "a", "x", 1, soon); !errors.Is(err, drivers.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
