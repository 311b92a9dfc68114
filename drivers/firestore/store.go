package firestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	api "cloud.google.com/go/firestore/apiv1"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/miniprofile/miniprofile/drivers"
	"github.com/miniprofile/miniprofile/drivers/internal/gate"
)

// chunk is how many records a Scan asks for at a time: 8 MiB at most.
const chunk = 128

type store struct {
	place
	patience
	gate   gate.Gate
	client *api.Client
}

// open opens the store at p and has a look whether it can be used.
func open(ctx context.Context, p place, patience patience) (*store, error) {
	client, err := dial(ctx, p)
	if err != nil {
		return nil, noCredentials(err)
	}
	s := &store{place: p, patience: patience, client: client}
	_, err = s.readOnce(ctx, []drivers.Key{{Kind: "probes", ID: "open"}})
	if err != nil && (ctx.Err() != nil || !passing(err)) {
		return nil, errors.Join(s.explain(ctx, err), client.Close())
	}
	return s, nil
}

func (s *store) Get(ctx context.Context, keys ...drivers.Key) ([]drivers.Record, error) {
	if err := drivers.CheckKeys(keys); err != nil {
		return nil, err
	}
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	if len(keys) == 0 {
		return nil, nil
	}
	docs, err := s.read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("get: %w", err)
	}
	found := make([]drivers.Record, len(keys))
	for i, k := range keys {
		if docs[k] == nil {
			found[i].Key = k
		} else if found[i], err = decode(k, docs[k]); err != nil {
			return nil, fmt.Errorf("get: %w", err)
		}
	}
	return found, nil
}

// read returns the documents of keys at one moment, nil where there is none. It
// tries again while that may help.
func (s *store) read(ctx context.Context, keys []drivers.Key) (map[drivers.Key]*pb.Document, error) {
	for attempt := 1; ; attempt++ {
		docs, err := s.readOnce(ctx, keys)
		if err == nil {
			return docs, nil
		}
		if ctx.Err() != nil || !passing(err) || attempt == s.attempts {
			return nil, s.explain(ctx, err)
		}
		if err := s.wait(ctx, attempt); err != nil {
			return nil, err
		}
	}
}

// readOnce is read with one RPC.
//
// The answer is of one moment, that of its last read time: the API promises that
// where read times rise within an answer, the documents before have not changed
// until the later time. So it needs no transaction, which would stay open.
func (s *store) readOnce(ctx context.Context, keys []drivers.Key) (map[drivers.Key]*pb.Document, error) {
	ctx, cancel := context.WithTimeout(s.headers(ctx), s.get)
	defer cancel()
	docs := make(map[drivers.Key]*pb.Document, len(keys))
	request := &pb.BatchGetDocumentsRequest{Database: s.path()}
	for _, k := range keys {
		if _, twice := docs[k]; !twice {
			docs[k] = nil
			request.Documents = append(request.Documents, s.name(k))
		}
	}
	stream, err := s.client.BatchGetDocuments(ctx, request)
	if err != nil {
		return nil, err
	}
	seen := make(map[drivers.Key]bool, len(docs))
	var last time.Time
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if at := answer.GetReadTime().AsTime(); at.Before(last) {
			return nil, status.Error(codes.Internal, "read times fall within one answer")
		} else {
			last = at
		}
		name := answer.GetMissing()
		if answer.GetFound() != nil {
			name = answer.GetFound().GetName()
		}
		k, err := s.key(name)
		if _, asked := docs[k]; err != nil || !asked || seen[k] {
			return nil, status.Errorf(codes.Internal, "an answer that was not asked for: %q", name)
		}
		seen[k], docs[k] = true, answer.GetFound()
	}
	if len(seen) < len(docs) {
		return nil, status.Errorf(codes.Unavailable, "an answer of %d documents to a question for %d", len(seen), len(docs))
	}
	return docs, nil
}

func (s *store) Scan(ctx context.Context, kind, prefix, after string) iter.Seq2[drivers.Record, error] {
	return func(yield func(drivers.Record, error) bool) {
		if err := drivers.CheckScan(kind, prefix, after); err != nil {
			yield(drivers.Record{}, err)
			return
		}
		after := after
		for failures := 0; ; {
			docs, more, err := s.chunk(ctx, kind, prefix, after)
			for _, doc := range docs {
				r, err := s.record(doc)
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					yield(drivers.Record{}, err)
					return
				}
				if !yield(r, nil) {
					return
				}
				after, failures = r.Key.ID, 0
			}
			if err != nil {
				failures++
				switch {
				case ctx.Err() != nil || !passing(err) || failures == s.attempts:
					err = s.explain(ctx, err)
				default:
					err = s.wait(ctx, failures)
				}
			}
			if err != nil {
				yield(drivers.Record{}, fmt.Errorf("scan: %w", err))
				return
			}
			if !more {
				return
			}
		}
	}
}

func (s *store) record(doc *pb.Document) (drivers.Record, error) {
	k, err := s.key(doc.GetName())
	if err != nil {
		return drivers.Record{}, fmt.Errorf("scan: %w", err)
	}
	r, err := decode(k, doc)
	if err != nil {
		return drivers.Record{}, fmt.Errorf("scan: %w", err)
	}
	return r, nil
}

// chunk returns some documents, and whether there may be more. When its stream
// breaks it returns what came before, too.
func (s *store) chunk(ctx context.Context, kind, prefix, after string) (docs []*pb.Document, more bool, err error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, false, err
	}
	defer s.gate.Leave()
	query := s.query(kind, prefix, after)
	if query == nil {
		return nil, false, nil
	}
	ctx, cancel := context.WithTimeout(s.headers(ctx), s.scan)
	defer cancel()
	stream, err := s.client.RunQuery(ctx, &pb.RunQueryRequest{
		Parent:    s.path() + "/documents",
		QueryType: &pb.RunQueryRequest_StructuredQuery{StructuredQuery: query},
	})
	if err != nil {
		return nil, true, err
	}
	for {
		answer, err := stream.Recv()
		if err == io.EOF {
			return docs, len(docs) == chunk, nil
		}
		if err != nil {
			return docs, true, err
		}
		if answer.GetDocument() != nil { // else it only tells of progress
			docs = append(docs, answer.GetDocument())
		}
	}
}

// query asks for a chunk of the documents that a Scan wants; nil when there can
// be none.
func (s *store) query(kind, prefix, after string) *pb.StructuredQuery {
	var filters []*pb.StructuredQuery_Filter
	bound := func(op pb.StructuredQuery_FieldFilter_Operator, id string) {
		filters = append(filters, &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{
			FieldFilter: &pb.StructuredQuery_FieldFilter{Field: documentName, Op: op, Value: &pb.Value{
				ValueType: &pb.Value_ReferenceValue{ReferenceValue: s.name(drivers.Key{Kind: kind, ID: id})},
			}},
		}})
	}
	switch {
	case after >= prefix && after != "":
		if !strings.HasPrefix(after, prefix) {
			return nil
		}
		bound(pb.StructuredQuery_FieldFilter_GREATER_THAN, after)
	case prefix != "":
		bound(pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL, prefix)
	}
	if prefix != "" {
		bound(pb.StructuredQuery_FieldFilter_LESS_THAN, prefix+"~") // greater than whatever an ID has after prefix
	}
	query := &pb.StructuredQuery{
		From:    []*pb.StructuredQuery_CollectionSelector{{CollectionId: kind}},
		OrderBy: []*pb.StructuredQuery_Order{{Field: documentName, Direction: pb.StructuredQuery_ASCENDING}},
		Limit:   wrapperspb.Int32(chunk),
	}
	switch len(filters) {
	case 0:
	case 1:
		query.Where = filters[0]
	default:
		query.Where = &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_CompositeFilter{
			CompositeFilter: &pb.StructuredQuery_CompositeFilter{Op: pb.StructuredQuery_CompositeFilter_AND, Filters: filters},
		}}
	}
	return query
}

var documentName = &pb.StructuredQuery_FieldReference{FieldPath: "__name__"}

func (s *store) Close() error {
	if !s.gate.Shut() {
		return nil
	}
	return s.client.Close()
}
