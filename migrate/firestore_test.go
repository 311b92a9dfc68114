package migrate

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/miniprofile/miniprofile/drivers/firestore"
	"github.com/miniprofile/miniprofile/drivers/firestore/double"
)

// TestThroughFirestore: memory to file to Firestore to file gives equal data, also
// while a fifth of Firestore's answers fail, before and after their effect.
func TestThroughFirestore(t *testing.T) {
	server, err := double.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	server.Create("demo-test", "(default)")
	t.Setenv("FIRESTORE_EMULATOR_HOST", server.Addr())
	remote, err := firestore.OpenStore(t.Context(), &url.URL{Scheme: "firestore", Host: "demo-test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remote.Close() })
	server.Fail(double.Weather(1, 0.2, double.Faults...))

	places := []place{inMemory(), onDisk(t), {remote, inMemory().objects}, onDisk(t)}
	fill(t, places[0], places[0].objects, 300)
	for i := range len(places) - 1 {
		r, err := Copy(t.Context(), between(places[i], places[i+1]))
		if err != nil {
			t.Fatalf("copy %d: %v", i, err)
		}
		if r.Records != 3*300+6+6 {
			t.Errorf("copy %d: %+v", i, r)
		}
	}
	server.Fail(nil)
	if d := cmp.Diff(content(t, places[0]), content(t, remote)); d != "" {
		t.Errorf("Firestore differs: %s", d)
	}
	mustEqual(t, places[0], places[3])
}
