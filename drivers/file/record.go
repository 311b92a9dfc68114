package file

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// A record is stored as a header and its JSON, byte for byte as it was given:
//
//	1 byte    version of this form, 1
//	4 bytes   epoch: drawn at random when the store was opened
//	8 bytes   the batch of commits that wrote it, big endian
//	8 bytes   expires, microseconds since 1970, big endian; the least int64: never
//
// Epoch and batch are the revision. The batch alone nearly does: a key gets at most
// one state in a batch that anybody can see, since several commits may share one but
// nobody sees anything between them; and numbers only grow, so a record deleted and
// made again has a revision it never had (no ABA). Numbers are used again only after
// a batch that nobody saw, with one exception: an operator puts back yesterday's
// backup. The epoch tells those apart.
const (
	version    = 1
	stampSize  = 4 + 8
	headerSize = 1 + stampSize + 8
	never      = math.MinInt64
)

// stamp is a revision as it is stored.
type stamp [stampSize]byte

func newStamp(epoch uint32, batch uint64) stamp {
	var s stamp
	binary.BigEndian.PutUint32(s[:], epoch)
	binary.BigEndian.PutUint64(s[4:], batch)
	return s
}

// encode gives the stored form of what op writes.
func encode(s stamp, op drivers.Op) []byte {
	expires := int64(never)
	if !op.Expires.IsZero() {
		expires = op.Expires.UnixMicro()
	}
	v := make([]byte, 0, headerSize+len(op.Data))
	v = append(v, version)
	v = append(v, s[:]...)
	v = binary.BigEndian.AppendUint64(v, uint64(expires))
	return append(v, op.Data...)
}

func checkHeader(v []byte) error {
	switch {
	case len(v) < headerSize:
		return errors.New("damaged record")
	case v[0] != version:
		return fmt.Errorf("a record of form %d, which this release does not know", v[0])
	}
	return nil
}

// The following read a stored record whose header was checked.

func appendRevision(b, v []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(b, v[1:1+stampSize])
}

func expires(v []byte) time.Time {
	micros := int64(binary.BigEndian.Uint64(v[1+stampSize:]))
	if micros == never {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func data(v []byte) []byte { return v[headerSize:] }

// decode returns the record of key, copied out of v.
func decode(key drivers.Key, v []byte) (drivers.Record, error) {
	if err := checkHeader(v); err != nil {
		return drivers.Record{}, fmt.Errorf("%v: %w", key, err)
	}
	var scratch [2 * stampSize]byte
	return drivers.Record{
		Key:      key,
		Revision: drivers.Revision(appendRevision(scratch[:0], v)),
		Data:     bytes.Clone(data(v)),
		Expires:  expires(v),
	}, nil
}
