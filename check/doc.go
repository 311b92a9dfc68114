// Package check tries what a server will rely on, before it does: the store, the
// objects, WeChat, the secrets, the clock, the certificate, the public URL. Main calls it for the
// command check with what the settings name. Each probe gives findings that say
// what was tried, how long it took, what is wrong and what to do about it; none
// holds a secret.
//
// It is a room of its own because it needs what no other room may have together:
// drivers, the core and HTTP as a client. It decides nothing for them.
package check
