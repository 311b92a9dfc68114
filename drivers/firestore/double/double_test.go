package double_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/iterator"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

const (
	database = "projects/demo-test/databases/(default)"
	things   = database + "/documents/things/"
)

// start starts a double with one database and returns a client and its context.
func start(t *testing.T) (*double.Server, pb.FirestoreClient, context.Context) {
	t.Helper()
	server, err := double.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.Create("demo-test", "(default)")
	conn, err := grpc.NewClient(server.Addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer owner",
		"google-cloud-resource-prefix", database, "x-goog-request-params", "project_id=demo-test&database_id=%28default%29")
	return server, pb.NewFirestoreClient(conn), ctx
}

func text(s string) *pb.Value { return &pb.Value{ValueType: &pb.Value_StringValue{StringValue: s}} }

func object(fields map[string]*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_MapValue{MapValue: &pb.MapValue{Fields: fields}}}
}

func list(values ...*pb.Value) *pb.Value {
	return &pb.Value{ValueType: &pb.Value_ArrayValue{ArrayValue: &pb.ArrayValue{Values: values}}}
}

func set(name string, v *pb.Value) *pb.Write {
	return &pb.Write{Operation: &pb.Write_Update{Update: &pb.Document{Name: name, Fields: map[string]*pb.Value{"a": v}}}}
}

func remove(name string) *pb.Write { return &pb.Write{Operation: &pb.Write_Delete{Delete: name}} }

func exists(w *pb.Write, yes bool) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_Exists{Exists: yes}}
	return w
}

func updated(w *pb.Write, at *timestamppb.Timestamp) *pb.Write {
	w.CurrentDocument = &pb.Precondition{ConditionType: &pb.Precondition_UpdateTime{UpdateTime: at}}
	return w
}

func commit(ctx context.Context, c pb.FirestoreClient, writes ...*pb.Write) (*pb.CommitResponse, error) {
	return c.Commit(ctx, &pb.CommitRequest{Database: database, Writes: writes})
}

// read returns the answers to a request for documents, by name.
func read(ctx context.Context, c pb.FirestoreClient, r *pb.BatchGetDocumentsRequest) (map[string]*pb.Document, []byte, error) {
	r.Database = database
	stream, err := c.BatchGetDocuments(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	docs := make(map[string]*pb.Document)
	var id []byte
	for {
		a, err := stream.Recv()
		if err == io.EOF {
			return docs, id, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if a.GetTransaction() != nil {
			id = a.GetTransaction()
			continue
		}
		docs[a.GetMissing()+a.GetFound().GetName()] = a.GetFound()
	}
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

func TestRefusals(t *testing.T) {
	_, c, ctx := start(t)
	deep := func(n int) *pb.Value {
		v := text("")
		for range n {
			v = object(map[string]*pb.Value{"a": v})
		}
		return v
	}
	named := func(name string) *pb.Write { return set(things+"a", object(map[string]*pb.Value{name: text("")})) }
	written := set(things+"a", text(""))
	written.GetUpdate().UpdateTime = timestamppb.Now()
	texts := func(n, size int) (v []*pb.Write) {
		for i := range n {
			v = append(v, set(fmt.Sprintf("%s%d", things, i), text(strings.Repeat("x", size))))
		}
		return v
	}
	numbers := func(n int) (v []*pb.Value) {
		for i := range n {
			v = append(v, &pb.Value{ValueType: &pb.Value_IntegerValue{IntegerValue: int64(i)}})
		}
		return v
	}
	for name, w := range map[string][]*pb.Write{
		"another database":       {set("projects/demo-test/databases/other/documents/things/a", text(""))},
		"a collection":           {set(database+"/documents/things", text(""))},
		"an empty ID":            {remove(things)},
		"a dot":                  {remove(things + ".")},
		"two dots":               {remove(things + "..")},
		"a reserved ID":          {remove(things + "__a__")},
		"a long ID":              {remove(things + strings.Repeat("x", 1501))},
		"no operation":           {{}},
		"a value without type":   {set(things+"a", &pb.Value{})},
		"a deep value wo. type":  {set(things+"a", list(&pb.Value{}))},
		"array in array":         {set(things+"a", list(list()))},
		"21 levels":              {set(things+"a", deep(21))},
		"an empty field name":    {named("")},
		"a reserved field name":  {named("__a__")},
		"a long field name":      {named(strings.Repeat("x", 1501))},
		"output only":            {written},
		"a long text":            {set(things+"a", text(strings.Repeat("x", 1<<20)))},
		"a big document":         {set(things+"a", list(texts(2, 1<<19)[0].GetUpdate().GetFields()["a"], text(strings.Repeat("x", 1<<19))))},
		"a big request":          texts(11, 1<<20-200),
		"many index entries":     {set(things+"a", list(numbers(40_001)...))},
		"condition without type": {{Operation: remove(things + "a").Operation, CurrentDocument: &pb.Precondition{}}},
		"nanoseconds":            {updated(remove(things+"a"), &timestamppb.Timestamp{Nanos: 1})},
		"a far update time":      {updated(remove(things+"a"), &timestamppb.Timestamp{Seconds: 1 << 40})},
		"the last of two":        {set(things+"fine", text("")), remove(things)},
	} {
		_, err := commit(ctx, c, w...)
		wantCode(t, name, err, codes.InvalidArgument)
	}
	for name, w := range map[string]*pb.Write{
		"20 levels":       set(things+"a", deep(20)),
		"a name below":    set(things+"a/parts/b", text("")),
		"a name of bytes": set(things+strings.Repeat("x", 1500), text("")),
	} {
		if _, err := commit(ctx, c, w); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := commit(ctx, c, texts(9, 1<<20-200)...); err != nil {
		t.Errorf("9 MiB: %v", err)
	}
	docs, _, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{things + "fine"}})
	if err != nil || docs[things+"fine"] != nil {
		t.Errorf("a refused commit left something: %v, %v", docs, err)
	}
	_, _, err = read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{things}})
	wantCode(t, "read of a bad name", err, codes.InvalidArgument)
}

func TestHeaders(t *testing.T) {
	_, c, _ := start(t)
	fine := []string{"authorization", "Bearer owner", "google-cloud-resource-prefix", database, "x-goog-request-params", "database=projects%2Fdemo-test%2Fdatabases%2F%28default%29"}
	for _, f := range []struct {
		i     int
		value string
		want  codes.Code
	}{
		{1, "Bearer owner", codes.OK},
		{1, "Bearer thief", codes.Unauthenticated},
		{3, "projects/demo-test/databases/other", codes.InvalidArgument},
		{5, "project_id=demo-test&database_id=other", codes.InvalidArgument},
	} {
		headers := slices.Clone(fine)
		headers[f.i] = f.value
		_, err := commit(metadata.AppendToOutgoingContext(t.Context(), headers...), c, remove(things+"a"))
		wantCode(t, f.value, err, f.want)
	}
}

func TestCommit(t *testing.T) {
	_, c, ctx := start(t)
	a, b := things+"a", things+"b"
	do := func(want codes.Code, writes ...*pb.Write) []*timestamppb.Timestamp {
		t.Helper()
		r, err := commit(ctx, c, writes...)
		wantCode(t, "commit", err, want)
		var times []*timestamppb.Timestamp
		for _, w := range r.GetWriteResults() {
			times = append(times, w.GetUpdateTime())
		}
		return times
	}
	same := func(x, y *timestamppb.Timestamp) bool { return x.AsTime().Equal(y.AsTime()) }
	do(codes.NotFound, exists(set(a, text("1")), true))
	first := do(codes.OK, exists(set(a, text("1")), false), exists(set(b, text("1")), false))
	if !same(first[0], first[1]) {
		t.Error("one commit gave two update times")
	}
	do(codes.AlreadyExists, exists(set(a, text("1")), false))
	if again := do(codes.OK, updated(set(a, text("1")), first[0])); !same(again[0], first[0]) {
		t.Error("a write that changes nothing changed the update time")
	}
	second := do(codes.OK, updated(set(a, text("2")), first[0]))
	if !second[0].AsTime().After(first[0].AsTime()) {
		t.Error("update times do not rise")
	}
	do(codes.FailedPrecondition, updated(set(a, text("3")), first[0]))
	do(codes.FailedPrecondition, set(b, text("no")), updated(remove(a), first[0])) // nothing of it
	do(codes.OK, updated(remove(a), second[0]))
	do(codes.NotFound, updated(set(a, text("3")), second[0]))
	do(codes.FailedPrecondition, updated(remove(a), second[0]))
	do(codes.OK, remove(a))
	third := do(codes.OK, exists(set(a, text("2")), false), exists(remove(a), true), exists(set(a, text("2")), false)) // in order
	if !third[2].AsTime().After(second[0].AsTime()) {
		t.Error("a document that came back has an old update time")
	}
	docs, _, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a, b, a}})
	if err != nil || docs[a].GetFields()["a"].GetStringValue() != "2" || docs[b].GetFields()["a"].GetStringValue() != "1" {
		t.Errorf("got %v, %v", docs, err)
	}
	docs, _, err = read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a}, ConsistencySelector: &pb.BatchGetDocumentsRequest_ReadTime{ReadTime: first[0]}})
	if err != nil || docs[a].GetFields()["a"].GetStringValue() != "1" {
		t.Errorf("in the past: got %v, %v", docs, err)
	}
}

func TestTransactions(t *testing.T) {
	_, c, ctx := start(t)
	a := things + "a"
	begin := func(o *pb.TransactionOptions) []byte {
		t.Helper()
		_, id, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a}, ConsistencySelector: &pb.BatchGetDocumentsRequest_NewTransaction{NewTransaction: o}})
		if err != nil || id == nil {
			t.Fatal(err)
		}
		return id
	}
	in := func(id []byte, writes ...*pb.Write) error {
		_, err := c.Commit(ctx, &pb.CommitRequest{Database: database, Transaction: id, Writes: writes})
		return err
	}
	writing := &pb.TransactionOptions{Mode: &pb.TransactionOptions_ReadWrite_{ReadWrite: &pb.TransactionOptions_ReadWrite{}}}
	one, two := begin(writing), begin(writing)
	wantCode(t, "the first", in(one, set(a, text("1"))), codes.OK)
	wantCode(t, "the first again", in(one, set(a, text("1"))), codes.InvalidArgument)
	wantCode(t, "the second", in(two, set(a, text("2"))), codes.Aborted)
	three := begin(writing)
	if _, err := c.Rollback(ctx, &pb.RollbackRequest{Database: database, Transaction: three}); err != nil {
		t.Error(err)
	}
	wantCode(t, "rolled back", in(three, set(a, text("3"))), codes.InvalidArgument)
	reading := begin(&pb.TransactionOptions{})
	if _, err := commit(ctx, c, set(a, text("4"))); err != nil {
		t.Error(err)
	}
	docs, _, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a}, ConsistencySelector: &pb.BatchGetDocumentsRequest_Transaction{Transaction: reading}})
	if err != nil || docs[a].GetFields()["a"].GetStringValue() != "1" {
		t.Errorf("a transaction sees one moment: got %v, %v", docs, err)
	}
	wantCode(t, "a write that may only read", in(reading, set(a, text("5"))), codes.InvalidArgument)
}

// TestLibrary uses the double through Google's own library, as a second opinion
// on whether it speaks the protocol.
func TestLibrary(t *testing.T) {
	server, _, _ := start(t)
	t.Setenv("FIRESTORE_EMULATOR_HOST", server.Addr())
	ctx := t.Context()
	client, err := firestore.NewClient(ctx, "demo-test")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	in := client.Collection("things")
	for i := range 20 {
		if _, err := in.Doc(fmt.Sprintf("%02d", i)).Create(ctx, map[string]any{"n": i}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = in.Doc("01").Create(ctx, map[string]any{"n": 1})
	wantCode(t, "Create twice", err, codes.AlreadyExists)
	found, err := client.GetAll(ctx, []*firestore.DocumentRef{in.Doc("03"), in.Doc("absent"), in.Doc("01")})
	if err != nil || !found[0].Exists() || found[1].Exists() || found[2].Ref.ID != "01" {
		t.Errorf("GetAll: %v, %v", found, err)
	}
	for _, q := range []struct {
		query firestore.Query
		want  string
	}{
		{in.OrderBy(firestore.DocumentID, firestore.Asc).Limit(2), "00 01"},
		{in.OrderBy(firestore.DocumentID, firestore.Asc).StartAfter("16"), "17 18 19"},
		{in.OrderBy(firestore.DocumentID, firestore.Asc).StartAt("16").EndBefore("18"), "16 17"},
		{in.OrderBy(firestore.DocumentID, firestore.Asc).EndAt("01"), "00 01"},
		{in.OrderBy(firestore.DocumentID, firestore.Desc).StartAfter("02"), "01 00"},
		{in.OrderBy(firestore.DocumentID, firestore.Desc).Offset(1).Limit(2), "18 17"},
		{in.Where(firestore.DocumentID, ">=", in.Doc("18")), "18 19"},
		{in.Where(firestore.DocumentID, ">", in.Doc("03")).Where(firestore.DocumentID, "<=", in.Doc("05")).OrderBy(firestore.DocumentID, firestore.Asc), "04 05"},
		{in.Where(firestore.DocumentID, "==", in.Doc("07")), "07"},
		{in.Where(firestore.DocumentID, "<", in.Doc("00")), ""},
	} {
		var ids []string
		documents := q.query.Documents(ctx)
		for {
			doc, err := documents.Next()
			if errors.Is(err, iterator.Done) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, doc.Ref.ID)
		}
		if got := strings.Join(ids, " "); got != q.want {
			t.Errorf("got %q, want %q", got, q.want)
		}
	}
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			err := client.RunTransaction(ctx, func(ctx context.Context, t *firestore.Transaction) error {
				doc, err := t.Get(in.Doc("00"))
				if err != nil {
					return err
				}
				n, err := doc.DataAt("n")
				if err != nil {
					return err
				}
				return t.Set(in.Doc("00"), map[string]any{"n": n.(int64) + 1})
			}, firestore.MaxAttempts(50))
			if err != nil {
				t.Errorf("RunTransaction: %v", err)
			}
		})
	}
	wait.Wait()
	doc, err := in.Doc("00").Get(ctx)
	wantCode(t, "GetDocument", err, codes.OK)
	if n, _ := doc.DataAt("n"); n != int64(5) {
		t.Errorf("5 transactions counted to %v", n)
	}
}

func TestQueryRefusals(t *testing.T) {
	_, c, ctx := start(t)
	byName := []*pb.StructuredQuery_Order{{Field: &pb.StructuredQuery_FieldReference{FieldPath: "__name__"}}}
	from := []*pb.StructuredQuery_CollectionSelector{{CollectionId: "things"}}
	where := func(field string, v *pb.Value) *pb.StructuredQuery_Filter {
		return &pb.StructuredQuery_Filter{FilterType: &pb.StructuredQuery_Filter_FieldFilter{FieldFilter: &pb.StructuredQuery_FieldFilter{
			Field: &pb.StructuredQuery_FieldReference{FieldPath: field}, Op: pb.StructuredQuery_FieldFilter_GREATER_THAN, Value: v}}}
	}
	reference := func(name string) *pb.Value {
		return &pb.Value{ValueType: &pb.Value_ReferenceValue{ReferenceValue: name}}
	}
	for name, q := range map[string]struct {
		query *pb.StructuredQuery
		want  codes.Code
	}{
		"fine":               {&pb.StructuredQuery{From: from, OrderBy: byName}, codes.OK},
		"no query":           {nil, codes.InvalidArgument},
		"no collection":      {&pb.StructuredQuery{OrderBy: byName}, codes.Unimplemented},
		"a negative limit":   {&pb.StructuredQuery{From: from, Limit: wrapperspb.Int32(-1)}, codes.InvalidArgument},
		"a text for a name":  {&pb.StructuredQuery{From: from, Where: where("__name__", text(things+"a"))}, codes.InvalidArgument},
		"another collection": {&pb.StructuredQuery{From: from, Where: where("__name__", reference(database+"/documents/others/a"))}, codes.InvalidArgument},
		"a field":            {&pb.StructuredQuery{From: from, Where: where("a", text("a"))}, codes.Unimplemented},
		"a long cursor":      {&pb.StructuredQuery{From: from, StartAt: &pb.Cursor{Values: []*pb.Value{reference(things + "a")}}}, codes.InvalidArgument},
	} {
		r := &pb.RunQueryRequest{Parent: database + "/documents"}
		if q.query != nil {
			r.QueryType = &pb.RunQueryRequest_StructuredQuery{StructuredQuery: q.query}
		}
		stream, err := c.RunQuery(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = stream.Recv(); err == io.EOF {
			err = nil
		}
		wantCode(t, name, err, q.want)
	}
}

// stored returns the text that a document has, or nothing.
func stored(ctx context.Context, c pb.FirestoreClient, name string) string {
	docs, _, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{name}})
	if err != nil {
		return ""
	}
	return docs[name].GetFields()["a"].GetStringValue()
}

func TestFaults(t *testing.T) {
	server, c, ctx := start(t)
	a := things + "a"
	faults := slices.DeleteFunc(slices.Concat(double.Faults, double.Silences), func(f double.Fault) bool { return f.Stage == double.Never })
	for i, f := range faults {
		before := fmt.Sprint(i)
		if _, err := commit(ctx, c, set(a, text(before))); err != nil {
			t.Fatal(err)
		}
		patient, giveUp := context.WithTimeout(ctx, time.Minute)
		silent := f.Code == codes.OK && !f.Cut
		server.Fail(func(method string) double.Fault {
			if method != "Commit" {
				return double.Fault{}
			}
			if silent {
				go func() { // the caller gives up on what has come as far as it will
					for f.Stage == double.After && patient.Err() == nil && stored(patient, c, a) != "after" {
					}
					giveUp()
				}()
			}
			return f
		})
		_, err := commit(patient, c, set(a, text("after")))
		giveUp()
		want := f.Code
		switch {
		case f.Cut:
			want = codes.Unavailable
		case silent:
			want = codes.Canceled
		}
		wantCode(t, fmt.Sprintf("%+v", f), err, want)
		server.Fail(nil)
		server.Cut()
		docs, _, err := read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a}})
		if err != nil { // the connection is gone
			docs, _, err = read(ctx, c, &pb.BatchGetDocumentsRequest{Documents: []string{a}})
		}
		wantDone := f.Stage == double.After || f.Stage == double.Late
		if done := docs[a].GetFields()["a"].GetStringValue() == "after"; err != nil || done != wantDone {
			t.Errorf("%+v: done is %v, %v", f, done, err)
		}
	}
	if n := server.Calls()["Commit"]; n != 2*len(faults) {
		t.Errorf("%d calls of Commit were counted", n)
	}
}
