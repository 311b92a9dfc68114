package sandbox

import (
	"strconv"
	"testing"
)

func TestPeopleAreBounded(t *testing.T) {
	t.Parallel()
	const most = 16
	p := newPeople(most)
	for i := range 3*most + 1 {
		p.met(strconv.Itoa(i), known{"n", strconv.Itoa(i)})
	}
	if n := len(p.current) + len(p.previous); n > 2*most {
		t.Errorf("remembers %d", n)
	}
	for _, i := range []int{3 * most, 2*most + 1} {
		if k, ok := p.find(strconv.Itoa(i)); !ok || k.key != strconv.Itoa(i) {
			t.Errorf("%d: %v, %v", i, k, ok)
		}
	}
	if _, ok := p.find("0"); ok {
		t.Error("remembers the first")
	}
	older := strconv.Itoa(2*most + 1)
	if !p.rekey(older, "new", func(key string) bool { return key == older }) || p.rekey(older, "newer", func(key string) bool { return key == older }) {
		t.Error("a key that is not current was replaced, or one that is was not")
	}
	if k, _ := p.find(older); k.key != "new" {
		t.Errorf("key is %q", k.key)
	}
}
