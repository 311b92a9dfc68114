package double

import (
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// versions is how many of one document are kept, for reads in the past.
const versions = 32

// database is one database. Whoever uses it holds mu.
type database struct {
	mu           sync.Mutex
	clock        micros                 // of the last commit or read
	collections  map[string]*collection // by name, without the database
	transactions map[string]*transaction
}

type collection struct {
	ids  []string // sorted, those of deleted documents too
	docs map[string]*history
}

// history is a document through time.
type history struct {
	versions []version // from old to new
	cut      bool      // there were more
}

// version is what stood from a moment on; doc is nil when it was deleted. A doc
// is never changed.
type version struct {
	since micros
	doc   *pb.Document
}

// micros is a moment, in microseconds since 1970.
type micros int64

func (m micros) proto() *timestamppb.Timestamp { return timestamppb.New(time.UnixMicro(int64(m))) }

func newDatabase() *database {
	return &database{collections: make(map[string]*collection), transactions: make(map[string]*transaction)}
}

// tick returns a moment later than all before.
func (d *database) tick() micros {
	d.clock = max(d.clock+1, micros(time.Now().UnixMicro()))
	return d.clock
}

// split cuts a document's path into its collection and its ID.
func split(doc string) (collection, id string) {
	i := strings.LastIndexByte(doc, '/')
	return doc[:i], doc[i+1:]
}

// last returns the last version of a document; the zero version when there never was one.
func (d *database) last(doc string) version {
	in, id := split(doc)
	if c := d.collections[in]; c != nil && c.docs[id] != nil {
		return c.docs[id].versions[len(c.docs[id].versions)-1]
	}
	return version{}
}

// at returns the version of a document that stood at a moment.
func (d *database) at(doc string, moment micros) (version, error) {
	in, id := split(doc)
	c := d.collections[in]
	if c == nil || c.docs[id] == nil {
		return version{}, nil
	}
	h := c.docs[id]
	for _, v := range slices.Backward(h.versions) {
		if v.since <= moment {
			return v, nil
		}
	}
	if h.cut {
		return version{}, status.Error(codes.FailedPrecondition, "The requested snapshot version is too old.")
	}
	return version{}, nil
}

// put makes v the last version of a document.
func (d *database) put(doc string, v version) {
	in, id := split(doc)
	c := d.collections[in]
	if c == nil {
		c = &collection{docs: make(map[string]*history)}
		d.collections[in] = c
	}
	h := c.docs[id]
	if h == nil {
		h = &history{}
		c.docs[id] = h
		i, _ := slices.BinarySearch(c.ids, id)
		c.ids = slices.Insert(c.ids, i, id)
	}
	if len(h.versions) == versions {
		h.versions, h.cut = slices.Delete(h.versions, 0, 1), true
	}
	h.versions = append(h.versions, v)
}

// transaction sees the database as it was at a moment. One that writes commits
// only when all that it read is still the same.
type transaction struct {
	readOnly bool
	moment   micros
	docs     map[string]micros // read, and since when what was read had stood
	queries  []*query
	results  [][]version
}

// begin makes a transaction and returns its name.
func (d *database) begin(options *pb.TransactionOptions, readOnly bool) (string, *transaction, error) {
	switch mode := options.GetMode().(type) {
	case *pb.TransactionOptions_ReadOnly_:
		readOnly = true
		if mode.ReadOnly.GetReadTime() != nil {
			return "", nil, status.Error(codes.Unimplemented, "double: a transaction at a read time")
		}
	case *pb.TransactionOptions_ReadWrite_:
		readOnly = false
	}
	id := rand.Text()
	t := &transaction{readOnly: readOnly, moment: d.tick(), docs: make(map[string]micros)}
	d.transactions[id] = t
	return id, t, nil
}

// find returns the transaction of a name.
func (d *database) find(id []byte) (*transaction, error) {
	t := d.transactions[string(id)]
	if t == nil {
		return nil, status.Error(codes.InvalidArgument, "The referenced transaction has expired or is no longer valid.")
	}
	return t, nil
}

// unchanged reports whether what t read still stands.
func (d *database) unchanged(t *transaction) bool {
	for doc, since := range t.docs {
		if d.last(doc).since != since {
			return false
		}
	}
	for i, q := range t.queries {
		now, err := d.run(q, d.clock)
		if err != nil || !slices.Equal(now, t.results[i]) {
			return false
		}
	}
	return true
}

// consistency is what the requests that read say about when.
type consistency interface {
	GetTransaction() []byte
	GetNewTransaction() *pb.TransactionOptions
	GetReadTime() *timestamppb.Timestamp
}

// moment returns at which moment a request reads, in which transaction, and the
// name of that when it is new.
func (d *database) moment(c consistency) (micros, *transaction, []byte, error) {
	switch {
	case c.GetNewTransaction() != nil:
		id, t, err := d.begin(c.GetNewTransaction(), true)
		if err != nil {
			return 0, nil, nil, err
		}
		return t.moment, t, []byte(id), nil
	case c.GetTransaction() != nil:
		t, err := d.find(c.GetTransaction())
		if err != nil {
			return 0, nil, nil, err
		}
		return t.moment, t, nil, nil
	case c.GetReadTime() != nil:
		at := c.GetReadTime().AsTime()
		if age := time.Since(at); !c.GetReadTime().IsValid() || at.Nanosecond()%1000 != 0 || age > time.Hour || age < -time.Minute {
			return 0, nil, nil, status.Error(codes.InvalidArgument, "read_time must be a whole microsecond within the past hour")
		}
		d.clock = max(d.clock, micros(at.UnixMicro()))
		return micros(at.UnixMicro()), nil, nil, nil
	}
	return d.tick(), nil, nil, nil
}
