package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/migrate"
)

func TestDisplay(t *testing.T) {
	t.Parallel()
	steps := []migrate.Progress{
		{Step: migrate.CopyRecords, Done: 1234567, Here: 1000000, Total: 3000000, Took: 10 * time.Second},
		{Step: migrate.CopyRecords, Done: 3000000, Here: 2765433, Total: 3000000, Took: 30 * time.Second, Ended: true},
		{Step: migrate.CopyObjects, Done: 0, Took: time.Second, Ended: true},
		{Step: migrate.VerifyRecords, Done: 5, Here: 5, Total: 10, Took: time.Second},
	}
	if got, want := line(steps[0]), "copy records: 1,234,567 of about 3,000,000, 100,000/s, 18s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, terminal := range []bool{false, true} {
		var b bytes.Buffer
		d := displayOn(&b, terminal)
		for _, p := range steps {
			d.show(p)
		}
		d.close()
		for _, want := range []string{"copy records", "3,000,000", "92,181/s, 30s", "copy objects"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("terminal %t: no %q in %q", terminal, want, b.String())
			}
		}
		if lines := strings.Count(b.String(), "\n"); !terminal && (lines != 2 || strings.Contains(b.String(), "\x1b")) {
			t.Errorf("%d lines: %q", lines, b.String())
		}
	}
}
