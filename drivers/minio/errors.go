package minio

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	s3 "github.com/minio/minio-go/v7"

	"github.com/miniprofile/miniprofile/drivers"
)

var (
	errSilent   = errors.New("the service does not answer")
	errDamaged  = errors.New("the bytes are not those that were stored")
	errReplaced = errors.New("the object was replaced or deleted while it was read")
)

// attempts is how often a request is sent at most. minio-go waits after each
// that failed, at random up to 200 ms.
const attempts = 3

// attempt sends a request until it succeeds, or fails in a way that will not
// pass. It gives each error its final form.
func (o *objects) attempt(ctx context.Context, request func(ctx context.Context) error) error {
	for n := 1; ; n++ {
		var wait time.Duration
		err := request(withWait(ctx, &wait))
		switch {
		case err == nil:
			return nil
		case ended(ctx) != nil:
			return ended(ctx)
		case wait > 0:
			return &drivers.BusyError{After: wait, Err: plain(err)}
		case n == attempts || !passing(err):
			return plain(err)
		}
	}
}

// ended returns what ended ctx, our patience or its own end, or nil.
func ended(ctx context.Context) error {
	if context.Cause(ctx) == errSilent {
		return errSilent
	}
	return ctx.Err()
}

// passing reports whether an error may be gone in a moment. A service that takes
// too long is not asked again: it would get slower.
func passing(err error) bool {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var answer s3.ErrorResponse
	switch {
	case errors.As(err, &answer):
		switch answer.StatusCode {
		case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
			return true
		case http.StatusBadRequest:
			return answer.Code == "RequestTimeout" || answer.Code == "IncompleteBody" || answer.Code == "BadDigest" || answer.Code == "XAmzContentSHA256Mismatch" // the body did not arrive
		}
		return false
	case errors.As(err, &certificate) || strings.Contains(err.Error(), plainHTTP):
		return false
	case errors.Is(err, errDamaged) || errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.As(err, &network):
		return !network.Timeout()
	}
	return false
}

// plainHTTP is part of net/http's error when a server does not speak TLS.
const plainHTTP = "server gave HTTP response to HTTPS client"

// plain makes an error short: net/http's quote the URL, S3's do not give the code.
func plain(err error) error {
	switch err := err.(type) {
	case s3.ErrorResponse:
		return &answerError{err}
	case *url.Error:
		return err.Err
	}
	return err
}

// answerError is an error that the service answered.
type answerError struct{ s3.ErrorResponse }

func (e *answerError) Error() string {
	message := strings.Join(strings.Fields(e.Message), " ")
	if len(message) > 200 {
		message = message[:200] + "…"
	}
	return fmt.Sprintf("%d %s: %s", e.StatusCode, e.Code, message)
}

func (e *answerError) Unwrap() error { return e.ErrorResponse }

// code is what S3 calls an error, or empty.
func code(err error) string {
	var answer s3.ErrorResponse
	errors.As(err, &answer)
	return answer.Code
}

// absent reports whether an S3 service said that there is no such object.
// Anything else that answers 404, minio-go takes for the same.
func absent(err error) bool {
	var answer s3.ErrorResponse
	return errors.As(err, &answer) && answer.Code == s3.NoSuchKey && answer.XMLName.Local == "Error"
}

// advise says what to do about an error at the opening of a bucket.
func advise(p place, err error) error {
	advice := ""
	var answer s3.ErrorResponse
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var dns *net.DNSError
	var network net.Error
	switch {
	case code(err) == s3.NoSuchBucket:
		return fmt.Errorf("bucket %s: %w: make it, or start with --create-bucket (%w)", p.bucket, ErrNoBucket, err)
	case errors.As(err, &answer):
		advice = adviseAnswer(p, answer)
	case strings.Contains(err.Error(), plainHTTP):
		advice = "the service does not speak TLS: add tls=false to the URL"
	case errors.As(err, &unknown):
		advice = "nobody we know has signed the service's certificate: name a file with it in SSL_CERT_FILE"
	case errors.As(err, &name):
		advice = "the service's certificate is for another host: correct the URL, or try lookup=path or lookup=dns"
	case errors.As(err, &dns) && dns.IsNotFound:
		advice = "there is no such host: correct the URL; where the bucket's name stands before the host, lookup=path takes it away"
	case errors.Is(err, syscall.ECONNREFUSED):
		advice = "nothing listens at " + p.host + ": start the service, or correct host and port"
	case errors.Is(err, errSilent) || errors.As(err, &network) && network.Timeout():
		advice = p.host + " does not answer: look at the network, the firewall, and the port"
	case !p.secure && (errors.Is(err, errCut) || errors.Is(err, syscall.ECONNRESET)):
		advice = "the service closed the connection: if it speaks TLS, take tls=false out of the URL"
	}
	if advice == "" {
		return fmt.Errorf("bucket %s: %w", p.bucket, err)
	}
	return fmt.Errorf("bucket %s: %s (%w)", p.bucket, advice, err)
}

func adviseAnswer(p place, answer s3.ErrorResponse) string {
	switch answer.Code {
	case s3.AccessDenied, "AllAccessDisabled", "Forbidden":
		return "these credentials may not list it, or not make it: allow what the policy in the documentation of drivers/minio says"
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return "the service does not know the access key: correct it"
	case s3.SignatureDoesNotMatch:
		return "the secret key is wrong, or a proxy changes the requests: correct the key"
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken":
		return "the credentials are temporary and have ended: renew them"
	case s3.RequestTimeTooSkewed, "RequestExpired":
		return "this machine's clock and the service's differ by minutes: set the clock"
	case s3.AuthorizationHeaderMalformed, s3.InvalidRegion, "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		if answer.Region != "" {
			return fmt.Sprintf("it is in another region: set region=%s in the URL, and that region's host", answer.Region)
		}
		return fmt.Sprintf("it is in another region than %q: correct region and host in the URL", p.region)
	case "BucketAlreadyExists":
		return "the name belongs to somebody else: choose another"
	}
	if answer.StatusCode == http.StatusBadRequest && !p.secure && strings.Contains(answer.Message, "HTTPS") {
		return "the service speaks TLS: take tls=false out of the URL"
	}
	if answer.StatusCode >= 500 {
		return "the service is not well: look at its logs"
	}
	return ""
}
