package double

import (
	"context"
	"maps"
	"math/rand/v2"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// service answers the RPCs. What it does not define answers Unimplemented.
type service struct {
	pb.UnimplementedFirestoreServer
	double *Server
}

// database returns the database of a request, locked, when its headers say the same.
func (s *service) database(ctx context.Context, name string) (*database, error) {
	if err := checkHeaders(ctx, name); err != nil {
		return nil, err
	}
	s.double.mu.Lock()
	d := s.double.databases[name]
	s.double.mu.Unlock()
	if d == nil {
		return nil, status.Errorf(codes.NotFound, "The database %s does not exist. Please visit the console to add a Cloud Firestore database.", name)
	}
	d.mu.Lock()
	return d, nil
}

func (s *service) BatchGetDocuments(r *pb.BatchGetDocumentsRequest, stream pb.Firestore_BatchGetDocumentsServer) error {
	if r.GetMask() != nil {
		return status.Error(codes.Unimplemented, "double: a mask")
	}
	docs := make(map[string]bool)
	for _, name := range r.GetDocuments() {
		doc, err := checkName(r.GetDatabase(), name)
		if err != nil {
			return err
		}
		docs[doc] = true
	}
	d, err := s.database(stream.Context(), r.GetDatabase())
	if err != nil {
		return err
	}
	answers, err := d.get(r, docs)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, a := range answers {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

// get reads documents at one moment. Its answers come in no order and say times
// that rise to that moment, since when each document has not changed.
func (d *database) get(r *pb.BatchGetDocumentsRequest, docs map[string]bool) ([]*pb.BatchGetDocumentsResponse, error) {
	moment, t, id, err := d.moment(r)
	if err != nil {
		return nil, err
	}
	var answers []*pb.BatchGetDocumentsResponse
	if id != nil {
		answers = append(answers, &pb.BatchGetDocumentsResponse{Transaction: id, ReadTime: moment.proto()})
	}
	said := moment - micros(rand.IntN(2)*len(docs))
	if t != nil {
		said = moment
	}
	for doc := range docs { // in no order
		v, err := d.at(doc, moment)
		if err != nil {
			return nil, err
		}
		if t != nil {
			t.docs[doc] = v.since
		}
		said = min(max(said+1, v.since), moment)
		a := &pb.BatchGetDocumentsResponse{ReadTime: said.proto()}
		if name := r.GetDatabase() + "/documents/" + doc; v.doc != nil {
			a.Result = &pb.BatchGetDocumentsResponse_Found{Found: v.doc}
		} else {
			a.Result = &pb.BatchGetDocumentsResponse_Missing{Missing: name}
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func (s *service) RunQuery(r *pb.RunQueryRequest, stream pb.Firestore_RunQueryServer) error {
	name, q, err := checkQuery(r)
	if err != nil {
		return err
	}
	d, err := s.database(stream.Context(), name)
	if err != nil {
		return err
	}
	answers, err := d.query(r, q)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	for _, a := range answers {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) query(r *pb.RunQueryRequest, q *query) ([]*pb.RunQueryResponse, error) {
	moment, t, id, err := d.moment(r)
	if err != nil {
		return nil, err
	}
	found, err := d.run(q, moment)
	if err != nil {
		return nil, err
	}
	if t != nil {
		t.queries, t.results = append(t.queries, q), append(t.results, found)
	}
	var answers []*pb.RunQueryResponse
	if id != nil {
		answers = append(answers, &pb.RunQueryResponse{Transaction: id})
	}
	for _, v := range found {
		answers = append(answers, &pb.RunQueryResponse{Document: v.doc, ReadTime: moment.proto()})
	}
	// With or without documents, an answer may only tell the time.
	if len(found) == 0 || rand.IntN(2) == 0 {
		answers = append(answers, &pb.RunQueryResponse{ReadTime: moment.proto()})
	}
	return answers, nil
}

func (s *service) BeginTransaction(ctx context.Context, r *pb.BeginTransactionRequest) (*pb.BeginTransactionResponse, error) {
	d, err := s.database(ctx, r.GetDatabase())
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	id, _, err := d.begin(r.GetOptions(), false)
	if err != nil {
		return nil, err
	}
	return &pb.BeginTransactionResponse{Transaction: []byte(id)}, nil
}

func (s *service) Rollback(ctx context.Context, r *pb.RollbackRequest) (*emptypb.Empty, error) {
	d, err := s.database(ctx, r.GetDatabase())
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if _, err := d.find(r.GetTransaction()); err != nil {
		return nil, err
	}
	delete(d.transactions, string(r.GetTransaction()))
	return &emptypb.Empty{}, nil
}

func (s *service) Commit(ctx context.Context, r *pb.CommitRequest) (*pb.CommitResponse, error) {
	if err := checkCommit(r); err != nil {
		return nil, err
	}
	d, err := s.database(ctx, r.GetDatabase())
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	if r.GetTransaction() != nil {
		t, err := d.find(r.GetTransaction())
		if err != nil {
			return nil, err
		}
		delete(d.transactions, string(r.GetTransaction()))
		if t.readOnly && len(r.GetWrites()) > 0 {
			return nil, status.Error(codes.InvalidArgument, "Cannot modify entities in a read-only transaction.")
		}
		if !t.readOnly && !d.unchanged(t) {
			return nil, status.Error(codes.Aborted, "Too much contention on these documents. Please try again.")
		}
	}
	return d.commit(r)
}

// commit checks and applies each write to what the ones before left, on the side,
// and only then stores them all.
func (d *database) commit(r *pb.CommitRequest) (*pb.CommitResponse, error) {
	now := d.tick()
	staged := make(map[string]version)
	answer := &pb.CommitResponse{CommitTime: now.proto()}
	for _, w := range r.GetWrites() {
		name := w.GetUpdate().GetName() + w.GetDelete()
		doc, err := checkName(r.GetDatabase(), name)
		if err != nil {
			return nil, err
		}
		old, ok := staged[doc]
		if !ok {
			old = d.last(doc)
		}
		if err := holds(w, name, old.doc); err != nil {
			return nil, err
		}
		next := version{since: now}
		result := &pb.WriteResult{}
		if w.GetUpdate() != nil {
			next = update(old, w.GetUpdate(), now)
			result.UpdateTime = next.doc.GetUpdateTime()
		} else if old.doc == nil {
			next = old
		}
		staged[doc] = next
		answer.WriteResults = append(answer.WriteResults, result)
	}
	for doc, v := range staged {
		if v != d.last(doc) {
			d.put(doc, v)
		}
	}
	return answer, nil
}

// update returns the version after a write of a document. One that changes nothing
// is the old version.
func update(old version, written *pb.Document, now micros) version {
	doc := proto.CloneOf(written)
	truncate(doc.GetFields())
	doc.CreateTime, doc.UpdateTime = now.proto(), now.proto()
	if old.doc != nil {
		if maps.EqualFunc(old.doc.GetFields(), doc.GetFields(), func(a, b *pb.Value) bool { return proto.Equal(a, b) }) {
			return old
		}
		doc.CreateTime = old.doc.GetCreateTime()
	}
	return version{now, doc}
}

// truncate cuts timestamps to microseconds, as the service does.
func truncate(fields map[string]*pb.Value) {
	for _, v := range fields {
		truncateValue(v)
	}
}

func truncateValue(v *pb.Value) {
	switch v := v.GetValueType().(type) {
	case *pb.Value_TimestampValue:
		v.TimestampValue.Nanos -= v.TimestampValue.Nanos % 1000
	case *pb.Value_MapValue:
		truncate(v.MapValue.GetFields())
	case *pb.Value_ArrayValue:
		for _, value := range v.ArrayValue.GetValues() {
			truncateValue(value)
		}
	}
}

// holds returns an error when the condition of a write does not hold for the
// document as it stands, or nil for none. The service's documentation does not
// say with which code an update time fails where there is no document; a client
// must understand both that are given here.
func holds(w *pb.Write, name string, doc *pb.Document) error {
	switch c := w.GetCurrentDocument().GetConditionType().(type) {
	case *pb.Precondition_Exists:
		switch {
		case !c.Exists && doc != nil:
			return status.Errorf(codes.AlreadyExists, "Document already exists: %s", name)
		case c.Exists && doc == nil:
			return status.Errorf(codes.NotFound, "No document to update: %s", name)
		}
	case *pb.Precondition_UpdateTime:
		switch {
		case doc == nil && w.GetUpdate() != nil:
			return status.Errorf(codes.NotFound, "No document to update: %s", name)
		case doc == nil:
			return status.Errorf(codes.FailedPrecondition, "the stored version (0) does not match the required base version (%d)", c.UpdateTime.AsTime().UnixMicro())
		case !sameTime(doc.GetUpdateTime(), c.UpdateTime):
			return status.Errorf(codes.FailedPrecondition, "the stored version (%d) does not match the required base version (%d)",
				doc.GetUpdateTime().AsTime().UnixMicro(), c.UpdateTime.AsTime().UnixMicro())
		}
	}
	return nil
}

func sameTime(a, b *timestamppb.Timestamp) bool { return a.AsTime().Equal(b.AsTime()) }
