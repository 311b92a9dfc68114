package firestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	api "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// connections is how many there are to Google: each carries 100 RPCs at a time.
const connections = 4

// alive finds out that a connection is dead, as after a machine has slept; else it
// would take what is sent, and answer nothing, for a quarter of an hour.
var alive = keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}

// patience says how long an RPC may take and how often it is tried.
type patience struct {
	get, commit, scan time.Duration // for one attempt
	attempts          int
	pause             time.Duration // before the second attempt; each further one about twice as long
}

var usual = patience{get: 5 * time.Second, commit: 10 * time.Second, scan: 20 * time.Second, attempts: 6, pause: 30 * time.Millisecond}

// longestPause bounds a pause.
const longestPause = 2 * time.Second

// wait pauses after attempt number n, a random while so that those who failed
// together do not come back together. It returns the error of ctx when that ends.
func (p patience) wait(ctx context.Context, n int) error {
	longest := min(p.pause<<min(n-1, 16), longestPause)
	timer := time.NewTimer(longest/2 + rand.N(longest/2+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// dial makes a client of the generated kind. The hand-written one on top of it
// repeats a Commit whose answer was lost, which a condition then refuses although
// the write was done, and after a broken stream asks for the missing documents
// only, so that one answer shows two moments. Here nothing is repeated unasked.
func dial(ctx context.Context, p place) (*api.Client, error) {
	options := []option.ClientOption{
		option.WithGRPCConnectionPool(connections),
		option.WithGRPCDialOption(grpc.WithKeepaliveParams(alive)),
	}
	if p.emulator != "" {
		address := strings.TrimPrefix(strings.TrimPrefix(p.emulator, "http://"), "https://")
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithPerRPCCredentials(owner{}))
		if err != nil {
			return nil, fmt.Errorf("FIRESTORE_EMULATOR_HOST: %w", err)
		}
		options = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	// Credentials may be fetched again with this context long after.
	client, err := api.NewClient(context.WithoutCancel(ctx), options...)
	if err != nil {
		return nil, err
	}
	client.CallOptions = &api.CallOptions{} // no retries and no deadlines but ours
	return client, nil
}

// headers returns a context whose RPCs are routed to the database.
func (p place) headers(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx,
		"google-cloud-resource-prefix", p.path(),
		"x-goog-request-params", "project_id="+url.QueryEscape(p.project)+"&database_id="+url.QueryEscape(p.database))
}

// owner are the credentials that the emulator wants: all rights.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }
