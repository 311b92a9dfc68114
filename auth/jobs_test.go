package auth

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// deleteHook fails or watches the removal of objects.
type deleteHook struct {
	drivers.Objects
	delete func(next func() error) error
}

func (h deleteHook) Delete(ctx context.Context, keys ...string) error {
	return h.delete(func() error { return h.Objects.Delete(ctx, keys...) })
}

func TestAJobThatFailsIsTriedAgainLaterAndLater(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		away := true
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			return deleteHook{o, func(next func() error) error {
				if away {
					return errors.New("away")
				}
				return next()
			}}
		}
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		c.update(t, token, UpdateProfileInput{Avatar: cleared[Upload]()})
		var waits []time.Duration
		done := map[bool]int{}
		c.jobDone = func(kind string, _ time.Duration, err error) {
			if kind == jobRemovePicture {
				done[err == nil]++
			}
		}
		for range 14 {
			var failures []error
			if _, err := c.RunDueJobs(t.Context(), func(err error) { failures = append(failures, err) }); err != nil {
				t.Fatal(err)
			}
			if len(failures) != 1 || !strings.Contains(failures[0].Error(), "removePicture") {
				t.Fatalf("failures: %v", failures)
			}
			// It is not due at once.
			next, err := c.RunDueJobs(t.Context(), func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			waits = append(waits, next)
			w.clock.add(next)
		}
		if waits[0] != time.Second || waits[1] != 2*time.Second || waits[5] != 32*time.Second || waits[13] != time.Hour {
			t.Errorf("waits %v", waits)
		}
		away = false
		c.runJobs(t)
		if len(w.blobs(t)) != 0 || len(w.records(t, kindJobs)) != 0 {
			t.Error("the job did not finish")
		}
		if done[false] != 14 || done[true] == 0 {
			t.Errorf("told of %v", done)
		}
	})
}

func TestAJobRunsOnceAtATime(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		running, runs := 0, 0
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			return deleteHook{o, func(next func() error) error {
				mu.Lock()
				running++
				runs++
				if running > 1 {
					t.Error("twice at a time")
				}
				mu.Unlock()
				err := next()
				mu.Lock()
				running--
				mu.Unlock()
				return err
			}}
		}
		c := w.replica(t)
		if err := c.store.Commit(t.Context(), removeLater(newID(), newID(), c.now())); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 16 {
			replica := w.replica(t)
			wg.Go(func() { replica.runJobs(t) })
		}
		wg.Wait()
		if runs != 1 || len(w.records(t, kindJobs)) != 0 {
			t.Errorf("%d runs, %d jobs left", runs, len(w.records(t, kindJobs)))
		}
	})
}

// A replica that dies in a job leaves a lease; when it is over another one takes the job.
func TestAJobOfADeadReplica(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		if err := c.store.Commit(t.Context(), removeLater(newID(), newID(), c.now())); err != nil {
			t.Fatal(err)
		}
		record := w.records(t, kindJobs)[0]
		job, _ := decode[jobRecord](record)
		job.Attempts, job.Lease, job.Until = 1, newID(), ptr(c.now().Add(jobLease))
		if err := c.store.Commit(t.Context(), drivers.Replace(record, encode(job), time.Time{})); err != nil {
			t.Fatal(err)
		}
		c.runJobs(t)
		if len(w.records(t, kindJobs)) != 1 {
			t.Fatal("a leased job was taken")
		}
		w.clock.add(jobLease)
		c.runJobs(t)
		if len(w.records(t, kindJobs)) != 0 {
			t.Error("the job of a dead replica was not taken over")
		}
	})
}

func TestRunJobsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		c := w.replica(t)
		token := c.mustLogin(t, "ming~1").Tokens.AccessToken
		ctx, cancel := context.WithCancel(t.Context())
		done, deleted := make(chan struct{}), make(chan struct{})
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			return deleteHook{o, func(next func() error) error { defer close(deleted); return next() }}
		}
		worker := w.replica(t)
		go func() { defer close(done); worker.RunJobs(ctx, nil) }()
		c = worker
		c.update(t, token, UpdateProfileInput{Avatar: set(upload(testPicture(t, 1)))})
		c.update(t, token, UpdateProfileInput{Avatar: cleared[Upload]()})
		<-deleted // woken, not polled
		cancel()
		<-done
	})
}

// A job that never succeeds is given up, kept where it can be seen, and can be
// made to run again.
func TestADeadJobIsKept(t *testing.T) {
	t.Parallel()
	onEachDriver(t, func(t *testing.T, w *world) {
		away := true
		w.wrapObjects = func(o drivers.Objects) drivers.Objects {
			return deleteHook{o, func(next func() error) error {
				if away {
					return errors.New("away")
				}
				return next()
			}}
		}
		c := w.replica(t)
		if err := c.store.Commit(t.Context(), removeLater(newID(), newID(), c.now())); err != nil {
			t.Fatal(err)
		}
		var last error
		tries := 0
		for len(w.records(t, kindJobs)) > 0 {
			if _, err := c.RunDueJobs(t.Context(), func(err error) { last = err; tries++ }); err != nil {
				t.Fatal(err)
			}
			w.clock.add(jobWait)
		}
		if tries != jobAttempts || !errors.Is(last, ErrJobDead) {
			t.Errorf("%d tries, at last %v", tries, last)
		}
		dead := func(want int) {
			t.Helper()
			if n, err := DeadJobs(t.Context(), c.store); err != nil || n != want {
				t.Errorf("%d dead jobs, %v; want %d", n, err, want)
			}
		}
		dead(1)
		job, err := decode[jobRecord](w.records(t, kindDeadJobs)[0])
		if err != nil || job.Attempts != jobAttempts || job.Failed == nil {
			t.Errorf("%+v, %v", job, err)
		}
		away = false
		if n, err := RetryDeadJobs(t.Context(), c.store, c.now()); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		c.runJobs(t)
		dead(0)
		if n := len(w.records(t, kindJobs)); n != 0 {
			t.Errorf("%d jobs are left", n)
		}
	})
}
