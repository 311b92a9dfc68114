// Package double is a stand-in for Cloud Firestore, for tests: a server of
// google.firestore.v1 in this process that keeps everything in memory.
//
// It is as strict as the service where that can be known: it checks names, sizes,
// depths, fields, index entries, conditions and headers; it is atomic and
// serializable; update times rise, and stay where a write changes nothing;
// answers come in no particular order and with rising read times. What it does
// not know (transforms, masks, other queries than by document name) it refuses.
// It deletes nothing that has expired.
//
// A test starts it, makes a database in it, and points FIRESTORE_EMULATOR_HOST
// at it:
//
//	server, err := double.Start()
//	defer server.Close()
//	server.Create("demo-project", "(default)")
//	t.Setenv("FIRESTORE_EMULATOR_HOST", server.Addr())
//
// It counts RPCs (Calls) and makes them fail (Fail).
package double

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"path"
	"sync"
	"time"

	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// Server is a running double. All methods may be called by any number of goroutines.
type Server struct {
	listener net.Listener
	server   *grpc.Server
	stopped  chan struct{}

	mu        sync.Mutex
	idle      sync.Cond // no RPC is under way; of mu
	running   int
	conns     map[string]net.Conn // those that are open, by the client's address
	calls     map[string]int      // by method
	fault     func(method string) Fault
	databases map[string]*database // by path
}

// Start starts a double on a free port of this machine. It has no database yet.
func Start() (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{
		stopped:   make(chan struct{}),
		conns:     make(map[string]net.Conn),
		calls:     make(map[string]int),
		databases: make(map[string]*database),
	}
	s.idle.L = &s.mu
	s.listener = noting{listener, s}
	s.server = grpc.NewServer(grpc.MaxRecvMsgSize(16<<20), grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	pb.RegisterFirestoreServer(s.server, &service{double: s})
	go func() {
		defer close(s.stopped)
		s.server.Serve(s.listener)
	}()
	return s, nil
}

// Addr is where the double listens, HOST:PORT.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops the double. RPCs under way fail.
func (s *Server) Close() {
	s.server.Stop()
	<-s.stopped
}

// Create makes an empty database, or empties it.
func (s *Server) Create(project, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databases["projects/"+project+"/databases/"+name] = newDatabase()
}

// Cut closes all connections and waits for the RPCs that are under way: what was
// sent and not carried out when Cut returns never will be.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	clear(s.conns)
	for s.running > 0 {
		s.idle.Wait()
	}
}

// Calls returns how many RPCs there were, by method: Commit, BatchGetDocuments, …
func (s *Server) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Fail has f choose, for each RPC, how it goes wrong. nil: none does any more. f
// may be called by many goroutines at once, and may use the double.
func (s *Server) Fail(f func(method string) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Stage says how far an RPC comes before it goes wrong.
type Stage int

const (
	Never  Stage = iota // it does not go wrong
	Before              // nothing is done
	Midway              // of a stream, half of the answer is sent; of others, nothing is done
	After               // all is done
	Late                // all is done, but only when the client's time is up
)

// Fault says how an RPC goes wrong. The zero Fault: it does not.
type Fault struct {
	Stage Stage
	Delay time.Duration // before it begins
	Code  codes.Code    // how it ends; OK: it does not, until the client goes away
	Cut   bool          // it ends with the connection instead
	Short bool          // it ends as if all were well: no service does that to a stream that it breaks off Midway
}

// Faults are the ways in which the service may fail and say so. It never ends
// with Aborted or ResourceExhausted what it has done.
var Faults = []Fault{
	{Stage: Before, Code: codes.Aborted},
	{Stage: Before, Code: codes.ResourceExhausted},
	{Stage: Before, Code: codes.Unavailable},
	{Stage: Midway, Code: codes.Unavailable},
	{Stage: After, Code: codes.Unavailable},
	{Stage: Before, Code: codes.DeadlineExceeded},
	{Stage: After, Code: codes.DeadlineExceeded},
	{Stage: Before, Code: codes.Internal},
	{Stage: After, Code: codes.Internal},
	{Stage: Before, Cut: true},
	{Stage: Midway, Cut: true},
	{Stage: After, Cut: true},
	{Stage: Never, Delay: 3 * time.Millisecond},
}

// Silences are the ways in which it may fail and say nothing: each takes as long
// as the client's deadline.
var Silences = []Fault{{Stage: Before}, {Stage: After}, {Stage: Late}}

// Weather returns a function for Fail that makes a share of the RPCs fail, in
// each of the ways given. Equal seeds make equal choices.
func Weather(seed uint64, share float64, ways ...Fault) func(string) Fault {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0))
	return func(string) Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Float64() >= share {
			return Fault{}
		}
		return ways[r.IntN(len(ways))]
	}
}

// begin counts an RPC and lets it in, unless its connection has been cut. The
// caller calls end.
func (s *Server) begin(ctx context.Context, method string) (Fault, error) {
	s.mu.Lock()
	if s.conns[address(ctx)] == nil {
		s.mu.Unlock()
		return Fault{}, status.Error(codes.Unavailable, "cut")
	}
	s.running++
	s.calls[path.Base(method)]++
	fault := s.fault
	s.mu.Unlock()
	if fault == nil {
		return Fault{}, nil
	}
	return fault(path.Base(method)), nil
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 {
		s.idle.Broadcast()
	}
}

// strike ends an RPC as a fault says.
func (s *Server) strike(ctx context.Context, f Fault) error {
	switch {
	case f.Short:
		return nil
	case f.Cut:
		s.mu.Lock()
		if c := s.conns[address(ctx)]; c != nil {
			c.Close()
			delete(s.conns, address(ctx))
		}
		s.mu.Unlock()
		return status.Error(codes.Unavailable, "cut")
	case f.Code == codes.OK:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(f.Code, "the double was told to fail")
}

func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	f, err := s.begin(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	defer s.end()
	f.delay(ctx)
	switch f.Stage {
	case Never:
		return handle(ctx, request)
	case Late:
		<-ctx.Done()
		if _, err := handle(context.WithoutCancel(ctx), request); err != nil {
			return nil, err
		}
		return nil, status.FromContextError(ctx.Err()).Err()
	case After:
		if _, err := handle(ctx, request); err != nil {
			return nil, err
		}
	}
	return nil, s.strike(ctx, f)
}

func (s *Server) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	ctx := stream.Context()
	f, err := s.begin(ctx, info.FullMethod)
	if err != nil {
		return err
	}
	defer s.end()
	f.delay(ctx)
	switch f.Stage {
	case Never:
		return handle(srv, stream)
	case Late:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case Midway, After:
		kept := &keeping{ServerStream: stream}
		if err := handle(srv, kept); err != nil {
			return err
		}
		answers := kept.answers
		if f.Stage == Midway {
			answers = answers[:len(answers)/2]
		}
		for _, a := range answers {
			if err := stream.SendMsg(a); err != nil {
				return err
			}
		}
	}
	return s.strike(ctx, f)
}

func (f Fault) delay(ctx context.Context) {
	if f.Delay == 0 {
		return
	}
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// keeping is a stream whose answers are kept instead of sent.
type keeping struct {
	grpc.ServerStream
	answers []any
}

func (k *keeping) SendMsg(answer any) error {
	k.answers = append(k.answers, answer)
	return nil
}

func address(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return ""
}

// noting is a listener whose connections the server knows.
type noting struct {
	net.Listener
	s *Server
}

func (n noting) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	n.s.conns[c.RemoteAddr().String()] = c
	return noted{c, n.s}, nil
}

type noted struct {
	net.Conn
	s *Server
}

func (n noted) Close() error {
	n.s.mu.Lock()
	if n.s.conns[n.RemoteAddr().String()] == n.Conn {
		delete(n.s.conns, n.RemoteAddr().String())
	}
	n.s.mu.Unlock()
	return n.Conn.Close()
}
