package double

import (
	"slices"
	"strings"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// query asks for the documents of one collection by their names.
type query struct {
	in            string // the collection
	tests         []func(id string) bool
	descending    bool
	offset, limit int // limit -1: none
}

// checkQuery returns the database and the query of a request.
func checkQuery(r *pb.RunQueryRequest) (string, *query, error) {
	name, parent, ok := strings.Cut(r.GetParent(), "/documents")
	if !ok || !databaseName.MatchString(name) {
		return "", nil, invalid("parent %q", r.GetParent())
	}
	if parent != "" {
		return "", nil, unimplemented("a query below a document")
	}
	s := r.GetStructuredQuery()
	switch {
	case s == nil:
		return "", nil, invalid("a request without a query")
	case s.GetSelect() != nil || s.GetFindNearest() != nil || r.GetExplainOptions() != nil:
		return "", nil, unimplemented("select, find_nearest or explain_options")
	case len(s.GetFrom()) != 1 || s.GetFrom()[0].GetAllDescendants():
		return "", nil, unimplemented("a query of other than one collection")
	case s.GetOffset() < 0 || s.GetLimit() != nil && s.GetLimit().GetValue() < 0:
		return "", nil, invalid("a negative offset or limit")
	}
	q := &query{in: s.GetFrom()[0].GetCollectionId(), offset: int(s.GetOffset()), limit: -1}
	if err := checkID("collection", q.in); err != nil {
		return "", nil, err
	}
	if s.GetLimit() != nil {
		q.limit = int(s.GetLimit().GetValue())
	}
	for i, o := range s.GetOrderBy() {
		if o.GetField().GetFieldPath() != "__name__" || i > 0 {
			return "", nil, unimplemented("an order by other than __name__")
		}
		q.descending = o.GetDirection() == pb.StructuredQuery_DESCENDING
	}
	if err := q.where(name, s.GetWhere()); err != nil {
		return "", nil, err
	}
	for _, c := range []struct {
		cursor *pb.Cursor
		start  bool
	}{{s.GetStartAt(), true}, {s.GetEndAt(), false}} {
		if err := q.cursor(name, c.cursor, c.start, len(s.GetOrderBy())); err != nil {
			return "", nil, err
		}
	}
	return name, q, nil
}

// where adds the tests of a filter.
func (q *query) where(database string, f *pb.StructuredQuery_Filter) error {
	switch f := f.GetFilterType().(type) {
	case nil:
		return nil
	case *pb.StructuredQuery_Filter_CompositeFilter:
		if f.CompositeFilter.GetOp() != pb.StructuredQuery_CompositeFilter_AND {
			return unimplemented("a composite filter other than AND")
		}
		if len(f.CompositeFilter.GetFilters()) == 0 {
			return invalid("a composite filter without filters")
		}
		for _, f := range f.CompositeFilter.GetFilters() {
			if err := q.where(database, f); err != nil {
				return err
			}
		}
		return nil
	case *pb.StructuredQuery_Filter_FieldFilter:
		if f.FieldFilter.GetField().GetFieldPath() != "__name__" {
			return unimplemented("a filter on other than __name__")
		}
		bound, err := q.reference(database, f.FieldFilter.GetValue())
		if err != nil {
			return err
		}
		test, ok := map[pb.StructuredQuery_FieldFilter_Operator]func(int) bool{
			pb.StructuredQuery_FieldFilter_LESS_THAN:             func(c int) bool { return c < 0 },
			pb.StructuredQuery_FieldFilter_LESS_THAN_OR_EQUAL:    func(c int) bool { return c <= 0 },
			pb.StructuredQuery_FieldFilter_GREATER_THAN:          func(c int) bool { return c > 0 },
			pb.StructuredQuery_FieldFilter_GREATER_THAN_OR_EQUAL: func(c int) bool { return c >= 0 },
			pb.StructuredQuery_FieldFilter_EQUAL:                 func(c int) bool { return c == 0 },
		}[f.FieldFilter.GetOp()]
		if !ok {
			return unimplemented("this operator on __name__")
		}
		q.tests = append(q.tests, func(id string) bool { return test(strings.Compare(id, bound)) })
		return nil
	}
	return unimplemented("this filter")
}

// cursor adds the test of a cursor.
func (q *query) cursor(database string, c *pb.Cursor, start bool, orders int) error {
	if c == nil {
		return nil
	}
	if len(c.GetValues()) > orders {
		return invalid("a cursor of more values than the query has orders")
	}
	if len(c.GetValues()) == 0 {
		return nil
	}
	bound, err := q.reference(database, c.GetValues()[0])
	if err != nil {
		return err
	}
	q.tests = append(q.tests, func(id string) bool {
		cmp := strings.Compare(id, bound)
		if q.descending {
			cmp = -cmp
		}
		// Before and after are places between documents.
		before := cmp < 0 || cmp == 0 && !c.GetBefore()
		return before != start
	})
	return nil
}

// reference returns the ID in a reference to a document of the query's collection.
func (q *query) reference(database string, v *pb.Value) (string, error) {
	r, ok := v.GetValueType().(*pb.Value_ReferenceValue)
	if !ok {
		return "", invalid("__name__ compared with other than a reference")
	}
	doc, err := checkName(database, r.ReferenceValue)
	if err != nil {
		return "", err
	}
	in, id := split(doc)
	if in != q.in {
		return "", invalid("__name__ compared with a document of another collection")
	}
	return id, nil
}

// run returns what a query finds at a moment.
func (d *database) run(q *query, moment micros) ([]version, error) {
	c := d.collections[q.in]
	if c == nil {
		return nil, nil
	}
	var found []version
	skipped := 0
	visit := func(id string) (more bool, err error) {
		for _, test := range q.tests {
			if !test(id) {
				return true, nil
			}
		}
		v, err := d.at(q.in+"/"+id, moment)
		if err != nil || v.doc == nil {
			return true, err
		}
		if skipped < q.offset {
			skipped++
			return true, nil
		}
		if q.limit >= 0 && len(found) >= q.limit {
			return false, nil
		}
		found = append(found, v)
		return true, nil
	}
	ids := slices.All(c.ids)
	if q.descending {
		ids = slices.Backward(c.ids)
	}
	for _, id := range ids {
		if more, err := visit(id); !more || err != nil {
			return found, err
		}
	}
	return found, nil
}

func unimplemented(what string) error { return status.Error(codes.Unimplemented, "double: "+what) }
