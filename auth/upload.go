package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miniprofile/miniprofile/auth/avatar"
	"github.com/miniprofile/miniprofile/drivers"
)

// A direct upload goes to the object storage without passing through the API:
// CreateAvatarUpload gives a form, the client sends the file with it, and
// UpdateProfile with the upload's id fetches the file and treats it as every
// other picture. Where the storage cannot sign a form, the server takes the file
// itself at an address of the same shape, so that the client need not care.
//
// The file lies under incoming/, a place nothing else depends on, until it is
// used or a job removes it.
const (
	incomingFolder = "incoming/"

	UploadLife   = 10 * time.Minute // how long the form works
	uploadUse    = 15 * time.Minute // how long the upload may be used, from its beginning
	uploadKept   = 20 * time.Minute // when the job removes what is left
	uploadRecall = time.Hour        // how long a used upload is remembered, for calls that are repeated
)

// maxUploads is how many uploads a user may have begun and not used, whose forms
// still work: what a stranger can fill the storage with.
const maxUploads = 10

// CreateAvatarUploadInput is what CreateAvatarUpload needs.
type CreateAvatarUploadInput struct {
	ContentType string // image/jpeg, image/png, image/gif or image/webp
	Size        int    // bytes, 1 to avatar.MaxBytes
}

// CreateAvatarUploadPayload is a form to send as multipart/form-data by POST: all
// Fields, and the file as FileField after them.
type CreateAvatarUploadPayload struct {
	ID        string // for UpdateProfile
	URL       string
	FileField string
	Fields    []FormField
	ExpiresAt time.Time
	MaxBytes  int
}

// FormField is a field of a form.
type FormField struct{ Name, Value string }

// uploadRecord is filed under uid.id. It expires when nobody can want it any more.
type uploadRecord struct {
	ContentType string    `json:"contentType"`
	Size        int64     `json:"size"`
	Created     time.Time `json:"created"`
	Picture     string    `json:"picture,omitempty"` // what it became
}

func uploadKey(uid, id string) drivers.Key {
	return drivers.Key{Kind: kindUploads, ID: uid + "." + id}
}

// CreateAvatarUpload prepares the direct upload of a picture by the caller. The
// form is a secret of theirs for UploadLife.
//
// Errors: ErrUnauthenticated, ErrUpstream, ErrRateLimited while ten forms still work
// that were not used, or an *InvalidError for contentType or size.
func (c *Core) CreateAvatarUpload(ctx context.Context, accessToken string, in CreateAvatarUploadInput) (*CreateAvatarUploadPayload, error) {
	caller, err := c.authenticate(ctx, accessToken)
	if err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains([]string{"image/jpeg", "image/png", "image/gif", "image/webp"}, in.ContentType):
		return nil, &InvalidError{"contentType", "none of image/jpeg, image/png, image/gif and image/webp"}
	case in.Size < 1 || in.Size > avatar.MaxBytes:
		return nil, &InvalidError{"size", fmt.Sprintf("not 1 to %d bytes", avatar.MaxBytes)}
	}
	if err := c.boundUploads(ctx, caller.user.ID); err != nil {
		return nil, err
	}
	now, id := c.now(), newID()
	r := uploadRecord{ContentType: in.ContentType, Size: int64(in.Size), Created: now}
	err = c.store.Commit(ctx,
		drivers.Create(uploadKey(caller.user.ID, id), encode(r), now.Add(uploadRecall)),
		newJob(jobRemoveUpload, now.Add(uploadKept), removedUpload{id}))
	if err != nil {
		return nil, storeError("commit", err)
	}
	p := &CreateAvatarUploadPayload{
		ID: id, URL: c.uploads + caller.user.ID + "." + id, FileField: "file", ExpiresAt: now.Add(UploadLife), MaxBytes: in.Size,
	}
	if signer, ok := c.objects.(drivers.UploadSigner); ok {
		form, err := signer.SignUpload(ctx, incomingFolder+id, in.ContentType, int64(in.Size), p.ExpiresAt)
		if err != nil {
			return nil, fmt.Errorf("%w: objects: sign: %w", ErrUpstream, err)
		}
		p.URL, p.FileField = form.URL, form.FileField
		for _, name := range slices.Sorted(maps.Keys(form.Fields)) {
			p.Fields = append(p.Fields, FormField{name, form.Fields[name]})
		}
	}
	return p, nil
}

// boundUploads refuses a user who has begun too many uploads. Calls that go on at
// the same time do not see each other, so it may be some more.
func (c *Core) boundUploads(ctx context.Context, uid string) error {
	now, begun, first := c.now(), 0, time.Duration(0)
	for record, err := range c.store.Scan(ctx, kindUploads, uid+".", "") {
		if err != nil {
			return storeError("scan", err)
		}
		r, err := decode[uploadRecord](record)
		if err != nil {
			return err
		}
		left := r.Created.Add(UploadLife).Sub(now)
		if r.Picture != "" || left <= 0 {
			continue
		}
		if begun == 0 || left < first {
			first = left
		}
		begun++
	}
	if begun < maxUploads {
		return nil
	}
	return &LaterError{fmt.Errorf("%w: uploads were begun and not used", ErrRateLimited), first}
}

// ReceiveUpload takes the file of a direct upload where the storage cannot sign
// forms. name is the last part of the form's URL, and all the proof there is. It
// is ErrNotFound when there is no such upload or its time is over, and an
// *InvalidError for file when that is larger than was said.
func (c *Core) ReceiveUpload(ctx context.Context, name string, file io.Reader, size int64) error {
	uid, id, ok := splitSession(name)
	if !ok {
		return ErrNotFound
	}
	r, record, err := read[uploadRecord](ctx, c, uploadKey(uid, id))
	switch {
	case err != nil:
		return err
	case !record.Exists() || r.Picture != "" || !c.now().Before(r.Created.Add(UploadLife)):
		return ErrNotFound
	case size < 1 || size > r.Size:
		return &InvalidError{"file", fmt.Sprintf("not 1 to %d bytes", r.Size)}
	}
	if err := c.objects.Put(ctx, incomingFolder+id, file, size, r.ContentType); err != nil {
		return fmt.Errorf("%w: objects: put: %w", ErrUpstream, err)
	}
	return nil
}

// incoming is a direct upload that a profile is about to use.
type incoming struct {
	record drivers.Record
	upload uploadRecord
	object drivers.Object // closed by the caller
}

// openUpload opens the file of an upload of the user. One that was used before is
// returned without its file: the call is repeated.
func (c *Core) openUpload(ctx context.Context, uid, id string) (*incoming, error) {
	unknown := &InvalidError{"avatarUploadId", "names no upload of yours, or its time is over"}
	if !isID(id) {
		return nil, unknown
	}
	r, record, err := read[uploadRecord](ctx, c, uploadKey(uid, id))
	switch {
	case err != nil:
		return nil, err
	case !record.Exists():
		return nil, unknown
	case r.Picture != "":
		return &incoming{record: record, upload: r}, nil
	case !c.now().Before(r.Created.Add(uploadUse)):
		return nil, unknown
	}
	object, err := c.objects.Get(ctx, incomingFolder+id)
	switch {
	case errors.Is(err, drivers.ErrNotFound):
		return nil, &InvalidError{"avatarUploadId", "names an upload whose file has not come"}
	case err != nil:
		return nil, fmt.Errorf("%w: objects: get: %w", ErrUpstream, err)
	}
	object.ReadSeekCloser = incomingFile{object.ReadSeekCloser}
	return &incoming{record, r, object}, nil
}

// incomingFile is the file of an upload as it comes from the objects: what fails in
// the middle of it is their fault.
type incomingFile struct{ io.ReadSeekCloser }

func (f incomingFile) Read(b []byte) (int, error) {
	n, err := f.ReadSeekCloser.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: objects: read: %w", ErrUpstream, err)
	}
	return n, err
}

// use makes the ops that mark an upload as used for a picture and remove its file.
func (c *Core) use(ctx context.Context, in *incoming, picture string) ([]drivers.Op, error) {
	r, record, err := read[uploadRecord](ctx, c, in.record.Key)
	if err != nil {
		return nil, err
	}
	switch {
	case !record.Exists():
		return nil, &InvalidError{"avatarUploadId", "names an upload whose time is over"}
	case r.Picture != "": // by the same call, perhaps: then it will be found done
		return nil, &LaterError{fmt.Errorf("%w: the upload was used meanwhile", ErrUpstream), time.Second}
	}
	r.Picture = picture
	_, id, _ := strings.Cut(record.Key.ID, ".")
	return []drivers.Op{
		drivers.Replace(record, encode(r), record.Expires),
		newJob(jobRemoveUpload, c.now(), removedUpload{id}),
	}, nil
}

// removedUpload is the job that removes the file of an upload.
type removedUpload struct {
	Upload string `json:"upload"`
}

func (c *Core) removeUpload(ctx context.Context, r removedUpload) error {
	return c.deleteObjects(ctx, incomingFolder+r.Upload)
}
