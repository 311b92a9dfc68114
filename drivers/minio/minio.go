// Package minio keeps objects in a bucket of MinIO, or of any storage that
// speaks the S3 protocol: Tencent COS, Alibaba OSS, AWS S3, Cloudflare R2, Garage.
// It keeps no records.
//
// # URL
//
//	minio://HOST[:PORT]/BUCKET?tls=&region=&prefix=&lookup=
//
// HOST is the service's, without the bucket's name. The parameters may be left out:
//
//	tls     true (the default) or false; a MinIO on this machine usually wants tls=false
//	region  the bucket's; without it the service is asked, once, which wants the
//	        permission s3:GetBucketLocation
//	prefix  the folder in the bucket under which all objects lie, such as
//	        prefix=prod/avatars; by the rules of a key, a slash at the end is allowed
//	lookup  where the bucket's name goes: dns (BUCKET.HOST/KEY) or path (HOST/BUCKET/KEY);
//	        without it dns at Amazon, Google and Alibaba, path everywhere else
//
// Credentials are refused in the URL. Of these, the first that there are count:
//
//	MINIO_ACCESS_KEY and MINIO_SECRET_KEY; with _FILE after either name, a file that holds it
//	AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if need be
//	the file AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials, its profile AWS_PROFILE
//	the role of the EC2 instance, ECS task or EKS pod, renewed before it expires
//
// SSL_CERT_FILE names a file of certificates that this machine does not know.
//
// # Promises
//
// Those of drivers.Objects, for any number of processes at once, so far as the
// service keeps S3's: strong consistency, whole objects, lists in byte order
// (which AWS's directory buckets do not have). And:
//
// An object is read whole before it is sent, in one request with its MD5 and its
// SHA-256: a body that is cut or changed on the way is refused by the service. At
// most 32 MiB are held in memory for that, over all Puts; more of them wait.
//
// The SHA-256 lies beside the object as metadata, and what is read is held against
// it: what is damaged, or mixed of two versions, ends in an error. Small objects
// are read whole before Get returns, and asked for again when they are damaged.
// That SHA-256 is the ETag too: the service's own may be looked up before the
// object is opened, and be another version's. Objects that others stored there have
// no SHA-256; they are read as they come, with the service's ETag.
//
// An answer to Put whose ETag is not the MD5 of what was sent is usual where the
// service encrypts. The service is then asked again, and Put fails unless it says
// the same ETag; so there, of several Puts of one key at once, some may fail.
//
// A request that failed in a way that may pass is sent up to three times within a
// second. When the service said Retry-After it is not, and the error is a
// drivers.BusyError. With or without a deadline in its context, a call ends when
// the service has been silent for half a minute.
//
// # Names
//
// The object of key a/b is called PREFIX/a/b,1 in the bucket. Where a service keeps
// folders as folders, as MinIO and versitygw do, an object a would hide a/b or
// forbid it; with the ,1 none has the name of a folder, and the order of names is
// that of keys. Whoever serves the bucket to the world makes URLs with PublicURL.
// Objects with other names are left alone. In MinIO let none be called as a folder
// of the prefix is: it would hide ours from List.
//
// # Permissions
//
// What the credentials must allow, as an IAM policy, which MinIO understands too:
//
//	{
//	  "Version": "2012-10-17",
//	  "Statement": [
//	    {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
//	     "Resource": ["arn:aws:s3:::BUCKET"]},
//	    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
//	     "Resource": ["arn:aws:s3:::BUCKET/*"]}
//	  ]
//	}
//
// and s3:CreateBucket for CreateObjects. The bucket itself stays private. Leave
// its versioning off, or have a life-cycle rule remove noncurrent versions, which
// Delete leaves there.
//
// # Services
//
// The tests run against MinIO and versitygw; nobody here has tried the others.
//
//	MinIO   minio://minio.internal:9000/BUCKET?tls=false
//	AWS S3  minio://s3.eu-central-1.amazonaws.com/BUCKET?region=eu-central-1
//	COS     minio://cos.ap-guangzhou.myqcloud.com/BUCKET-APPID?region=ap-guangzhou&lookup=dns
//	OSS     addresses buckets by DNS, as is done here by itself for aliyuncs.com
//	R2      minio://ACCOUNT.r2.cloudflarestorage.com/BUCKET?region=auto; it takes no
//	        uploads by POST form, so what SignUpload gives is refused
//	Garage  minio://garage.internal:3900/BUCKET?region=garage; the region is what
//	        s3_region in its configuration says
package minio

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	s3 "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"github.com/miniprofile/miniprofile/drivers"
)

// OpenObjects opens the objects in the bucket that u names; a drivers.Opener. It
// lists the bucket, and says what to do when that fails.
func OpenObjects(ctx context.Context, u *url.URL) (drivers.Objects, error) {
	return openURL(ctx, u, false)
}

// ErrNoBucket comes with the error of OpenObjects when the bucket is missing.
var ErrNoBucket = errors.New("it does not exist")

// CreateObjects is OpenObjects, and makes the bucket when it is missing; a
// drivers.Opener.
func CreateObjects(ctx context.Context, u *url.URL) (drivers.Objects, error) {
	return openURL(ctx, u, true)
}

func openURL(ctx context.Context, u *url.URL, create bool) (drivers.Objects, error) {
	p, err := parse(u)
	if err != nil {
		return nil, err
	}
	o, err := open(ctx, p, newTransport(), create)
	if err != nil {
		return nil, err
	}
	return o, nil
}

// place is what a URL says.
type place struct {
	host, bucket string
	prefix       string // empty, or with a slash at the end
	region       string
	secure       bool
	lookup       s3.BucketLookupType
}

// CheckURL returns what is wrong with a URL of objects. It asks nobody.
func CheckURL(u *url.URL) error {
	_, err := parse(u)
	return err
}

func parse(u *url.URL) (place, error) {
	if err := drivers.CheckParameters(u, "lookup", "prefix", "region", "tls"); err != nil {
		return place{}, err
	}
	q := u.Query()
	p := place{host: u.Host, bucket: strings.Trim(u.Path, "/"), region: q.Get("region"), secure: true}
	switch {
	case u.User != nil:
		return place{}, errors.New("credentials in the URL: set MINIO_ACCESS_KEY and MINIO_SECRET_KEY instead")
	case u.Opaque != "" || u.Hostname() == "" || p.bucket == "":
		return place{}, errors.New("want minio://HOST[:PORT]/BUCKET")
	}
	if err := s3utils.CheckValidBucketNameStrict(p.bucket); err != nil {
		return place{}, fmt.Errorf("bucket %q: %w", p.bucket, err)
	}
	if q.Has("prefix") {
		prefix := strings.TrimSuffix(q.Get("prefix"), "/")
		if drivers.CheckObjectKey(prefix) != nil {
			return place{}, fmt.Errorf("prefix is %q, want it by the rules of a key: a-z, 0-9, . _ - and single slashes", q.Get("prefix"))
		}
		p.prefix = prefix + "/"
	}
	switch tls := q.Get("tls"); {
	case tls == "false":
		p.secure = false
	case q.Has("tls") && tls != "true":
		return place{}, fmt.Errorf("tls is %q, want true or false", tls)
	}
	switch lookup := q.Get("lookup"); {
	case lookup == "dns":
		p.lookup = s3.BucketLookupDNS
	case lookup == "path":
		p.lookup = s3.BucketLookupPath
	case q.Has("lookup"):
		return place{}, fmt.Errorf("lookup is %q, want dns or path", lookup)
	}
	return p, nil
}

func open(ctx context.Context, p place, t *http.Transport, create bool) (*objects, error) {
	o, err := connect(ctx, p, t)
	if err != nil {
		t.CloseIdleConnections()
		return nil, err
	}
	err = o.check(ctx)
	if create && code(err) == s3.NoSuchBucket {
		failed := o.makeBucket(ctx)
		if err = o.check(ctx); err != nil && failed != nil { // else another process was faster
			err = failed
		}
	}
	if err != nil {
		o.Close()
		return nil, advise(p, err)
	}
	return o, nil
}

// connect sends nothing to the service.
func connect(ctx context.Context, p place, t *http.Transport) (*objects, error) {
	keys, err := findCredentials(ctx, t)
	if err != nil {
		return nil, err
	}
	client, err := s3.NewCore(p.host, &s3.Options{
		Creds:        keys,
		Secure:       p.secure,
		Region:       p.region,
		BucketLookup: p.lookup,
		Transport:    listener{t},
		MaxRetries:   1, // which means none: attempt does it
	})
	if err != nil {
		return nil, err
	}
	return newObjects(p, client, t), nil
}

// check lists. To ask for the bucket's HEAD would be cheaper, but the answer has
// no body that says what is wrong.
func (o *objects) check(ctx context.Context) error {
	_, err := o.page(ctx, o.prefix, "", 1)
	return err
}

func (o *objects) makeBucket(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, errSilent)
	defer cancel()
	return o.attempt(ctx, func(ctx context.Context) error {
		return o.client.MakeBucket(ctx, o.bucket, s3.MakeBucketOptions{Region: o.region})
	})
}
