package graph

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/miniprofile/miniprofile/auth"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Fault is an error as a client sees it. Nothing in it is internal, and nothing
// in it comes from the client.
type Fault struct {
	Status     int    // of HTTP, where the error is not within a GraphQL answer
	Code       string // extensions.code
	Message    string
	Field      string        // extensions.field: the input field that is wrong, or empty
	RetryAfter time.Duration // extensions.retryAfter, or 0
	Hint       string        // extensions.hint: what else the code does not say, or empty

	at []gqlerror.Location // where in the document
}

// Error gives the code and the message.
func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// The core's errors in the words of the API; schema.graphqls says what a client does.
var faults = []struct {
	err error
	Fault
}{
	{auth.ErrLogInAgain, Fault{Status: 401, Code: "UNAUTHENTICATED", Hint: "LOG_IN_AGAIN", Message: "This wants a fresh login: log in again with wx.login; refreshing does not help."}},
	{auth.ErrDeletionPending, Fault{Status: 401, Code: "UNAUTHENTICATED", Hint: "DELETION_PENDING", Message: "The user has deleted the account. A login restores it: ask them first."}},
	{auth.ErrUnauthenticated, Fault{Status: 401, Code: "UNAUTHENTICATED", Message: "There is no valid session: the token is missing, wrong, too old, or of a session that has ended."}},
	{auth.ErrCodeRejected, Fault{Status: 400, Code: "LOGIN_CODE_REJECTED", Message: "The login code is wrong, too old or used."}},
	{auth.ErrBlocked, Fault{Status: 403, Code: "ACCOUNT_BLOCKED", Message: "WeChat does not let this account log in."}},
	{auth.ErrConflict, Fault{Status: 409, Code: "CONFLICT", Message: "The profile has changed since it was read."}},
	{auth.ErrContentRejected, Fault{Status: 422, Code: "CONTENT_REJECTED", Message: "WeChat judges this unfit to be shown."}},
	{auth.ErrConsentRequired, Fault{Status: 403, Code: "CONSENT_REQUIRED", Message: "The user has not agreed to this."}},
	{auth.ErrRateLimited, Fault{Status: 429, Code: "RATE_LIMITED", Message: "There were too many calls."}},
	{auth.ErrMisconfigured, Fault{Status: 500, Code: "UPSTREAM_MISCONFIGURED", Message: "WeChat refuses this server; its operator must act."}},
	{auth.ErrReadOnly, Fault{Status: 503, Code: "READ_ONLY", Message: "Nothing can be changed for the moment; what can be read still is."}},
	{auth.ErrUpstream, Fault{Status: 503, Code: "UPSTREAM_UNAVAILABLE", Message: "A service behind this one does not answer."}},
	{auth.ErrPushRejected, Fault{Status: 403, Code: "BAD_REQUEST", Message: "This is not a message of WeChat's."}},
	{auth.ErrNotFound, Fault{Status: 404, Code: "NOT_FOUND", Message: "It is not here."}},
	// A caller who has gone reads no answer; one whose time is up was let down by what is behind us.
	{context.Canceled, Fault{Status: 503, Code: "UPSTREAM_UNAVAILABLE", Message: "The call was given up."}},
	{context.DeadlineExceeded, Fault{Status: 503, Code: "UPSTREAM_UNAVAILABLE", Message: "It took too long.", RetryAfter: time.Second}},
}

// internal hides everything that is nobody's business but the operator's.
var internal = Fault{Status: 500, Code: "INTERNAL", Message: "Internal error."}

// The errors of requests. What they say about the place of an error is added by
// messages.go, coerce.go and multipart.go.
func badRequest(message string) *Fault {
	return &Fault{Status: 400, Code: "BAD_REQUEST", Message: message}
}

func parseFailed(message string, at ...gqlerror.Location) *Fault {
	return &Fault{Status: 400, Code: "GRAPHQL_PARSE_FAILED", Message: message, at: at}
}

func invalid(message string, at ...gqlerror.Location) *Fault {
	return &Fault{Status: 400, Code: "GRAPHQL_VALIDATION_FAILED", Message: message, at: at}
}

func badInput(field, message string, at ...gqlerror.Location) *Fault {
	return &Fault{Status: 400, Code: "BAD_USER_INPUT", Message: message, Field: field, at: at}
}

func tooLarge(limit int64) *Fault {
	return &Fault{Status: 413, Code: "PAYLOAD_TOO_LARGE", Message: fmt.Sprintf("The request has more than %d bytes.", limit)}
}

func unsupported(message string) *Fault {
	return &Fault{Status: 415, Code: "UNSUPPORTED_MEDIA_TYPE", Message: message}
}

// MethodNotAllowed is the Fault of a request by another method than the route has.
func MethodNotAllowed(message string) *Fault {
	return &Fault{Status: 405, Code: "METHOD_NOT_ALLOWED", Message: message}
}

// FaultOf tells what a client sees of err. What the table does not know is INTERNAL.
func FaultOf(err error) Fault {
	var own *Fault
	if errors.As(err, &own) {
		return *own
	}
	var wrong *auth.InvalidError
	if errors.As(err, &wrong) {
		return *badInput(wrong.Field, wrong.Reason)
	}
	for _, known := range faults {
		if errors.Is(err, known.err) {
			f := known.Fault
			if after := auth.RetryAfter(err); after > 0 {
				f.RetryAfter = after
			}
			var field *auth.FieldError
			if errors.As(err, &field) {
				f.Field = field.Field
			}
			return f
		}
	}
	return internal
}

// present makes the GraphQL form of a fault.
func (f *Fault) present(requestID string) *gqlerror.Error {
	extensions := map[string]any{"code": f.Code, "requestId": requestID}
	if f.Field != "" {
		extensions["field"] = f.Field
	}
	if f.RetryAfter > 0 {
		extensions["retryAfter"] = f.seconds()
	}
	if f.Hint != "" {
		extensions["hint"] = f.Hint
	}
	return &gqlerror.Error{Message: f.Message, Locations: f.at, Extensions: extensions}
}

// seconds is RetryAfter in whole seconds, at least 1.
func (f *Fault) seconds() int64 { return int64((f.RetryAfter + time.Second - 1) / time.Second) }

// WriteFault answers a request by a fault, as JSON in the form of a GraphQL
// error, with the fault's status. Header fields that are set already stay.
func WriteFault(w http.ResponseWriter, f Fault, requestID string) {
	WriteFaultWith(w, f, requestID, nil)
}

// WriteFaultWith is WriteFault with extensions, which stand beside the errors.
func WriteFaultWith(w http.ResponseWriter, f Fault, requestID string, extensions any) {
	body, _ := json.Marshal(answer{Errors: gqlerror.List{f.present(requestID)}, Extensions: extensions})
	h := w.Header()
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(f.seconds(), 10))
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", mediaJSON.header)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(f.Status)
	w.Write(body)
}

// cause is err without the path that gqlgen put around it, which has the client's
// aliases.
func cause(err error) error {
	var e *gqlerror.Error
	if !errors.As(err, &e) {
		return err
	}
	if e.Err != nil {
		return cause(e.Err)
	}
	return errors.New("gqlgen: " + e.Message)
}

// answer is a GraphQL response without data.
type answer struct {
	Errors     gqlerror.List `json:"errors"`
	Extensions any           `json:"extensions,omitempty"`
}

// errPanicked stands for a panic that has been logged.
var errPanicked = errors.New("panicked")

// Panic tells where it panicked and with what kind of value. The value itself
// may hold anything that a client sent, so it is not told, but for the runtime's.
func Panic(value any) (kind string, stack []string) {
	kind = fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		kind = err.Error()
	}
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		frame, more := frames.Next()
		stack = append(stack, fmt.Sprintf("%s %s:%d", frame.Function, frame.File, frame.Line))
		if !more {
			return kind, stack
		}
	}
}
