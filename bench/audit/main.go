// Audit measures how many records a second the audit log takes, alone in one process: with
// fdatasync, without, and to /dev/null, at several numbers of callers. The measurements are
// benchmarks of audit/writer; this program runs them in interleaved rounds, and prints the medians,
// of the ratios round by round too.
//
//	go run ./bench/audit
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const room = "./server/internal/audit/writer"

func main() {
	dir := flag.String("dir", "", "where to write, on the disk to measure (default: the system's temporary directory)")
	rounds := flag.Int("rounds", 15, "interleaved rounds")
	length := flag.Duration("length", 300*time.Millisecond, "of one measurement")
	work := flag.Duration("work", 20*time.Microsecond, "CPU time of a call beside its record, as gRPC would take")
	flag.Parse()
	if err := measure(*dir, *rounds, *length, *work); err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(1)
	}
}

func measure(dir string, rounds int, length, work time.Duration) error {
	temporary, err := os.MkdirTemp("", "audit-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary) //nolint:errcheck // temporary files
	program := filepath.Join(temporary, "writer.test")
	if text, err := exec.Command("go", "test", "-c", "-o", program, room).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	all := values{}
	for range rounds {
		text, err := exec.Command(program, "-test.run=^$", "-test.bench=Throughput|Alone",
			"-test.benchtime="+length.String(), "-work="+work.String(), "-dir="+dir).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, text)
		}
		all.read(text)
	}
	fmt.Printf("%d rounds of %v; %v of CPU a call beside its record\n", rounds, length, work)
	all.print()
	return nil
}

// values are the measurements of all rounds, by benchmark and unit.
type values map[string][]float64

// read takes the lines "BenchmarkThroughput/64/synced-2  N  1 ns/op  2 records/s ...".
func (v values) read(text []byte) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 || !strings.HasPrefix(words[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(words[0], "Benchmark"), "-")
		for pair := range slices.Chunk(words[2:], 2) {
			if value, err := strconv.ParseFloat(pair[0], 64); err == nil {
				v[name+" "+pair[1]] = append(v[name+" "+pair[1]], value)
			}
		}
	}
}

func (v values) print() {
	fmt.Println("| callers | sync on, records/s | sync off | /dev/null | on : off | on : /dev/null | syncs per record |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, callers := range []string{"1", "8", "64", "512"} {
		of := func(way, unit string) []float64 { return v["Throughput/"+callers+"/"+way+" "+unit] }
		synced, unsynced, null := of("synced", "records/s"), of("unsynced", "records/s"), of("null", "records/s")
		fmt.Printf("| %s | %.0f | %.0f | %.0f | %.2f | %.2f | %.3f |\n",
			callers, median(synced), median(unsynced), median(null),
			median(ratios(synced, unsynced)), median(ratios(synced, null)), median(of("synced", "syncs/record")))
	}
	fmt.Printf("one caller alone waits %.0f µs for a record; "+
		"700 bytes written and synced without the log take %.0f µs (medians)\n",
		median(v["Alone log-µs"]), median(v["Alone disk-µs"]))
}

// ratios divides round by round.
func ratios(a, b []float64) []float64 {
	all := make([]float64, len(a))
	for i := range a {
		all[i] = a[i] / b[i]
	}
	return all
}

func median(v []float64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	return sorted[len(sorted)/2]
}
