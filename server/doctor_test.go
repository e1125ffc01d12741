package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/doctor"
)

func TestDoctorFindsNothingInAHealthySetUp(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	before := p.withRecords(t)
	files, err := filepath.Glob(p.path("*"))
	if err != nil {
		t.Fatal(err)
	}
	p.admit(t)
	d := p.diagnose(t)
	p.assertFound(t, d.found(), want{})
	// It has left everything as it was.
	if after, err := os.ReadFile(p.flags["audit-file"]); err != nil || string(after) != before {
		t.Errorf("the audit file is another: %v\n%s", err, after)
	}
	if left, err := filepath.Glob(p.path("*")); err != nil || !slices.Equal(left, files) {
		t.Errorf("files before %q, after %q, %v", files, left, err)
	}
	if hidden, err := filepath.Glob(p.path(".*")); err != nil || len(hidden) > 0 {
		t.Errorf("left %q, %v", hidden, err)
	}
	p.assertAgrees(t, "a healthy set-up", d)
}

// setUp is a configuration with a fault or two, and what doctor finds.
type setUp struct {
	breaks func(*testing.T, *patient)
	want   want
}

// Doctor names the faults of each set-up and nothing else, and agrees with serve: where serve refuses
// to start, doctor ends with the same code and the same line.
func TestDoctorNamesTheFaultAsServeDoes(t *testing.T) {
	t.Parallel()
	setUps := map[string]setUp{}
	for _, part := range []map[string]setUp{secretSetUps, callerSetUps, auditSetUps, blankSetUps()} {
		for name, one := range part {
			if _, twice := setUps[name]; twice {
				t.Errorf("two set-ups are called %s", name)
			}
			setUps[name] = one
		}
	}
	for name := range toleratedByServe {
		if _, known := setUps[name]; !known {
			t.Errorf("no set-up is called %s", name)
		}
	}
	assertEveryCheckFinds(t, setUps)
	t.Logf("%d set-ups; serve starts in spite of %d", len(setUps), len(toleratedByServe))
	for name, one := range setUps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			one.breaks(t, p)
			p.assertFound(t, p.examine(t, name), one.want)
		})
	}
}

// assertEveryCheckFinds reports a check that no set-up shows at work. Only that of the process has
// none: a test cannot take from the program what hardens it.
func assertEveryCheckFinds(t *testing.T, setUps map[string]setUp) {
	t.Helper()
	finds := map[string]bool{}
	for _, one := range setUps {
		for found := range one.want {
			// A finding's name is its check's, perhaps with a subject.
			name := ""
			for _, check := range doctor.Names() {
				if strings.HasPrefix(found+" ", check+" ") && len(check) > len(name) {
					name = check
				}
			}
			finds[name] = true
		}
	}
	for _, check := range doctor.Names() {
		if !finds[check] && check != "process" {
			t.Errorf("no set-up has a fault that the check %q finds", check)
		}
	}
}

func kustomersClock(ahead time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(ahead) }
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// freeAddress returns one that nothing listens on. The host is one that no other test uses, so the
// port is not given to another.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no second loopback address here: ", err) // Linux alone has more than one
	}
	defer listener.Close()
	return listener.Addr().String()
}
