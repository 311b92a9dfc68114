package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"
)

// Status is how a probe ended.
type Status string

// The statuses. Only Fail means that something is wrong.
const (
	OK   Status = "ok"
	Hint Status = "hint" // cannot be seen from here
	Warn Status = "warn" // right for a laptop, perhaps not for production
	Fail Status = "fail"
)

// Finding is what a probe found.
type Finding struct {
	Name   string // what was tried
	Status Status
	Detail string        // what was found
	Do     string        // what to do about it, unless it is OK
	Took   time.Duration // 0 where time says nothing
}

// Report is all that was found, in the order in which it was tried.
type Report []Finding

// Failed reports whether something is wrong.
func (r Report) Failed() bool { return r.Failures() > 0 }

// Failures is how many of the findings say that something is wrong.
func (r Report) Failures() (n int) {
	for _, f := range r {
		if f.Status == Fail {
			n++
		}
	}
	return n
}

// Table writes the report for a person.
func (r Report) Table(w io.Writer) error {
	for _, f := range r {
		took := ""
		if f.Took > 0 {
			took = fmt.Sprintf("%.1f ms", milliseconds(f.Took))
		}
		if _, err := fmt.Fprintf(w, "%-4s  %-20s %10s  %s\n", f.Status, f.Name, took, f.Detail); err != nil {
			return err
		}
		if f.Do != "" {
			if _, err := fmt.Fprintf(w, "      -> %s\n", f.Do); err != nil {
				return err
			}
		}
	}
	return nil
}

// JSON writes the report for a machine.
func (r Report) JSON(w io.Writer) error {
	type row struct {
		Name   string  `json:"name"`
		Status Status  `json:"status"`
		Detail string  `json:"detail,omitempty"`
		Do     string  `json:"do,omitempty"`
		Millis float64 `json:"ms,omitempty"`
	}
	rows := []row{}
	for _, f := range r {
		rows = append(rows, row{f.Name, f.Status, f.Detail, f.Do, milliseconds(f.Took)})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		OK       bool  `json:"ok"`
		Findings []row `json:"findings"`
	}{!r.Failed(), rows})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Failed is what is found where err says what is wrong, and do what to do about it,
// unless that is to make room on a full disk.
func Failed(name string, err error, do string) Finding {
	if errors.Is(err, syscall.ENOSPC) {
		do = "the disk is full: make room on it"
	}
	return Finding{Name: name, Status: Fail, Detail: err.Error(), Do: do}
}

// timed tries f and tells how it ended; advise says what to do about its error.
func timed(name, detail string, advise func(error) string, f func() error) Finding {
	start := time.Now()
	err := f()
	took := time.Since(start)
	found := Finding{Name: name, Status: OK, Detail: detail}
	if err != nil {
		found = Failed(name, err, advise(err))
	}
	found.Took = took
	return found
}
