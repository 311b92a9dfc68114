package firestore

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// passing reports whether a read that failed may well succeed when repeated.
func passing(err error) bool {
	s, ok := status.FromError(err)
	if !ok { // not of an RPC
		return false
	}
	switch s.Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Internal, codes.Unknown, codes.Canceled:
		return true
	}
	return false
}

// explain says in words what is wrong and what to do. Once ctx has ended, that
// is the error.
func (p place) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if advice := p.advice(err); advice != "" {
		return fmt.Errorf("%s: %w", advice, err)
	}
	return err
}

func (p place) advice(err error) string {
	at := "--project=" + p.project
	switch s := status.Convert(err); s.Code() {
	case codes.Unauthenticated:
		return credentialsAdvice
	case codes.PermissionDenied:
		switch reason(s) {
		case "SERVICE_DISABLED":
			return "the Firestore API is switched off; switch it on: gcloud services enable firestore.googleapis.com " + at
		case "CONSUMER_INVALID":
			return fmt.Sprintf("there is no project %q that these credentials may see: correct the URL, or use the credentials of that project", p.project)
		case "BILLING_DISABLED":
			return fmt.Sprintf("project %q has no billing account: link one", p.project)
		}
		return fmt.Sprintf("permission denied (or no project %q): give the account of these credentials the role roles/datastore.user: gcloud projects add-iam-policy-binding %s --member=serviceAccount:ACCOUNT --role=roles/datastore.user", p.project, p.project)
	case codes.NotFound:
		return fmt.Sprintf("there is no database %q in project %q, or no such project: correct the URL, or create it: gcloud firestore databases create --database='%s' --type=firestore-native --location=LOCATION %s", p.database, p.project, p.database, at)
	case codes.FailedPrecondition:
		if strings.Contains(s.Message(), "Datastore") {
			return fmt.Sprintf("database %q is in Datastore mode: use or create one in Native mode", p.database)
		}
		return "Firestore refused"
	case codes.ResourceExhausted:
		return fmt.Sprintf("a quota of project %q is exhausted: see console.cloud.google.com/iam-admin/quotas?project=%s; without a billing account the free one lasts until midnight Pacific time", p.project, p.project)
	case codes.Aborted:
		return "too many writers at once on one record"
	case codes.InvalidArgument:
		return "Firestore refused what was sent; if it speaks of indexes, exempt the field data from indexing (see the package comment of drivers/firestore)"
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		if p.emulator != "" {
			return fmt.Sprintf("no answer from the emulator at FIRESTORE_EMULATOR_HOST=%s", p.emulator)
		}
		return "no answer from firestore.googleapis.com: see the network, and status.cloud.google.com"
	}
	return ""
}

const credentialsAdvice = "no valid Google credentials: run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or run where a service account is attached (FIRESTORE_EMULATOR_HOST needs none)"

// noCredentials explains why a client could not be made.
func noCredentials(err error) error { return fmt.Errorf("%s: %w", credentialsAdvice, err) }

// reason returns the machine-readable reason of an error of Google's front end.
func reason(s *status.Status) string {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
