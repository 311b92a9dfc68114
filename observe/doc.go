// Package observe lets the operator see the server from outside: metrics for
// Prometheus, profiles, and traces over OTLP. Main wraps the store, the objects
// and WeChat in what Store, Objects and WeChat return, hands their Watch on, and
// serves Admin at an address that clients do not reach.
//
// The rooms that are measured know nothing of it: they are called as before, by
// their own contracts, or call a plain func.
//
// # What is never told
//
// Labels and attributes are words of ours: routes, fields of the schema, methods
// of the contracts, codes of errors, numbers of WeChat's. Nothing that a client
// sent is in them but the ids of a traceparent, so no client can read another's
// secret there, nor make the number of series grow.
package observe
