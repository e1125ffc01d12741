//go:build unix

package writer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// What TestModel has found, as cases of their own.

// A sync failed, what it should have kept could not be cut off, and the process ended. The kernel
// takes those lines for written. The next process makes them durable before it goes on behind them.
func TestStartSyncsWhatTheLastProcessCouldNot(t *testing.T) {
	t.Parallel()
	disk := newSimDisk(rand.New(rand.NewPCG(1, 1)))
	o, ctl := unhurried(t), new(faults)
	o.NoSync = false
	o.disk = &ruined{&simView{simDisk: disk}, ctl}
	l := mustOpen(t, o)
	mustWrite(t, l, "a")
	ctl.set(func(f *faults) { f.syncErr, f.truncErr = syscall.EIO, syscall.EIO })
	mustRefuse(t, l, "b")
	if err := l.Close(t.Context()); err == nil {
		t.Fatal("closed well on a broken disk")
	}
	disk.names["audit.jsonl"].dirty = nil // the kernel has forgotten that it is not written
	ctl.set(func(f *faults) { f.syncErr, f.truncErr = nil, nil })
	runOnce(t, o, "c")
	disk.losePower()
	b := disk.names["audit.jsonl"].now
	if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, inMemory("audit.jsonl", b)); r.Fault != nil || r.Records != 5 {
		t.Errorf("after a loss of power: %v: %q", r, b)
	}
}

// ruined is a simulated disk whose audit file fails as it is told.
type ruined struct {
	*simView

	ctl *faults
}

func (d *ruined) openLog(path string, open opener) (file, error) {
	f, err := d.simView.openLog(path, open)
	return &faulty{f, d.ctl}, err
}

// Power is lost while a start cuts a torn line off: the line stands in the audit file or in a file of
// its own, whatever has reached the disk.
func TestTornLineSurvivesALossOfPowerWhileItIsCutOff(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		disk := newSimDisk(rand.New(rand.NewPCG(seed, 1)))
		o := unhurried(t)
		o.disk = &simView{simDisk: disk}
		runOnce(t, o, "a")
		torn := []byte(`{"v":1,"seq":4,"torn":`)
		i := disk.names["audit.jsonl"]
		i.now, i.kept = append(i.now, torn...), append(i.kept, torn...)
		o.disk = &dying{&simView{simDisk: disk}}
		if _, err := Open(o); err == nil {
			t.Fatal("opened without power")
		}
		if s := (&stage{disk: disk}); !s.stands(torn) {
			t.Fatalf("seed %d: the torn line is in none of %q", seed, disk.files())
		}
	}
}

// dying is a simulated disk that loses power when the audit file is cut.
type dying struct{ *simView }

func (d *dying) openLog(path string, open opener) (file, error) {
	f, err := d.simView.openLog(path, open)
	return &dyingFile{f.(*simFile)}, err
}

type dyingFile struct{ *simFile }

func (f *dyingFile) Truncate(size int64) error {
	err := f.simFile.Truncate(size)
	_ = f.Sync()
	f.v.losePower()
	f.v.dead = true
	return err
}

// The wall clock is set back: rotated files keep the order of their records, and the oldest are
// deleted.
func TestRotatedFilesStayInOrderWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	o := unhurried(t)
	now := stopClock(&o)
	o.Now = func() time.Time { return now }
	o.MaxFiles = 3
	l := mustOpen(t, o)
	for n := range 6 {
		mustWrite(t, l, fmt.Sprint(n))
		mustDo(t, l.Rotate(t.Context()))
		if n == 2 {
			mustClose(t, l) // Now is read by another goroutine
			now = now.Add(-time.Hour)
			l = mustOpen(t, o)
		}
	}
	mustClose(t, l)
	files, err := rotatedFiles(o.File)
	mustDo(t, err)
	var kept bytes.Buffer
	for _, name := range files {
		kept.WriteString(readFile(t, name))
	}
	r, err := reader.Verify(context.Background(), []reader.Source{inMemory("rotated", kept.Bytes())}, reader.VerifyOptions{
		Keys: o.Keys, TrustFirst: true,
	})
	if err != nil || r.Fault != nil || r.Head.Seq != 8 || len(files) != 3 {
		t.Errorf("left are %q: %v, %v", files, r, err)
	}
}
