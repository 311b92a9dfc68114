// Package drivers says what a driver is: the contracts Store (small JSON
// records) and Objects (blobs), the limits both keep, and how a driver is
// opened by URL. It knows neither users nor GraphQL; package auth uses it, and
// the folders below it fulfil it.
//
// # Writing a driver
//
// A driver is a folder below this one with a function OpenStore, or OpenObjects,
// or both: an [Opener] that takes the parsed URL. To write one:
//
//   - Read the prose above [Store] and [Objects]. It is the whole contract:
//     what each method promises, what is an error and what is not, and what an
//     error says about what happened.
//   - Begin Get with [CheckKeys], Scan with [CheckScan], Commit with [Check],
//     Put with [CheckPut], and the other methods of Objects with
//     [CheckObjectKey] or [CheckObjectPrefix]. Then every driver refuses the
//     same things, with the same words, before it touches anything.
//   - In Commit, check every op against what is stored, then write every op.
//     Two loops, one transaction. A driver that mixes them leaves half a batch
//     behind one day.
//   - Close must wait for the calls under way, refuse those that begin meanwhile, and
//     not wait for the body of a Scan's loop. drivers/internal/gate does that, and
//     drivers/internal/exact what Put promises about its reader.
//   - Do not retry on ErrConflict: the core does, in one place, because only it
//     knows how to compute the write again from newer data. Do not log: return
//     errors, wrapped with the operation, and let no secret (a password of the
//     URL, a signed link) into them.
//   - Call the suite in drivers/conformance from a test in your folder. It has
//     no opt-outs: a driver that cannot pass a test cannot hold a login. One that
//     keeps things on this machine runs the suite's CrashStore and CrashObjects too,
//     which kill it.
//   - Add one line to a table of schemes in places.go (stores, objects, or each), one to
//     the README, and to walls_test.go what the driver imports. A line needs no more
//     than open.
//
// A driver that keeps things on this machine makes its place when it is missing. For the
// server that is right; where the setting is misspelt, it is a new, empty store that looks
// as if all were well. So the line of such a driver has more, as that of drivers/file:
// existing, for the commands check, merge and jobs, and reading, for the source of a copy
// and for a server with --read-only. Both make nothing, and return an error that is
// os.ErrNotExist and has the path in an *fs.PathError; reading writes nothing either
// (ReadOnlyStore, ReadOnlyObjects) and lets others read meanwhile. Where they are missing,
// open is called in their place. Any driver may have checkURL: then a wrong URL is told
// with its setting, before anything is opened. Such a store still counts as shared: the
// settings want a secret, and the sandbox wants MINIPROFILE_SANDBOX_ANYWHERE.
//
// Abilities that only some drivers have are optional interfaces of one method;
// the base contracts do not grow.
package drivers
