// Package server is the HTTP surface: routes, request ids, the access log,
// pictures, health, and starting and stopping without a lost request. Main makes
// a Server of a core and lets it Run. GraphQL it hands to package graph, all else
// it asks of package auth itself.
//
// # Routes
//
//	/graphql                 POST, and GET for queries; package graph
//	/schema.graphql          the API's own description
//	/avatars/NAME            a picture, cacheable for ever
//	/uploads/NAME            a direct upload, where the object storage cannot take it
//	/.well-known/jwks.json   the public keys of access tokens
//	/healthz                 200 while the process lives
//	/readyz                  200 while store and objects answer, else 503; the state of each
//	/version                 the version
//	/playground              the page to explore the API with, where it is on; package playground
//	/wechat/push/APPID       GET and POST by WeChat: messages for a mini program
//	/wechat/component        GET and POST by WeChat: for the third-party platform
//	/sandbox/                the simulated WeChat, where WeChat is simulated
//	/                        where all this is; browsers go to the playground
//
// Each answer has the header X-Request-Id: the client's own, where it has 8 to 64
// of [A-Za-z0-9._-], else a new one. Each failing answer is JSON with a code and
// that id, in the form of a GraphQL error, and tells nothing internal; only what
// is not HTTP at all is refused by net/http, in plain text.
//
// # Limits
//
// Before anything of a request is read but its head, the quota of its address and
// the number of requests in flight decide on it; before an operation is carried
// out, those of its user, its app and, for a login, once more of its address.
// quotas.go says what they are, buckets.go counts, limits.go decides; client.go
// finds out where a request comes from behind proxies.
//
// # HTTPS and browsers
//
// With a Certificate, Run speaks TLS and HTTP/2. Pages of the operator's own
// origins may call from a browser; those of others may not read the answers, and
// their multipart requests, which browsers send without asking, are refused.
//
// # Log
//
// One line a request, with nothing in it that a client sent but a request id, a
// known method and the name of an operation. It is a twentieth of the work of a
// request, because Log gathers lines for a tenth of a second before it writes
// them; warnings and errors it writes at once.
package server
