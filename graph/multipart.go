package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Limits of multipart requests.
const (
	maxParts    = 32       // of a body
	maxPartHead = 32 << 10 // bytes between two parts
	maxMap      = 4 << 10  // bytes of the part map

	// UploadRoom is for how many bytes of bodies there is room at a time, on their
	// way, waiting and at work: 32 of the largest, or a thousand as phones send them.
	UploadRoom = 32 * MaxUpload
	// uploadShare is how much of it one address may take: who sends nothing of what
	// they have announced must not keep all others out.
	uploadShare  = UploadRoom / 4
	uploadWait   = 10 * time.Second // for room
	uploadRetry  = 5 * time.Second  // when there was none
	uploadMemory = 256 << 10        // bytes of a file that are kept in memory
	memoryRoom   = 32 * uploadMemory
)

// uploads bounds what the files of requests take. Whoever sends slowly holds the
// room of what they announced and no more; who gets it first is who came first.
type uploads struct {
	room, memory *semaphore.Weighted

	mu     sync.Mutex
	shares map[netip.Addr]int64 // what each address takes, or waits for
}

func newUploads() *uploads {
	return &uploads{room: semaphore.NewWeighted(UploadRoom), memory: semaphore.NewWeighted(memoryRoom), shares: map[netip.Addr]int64{}}
}

// share takes size of an address's share, or reports false.
func (u *uploads) share(client netip.Addr, size int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shares[client]+size > uploadShare {
		return false
	}
	u.shares[client] += size
	return true
}

func (u *uploads) unshare(client netip.Addr, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.shares[client] -= size; u.shares[client] == 0 {
		delete(u.shares, client)
	}
}

// admit makes room for the body of a request, or refuses it; free is for when
// nothing is left of it. It does not wait for long, and not after the client has gone.
func (u *uploads) admit(r *http.Request, client netip.Addr) (free func(), fault *Fault) {
	size := r.ContentLength
	switch {
	case size > MaxUpload:
		return nil, tooLarge(MaxUpload)
	case size < 0:
		size = MaxUpload // nobody knows
	}
	crowded := &Fault{Status: http.StatusTooManyRequests, Code: "RATE_LIMITED", Message: "Too many uploads are under way.", RetryAfter: uploadRetry}
	if !u.share(client, size) {
		return nil, crowded
	}
	ctx, cancel := context.WithTimeout(r.Context(), uploadWait)
	defer cancel()
	if u.room.Acquire(ctx, size) != nil {
		u.unshare(client, size)
		return nil, crowded
	}
	return func() {
		u.room.Release(size)
		u.unshare(client, size)
	}, nil
}

// readMultipart reads a request by the GraphQL multipart request specification,
// its parts in any order: wx.uploadFile promises none. Parts that are neither
// operations nor map nor a file are ignored. The text of the request is copied.
func (u *uploads) readMultipart(body io.Reader, boundary string) (q request, fault *Fault, err error) {
	var operations, paths []byte
	file, fileName, err := u.readForm(body, boundary, func(name string, part io.Reader) (fault *Fault) {
		switch {
		case name == "operations" && operations == nil:
			operations, fault = readBody(part, []byte{}, MaxBody)
		case name == "map" && paths == nil:
			paths, fault = readBody(part, []byte{}, maxMap)
		case name == "operations" || name == "map":
			fault = badRequest("The part " + name + " comes twice.")
		}
		return fault
	})
	if err != nil {
		errors.As(err, &fault)
		if fault != nil {
			err = nil
		}
		return q, fault, err
	}
	defer func() {
		if q.files == nil && file != nil {
			file.close()
		}
	}()
	if operations == nil {
		return q, badRequest("There is no part operations."), nil
	}
	path, fault := parseMap(paths, fileName, file != nil)
	if fault != nil {
		return q, fault, nil
	}
	if q, fault = parseBody(operations); fault != nil {
		return request{}, fault, nil
	}
	if file != nil {
		q.files = map[string]*spool{path: file}
	}
	return q, nil, nil
}

// readForm reads a multipart form with one file at most, which the caller
// closes, and hands the other fields to field, which need not read them. Its
// errors are Faults where the client is wrong.
func (u *uploads) readForm(body io.Reader, boundary string, field func(name string, part io.Reader) *Fault) (file *spool, fileName string, err error) {
	source := &source{body: body, left: MaxUpload}
	defer func() {
		if source.fault != nil { // the cause of whatever came of it
			err = source.fault
		}
		if err != nil && file != nil {
			file.close()
			file = nil
		}
	}()
	reader := multipart.NewReader(source, boundary)
	for parts := 0; ; parts++ {
		source.head = maxPartHead
		part, err := reader.NextPart()
		source.head = 0
		if err == io.EOF {
			return file, fileName, nil
		}
		if err != nil || parts == maxParts {
			return file, fileName, badRequest("The multipart body is malformed.")
		}
		switch name := part.FormName(); {
		case part.FileName() != "" && file != nil:
			return file, fileName, badRequest("More than one file is sent.")
		case part.FileName() != "" && name != "operations" && name != "map":
			if file, err = u.spool(part); err != nil {
				return file, fileName, err
			}
			fileName = name
		default:
			if fault := field(name, part); fault != nil {
				return file, fileName, fault
			}
		}
		if _, err := io.Copy(io.Discard, part); err != nil {
			return file, fileName, badRequest("The multipart body is malformed.")
		}
	}
}

// ReceiveFile reads the one file of a multipart form, with the limits of an
// upload by GraphQL, and hands it to receive, at its beginning and with its size
// in bytes. Other fields are ignored. Its errors are receive's, or a *Fault.
func (h *Handler) ReceiveFile(r *http.Request, client netip.Addr, receive func(file io.ReadSeeker, size int64) error) error {
	kind, boundary := mediaType(r)
	if r.Method != http.MethodPost {
		return MethodNotAllowed("A file is sent by POST.")
	}
	if kind != "multipart/form-data" || boundary == "" {
		return unsupported("The body must be multipart/form-data.")
	}
	free, fault := h.admit(r, client)
	if fault != nil {
		return fault
	}
	defer free()
	file, _, err := h.uploads.readForm(r.Body, boundary, func(string, io.Reader) *Fault { return nil })
	if err != nil {
		return err
	}
	if file == nil {
		return badRequest("No file is sent.")
	}
	defer file.close()
	return receive(file.reader(), file.size)
}

// parseMap returns the place that the part map has for the one file.
func parseMap(text []byte, fileName string, sent bool) (string, *Fault) {
	var paths map[string][]string
	if text != nil && json.Unmarshal(text, &paths) != nil {
		return "", badRequest("The part map is not an object of arrays of strings.")
	}
	switch places := paths[fileName]; {
	case len(paths) == 0 && !sent:
		return "", nil
	case !sent:
		return "", badRequest("The file of the part map is not here: a part of its name with a filename.")
	case len(paths) != 1 || len(places) != 1:
		return "", badRequest("The part map must have one place for one file.")
	case !strings.HasPrefix(places[0], "variables."):
		return "", badRequest("The place of a file in the part map is not one of a variable.")
	default:
		return places[0], nil
	}
}

// source is the body of a multipart request. It ends in fault where a limit is passed.
type source struct {
	body  io.Reader
	left  int64 // of the whole
	head  int64 // until the next part, where not 0
	fault *Fault
}

func (s *source) Read(b []byte) (int, error) {
	if s.fault != nil {
		return 0, s.fault
	}
	n, err := s.body.Read(b)
	if s.left -= int64(n); s.left < 0 {
		s.fault = tooLarge(MaxUpload)
		return 0, s.fault
	}
	if s.head > 0 {
		if s.head -= int64(n); s.head <= 0 {
			s.fault = badRequest("The head of a part is too long.")
			return 0, s.fault
		}
	}
	if err != nil && err != io.EOF {
		s.fault = badRequest("The body did not come to its end.")
	}
	return n, err
}

// spool keeps a file until the request is answered: a small one in memory where
// there is room, another on disk, where it has no name, so that it is gone when
// the process is.
type spool struct {
	small []byte
	large *os.File
	size  int64
	free  func() // the memory
}

// spool reads all of r. Its errors are ours, not those of r, which ends in
// source.fault.
func (u *uploads) spool(r io.Reader) (*spool, error) {
	var head bytes.Buffer
	if u.memory.TryAcquire(uploadMemory) {
		free := func() { u.memory.Release(uploadMemory) }
		n, err := io.CopyN(&head, r, uploadMemory)
		if err == io.EOF {
			return &spool{small: head.Bytes(), size: n, free: free}, nil
		}
		defer free()
		if err != nil {
			return nil, badRequest("The multipart body is malformed.")
		}
	}
	f, err := os.CreateTemp("", "miniprofile-upload-")
	if err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("upload: %w", err)
	}
	s := &spool{large: f}
	s.size, err = io.Copy(f, io.MultiReader(&head, r))
	if err != nil {
		f.Close()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, badRequest("The multipart body is malformed.")
		}
		return nil, fmt.Errorf("upload: %w", err)
	}
	return s, nil
}

// reader returns the file, at its beginning.
func (s *spool) reader() io.ReadSeeker {
	if s.large == nil {
		return bytes.NewReader(s.small)
	}
	s.large.Seek(0, io.SeekStart)
	return s.large
}

func (s *spool) close() {
	if s.large != nil {
		s.large.Close()
	} else {
		s.free()
	}
}
