package gate

import (
	"testing"
	"testing/synctest"
)

// TestShut: Shut waits for all who are inside, and tells one caller that it was theirs.
func TestShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		for range 2 {
			if err := g.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		shut := make(chan bool, 2)
		for range 2 {
			go func() { shut <- g.Shut() }()
		}
		for range 2 {
			synctest.Wait()
			if len(shut) != 0 {
				t.Fatal("shut while somebody is inside")
			}
			g.Leave()
		}
		if first, second := <-shut, <-shut; first == second {
			t.Errorf("both are told %t", first)
		}
	})
}
