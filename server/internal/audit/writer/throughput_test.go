package writer

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// What the log alone takes, in one process: go test -run '^$' -bench 'Throughput|Alone'. bench/performance
// measures the server.

var (
	benchDir  = flag.String("dir", "", "where to write, on the disk to measure (default: the system's temporary directory)")
	benchWork = flag.Duration("work", 20*time.Microsecond, "CPU time of a call beside its record, as gRPC would take")
)

// BenchmarkThroughput is the log under many callers, with every way to write.
func BenchmarkThroughput(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 512} {
		for _, way := range []string{"synced", "unsynced", "null"} {
			b.Run(fmt.Sprintf("%d/%s", callers, way), func(b *testing.B) {
				o := diskOptions(b)
				o.NoSync = way == "unsynced"
				if way == "null" {
					o.File = os.DevNull
				}
				measure(b, o, callers)
			})
		}
	}
}

func diskOptions(b *testing.B) Options {
	b.Helper()
	directory, err := os.MkdirTemp(*benchDir, "audit-*")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(directory) })
	o := testOptions(b)
	o.File, o.MaxSize = filepath.Join(directory, "audit.jsonl"), 1<<40
	return o
}

// measure has all callers together write b.N records.
func measure(b *testing.B, o Options, callers int) {
	b.Helper()
	l := mustOpen(b, o)
	rounds := calibrate(*benchWork)
	left := new(atomic.Int64)
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				spin(rounds)
				if err := l.Write(context.Background(), fullRecord()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(1/meanBatch(b, l), "syncs/record")
	mustClose(b, l)
}

func fullRecord() *audit.Record {
	now := time.Now()
	const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	r := issued(digest)
	r.Time, r.AuditID, r.RequestID = now, audit.NewID(now, nil), "0f9c1d2e-request"
	r.EmailHMAC, r.ExternalIDHMAC = digest[:32], digest[32:]
	return r
}

// spin is CPU time, in rounds of SHA-256.
func spin(rounds int) {
	var sum [sha256.Size]byte
	for range rounds {
		sum = sha256.Sum256(sum[:])
	}
}

// calibrate returns how many rounds of spin take d.
func calibrate(d time.Duration) int {
	const probe = 100_000
	begin := time.Now()
	spin(probe)
	return int(probe * d / time.Since(begin))
}

func meanBatch(b *testing.B, l *Log) float64 {
	b.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(l.metrics.batch)
	families, err := r.Gather()
	if err != nil {
		b.Fatal(err)
	}
	h := families[0].GetMetric()[0].GetHistogram()
	return h.GetSampleSum() / float64(h.GetSampleCount())
}

// BenchmarkAlone is what one caller waits for its record, beside what the disk alone takes for a
// line of that size, in turn.
func BenchmarkAlone(b *testing.B) {
	o := diskOptions(b)
	l := mustOpen(b, o)
	f, err := os.Create(filepath.Join(filepath.Dir(o.File), "disk"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	line := make([]byte, 700)
	var log, disk []float64
	for b.Loop() {
		start := time.Now()
		err = errors.Join(err, l.Write(b.Context(), fullRecord()))
		log = append(log, time.Since(start).Seconds()*1e6)
		start = time.Now()
		_, werr := f.Write(line)
		err = errors.Join(err, werr, osFile{f}.Sync())
		disk = append(disk, time.Since(start).Seconds()*1e6)
	}
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(log)
	slices.Sort(disk)
	b.ReportMetric(log[len(log)/2], "log-µs")
	b.ReportMetric(disk[len(disk)/2], "disk-µs")
}
