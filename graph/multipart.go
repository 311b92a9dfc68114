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
	"os"
	"strings"
	"time"
)

// Limits of multipart requests.
const (
	MaxUploads   = 32               // at work at a time
	uploadWait   = 10 * time.Second // for one of them
	uploadMemory = 256 << 10        // bytes of a file that are kept in memory
	maxParts     = 32               // of a body
	maxPartHead  = 32 << 10         // bytes between two parts
	maxMap       = 4 << 10          // bytes of the part map
)

// readMultipart reads a request by the GraphQL multipart request specification,
// its parts in any order: wx.uploadFile promises none. Parts that are neither
// operations nor map nor a file are ignored. The text of the request is copied.
func readMultipart(body io.Reader, boundary string) (q request, fault *Fault, err error) {
	source := &source{body: body, left: MaxUpload}
	var operations, paths []byte
	var file *spool
	var fileName string
	defer func() {
		if q.files == nil && file != nil {
			file.close()
		}
		if source.fault != nil { // the cause of whatever came of it
			q, fault, err = request{}, source.fault, nil
		}
	}()
	reader := multipart.NewReader(source, boundary)
	for parts := 0; ; parts++ {
		source.head = maxPartHead
		part, err := reader.NextPart()
		source.head = 0
		if err == io.EOF {
			break
		}
		if err != nil || parts == maxParts {
			return q, badRequest("The multipart body is malformed."), nil
		}
		switch name := part.FormName(); {
		case name == "operations" && operations == nil:
			if operations, fault = readBody(part, []byte{}, MaxBody); fault != nil {
				return q, fault, nil
			}
		case name == "map" && paths == nil:
			if paths, fault = readBody(part, []byte{}, maxMap); fault != nil {
				return q, fault, nil
			}
		case name == "operations" || name == "map":
			return q, badRequest("The part " + name + " comes twice."), nil
		case part.FileName() != "" && file != nil:
			return q, badRequest("More than one file is sent."), nil
		case part.FileName() != "":
			if file, err = newSpool(part); err != nil {
				return q, nil, err
			}
			fileName = name
		default:
			if _, err := io.Copy(io.Discard, part); err != nil {
				return q, badRequest("The multipart body is malformed."), nil
			}
		}
	}
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

// parseMap returns the place that the part map has for the one file.
func parseMap(text []byte, fileName string, sent bool) (string, *Fault) {
	var paths map[string][]string
	if text != nil && json.Unmarshal(text, &paths) != nil {
		return "", badRequest("The part map is not an object of arrays of strings.")
	}
	switch places := paths[fileName]; {
	case len(paths) == 0 && !sent:
		return "", nil
	case len(paths) != 1 || !sent || len(places) != 1:
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

// spool keeps a file until the request is answered: a small one in memory, a
// larger one on disk, where it has no name, so that it is gone when the process is.
type spool struct {
	small []byte
	large *os.File
	size  int64
}

// newSpool reads all of r. Its errors are ours, not those of r, which ends in
// source.fault.
func newSpool(r io.Reader) (*spool, error) {
	var head bytes.Buffer
	n, err := io.CopyN(&head, r, uploadMemory)
	switch {
	case err == io.EOF:
		return &spool{small: head.Bytes(), size: n}, nil
	case err != nil:
		return nil, badRequest("The multipart body is malformed.")
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
	}
}

// slots bounds the uploads at work.
type slots chan struct{}

// take waits for a slot, not for long and not after ctx has ended.
func (s slots) take(ctx context.Context) *Fault {
	timer := time.NewTimer(uploadWait)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return &Fault{Status: http.StatusTooManyRequests, Code: "RATE_LIMITED", Message: "Too many uploads are under way.", RetryAfter: time.Second}
}

func (s slots) free() { <-s }
