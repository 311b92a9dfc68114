package main

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/minio"
)

// startMinIO starts a real MinIO and returns the URL of a bucket that is not there yet.
func startMinIO(t *testing.T) string {
	t.Helper()
	needs(t, "minio") // go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
	said := ""
	for range 3 { // somebody may take the port before MinIO does, which then ends
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host := l.Addr().String()
		l.Close()
		ok := false
		if said, ok = runMinIO(t, host); ok {
			return "minio://" + host + "/avatars?tls=false"
		}
	}
	t.Fatalf("MinIO does not start\n%s", said)
	return ""
}

// runMinIO starts one at host, and reports whether it is ready or has ended.
func runMinIO(t *testing.T, host string) (said string, ok bool) {
	t.Helper()
	cmd := exec.Command("minio", "server", "--address", host, t.TempDir())
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "MINIO_BROWSER=off", "MINIO_UPDATE=off",
		"MINIO_ROOT_USER=" + minioUser, "MINIO_ROOT_PASSWORD=" + minioPassword}
	var log logBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	client := &http.Client{Timeout: 5 * time.Second} // who has its port may never answer
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for {
		select {
		case <-ended:
			return log.String(), false
		case <-timeout:
			t.Fatalf("MinIO does not start\n%s", log.String())
		case <-poll.C:
			r, err := client.Get("http://" + host + "/minio/health/ready")
			if err != nil {
				continue
			}
			r.Body.Close()
			if r.StatusCode == http.StatusOK && strings.Contains(log.String(), "API: http://"+host) {
				return "", true
			}
		}
	}
}

const minioUser, minioPassword = "miniprofile-test", "miniprofile-test-secret"

// TestPicturesInMinIO takes a picture through its whole life in a real MinIO:
// sent straight to the bucket with a plain multipart POST, as wx.uploadFile does,
// taken over, served, replaced and removed, until the bucket is empty again.
func TestPicturesInMinIO(t *testing.T) {
	bucket := startMinIO(t)
	t.Setenv("MINIO_ACCESS_KEY", minioUser)
	t.Setenv("MINIO_SECRET_KEY", minioPassword)
	c := startChild(t, t.TempDir(), "MINIPROFILE_OBJECTS="+bucket, "MINIPROFILE_CREATE_BUCKET=true", "MINIPROFILE_OLD_PICTURES=0s",
		"MINIO_ACCESS_KEY="+minioUser, "MINIO_SECRET_KEY="+minioPassword)
	login, err := c.ask("", loginText, object{"input": object{"code": "ming~1"}})
	if err != nil || len(login.Errors) > 0 {
		t.Fatal(err, login.Errors)
	}
	token := login.Data.Login.Tokens.AccessToken

	picture := photograph(t, 1200, 900)
	id := c.uploadDirectly(token, picture)
	use := object{"input": object{"avatarUploadId": id}}
	updated, err := c.ask(token, updateText, use)
	if err != nil || len(updated.Errors) > 0 {
		t.Fatal(err, updated.Errors)
	}
	first := updated.Data.UpdateProfile.User.Avatar.URL
	if status := fetchStatus(t, first); status != http.StatusOK {
		t.Fatalf("the picture: %d", status)
	}
	if keys := bucketKeys(t, bucket); len(keys) != 2 && len(keys) != 3 { // the upload goes by a job
		t.Errorf("the bucket holds %v", keys)
	}

	replaced, err := c.setPicture(token, photograph(t, 300, 300))
	if err != nil || len(replaced.Errors) > 0 {
		t.Fatal(err, replaced.Errors)
	}
	if status := fetchStatus(t, replaced.Data.UpdateProfile.User.Avatar.URL); status != http.StatusOK {
		t.Errorf("the new picture: %d", status)
	}
	if a, err := c.ask(token, updateText, object{"input": object{"avatar": nil}}); err != nil || len(a.Errors) > 0 {
		t.Fatal(err, a.Errors)
	}
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	timeout := time.After(patience)
	for keys := bucketKeys(t, bucket); len(keys) > 0; keys = bucketKeys(t, bucket) {
		select {
		case <-timeout:
			t.Fatalf("the bucket still holds %v", keys)
		case <-poll.C:
		}
	}
	if status := fetchStatus(t, first); status != http.StatusNotFound {
		t.Errorf("a removed picture: %d", status)
	}
	c.stop()
	for _, secret := range []string{minioPassword, token, id} {
		if strings.Contains(c.log.String(), secret) {
			t.Errorf("the log shows %q", secret)
		}
	}
}

// uploadDirectly sends a picture as createAvatarUpload says, and returns the upload's id.
func (c *child) uploadDirectly(token string, picture []byte) string {
	c.t.Helper()
	body, err := json.Marshal(object{
		"query":     `mutation ($input: CreateAvatarUploadInput!) { createAvatarUpload(input: $input) { id url fileField fields { name value } } }`,
		"variables": object{"input": object{"contentType": "image/jpeg", "size": len(picture)}},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := http.NewRequest("POST", "http://"+c.address+"/graphql", bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var a struct {
		Data struct {
			CreateAvatarUpload struct {
				ID, URL, FileField string
				Fields             []struct{ Name, Value string }
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		c.t.Fatal(err)
	}
	form := a.Data.CreateAvatarUpload
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range form.Fields {
		w.WriteField(f.Name, f.Value)
	}
	file, err := w.CreateFormFile(form.FileField, "tmp_a1b2.jpg")
	if err != nil {
		c.t.Fatal(err)
	}
	file.Write(picture)
	w.Close()
	sent, err := http.Post(form.URL, w.FormDataContentType(), &b)
	if err != nil {
		c.t.Fatal(err)
	}
	defer sent.Body.Close()
	if text, _ := io.ReadAll(sent.Body); sent.StatusCode/100 != 2 {
		c.t.Fatalf("the upload: %d %s", sent.StatusCode, text)
	}
	return form.ID
}

func fetchStatus(t *testing.T, address string) int {
	t.Helper()
	r, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}

func bucketKeys(t *testing.T, bucket string) (keys []string) {
	t.Helper()
	o, err := drivers.Open(t.Context(), bucket, map[string]drivers.Opener[drivers.Objects]{"minio": minio.OpenObjects})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for info, err := range o.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}
