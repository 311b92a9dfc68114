package firestore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/miniprofile/miniprofile/drivers"
)

// errUnknown: a Commit failed and reading did not tell what became of it.
var errUnknown = errors.New("the outcome is unknown, read to find out")

func (s *store) Commit(ctx context.Context, ops ...drivers.Op) error {
	if err := drivers.Check(ops); err != nil {
		return err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return err
	}
	defer s.gate.Leave()
	token := rand.Text()
	request, err := s.request(ops, token)
	if err == nil {
		err = s.carryOut(ctx, ops, request, token)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// request returns the request for ops. An If that no document ever had is a
// conflict.
func (s *store) request(ops []drivers.Op, token string) (*pb.CommitRequest, error) {
	writes := make([]*pb.Write, len(ops))
	for i, op := range ops {
		condition := &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: false}}
		if op.If != "" {
			t, ok := updateTime(op.If)
			if !ok {
				return nil, fmt.Errorf("%v: %w", op.Key, drivers.ErrConflict)
			}
			condition.ConditionType = &pb.Precondition_UpdateTime{UpdateTime: t}
		}
		writes[i] = &pb.Write{CurrentDocument: condition}
		if op.Data == nil {
			writes[i].Operation = &pb.Write_Delete{Delete: s.name(op.Key)}
			continue
		}
		fields, err := encode(op.Data, op.Expires, token)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", op.Key, err)
		}
		writes[i].Operation = &pb.Write_Update{Update: &pb.Document{Name: s.name(op.Key), Fields: fields}}
	}
	return &pb.CommitRequest{Database: s.path(), Writes: writes}, nil
}

// carryOut commits, and finds out what became of it when that fails.
func (s *store) carryOut(ctx context.Context, ops []drivers.Op, request *pb.CommitRequest, token string) error {
	doubt := false // whether an attempt may have been carried out, or may yet be
	for attempt := 1; ; attempt++ {
		failure := s.send(ctx, request)
		if failure == nil {
			return nil
		}
		switch status.Code(failure) {
		case codes.FailedPrecondition, codes.AlreadyExists, codes.NotFound, codes.Aborted:
			// Nothing was written: a condition did not hold, others were there at
			// the same time, or something is wrong with the database.
		case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.Internal, codes.Unknown:
			doubt = true
		default:
			return s.explain(ctx, failure)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		found, err := s.look(ctx, ops)
		if err != nil {
			return err
		}
		switch judge(ops, found, token, doubt) {
		case written:
			return nil
		case conflict:
			return drivers.ErrConflict
		case unknown:
			return fmt.Errorf("%w: %w", errUnknown, s.explain(ctx, failure))
		}
		if attempt == s.attempts {
			return s.explain(ctx, failure)
		}
		if err := s.wait(ctx, attempt); err != nil {
			return err
		}
	}
}

// send is one attempt.
func (s *store) send(ctx context.Context, request *pb.CommitRequest) error {
	ctx, cancel := context.WithTimeout(s.headers(ctx), s.commit)
	defer cancel()
	_, err := s.client.Commit(ctx, request)
	return err
}

// state is what judge needs to know of a document.
type state struct {
	revision drivers.Revision
	token    string
}

// look returns the state of what ops write, at one moment.
func (s *store) look(ctx context.Context, ops []drivers.Op) ([]state, error) {
	keys := make([]drivers.Key, len(ops))
	for i, op := range ops {
		keys[i] = op.Key
	}
	docs, err := s.read(ctx, keys)
	if err != nil {
		return nil, err
	}
	found := make([]state, len(ops))
	for i, k := range keys {
		if docs[k] == nil {
			continue
		}
		found[i].token = docs[k].GetFields()[fieldCommit].GetStringValue()
		if found[i].revision, err = revision(docs[k].GetUpdateTime()); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// outcome is what became of a commit that failed.
type outcome int

const (
	unknown  outcome = iota
	written          // it was carried out
	conflict         // it was not and never will be: a condition does not hold
	again            // it was not, and may be tried again: it will be carried out once at most
)

// judge tells from what was found after the failure of a commit what became of
// it. doubt: an attempt may have been carried out, or may still be under way and
// be carried out later.
//
// A token stands in no document but those that this commit wrote. An update time
// never comes back: where it still stands, nothing was written, and where it is
// gone, no attempt can succeed any more. But a document that is not there proves
// neither: it may have been created and deleted meanwhile, and may be again.
func judge(ops []drivers.Op, found []state, token string, doubt bool) outcome {
	holds := true      // every If
	untouched := false // some document stands as it was, so nothing was written
	barred := false    // some document has gone on, so nothing will be written
	for i, op := range ops {
		same := found[i].revision == op.If
		switch {
		case found[i].token == token:
			return written
		case !same:
			holds = false
			barred = barred || op.If != ""
		case op.If != "":
			untouched = true
		}
	}
	switch {
	case !holds && (!doubt || untouched && barred):
		return conflict
	case holds && (!doubt || untouched):
		return again
	}
	return unknown
}
