package firestore

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

// TestAdvice: each error that a person can put right says how.
func TestAdvice(t *testing.T) {
	p := place{project: "demo-test", database: "main"}
	with := func(code codes.Code, reason string) error {
		s, err := status.New(code, "refused").WithDetails(&errdetails.ErrorInfo{Reason: reason})
		if err != nil {
			t.Fatal(err)
		}
		return s.Err()
	}
	for want, err := range map[string]error{
		"gcloud auth application-default login":                               status.Error(codes.Unauthenticated, ""),
		"--role=roles/datastore.user":                                         status.Error(codes.PermissionDenied, ""),
		"gcloud services enable firestore.googleapis.com --project=demo-test": with(codes.PermissionDenied, "SERVICE_DISABLED"),
		`there is no project "demo-test" that these credentials may see`:      with(codes.PermissionDenied, "CONSUMER_INVALID"),
		"link one": with(codes.PermissionDenied, "BILLING_DISABLED"),
		"gcloud firestore databases create --database='main'": status.Error(codes.NotFound, ""),
		"is in Datastore mode":                                status.Error(codes.FailedPrecondition, "The Cloud Firestore API is not available for Firestore in Datastore Mode database projects/demo-test/databases/main."),
		"a quota of project":                                  status.Error(codes.ResourceExhausted, ""),
		"no answer from firestore.googleapis.com":             status.Error(codes.Unavailable, ""),
		"exempt the field data from indexing":                 status.Error(codes.InvalidArgument, ""),
	} {
		got := p.explain(t.Context(), err)
		if !strings.Contains(got.Error(), want) || !errors.Is(got, err) {
			t.Errorf("got %v, want %q in it, and the error", got, want)
		}
	}
}

// TestRefused: what repeating cannot help is not repeated, by no method.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		code codes.Code
		want string
	}{
		{codes.PermissionDenied, "permission denied"},
		{codes.Unauthenticated, "no valid Google credentials"},
		{codes.ResourceExhausted, "quota"},
		{codes.InvalidArgument, "Firestore refused"},
	} {
		t.Run(c.code.String(), func(t *testing.T) {
			t.Parallel()
			server, p := start(t)
			s := openAt(t, p, usual)
			opened := server.Calls()["BatchGetDocuments"]
			server.Fail(func(string) double.Fault { return double.Fault{Stage: double.Before, Code: c.code} })
			for method, call := range map[string]func() error{
				"BatchGetDocuments": func() error { _, err := s.Get(t.Context(), thing); return err },
				"Commit": func() error {
					return s.Commit(t.Context(), drivers.Create(thing, json.RawMessage(`{}`), time.Time{}))
				},
				"RunQuery": func() (last error) {
					for _, err := range s.Scan(t.Context(), "things", "", "") {
						last = errors.Join(last, err)
					}
					return last
				},
			} {
				err := call()
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: got %v, want %q in it", method, err, c.want)
				}
				honest(t, err)
				if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v, and no context had ended", method, err)
				}
			}
			for method, n := range server.Calls() {
				if method == "BatchGetDocuments" {
					n -= opened
				}
				if n != 1 {
					t.Errorf("%d calls of %s, want 1", n, method)
				}
			}
			if _, err := open(t.Context(), p, usual); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("open: got %v, want %q in it", err, c.want)
			}
		})
	}
}

// TestDatabaseGone: a commit to a database that is not there fails as a commit to
// a record that is not there does, and must not be taken for a conflict.
func TestDatabaseGone(t *testing.T) {
	_, p := start(t)
	s := openAt(t, p, usual)
	old := create(t, s, thing, 1)
	s.database = "gone"
	for name, op := range map[string]drivers.Op{
		"create":  drivers.Create(thing, number(1), time.Time{}),
		"replace": drivers.Replace(old, number(1), time.Time{}),
		"delete":  drivers.Delete(old),
	} {
		err := s.Commit(t.Context(), op)
		if err == nil || errors.Is(err, drivers.ErrConflict) || !strings.Contains(err.Error(), `there is no database "gone"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Get(t.Context(), thing); err == nil || !strings.Contains(err.Error(), `there is no database "gone"`) {
		t.Errorf("Get: %v", err)
	}
	for _, err := range s.Scan(t.Context(), "things", "", "") {
		if err == nil || !strings.Contains(err.Error(), `there is no database "gone"`) {
			t.Errorf("Scan: %v", err)
		}
	}
}

// TestIndexes fills Firestore's indexes with all that drivers.Check allows, under
// the longest key: it can be stored, whatever is indexed.
func TestIndexes(t *testing.T) {
	_, p := start(t)
	s := openAt(t, p, usual)
	k := drivers.Key{Kind: strings.Repeat("k", 32), ID: strings.Repeat("i", 120)}
	name := func(i int) string { return string([]byte{'a' + byte(i/676%26), 'a' + byte(i/26%26), 'a' + byte(i%26)}) }
	field := func(value string) func(int) string {
		return func(i int) string { return `"` + name(i) + `":` + value }
	}
	stored, refused := 0, 0
	for what, c := range map[string]struct {
		begin, end string
		each       func(i int) string
	}{
		"numbers":  {"{", "}", field("1")},
		"texts":    {"{", "}", field(`"` + strings.Repeat("x", 1500) + `"`)},
		"arrays":   {"{", "}", field("[1,2,3,4,5,6,7,8,9,0]")},
		"elements": {`{"a":[`, "]}", func(int) string { return "1" }},
		"maps":     {`{"a":[`, "]}", func(int) string { return "{}" }},
	} {
		for _, above := range []struct{ depth, size int }{{0, 1}, {1, drivers.MaxName}, {14, 10}, {14, 50}} {
			begin := strings.Repeat(`{"`+strings.Repeat("n", above.size)+`":`, above.depth) + c.begin
			end := c.end + strings.Repeat("}", above.depth)
			data := []byte(begin + c.each(0))
			for i := 1; ; i++ {
				next := c.each(i)
				if len(data)+1+len(next)+len(end) > drivers.MaxData {
					break
				}
				data = append(append(data, ','), next...)
			}
			op := drivers.Replace(get(t, s, k), append(data, end...), time.Time{})
			if drivers.Check([]drivers.Op{op}) != nil {
				refused++
				continue
			}
			if err := s.Commit(t.Context(), op); err != nil {
				t.Errorf("%s below %+v: %v", what, above, err)
			}
			stored++
		}
	}
	if stored < 8 || refused < 5 {
		t.Errorf("%d were stored and %d refused", stored, refused)
	}
}
