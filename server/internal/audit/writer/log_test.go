package writer

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// logged returns the entries of a program log that say message.
func logged(t *testing.T, log *buffer, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for l := range bytes.Lines(log.Bytes()) {
		var entry map[string]any
		if err := json.Unmarshal(l, &entry); err != nil {
			t.Fatal(err)
		}
		if entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

func TestHeadsGoToTheProgramLog(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	log := new(buffer)
	o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, l, "a")
		time.Sleep(3*headEvery + 5*time.Second)
		if got := logged(t, log, "audit head"); len(got) != 1 {
			t.Fatalf("%d heads although nothing changed after the first", len(got))
		}
		mustWrite(t, l, "b")
		mustClose(t, l)
	})
	heads := append(logged(t, log, "audit head"), logged(t, log, "audit head at stop")...)
	if len(heads) != 2 {
		t.Fatalf("heads: %v", heads)
	}
	vo := reader.VerifyOptions{Keys: o.Keys}
	for i, want := range []float64{2, 3} {
		if heads[i]["count"] != want {
			t.Errorf("count %v, want %v", heads[i]["count"], want)
		}
		h, err := audit.ParseHead(heads[i]["head"].(string))
		if err != nil {
			t.Fatal(err)
		}
		vo.Heads = append(vo.Heads, h)
	}
	if r := mustVerify(t, vo, reader.Files(o.File)...); r.Fault != nil {
		t.Fatal(r)
	}
	b, _ := os.ReadFile(o.File)
	cut := b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1]
	if r := mustVerify(t, vo, inMemory("cut", cut)); r.Fault == nil || r.Fault.Kind != reader.FaultTailCut {
		t.Fatalf("the last record cut: %v", r)
	}
}

// TestHolderOfTheKeyIsCaughtByAHead: anyone with the key can write another history that verifies,
// but not one that holds the head that left the pod.
func TestHolderOfTheKeyIsCaughtByAHead(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	kept := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, inMemory("true", wholeFile(t, o, 3))).Head
	forged := inMemory("forged", wholeFile(t, o, 3))
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, forged); r.Fault != nil {
		t.Fatalf("without the head: %v", r)
	}
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys, Heads: []audit.Head{kept}}, forged); r.Fault == nil {
		t.Fatal("with the head: no fault")
	}
}

func TestWarnsOfADeviceThatKeepsNothing(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	log := new(buffer)
	o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	o.File = os.DevNull
	mustWrite(t, mustOpen(t, o), "gone")
	if got := logged(t, log, "the audit file is a device: no record of any token is kept"); len(got) != 1 || got[0]["path"] != os.DevNull {
		t.Errorf("logged %v", got)
	}
}

func TestWarnsWithoutAKeyAndWhenTheDiskIsLow(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	log := new(buffer)
	o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	o.Keys, o.MinFree = nil, 1000
	var mu sync.Mutex
	free := int64(1000)
	o.disk = stubDisk{space: func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return free
	}}
	setFree := func(n int64) {
		mu.Lock()
		defer mu.Unlock()
		free = n
	}
	warned := func() [2]int {
		began, ended := logged(t, log, "outage began"), logged(t, log, "outage ended")
		return [2]int{len(began), len(ended)}
	}
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for i, step := range []struct {
			free int64
			want [2]int // outages begun and ended
		}{{1000, [2]int{0, 0}}, {999, [2]int{1, 0}}, {998, [2]int{1, 0}}, {1000, [2]int{1, 1}}, {10, [2]int{2, 1}}} {
			setFree(step.free)
			time.Sleep(2 * time.Second)
			if got := warned(); got != step.want {
				t.Errorf("step %d: %v outages begun and ended, want %v", i, got, step.want)
			}
		}
		mustWrite(t, l, "a")
		mustClose(t, l)
	})
	if !strings.Contains(string(log.Bytes()), "no audit keys are configured") {
		t.Error("no warning about the missing key")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	o, _ := withFaults(testOptions(t))
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	mustWrite(t, l, "b")
	l.drop(2)
	got := metricsOf(t, l)
	for name, want := range map[string]float64{
		"available": 1, "dropped_records_total": 2, "records_total": 3, "batch_records": 3, "timeouts_total": 0,
		"write_failures_total": 0, "file_replacements_total": 0,
	} {
		if value, there := got["chatidentity_audit_"+name]; !there || value != want {
			t.Errorf("%s is %v, want %v", name, value, want)
		}
	}
	if got["chatidentity_audit_commit_duration_seconds"] <= 0 {
		t.Error("no commit took any time")
	}
}

// metricsOf returns the values of all metrics by name; of a histogram, its sum.
func metricsOf(t *testing.T, l *Log) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(l)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
	}
	return got
}

// await fails the test unless cond becomes true.
func await(t *testing.T, cond func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(30 * time.Second); !cond(); <-poll.C {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 30 s")
		}
	}
}

// TestSmallDiskFillsUp needs root, to mount a tmpfs of one MiB.
func TestSmallDiskFillsUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a tmpfs: %v: %s", err, out)
		}
		t.Skipf("TestSmallDiskFillsUp: a tmpfs cannot be mounted here (root is needed): %s", out)
	}
	t.Cleanup(func() { // a child that a parallel test forked just now may hold what was open there
		await(t, func() bool { return exec.Command("umount", dir).Run() == nil })
	})
	o := testOptions(t)
	o.File = dir + "/audit.jsonl"
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 600<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustOpen(t, o)
	issuedTokens := map[string]bool{}
	full := false
	for i := 0; i < 10_000 && !full; i++ {
		digest := digestOf(audit.NewID(time.Now(), nil))
		err := l.Write(t.Context(), issued(digest))
		full = err != nil
		if full && !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("on the full disk: %v", err)
		}
		issuedTokens[digest] = err == nil
	}
	if !full || l.Available() == nil {
		t.Fatal("the disk never filled up")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, func() bool { return l.Available() == nil }) // it must notice by itself
	mustWrite(t, l, "after")
	mustClose(t, l)
	found := digests(t, o.File)
	for digest, left := range issuedTokens {
		if left && found[digest] != 1 {
			t.Fatalf("token %s left without a record", digest)
		}
	}
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); r.Fault != nil || found["after"] != 1 {
		t.Fatal(r)
	}
}
