package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxHang is how long a call that hangs does so at the most.
const maxHang = time.Minute

// fault is how the next calls of an API fail.
type fault struct {
	API     string `json:"api"`
	Times   *int   `json:"times"`             // how many calls; 1 when absent, 0 ends it
	ErrCode int    `json:"errcode,omitempty"` // with this number,
	How     string `json:"how,omitempty"`     // or in one of the ways of hows
}

// hows are the ways to fail without a number.
var hows = map[string]func(*Sandbox, http.ResponseWriter, *http.Request){
	"hang": func(_ *Sandbox, _ http.ResponseWriter, r *http.Request) {
		wait(r, maxHang)
		panic(http.ErrAbortHandler)
	},
	"garbage": func(s *Sandbox, w http.ResponseWriter, _ *http.Request) { troubles["garbage"](s, w) },
	"down":    func(s *Sandbox, w http.ResponseWriter, _ *http.Request) { troubles["down"](s, w) },
}

// faults are those that are still to come, by API.
type faults struct {
	mu   sync.Mutex
	next map[string]fault
}

// take returns the fault that a call of an API must have now, if any.
func (f *faults) take(api string) (fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one, ok := f.next[api]
	if !ok {
		return fault{}, false
	}
	left := *one.Times - 1
	one.Times = &left
	if f.next[api] = one; left == 0 {
		delete(f.next, api)
	}
	return one, true
}

func (f *faults) set(one fault) []fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = map[string]fault{}
	}
	if f.next[one.API] = one; *one.Times == 0 {
		delete(f.next, one.API)
	}
	all := []fault{} // not null in JSON
	for _, api := range slices.Sorted(maps.Keys(f.next)) {
		all = append(all, f.next[api])
	}
	return all
}

// nameOf is the name of an API by its path.
func nameOf(path string) string {
	name := path[strings.LastIndexByte(path, '/')+1:]
	if strings.HasPrefix(path, "/sns/component/") {
		name = "component/" + name
	}
	return name
}

// troubled lets a call fail when it has been told to.
func (s *Sandbox) troubled(api string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		one, ok := s.faults.take(api)
		switch {
		case !ok:
			h(w, r)
		case hows[one.How] != nil:
			_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody)) // else nobody notices who hangs up
			hows[one.How](s, w, r)
		default:
			s.refuse(w, one.ErrCode, "as it was told")
		}
	}
}

// fail takes what the next calls of an API are to do, and tells all that is to come.
func (s *Sandbox) fail(w http.ResponseWriter, r *http.Request) {
	var one fault
	if !readOrder(w, r, &one) {
		return
	}
	if one.Times == nil {
		once := 1
		one.Times = &once
	}
	switch {
	case !slices.Contains(s.apis, one.API):
		decline(w, fmt.Errorf("api is none of %s", strings.Join(s.apis, ", ")))
	case *one.Times < 0:
		decline(w, errors.New("times is negative"))
	case *one.Times > 0 && (one.ErrCode == 0) == (hows[one.How] == nil):
		decline(w, errors.New("either errcode, or how: "+strings.Join(slices.Sorted(maps.Keys(hows)), ", ")))
	default:
		tell(w, http.StatusOK, struct {
			Failing []fault `json:"failing"`
		}{s.faults.set(one)})
	}
}

// readOrder reads JSON without surprises, or reports false when it has answered.
func readOrder(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		decline(w, err)
		return false
	}
	return true
}

// decline says why an order is not carried out.
func decline(w http.ResponseWriter, err error) {
	tell(w, http.StatusBadRequest, struct {
		Error string `json:"error"`
	}{err.Error()})
}

func tell(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // the caller has hung up: nobody to tell
}
