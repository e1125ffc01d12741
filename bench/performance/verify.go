package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/process"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

const (
	verifyRounds = 2
	recordFile   = 100 << 20 // bytes of a file, as --audit-max-size
	recordSpace  = 1 << 10   // bytes of the disk for each record, more than it takes
)

// measureVerify verifies ten million records (-records). They are real ones, repeated, numbered and chained anew.
func (b *bench) measureVerify(ctx context.Context) error {
	lines, err := b.realRecords(ctx)
	if err != nil {
		return err
	}
	files, less, err := b.writeChain(ctx, lines)
	if err != nil {
		return err
	}
	var rates, cpu, most, little stats.Series
	for range verifyRounds {
		short, err := b.verify(ctx, b.records/10, files[:less])
		if err != nil {
			return err
		}
		long, err := b.verify(ctx, b.records, files)
		if err != nil {
			return err
		}
		little, most = append(little, short.memory), append(most, long.memory)
		rates, cpu = append(rates, long.rate/1e6), append(cpu, long.cpu)
	}
	b.figures["verify"] = rates
	b.page.Addf("verify", "`audit verify` of %d records in %d files: %s million a second, %s µs of CPU a record. "+
		"At most %.0f MiB were resident; %.0f MiB with the first tenth of them alone.",
		b.records, len(files), rates.Text(2), cpu.Text(2), most.Median(), little.Median())
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// realRecords has a sidecar issue tokens, and returns their records.
func (b *bench) realRecords(ctx context.Context) ([][]byte, error) {
	c, err := b.start("records", b.sidecarCommand(b.sidecar, "records"))
	if err != nil {
		return nil, err
	}
	if _, err := load.Closed(ctx, c.caller, inFlight, b.length); err != nil {
		return nil, err
	}
	if err := b.endSection(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(b.file("records.jsonl"))
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), err
}

// chainer writes records as docs/audit.md says: mac is HMAC-SHA256 over the mac before and the line
// up to its own.
type chainer struct {
	seq  int
	mac  [sha256.Size]byte
	line []byte
}

const recordStart = `{"v":1,"seq":`

var macStart = []byte(`,"mac":"`)

// body returns what follows the number of a record, without its mac.
func body(line []byte) ([]byte, error) {
	rest, found := bytes.CutPrefix(line, []byte(recordStart))
	digits := bytes.IndexByte(rest, ',')
	end := bytes.LastIndex(rest, macStart)
	if !found || digits < 0 || end < digits {
		return nil, fmt.Errorf("this is not a record: %s", line)
	}
	return rest[digits:end], nil
}

// writeChain writes the chain and returns its files, and how many of them hold the lesser number.
func (b *bench) writeChain(ctx context.Context, lines [][]byte) ([]string, int, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(b.work, &disk); err != nil {
		return nil, 0, err
	}
	if disk.Bavail*uint64(disk.Bsize) < uint64(b.records)*recordSpace {
		return nil, 0, fmt.Errorf("%s has no room for %d records (see -dir and -records)", b.work, b.records)
	}
	key, err := hkdf.Key(sha256.New, auditKey, nil, "chatidentity audit v1 mac", sha256.Size)
	if err != nil {
		return nil, 0, err
	}
	bodies := make([][]byte, len(lines))
	for i, line := range lines {
		if bodies[i], err = body(line); err != nil {
			return nil, 0, err
		}
	}
	hash := hmac.New(sha256.New, key)
	var files []string
	var less int
	var c chainer
	for c.seq < b.records && ctx.Err() == nil {
		path := b.file(fmt.Sprintf("verify-%03d.jsonl", len(files)))
		until := b.records
		if c.seq < b.records/10 {
			until = b.records / 10 // a file ends there
		}
		if err := c.writeFile(path, bodies, until, func(covered []byte) {
			hash.Reset()
			_, _ = hash.Write(c.mac[:])
			_, _ = hash.Write(covered)
			hash.Sum(c.mac[:0])
		}); err != nil {
			return nil, 0, err
		}
		files = append(files, path)
		if c.seq == b.records/10 {
			less = len(files)
		}
	}
	return files, less, ctx.Err()
}

func (c *chainer) writeFile(path string, bodies [][]byte, until int, link func(covered []byte)) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	for size := 0; size < recordFile && c.seq < until; size += len(c.line) {
		repeated := bodies[min(c.seq, 1+c.seq%(len(bodies)-1))] // the first one starts a chain
		c.seq++
		c.line = append(c.line[:0], recordStart...)
		c.line = append(strconv.AppendInt(c.line, int64(c.seq), 10), repeated...)
		link(c.line)
		c.line = hex.AppendEncode(append(c.line, macStart...), c.mac[:])
		c.line = append(c.line, '"', '}', '\n')
		if _, err := out.Write(c.line); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	return errors.Join(out.Flush(), file.Close())
}

// verified is what one run of `audit verify` took.
type verified struct {
	rate   float64 // records per second
	cpu    float64 // µs per record
	memory float64 // MiB, at most
}

func (b *bench) verify(ctx context.Context, records int, files []string) (verified, error) {
	args := append([]string{"audit", "verify", "--audit-key-file", b.file("audit.key")}, files...)
	command := exec.CommandContext(ctx, b.sidecar, args...)
	began := time.Now()
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		return verified{}, err
	}
	most := make(chan float64)
	go func() { most <- process.Peak(command.Process.Pid) }()
	err := command.Wait()
	took := time.Since(began)
	if err != nil {
		return verified{}, fmt.Errorf("audit verify: %w: %s", err, &output)
	}
	if !bytes.Contains(output.Bytes(), []byte(strconv.Itoa(records))) {
		return verified{}, fmt.Errorf("audit verify did not speak of %d records: %s", records, &output)
	}
	spent := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	return verified{
		rate:   float64(records) / took.Seconds(),
		cpu:    float64(spent.Nanoseconds()) / float64(time.Microsecond) / float64(records),
		memory: <-most,
	}, nil
}
