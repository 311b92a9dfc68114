// Package playground is a page for front-end developers to explore the API with:
// GraphiQL, made for this API, in Chinese and English. Package server serves its
// Handler where main tells it to. It calls nothing of ours; the page itself calls
// /graphql and /schema.graphql as any client does.
//
// # Offline
//
// The page is built from src by Vite and committed in dist, compressed, so that
// Go alone builds the binary, and nothing is asked of any other machine, by a
// policy that the browser enforces. After a change of the sources, with Node 20
// or later:
//
//	cd playground && npm ci && npm run build
//
// CI builds it again and compares byte for byte. npm run dev serves the sources
// beside a miniprofile on its usual address.
//
// # Secrets
//
// The page has none, and the server gives it none: settings.json tells which
// mini programs the sandbox plays, and nothing outside the sandbox. Whoever signs in
// does so in the page, and their tokens live in the browser's tab and no longer.
package playground
