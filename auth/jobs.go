package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/miniprofile/miniprofile/drivers"
)

// A job is work to finish later, filed in the commit that makes it necessary, so
// that no crash can lose it. Its id begins with the moment it is due, so the
// first jobs of a scan are the next ones. Any replica may run it: it takes a lease
// by replacing the record, and no other touches the job until the lease is over.
// A job may run again after a crash, never twice at a time, and must do no harm then.
// Each attempt has jobTime; one that ends with errUnfinished then is followed by
// another, which is not counted.
type jobRecord struct {
	Kind     string          `json:"kind"`
	Args     json.RawMessage `json:"args"`
	Attempts int             `json:"attempts,omitempty"`
	Lease    string          `json:"lease,omitempty"`       // random, names the holder
	Until    *time.Time      `json:"leasedUntil,omitempty"` // when the lease is over
	Failed   *time.Time      `json:"failed,omitempty"`      // when it was given up
}

const (
	jobRemovePicture = "removePicture"
	jobRemoveUpload  = "removeUpload"
	jobPictureMoved  = "pictureMoved"
	jobCheckPicture  = "checkPicture"
	jobJudgePicture  = "judgePicture"
	jobPush          = "push"
	jobEraseAccount  = "eraseAccount"
	jobFinishMerge   = "finishMerge"
	jobBoundSessions = "boundSessions"

	jobTime  = 30 * time.Second // how long a job may take
	jobLease = 2 * time.Minute  // how long it is left alone
	jobPoll  = 15 * time.Second // how often a replica looks for the jobs of others
	jobWait  = time.Hour        // the longest wait before a job is tried again
	// jobAttempts is how often a job is tried before it is given up, some 9 hours
	// after it was due. It is kept then, as dead: see DeadJobs.
	jobAttempts = 20
)

// newJob makes the op that files a job. args is a struct.
func newJob(kind string, due time.Time, args any) drivers.Op {
	key := drivers.Key{Kind: kindJobs, ID: timeID(due)}
	return drivers.Create(key, encode(jobRecord{Kind: kind, Args: encode(args)}), time.Time{})
}

// ofUser are the arguments of a job that must know only which user it is about.
type ofUser struct {
	User string `json:"user"`
}

func (c *Core) runJob(ctx context.Context, job jobRecord) error {
	switch job.Kind {
	case jobRemovePicture:
		return run(ctx, job, c.removePicture)
	case jobRemoveUpload:
		return run(ctx, job, c.removeUpload)
	case jobPictureMoved:
		return nil // it was there for the sweep to see
	case jobCheckPicture:
		return run(ctx, job, c.checkPicture)
	case jobJudgePicture:
		return run(ctx, job, c.judgePicture)
	case jobPush:
		return run(ctx, job, c.workPush)
	case jobEraseAccount:
		return run(ctx, job, c.eraseAccount)
	case jobFinishMerge:
		return run(ctx, job, c.finishMerge)
	case jobBoundSessions:
		return run(ctx, job, c.boundSessions)
	}
	return errors.New("this version does not know it")
}

// run reads the arguments of a job and does it.
func run[T any](ctx context.Context, job jobRecord, do func(context.Context, T) error) error {
	var args T
	if err := json.Unmarshal(job.Args, &args); err != nil {
		return errors.New("its arguments have another form")
	}
	return do(ctx, args)
}

// wakeJobs makes RunJobs look for due jobs now.
func (c *Core) wakeJobs() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// ErrJobDead comes with the error of a job that was given up.
var ErrJobDead = errors.New("given up, see the dead jobs")

// DeadJobs returns how many jobs were given up: work that an operator must look
// at, then let run again by RetryDeadJobs.
func DeadJobs(ctx context.Context, store drivers.Store) (int, error) {
	n := 0
	for _, err := range store.Scan(ctx, kindDeadJobs, "", "") {
		if err != nil {
			return n, storeError("scan", err)
		}
		n++
	}
	return n, nil
}

// RetryDeadJobs makes all jobs due that were given up and returns how many there were.
func RetryDeadJobs(ctx context.Context, store drivers.Store, now time.Time) (int, error) {
	n := 0
	for record, err := range store.Scan(ctx, kindDeadJobs, "", "") {
		if err != nil {
			return n, storeError("scan", err)
		}
		job, err := decode[jobRecord](record)
		if err != nil {
			return n, err
		}
		key := drivers.Key{Kind: kindJobs, ID: timeID(now)}
		err = store.Commit(ctx, drivers.Delete(record),
			drivers.Create(key, encode(jobRecord{Kind: job.Kind, Args: job.Args}), time.Time{}))
		if errors.Is(err, drivers.ErrConflict) {
			continue // another operator was faster
		}
		if err != nil {
			return n, storeError("commit", err)
		}
		n++
	}
	return n, nil
}

// RunJobs runs due jobs, one at a time, until ctx ends, and hands what fails to
// failed, which may be nil; a failed job is tried again, after 1, 2, 4 … seconds and
// an hour at most, until it is given up (ErrJobDead). A job that panics has failed.
// Run it in each replica. Of a read-only core it only waits.
func (c *Core) RunJobs(ctx context.Context, failed func(error)) {
	if c.readOnly {
		<-ctx.Done()
		return
	}
	sweep := c.now().Add(time.Minute) // when to see whether one is due: not at the start, which has better to do
	for {
		next, err := c.RunDueJobs(ctx, failed)
		if err == nil && c.now().After(sweep) {
			sweep = c.now().Add(time.Hour)
			err = guarded(func() error { _, err := c.sweepWhenDue(ctx); return err })
		}
		if err != nil && ctx.Err() == nil && failed != nil {
			failed(err)
		}
		timer := time.NewTimer(min(max(next, 0), jobPoll))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// RunDueJobs runs the jobs that are due and returns how long it is until the
// next one is, an hour at most.
func (c *Core) RunDueJobs(ctx context.Context, failed func(error)) (time.Duration, error) {
	for record, err := range c.store.Scan(ctx, kindJobs, "", "") {
		if err != nil {
			return jobPoll, storeError("scan", err)
		}
		due, err := timeOf(record.Key.ID)
		if err != nil {
			return jobPoll, err
		}
		if wait := due.Sub(c.now()); wait > 0 {
			return min(wait, time.Hour), nil
		}
		if err := c.take(ctx, record); err != nil && ctx.Err() == nil && failed != nil {
			failed(fmt.Errorf("job %s: %w", record.Key.ID, err))
		}
		if ctx.Err() != nil {
			return jobPoll, ctx.Err()
		}
	}
	return time.Hour, nil
}

// take leases a due job, runs it and removes it, or files it anew for later.
func (c *Core) take(ctx context.Context, record drivers.Record) error {
	job, err := decode[jobRecord](record)
	if err != nil {
		return err
	}
	now := c.now()
	if job.Until != nil && now.Before(*job.Until) {
		return nil // another replica is at it
	}
	until := now.Add(jobLease)
	job.Attempts, job.Lease, job.Until = job.Attempts+1, newID(), &until
	err = c.store.Commit(ctx, put(record, job))
	if errors.Is(err, drivers.ErrConflict) {
		return nil // another one was faster
	}
	if err != nil {
		return storeError("commit", err)
	}
	running, cancel := context.WithTimeout(ctx, jobTime)
	began := time.Now()
	failure := guarded(func() error { return c.runJob(running, job) })
	// What is long and has come further did not fail: it goes on, behind the others.
	goesOn := errors.Is(failure, errUnfinished) && errors.Is(running.Err(), context.DeadlineExceeded)
	cancel()
	took := time.Since(began)
	if goesOn {
		failure = nil
	}
	dead := failure != nil && job.Attempts >= jobAttempts
	switch {
	case dead:
		failure = fmt.Errorf("%s, attempt %d: %w: %w", job.Kind, job.Attempts, ErrJobDead, failure)
	case failure != nil:
		failure = fmt.Errorf("%s, attempt %d: %w", job.Kind, job.Attempts, failure)
	}
	if c.jobDone != nil {
		c.jobDone(job.Kind, took, failure)
	}
	finished := c.transact(ctx, func() ([]drivers.Op, error) {
		current, leased, err := read[jobRecord](ctx, c, record.Key)
		if err != nil || current.Lease != job.Lease {
			return nil, err // the lease was over and another one took it
		}
		ops := []drivers.Op{drivers.Delete(leased)}
		if dead {
			at := c.now()
			key := drivers.Key{Kind: kindDeadJobs, ID: record.Key.ID}
			given := jobRecord{Kind: job.Kind, Args: job.Args, Attempts: job.Attempts, Failed: &at}
			return append(ops, drivers.Create(key, encode(given), time.Time{})), nil
		}
		again := jobRecord{Kind: job.Kind, Args: job.Args, Attempts: job.Attempts}
		wait := min(time.Second<<min(job.Attempts-1, 20), jobWait)
		switch {
		case goesOn:
			again.Attempts, wait = job.Attempts-1, 0
		case failure == nil:
			return ops, nil
		}
		key := drivers.Key{Kind: kindJobs, ID: timeID(c.now().Add(wait))}
		return append(ops, drivers.Create(key, encode(again), time.Time{})), nil
	})
	return errors.Join(failure, finished)
}

// timeOf reads the moment of an id that timeID made.
func timeOf(id string) (time.Time, error) {
	var micro int64
	if _, err := fmt.Sscanf(id, "%16x.", &micro); err != nil {
		return time.Time{}, fmt.Errorf("id %s has no time", id)
	}
	return time.UnixMicro(micro).UTC(), nil
}
