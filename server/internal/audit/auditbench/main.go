//go:build linux

// Command auditbench measures how many records a second the audit log takes
// with fdatasync, without, and to /dev/null, at several numbers of callers, in
// interleaved rounds. bench/audit/run.sh runs it.
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/server/internal/audit" //nolint:depguard // this program measures that room
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
)

// sink is one way to write that is compared.
type sink int

const (
	synced sink = iota
	unsynced
	devNull
	sinks
)

// run is what one measurement gave.
type run struct {
	perSecond float64
	perBatch  float64 // records
}

type bench struct {
	dir    string
	length time.Duration
	spin   int // rounds of SHA-256 that stand for the rest of a call
}

func main() {
	dir := flag.String("dir", os.TempDir(), "where the files are written; its disk is what is measured")
	rounds := flag.Int("rounds", 15, "interleaved rounds")
	length := flag.Duration("length", 300*time.Millisecond, "of one measurement")
	work := flag.Duration("work", 20*time.Microsecond, "CPU time of a call beside its record, as gRPC would take")
	flag.Parse()
	if err := measure(*dir, *rounds, *length, *work); err != nil {
		fmt.Fprintln(os.Stderr, "auditbench:", err)
		os.Exit(1)
	}
}

func measure(parent string, rounds int, length, work time.Duration) error {
	dir, err := os.MkdirTemp(parent, "auditbench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{dir: dir, length: length, spin: calibrate(work)}
	_, _ = fmt.Fprintf(os.Stdout, "%d rounds of %v; %v of CPU a call beside its record\n", rounds, length, work)
	_, _ = fmt.Fprintln(os.Stdout, "| callers | sync on, records/s | sync off | /dev/null | on : off | on : /dev/null | syncs per record |")
	_, _ = fmt.Fprintln(os.Stdout, "|---|---|---|---|---|---|---|")
	for _, callers := range []int{1, 8, 64, 512} {
		if err := b.row(callers, rounds); err != nil {
			return err
		}
	}
	return b.alone()
}

// row prints the medians over the rounds, of the ratios too.
func (b *bench) row(callers, rounds int) error {
	var speed [sinks][]float64
	var toOff, toNull, syncs []float64
	for range rounds {
		var runs [sinks]run
		for s := range sinks {
			r, err := b.run(s, callers)
			if err != nil {
				return err
			}
			runs[s] = r
			speed[s] = append(speed[s], r.perSecond)
		}
		toOff = append(toOff, runs[synced].perSecond/runs[unsynced].perSecond)
		toNull = append(toNull, runs[synced].perSecond/runs[devNull].perSecond)
		syncs = append(syncs, 1/runs[synced].perBatch)
	}
	_, _ = fmt.Fprintf(os.Stdout, "| %d | %.0f | %.0f | %.0f | %.2f | %.2f | %.3f |\n",
		callers, median(speed[synced]), median(speed[unsynced]),
		median(speed[devNull]), median(toOff), median(toNull), median(syncs))
	return nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func (b *bench) run(s sink, callers int) (run, error) {
	key, err := audit.NewKey("bench", make([]byte, 32))
	if err != nil {
		return run{}, err
	}
	path := filepath.Join(b.dir, "audit.jsonl")
	o := writer.Options{
		File: path, Instance: "bench", Keys: []*audit.Key{key}, NoSync: s != synced,
		Logger: slog.New(slog.DiscardHandler), MaxSize: 1 << 40,
	}
	if s == devNull {
		o.File = os.DevNull
	}
	l, err := writer.Open(o)
	if err != nil {
		return run{}, err
	}
	calls, err := b.load(l, callers)
	if err := errors.Join(err, l.Close(context.Background())); err != nil {
		return run{}, err
	}
	r := run{perSecond: float64(calls) / b.length.Seconds(), perBatch: meanBatch(l)}
	if s != devNull {
		err = os.Remove(path)
	}
	return r, err
}

// load calls Write from all callers until the time is over.
func (b *bench) load(l *writer.Log, callers int) (int, error) {
	ctx := context.Background()
	end := time.Now().Add(b.length)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	total := 0
	for range callers {
		wg.Go(func() {
			calls := 0
			var err error
			for ; err == nil && time.Now().Before(end); calls++ {
				b.work()
				err = l.Write(ctx, record())
			}
			mu.Lock()
			total += calls
			failed = errors.Join(failed, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	return total, failed
}

func record() *audit.Record {
	now := time.Now()
	const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	return &audit.Record{
		Time: now, AuditID: audit.NewID(now, nil), Event: audit.EventIssue, Outcome: audit.OutcomeOK, Organization: "default",
		EmailHMAC: digest[:32], ExternalIDHMAC: digest[32:], Identifier: "email", IssuedAt: now.Unix(), Caller: "backend",
		Peer: "127.0.0.1:47110", RequestID: "0f9c1d2e-request", TokenSHA256: digest, SecretID: "a1b2c3d4", Duration: 40 * time.Microsecond,
	}
}

func (b *bench) work() {
	var sum [sha256.Size]byte
	for range b.spin {
		sum = sha256.Sum256(sum[:])
	}
}

// calibrate returns how many rounds of work take d.
func calibrate(d time.Duration) int {
	const probe = 100_000
	b := &bench{spin: probe}
	begin := time.Now()
	b.work()
	return int(probe * d / time.Since(begin))
}

// meanBatch reads the log's own metrics.
func meanBatch(l *writer.Log) float64 {
	r := prometheus.NewRegistry()
	r.MustRegister(l)
	families, err := r.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == "chatidentity_audit_batch_records" {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum() / float64(h.GetSampleCount())
		}
	}
	return 0
}

// alone prints what one caller waits for a record, beside what the disk alone
// takes for a line of its size, measured in turn.
func (b *bench) alone() error {
	key, err := audit.NewKey("bench", make([]byte, 32))
	if err != nil {
		return err
	}
	l, err := writer.Open(writer.Options{
		File: filepath.Join(b.dir, "alone.jsonl"), Instance: "bench", Keys: []*audit.Key{key}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(b.dir, "disk"))
	if err != nil {
		return errors.Join(err, l.Close(context.Background()))
	}
	line := make([]byte, 700)
	var log, disk []float64
	for range 1000 {
		start := time.Now()
		err = errors.Join(err, l.Write(context.Background(), record()))
		log = append(log, float64(time.Since(start).Microseconds()))
		start = time.Now()
		_, werr := f.Write(line)
		err = errors.Join(err, werr, unix.Fdatasync(int(f.Fd())))
		disk = append(disk, float64(time.Since(start).Microseconds()))
	}
	_, _ = fmt.Fprintf(os.Stdout, "one caller alone waits %.0f µs for a record; "+
		"700 bytes written and synced without the log take %.0f µs (medians)\n",
		median(log), median(disk))
	return errors.Join(err, f.Close(), l.Close(context.Background()))
}
