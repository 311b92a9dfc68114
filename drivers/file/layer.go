package file

import (
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"github.com/miniprofile/miniprofile/drivers"
)

// layer has what was committed and is not in the database yet: by kind and ID, in
// the order of the IDs, the stored forms, nil where a record was deleted. Forms are
// replaced, never changed.
type layer map[string]*btree.Map[string, []byte]

func (l layer) get(k drivers.Key) (v []byte, ok bool) {
	ids := l[k.Kind]
	if ids == nil {
		return nil, false
	}
	return ids.Get(k.ID)
}

func (l layer) put(k drivers.Key, v []byte) {
	ids := l[k.Kind]
	if ids == nil {
		ids = new(btree.Map[string, []byte])
		l[k.Kind] = ids
	}
	ids.Set(k.ID, v)
}

// newest returns the stored form of a record that is not in the database yet, or nil
// when it is deleted; ok is false when the database knows.
func newest(k drivers.Key, newer, older layer) (v []byte, ok bool) {
	if v, ok = newer.get(k); !ok {
		v, ok = older.get(k)
	}
	return v, ok
}

// find adds to found what the layer has of those that a Scan asks for, at most the
// first chunkRecords of them; where there are more, end is the last one's ID.
func (l layer) find(found map[string][]byte, kind, prefix, after string) (end string, more bool) {
	ids := l[kind]
	if ids == nil {
		return "", false
	}
	n := 0
	ids.Ascend(max(prefix, after), func(id string, v []byte) bool {
		if id == after {
			return true
		}
		if !strings.HasPrefix(id, prefix) {
			return false
		}
		if more = n == chunkRecords; more {
			return false
		}
		found[id], end = v, id
		n++
		return true
	})
	return end, more
}

// change is what a commit does to one record: value is its stored form, or nil.
type change struct {
	key   drivers.Key
	value []byte
}

// changes returns all there is in the order in which the database keeps it.
func (l layer) changes() []change {
	var all []change
	for _, kind := range slices.Sorted(maps.Keys(l)) {
		l[kind].Scan(func(id string, v []byte) bool {
			all = append(all, change{drivers.Key{Kind: kind, ID: id}, v})
			return true
		})
	}
	return all
}
