package file

import (
	"cmp"
	"slices"
	"strings"

	"github.com/miniprofile/miniprofile/drivers"
)

// layer has what was committed and is not in the database yet: by kind and ID the
// stored forms, nil where a record was deleted. Forms are replaced, never changed.
type layer map[string]map[string][]byte

// write is what a commit does to one record: value is its stored form, or nil.
type write struct {
	kind, id string
	value    []byte
}

func (l layer) get(k drivers.Key) (v []byte, ok bool) {
	v, ok = l[k.Kind][k.ID]
	return v, ok
}

func (l layer) put(w write) {
	ids := l[w.kind]
	if ids == nil {
		ids = map[string][]byte{}
		l[w.kind] = ids
	}
	ids[w.id] = w.value
}

// add puts all of over over what is there.
func (l layer) add(over layer) {
	for kind, ids := range over {
		for id, v := range ids {
			l.put(write{kind, id, v})
		}
	}
}

// find adds to found what the layer has of those that a Scan asks for.
func (l layer) find(found map[string][]byte, kind, prefix, after string) {
	for id, v := range l[kind] {
		if id > after && strings.HasPrefix(id, prefix) {
			found[id] = v
		}
	}
}

// sorted returns all there is in the order in which the database keeps it.
func (l layer) sorted() []write {
	var all []write
	for kind, ids := range l {
		for id, v := range ids {
			all = append(all, write{kind, id, v})
		}
	}
	slices.SortFunc(all, func(a, b write) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.id, b.id))
	})
	return all
}
