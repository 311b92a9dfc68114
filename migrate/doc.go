// Package migrate moves all that miniprofile keeps from one store to another:
// every record and every object, whatever the drivers. Main calls it for the
// command copy. It knows the contracts of package drivers and no driver, and
// nothing of users: which kinds of records there are, it is told.
//
// It is a room of its own because it stands beside the core, not in it: the core
// never needs two stores, and a copy never needs to know what a record means.
//
// # How a copy goes
//
// The target is empty, or holds the beginning of this very copy, or is refused.
// A record of kind copies marks it as unfinished, so that no server serves it
// (Unfinished), before anything else is written. Then all records are copied, then
// all objects, then both sides are read again and compared: keys, data and
// expiries of the records, keys, types and bytes of the objects. Only when nothing
// differs is the mark removed.
//
// Records have new revisions: those have no meaning outside the store that gave
// them. Everything else is equal.
//
// # Interruption
//
// Whatever ends a copy, a kill -9 or the loss of either side, the same command
// goes on where it ended. How far the records are stands in the mark, written once
// a second and only ever after what it tells of; so at most a second's work is
// done again, and a record that is there already is compared, not written. How far
// the objects are, the target tells itself: one that is there is whole.
//
// # What must not happen meanwhile
//
// The source must not change, and nobody but the copy may write to the target. A
// source on files is locked. Others are the operator's to keep still: serve
// --read-only on all replicas. Whoever breaks that learns of it at the end,
// because verifying reads both sides anew. A record that expires may go from either side
// at any time, and is then not missed.
//
// # Speed and memory
//
// The records of a kind are copied in 36 parts at once, by the first character of
// their IDs, 16 records a commit; ids are random, so the parts are even, and no
// range of keys of the target gets all writes. Memory is bounded by what 36 scans
// hold; objects are streamed.
package migrate
