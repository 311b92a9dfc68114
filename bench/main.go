// Bench measures the real binary against the limits it should come near, side
// by side, with the same load, in one run:
//
//		go run ./bench
//
//	  - me, against a net/http handler that answers a fixed 300 bytes;
//	  - login (of people who come back, and of new ones) and updateProfile, against a net/http handler
//	    that appends 1 KiB to a log and shares the fsync among those who wait;
//	  - the memory of the idle server, and the time from its start to its first
//	    answer, with an empty store and with many users (-users).
//
// go run ./bench -soak 10m drives it for ten minutes with all that clients send and
// with what nobody should, and fails when an answer is wrong, or when memory or
// goroutines grow; soak.go says how that is judged.
//
// go run ./bench -crowd 1000 lets a thousand users replace their pictures at once.
//
// Each target is a process of its own; they take turns, and the table has the
// medians over the rounds. The machine is shared with the load, so only the
// ratios say something.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	log.SetFlags(0)
	rounds := flag.Int("rounds", 5, "how often each target is driven")
	length := flag.Duration("length", 3*time.Second, "how long each time")
	clients := flag.Int("clients", 0, "how many clients at once; 0 means 32, for a soak 32 for each processor")
	users := flag.Int("users", 1_000_000, "how many users lie in the store of the second start; 0 leaves it out")
	limits := flag.String("rate-limits", "off", "the server's setting of that name: one machine's load would be refused")
	soakTime := flag.Duration("soak", 0, "drive the server for so long instead, and see that its memory and goroutines stay flat")
	crowdSize := flag.Int("crowd", 0, "let so many users replace their pictures at the same moment instead, and see that the last acknowledged are there and no others")
	limit := flag.String("limit", "", "be one of the limits, fixed or log, instead")
	listen := flag.String("listen", "", "address of the limit")
	flag.Parse()
	if *limit != "" {
		log.Fatal(serveLimit(*limit, *listen))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *soakTime > 0 {
		if err := soak(ctx, *soakTime, cmp.Or(*clients, 32*runtime.NumCPU())); err != nil {
			log.Fatal(err)
		}
		return
	}
	os.Setenv("MINIPROFILE_RATE_LIMITS", *limits)
	if *crowdSize > 0 {
		if err := crowd(ctx, *crowdSize); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := run(ctx, *rounds, *length, cmp.Or(*clients, 32), *users); err != nil {
		log.Fatal(err)
	}
}

// buildServer builds the server, as it is built for production, into a new folder, which
// is the caller's to remove.
func buildServer(ctx context.Context) (dir, binary string, err error) {
	if dir, err = os.MkdirTemp("", "miniprofile-bench-"); err != nil {
		return "", "", err
	}
	binary = filepath.Join(dir, "miniprofile")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", "", errors.Join(fmt.Errorf("go build: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return dir, binary, nil
}

func run(ctx context.Context, rounds int, length time.Duration, clients, users int) error {
	dir, binary, err := buildServer(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, start, err := startServer(ctx, binary, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer server.stop()
	idle, err := server.memory()
	if err != nil {
		return err
	}
	fixed, err := startLimit(ctx, "fixed", dir)
	if err != nil {
		return err
	}
	defer fixed.stop()
	appended, err := startLimit(ctx, "log", dir)
	if err != nil {
		return err
	}
	defer appended.stop()
	users32, err := signIn(server.address, clients)
	if err != nil {
		return err
	}
	targets := []target{
		{name: "limit: fixed 300 bytes", address: fixed.address, request: plain, against: 0},
		{name: "me", address: server.address, request: users32.me, against: 0, goal: 0.60},
		{name: "limit: append 1 KiB, shared fsync", address: appended.address, request: plain, against: 2},
		{name: "login", address: server.address, request: login, against: 2, goal: 0.25},
		{name: "first login of a person", address: server.address, request: firstLogin, against: 2},
		{name: "updateProfile", address: server.address, request: users32.update, against: 2, goal: 0.35},
	}
	rates := make([][]float64, len(targets))
	// Pictures have a server of their own, or its memory would be that of the logins too.
	pictures, _, err := startServer(ctx, binary, filepath.Join(dir, "pictures"))
	if err != nil {
		return err
	}
	defer pictures.stop()
	senders, err := signIn(pictures.address, clients)
	if err != nil {
		return err
	}
	photo, err := photograph()
	if err != nil {
		return err
	}
	var drawn, uploaded []float64
	for round := range rounds {
		for i, t := range targets {
			rate, err := drive(ctx, t.address, clients, length, t.request)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			rates[i] = append(rates[i], rate)
		}
		alone, err := process(ctx, photo, length)
		if err != nil {
			return err
		}
		sent, err := drive(ctx, pictures.address, clients, length, senders.picture(photo))
		if err != nil {
			return fmt.Errorf("pictures: %w", err)
		}
		drawn, uploaded = append(drawn, alone), append(uploaded, sent)
		log.Printf("round %d of %d", round+1, rounds)
	}
	peak, err := pictures.peakMemory()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "target\trequests/s\tratio\tgoal\t")
	for i, t := range targets {
		fmt.Fprintf(table, "%s\t%.0f\t", t.name, median(rates[i]))
		if t.against != i {
			// The ratio of each round, not of the medians: what disturbed a round disturbed both.
			var ratios []float64
			for round := range rounds {
				ratios = append(ratios, rates[i][round]/rates[t.against][round])
			}
			fmt.Fprintf(table, "%.2f\t", median(ratios))
		} else {
			fmt.Fprint(table, "\t")
		}
		if t.goal > 0 {
			fmt.Fprintf(table, "%.2f", t.goal)
		}
		fmt.Fprintln(table, "\t")
	}
	fmt.Fprintf(table, "limit: decode, scale and encode %d KiB\t%.0f\t\t\t\n", len(photo)>>10, median(drawn))
	var ratios []float64
	for round := range rounds {
		ratios = append(ratios, uploaded[round]/drawn[round])
	}
	fmt.Fprintf(table, "updateProfile with that picture\t%.0f\t%.2f\t0.50\t\n", median(uploaded), median(ratios))
	fmt.Fprintf(table, "memory idle\t%.1f MiB\t\t30\t\n", idle)
	fmt.Fprintf(table, "memory at its peak, %d uploads at once\t%.1f MiB\t\t200\t\n", clients, peak)
	fmt.Fprintf(table, "first answer, empty store\t%d ms\t\t100\t\n", start.Milliseconds())
	if users > 0 {
		full := filepath.Join(dir, "full")
		if err := populate(ctx, filepath.Join(dir, "data"), full, users, server); err != nil {
			return err
		}
		var starts []float64
		for range 5 {
			again, start, err := startServer(ctx, binary, full)
			if err != nil {
				return err
			}
			again.stop()
			starts = append(starts, float64(start.Milliseconds()))
		}
		fmt.Fprintf(table, "first answer, %d users\t%.0f ms\t\t300\t\n", users, median(starts))
	}
	return table.Flush()
}

// target is something to drive.
type target struct {
	name    string
	address string
	request func(client, n int) []byte // the whole HTTP request, the nth of a client
	against int                        // index of its limit; its own where it is one
	goal    float64                    // ratio; 0 for none
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// child is a server under measurement.
type child struct {
	cmd     *exec.Cmd
	address string
}

func (p *child) stop() error {
	p.cmd.Process.Signal(os.Interrupt)
	return p.cmd.Wait()
}

// memory returns the resident memory in MiB, now.
func (p *child) memory() (float64, error) { return p.status("VmRSS:") }

// peakMemory returns the most that it ever was.
func (p *child) peakMemory() (float64, error) { return p.status("VmHWM:") }

func (p *child) status(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no %s", name)
}

// startServer starts the binary on a store and returns it with the time to its first answer.
func startServer(ctx context.Context, binary, data string) (*child, time.Duration, error) {
	cmd := exec.CommandContext(ctx, binary)
	cmd.Env = append(os.Environ(), "MINIPROFILE_STORE=file:"+data)
	return start(cmd)
}

func startLimit(ctx context.Context, name, dir string) (*child, error) {
	cmd := exec.CommandContext(ctx, os.Args[0], "-limit", name)
	cmd.Dir = dir
	p, _, err := start(cmd)
	return p, err
}

// start runs cmd on a free port and waits for its first answer.
func start(cmd *exec.Cmd) (*child, time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	p := &child{cmd: cmd, address: l.Addr().String()}
	l.Close()
	if len(cmd.Args) > 1 {
		cmd.Args = append(cmd.Args, "-listen", p.address)
	} else {
		cmd.Args = append(cmd.Args, "--listen", p.address, "--log-level", "warn")
	}
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	for time.Since(began) < 20*time.Second {
		if _, err := once(p.address, get("/healthz")); err == nil {
			return p, time.Since(began), nil
		}
		time.Sleep(time.Millisecond)
	}
	p.stop()
	return nil, 0, fmt.Errorf("%s does not answer", cmd.Path)
}
