// Package graph is the GraphQL edge: it reads requests of GraphQL over HTTP,
// checks them against schema.graphqls and hands each field to package auth by
// one call. Package server calls it, with the Call that the access log is
// written from. It knows no store, no database and no driver.
//
// # Where things are
//
// handler.go has the Handler and the way of a request through it. body.go,
// multipart.go and accept.go read what came in; document.go, limits.go and
// coerce.go check it; plan.go, persisted.go and cache.go remember what was checked,
// and documents by their hashes; asks.go says what it is in words of the schema.
// resolvers.go calls the core, scalars.go has the values of the schema's own types, errors.go is the one place where errors get the codes and words that
// clients see, and messages.go keeps what clients sent out of them.
// generated.go is gqlgen's, by gqlgen.yml; nothing in it is written by hand.
//
// # Secrets
//
// Login codes, tokens and pictures pass through here. No text of a client is
// ever in an error or in the log, but the aliases that the client chose for the
// fields of a valid document, in the path of its own errors, and the name of an
// operation that is carried out, in the log.
package graph

//go:generate go tool gqlgen generate
