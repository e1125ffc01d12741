package writer

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// TestFileChangedUnderTheProcess: whatever is done to the file, each released token has its record
// at the path or beside it, and the next record is in a new file.
func TestFileChangedUnderTheProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(path string) error
		lost   bool // the records before are gone with it
		kept   bool // what stood at the path is set aside
	}{
		{"deleted", os.Remove, true, false},
		{"replaced", func(p string) error {
			return errors.Join(os.Remove(p), os.WriteFile(p, []byte("{}\n"), 0o600))
		}, true, true},
		{"emptied", func(p string) error { return os.Truncate(p, 0) }, true, false},
		{"truncated", func(p string) error { return os.Truncate(p, 100) }, true, true},
		{"appended to", func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("forged\n")
			return errors.Join(err, f.Close())
		}, false, true},
	} {
		for _, idle := range []bool{false, true} {
			name := c.name
			if idle {
				name += ", noticed while idle"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				o := testOptions(t)
				var l *Log
				synctest.Test(t, func(t *testing.T) {
					var err error
					if l, err = Open(o); err != nil {
						t.Fatal(err)
					}
					mustWrite(t, l, "before")
					if err := c.change(o.File); err != nil {
						t.Fatal(err)
					}
					if idle {
						time.Sleep(1500 * time.Millisecond)
						if got := readLines(t, o.File); len(got) != 1 || got[0].Text("reason") != "FILE_CHANGED" {
							t.Fatalf("new file: %d records", len(got))
						}
					}
					mustWrite(t, l, "after")
					time.Sleep(1500 * time.Millisecond)
					mustClose(t, l)
				})
				if d := digests(t, o.File); d["after"] != 1 || d["before"] != 0 {
					t.Fatalf("records at the path: %v", d)
				}
				starts := 0
				for _, r := range readLines(t, o.File) {
					if r.Text("reason") == "FILE_CHANGED" {
						starts++
					}
				}
				if starts != 1 {
					t.Errorf("the change is noted %d times, want once", starts)
				}
				aside, _ := filepath.Glob(o.File + ".altered-*")
				if (len(aside) == 1) != c.kept {
					t.Errorf("set aside: %v", aside)
				}
			})
		}
	}
}

// A file that somebody moves, as log rotation does, is no alarm: nothing is lost, and the request to
// rotate that follows means the move. A later one rotates.
func TestAMovedFileIsNoAlarm(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path, to string) error{
		"moved": os.Rename,
		"moved, and an empty one made": func(path, to string) error {
			return errors.Join(os.Rename(path, to), os.WriteFile(path, nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t)
			var log bytes.Buffer
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			aside := filepath.Join(filepath.Dir(o.File), "audit.1")
			synctest.Test(t, func(t *testing.T) {
				l, err := Open(o)
				if err != nil {
					t.Fatal(err)
				}
				mustWrite(t, l, "before")
				if err := change(o.File, aside); err != nil {
					t.Fatal(err)
				}
				time.Sleep(1500 * time.Millisecond) // it is noticed
				mustWrite(t, l, "between")
				for _, rotated := range []int{0, 1} {
					if err := l.Rotate(t.Context()); err != nil {
						t.Fatal(err)
					}
					if found, _ := filepath.Glob(rotatedPath(o.File, "*")); len(found) != rotated {
						t.Errorf("rotated files: %q, want %d", found, rotated)
					}
				}
				mustWrite(t, l, "after")
				mustClose(t, l)
			})
			files, _ := filepath.Glob(rotatedPath(o.File, "*"))
			r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(append([]string{aside}, append(files, o.File)...)...)...)
			if r.Fault != nil || r.Records != 4 || strings.Contains(log.String(), "level=ERROR") || strings.Count(log.String(), "audit_file_moved") != 1 {
				t.Errorf("%+v, fault %v\n%s", r, r.Fault, &log)
			}
			if altered, _ := filepath.Glob(o.File + ".altered-*"); len(altered) > 0 {
				t.Errorf("set aside: %q", altered)
			}
		})
	}
}

// A directory that is taken away and given back, as a volume is, leaves one whole file: no part of it
// is put aside.
func TestTheFileGoesOnWhenItsDirectoryIsBack(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.File = filepath.Join(filepath.Dir(o.File), "volume", "audit.jsonl")
	volume := filepath.Dir(o.File)
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			l, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			mustWrite(t, l, "before")
			if err := os.Rename(volume, volume+".gone"); err != nil {
				t.Fatal(err)
			}
			_ = mustRefuse(t, l, "meanwhile")
			if err := os.Rename(volume+".gone", volume); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // it tries again
			mustWrite(t, l, "after")
			mustClose(t, l)
		}
	})
	r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...)
	if r.Fault != nil || r.Records != 8 { // the start, and "meanwhile" too: their calls saw an error
		t.Errorf("%+v, fault %v", r, r.Fault)
	}
	if files, _ := filepath.Glob(filepath.Join(volume, "*")); len(files) > 2 { // and the lock
		t.Errorf("files: %q", files)
	}
}

// The same when it is taken away between the write and the reply.
func TestTheFileGoesOnWhenItsDirectoryLeftDuringAWrite(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.File = filepath.Join(filepath.Dir(o.File), "volume", "audit.jsonl")
	volume := filepath.Dir(o.File)
	if err := os.Mkdir(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	done := new(atomic.Bool)
	done.Store(true)
	o.disk = stubDisk{log: func(path string) (file, error) {
		f, err := osDisk{}.openLog(path, create)
		return &vanishing{f, func() error { return os.Rename(volume, volume+".gone") }, done}, err
	}}
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, o)
		mustWrite(t, l, "before")
		done.Store(false)
		mustWrite(t, l, "during") // it is durable, in a file that still has a name
		if err := os.Rename(volume+".gone", volume); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, l, "after")
		mustClose(t, l)
	})
	r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...)
	if r.Fault != nil || r.Records != 4 {
		t.Errorf("%+v, fault %v", r, r.Fault)
	}
}

// vanishing takes the file away between the write and the reply, once.
type vanishing struct {
	file

	away func() error
	done *atomic.Bool
}

func (v *vanishing) Sync() error {
	if err := v.file.Sync(); err != nil || v.done.Swap(true) {
		return err
	}
	return v.away()
}

func TestRecordInADeletedFileIsNoRecord(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	done := new(atomic.Bool)
	done.Store(true)
	o.disk = stubDisk{log: func(path string) (file, error) {
		f, err := osDisk{}.openLog(path, create)
		return &vanishing{f, func() error { return os.Remove(path) }, done}, err
	}}
	l := mustOpen(t, o)
	mustWrite(t, l, "before")
	done.Store(false)
	mustWrite(t, l, "during")
	if d := digests(t, o.File); d["during"] != 1 {
		t.Fatalf("the reply was released with no record at the path: %v", d)
	}
}

func TestUnwritableDirectoryRecovers(t *testing.T) {
	t.Parallel()
	o, _ := withFaults(testOptions(t))
	closed := new(atomic.Bool)
	o.disk = stubDisk{log: func(path string) (file, error) {
		if closed.Load() {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return osDisk{}.openLog(path, create)
	}}
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, l, "before")
		closed.Store(true)
		if err := os.Remove(o.File); err != nil {
			t.Fatal(err)
		}
		if err := mustRefuse(t, l, "during"); !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("the cause is missing: %v", err)
		}
		closed.Store(false)
		time.Sleep(time.Second)
		mustWrite(t, l, "after")
		mustClose(t, l)
	})
	if d := digests(t, o.File); d["during"] != 1 || d["after"] != 1 {
		t.Fatalf("records: %v", d)
	}
}

// What another process writes into the file is kept: it is evidence, and may be the records of
// another sidecar, whose tokens have left.
func TestNothingThatSomebodyElseWroteIsCutOff(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path := filepath.Join(directory, "audit.jsonl")
	l, err := Open(Options{File: path, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const foreign = "a record of somebody else"
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		written := 0
		for {
			select {
			case <-stop:
				stopped <- written
				return
			default:
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				continue // between two files
			}
			if _, err := f.WriteString(foreign + "\n"); err == nil {
				written++
			}
			f.Close()
		}
	}()
	issued := 0
	for range 200 {
		if l.Write(t.Context(), &audit.Record{Event: audit.EventIssue, Outcome: audit.OutcomeOK, TokenSHA256: "aa"}) == nil {
			issued++
		}
	}
	close(stop)
	written := <-stopped
	if err := l.Close(t.Context()); err != nil {
		t.Log(err)
	}
	files, err := filepath.Glob(filepath.Join(directory, "audit*"))
	if err != nil {
		t.Fatal(err)
	}
	kept, own := 0, 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		kept += strings.Count(string(text), foreign)
		own += strings.Count(string(text), `"token_sha256":"aa"`)
	}
	if kept != written {
		t.Errorf("%d of %d foreign lines are left", kept, written)
	}
	if own < issued {
		t.Errorf("%d records of %d tokens", own, issued)
	}
}
