package minio

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// TestPolicy: the policy in the package comment is enough, for temporary
// credentials too, and opens no other bucket.
func TestPolicy(t *testing.T) {
	setCredentials(t)
	host := minioServer(t)
	o, other := openBucket(t, host), openBucket(t, host)
	role, err := credentials.NewSTSAssumeRole("http://"+host, credentials.STSAssumeRoleOptions{
		AccessKey: accessKey,
		SecretKey: secretKey,
		Location:  region,
		Policy: strings.ReplaceAll(`{
		  "Version": "2012-10-17",
		  "Statement": [
		    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
		     "Resource": ["arn:aws:s3:::BUCKET"]},
		    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
		     "Resource": ["arn:aws:s3:::BUCKET/*"]}
		  ]
		}`, "BUCKET", o.bucket),
	})
	if err != nil {
		t.Fatal(err)
	}
	v, err := role.GetWithContext(nil)
	if err != nil {
		t.Fatal(err)
	}
	noCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", v.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", v.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", v.SessionToken)
	below, err := open(t.Context(), o.place, newTransport(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	if err := below.Put(t.Context(), "a", strings.NewReader("x"), 1, "text/plain"); err != nil {
		t.Error(err)
	}
	form, err := below.SignUpload(t.Context(), "b", "text/plain", 10, time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if ok, answer := send(t, form, "y", "text/plain"); !ok {
		t.Error(answer)
	}
	for info, err := range below.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		object, err := below.Get(t.Context(), info.Key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(object); err != nil {
			t.Error(err)
		}
		object.Close()
	}
	if err := below.Delete(t.Context(), "a", "b", "absent"); err != nil {
		t.Error(err)
	}
	if got := rawNames(t, o); len(got) > 0 {
		t.Errorf("there are %q", got)
	}
	wantOpen(t, "minio://"+host+"/"+other.bucket+"?tls=false", "these credentials may not list it")
}
