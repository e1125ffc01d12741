// Throughput measures what the audit costs the real sidecar, over real gRPC: the
// same load against a file that is synced before each reply, one that is not,
// and /dev/null. Rounds are interleaved; the table shows medians of the ratios
// round by round.
//
//	go run ./bench/throughput
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// The audit of each sidecar that is measured.
const (
	synced   = "on"
	unsynced = "off"
	nowhere  = "null"
)

var modes = []string{synced, unsynced, nowhere}

func main() {
	rounds := flag.Int("rounds", 9, "interleaved rounds")
	length := flag.Duration("length", 500*time.Millisecond, "of one measurement")
	directory := flag.String("dir", "",
		"where the audit files are written; its disk is what is measured (default: the system's temporary directory)")
	flag.Parse()
	if err := measure(*directory, *rounds, *length); err != nil {
		fmt.Fprintln(os.Stderr, "throughput:", err)
		os.Exit(1)
	}
}

func measure(directory string, rounds int, length time.Duration) error {
	work, err := os.MkdirTemp(directory, "throughput-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // temporary files
	program := filepath.Join(work, "chatidentity")
	build := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", program, "./server")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	sidecars := map[string]*sidecar{}
	for _, mode := range modes {
		s, err := start(program, work, mode)
		if err != nil {
			return err
		}
		defer s.stop()
		sidecars[mode] = s
	}
	fmt.Println("| callers | sync on, calls/s | sync off, calls/s | on : off | on : /dev/null | syncs per record |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, callers := range []int{1, 8, 64, 512} {
		if err := row(sidecars, callers, rounds, length); err != nil {
			return err
		}
	}
	return nil
}

func row(sidecars map[string]*sidecar, callers, rounds int, length time.Duration) error {
	rates := map[string][]float64{}
	var toOff, toNull, syncs []float64
	for round := range rounds + 1 {
		for _, mode := range modes {
			before, err := sidecars[mode].counters()
			if err != nil {
				return err
			}
			rate, err := sidecars[mode].load(callers, length)
			if err != nil {
				return err
			}
			after, err := sidecars[mode].counters()
			if err != nil {
				return err
			}
			if round == 0 { // warms up
				continue
			}
			rates[mode] = append(rates[mode], rate)
			if mode == synced {
				syncs = append(syncs, (after.syncs-before.syncs)/(after.records-before.records))
			}
		}
		if round > 0 {
			on := rates[synced][round-1]
			toOff, toNull = append(toOff, on/rates[unsynced][round-1]), append(toNull, on/rates[nowhere][round-1])
		}
	}
	fmt.Printf("| %d | %.0f | %.0f | %.2f | %.2f | %.3f |\n",
		callers, median(rates[synced]), median(rates[unsynced]), median(toOff), median(toNull), median(syncs))
	return nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// sidecar is a running process with one audit mode.
type sidecar struct {
	process *exec.Cmd
	client  pb.ChatIdentityServiceClient
	admin   string
	person  atomic.Int64 // a different customer each call
}

func start(program, work, mode string) (*sidecar, error) {
	args := []string{
		"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--limit-caller", "off", "--limit-customer", "off",
		"--audit-file", "-", "--audit-max-size", "4000MiB",
	}
	if mode != nowhere {
		args = append(args, "--audit-file", filepath.Join(work, mode+".jsonl"), "--audit-sync", mode)
	}
	s := &sidecar{process: exec.Command(program, args...)}
	s.process.Env = append(os.Environ(), "KUSTOMER_SECRET_KEY=throughput-secret-0123456789-0123")
	log, err := s.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	if mode == nowhere {
		if s.process.Stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
			return nil, err
		}
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	address, err := s.addresses(log)
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	s.client = pb.NewChatIdentityServiceClient(connection)
	return s, nil
}

func (s *sidecar) addresses(log io.Reader) (string, error) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct {
			Message string   `json:"msg"`
			Listen  []string `json:"listen"`
			Admin   string   `json:"admin"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			go io.Copy(io.Discard, log) //nolint:errcheck // ends with the process
			s.admin = line.Admin
			return strings.TrimPrefix(line.Listen[0], "tcp "), nil
		}
	}
	return "", errors.New("the sidecar does not serve")
}

func (s *sidecar) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
}

// load calls with so many callers for that long, and returns calls per second.
func (s *sidecar) load(callers int, length time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	var running sync.WaitGroup
	var calls atomic.Int64
	failed := make(chan error, callers)
	began := time.Now()
	for range callers {
		running.Go(func() {
			for ctx.Err() == nil {
				id := "customer_" + strconv.FormatInt(s.person.Add(1), 10)
				_, err := s.client.IssueToken(context.Background(), &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: id}})
				if err != nil {
					failed <- err
					return
				}
				calls.Add(1)
			}
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(calls.Load()) / time.Since(began).Seconds(), nil
	}
}

// counters are what the sidecar has written so far.
type counters struct{ records, syncs float64 }

func (s *sidecar) counters() (counters, error) {
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return counters{}, err
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	var c counters
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		switch name {
		case "chatidentity_audit_records_total":
			c.records, err = strconv.ParseFloat(value, 64)
		case "chatidentity_audit_commit_duration_seconds_count":
			c.syncs, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return c, err
		}
	}
	return c, lines.Err()
}
