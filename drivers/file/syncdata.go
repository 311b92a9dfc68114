//go:build !linux

package file

import "os"

// syncData makes what a file has durable, and how long it is.
func syncData(f *os.File) error { return f.Sync() }
