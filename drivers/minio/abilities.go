package minio

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	s3 "github.com/minio/minio-go/v7"

	"github.com/miniprofile/miniprofile/drivers"
)

var (
	_ drivers.UploadSigner = (*objects)(nil)
	_ drivers.PublicURLer  = (*objects)(nil)
)

// PublicURL is of drivers.PublicURLer.
func (o *objects) PublicURL(base, key string) string {
	return strings.TrimSuffix(base, "/") + "/" + o.name(key) // nothing in it needs escaping
}

// SignUpload is of drivers.UploadSigner. The signature also ends with temporary
// credentials, should those end sooner.
func (o *objects) SignUpload(ctx context.Context, key, contentType string, maxSize int64, expires time.Time) (drivers.UploadForm, error) {
	if err := drivers.CheckPut(key, maxSize, contentType); err != nil {
		return drivers.UploadForm{}, err
	}
	if maxSize == 0 || !expires.After(time.Now()) {
		return drivers.UploadForm{}, fmt.Errorf("%w: upload of %d bytes until %v", drivers.ErrInvalid, maxSize, expires)
	}
	if err := o.gate.Enter(ctx); err != nil {
		return drivers.UploadForm{}, err
	}
	defer o.gate.Leave()
	form, err := o.form(ctx, o.name(key), contentType, maxSize, expires)
	if err != nil {
		return drivers.UploadForm{}, fmt.Errorf("sign upload of %s: %w", key, err)
	}
	return form, nil
}

func (o *objects) form(ctx context.Context, name, contentType string, maxSize int64, expires time.Time) (form drivers.UploadForm, err error) {
	p := s3.NewPostPolicy()
	err = errors.Join(
		p.SetBucket(o.bucket),
		p.SetKey(name),
		p.SetContentType(contentType),
		p.SetContentLengthRange(1, maxSize),
		p.SetExpires(expires.UTC()),
	)
	if err != nil {
		return form, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, errSilent)
	defer cancel()
	err = o.attempt(ctx, func(ctx context.Context) error {
		u, fields, err := o.client.PresignedPostPolicy(ctx, p)
		if err == nil {
			form = drivers.UploadForm{URL: u.String(), Fields: fields, FileField: "file"}
		}
		return err
	})
	return form, err
}
