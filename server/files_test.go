package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fileCase is one file of the configuration, and the app that a good one lets in.
type fileCase struct {
	flag string // that names it on /readyz
	kind string // in the metrics; empty: it is not followed
	args []string
	env  []string

	faults map[string]fault // at the start
	spoil  func(*testing.T) // puts something wrong in the place of the good file
	mend   func(*testing.T)

	app       func(*testing.T, *running) error // asks for a token
	stranger  func(*testing.T, *running) error // makes a call that a good file refuses; nil: there is none
	meanwhile string                           // the reason of the app's refusals; empty: its handshake fails
}

// fault is one way in which a file can be wrong.
type fault struct {
	wrap   []string // a command that runs the sidecar
	breaks func(*testing.T)
	mend   func(*testing.T) // nil: the file's
}

// Whatever is wrong with a file at the start, the sidecar is live, so the app beside it starts. Calls
// are refused at once with the reason, nobody gets in whom the good file would refuse, and a mended
// file serves without a restart.
func TestNoFileStopsTheApp(t *testing.T) {
	t.Parallel()
	for name, newCase := range fileCases {
		for kind := range newCase(t).faults {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				c := newCase(t)
				f := c.faults[kind]
				f.breaks(t)
				p := start(t, setup{args: c.args, env: c.env, wrap: f.wrap})
				slowest := c.assertNobodyIsLetIn(t, p)
				if f.mend == nil {
					f.mend = c.mend
				}
				f.mend(t)
				t.Logf("the app was answered within %s at most; its first token came %s after the file was mended; nobody else was let in",
					slowest.Round(time.Millisecond/10), c.awaitToken(t, p).Round(time.Millisecond))
				if code := p.stop(t); code != 0 {
					t.Errorf("exit code %d", code)
				}
			})
		}
	}
}

// assertNobodyIsLetIn returns the longest time that the app had to wait.
func (c *fileCase) assertNobodyIsLetIn(t *testing.T, p *running) time.Duration {
	t.Helper()
	if code, _ := p.get(t, "/livez"); code != 200 {
		t.Errorf("/livez answers %d", code)
	}
	if code, body := p.get(t, "/readyz"); code != 503 || !strings.HasPrefix(body, "files: ") || !strings.Contains(body, c.flag) {
		t.Errorf("/readyz answers %d, %q; want 503 and %s", code, body, c.flag)
	}
	slowest := time.Duration(0)
	for range 5 {
		c.assertStrangerIsRefused(t, p)
		began := time.Now()
		err := c.app(t, p)
		slowest = max(slowest, time.Since(began))
		if status.Code(err) != codes.Unavailable || reason(err) != c.meanwhile {
			t.Fatalf("the app gets %v, want UNAVAILABLE %s", err, c.meanwhile)
		}
	}
	if c.kind != "" && p.metric(t, `chatidentity_files_wrong{file="`+c.kind+`"}`) != 1 {
		t.Error("no metric shows the file")
	}
	return slowest
}

func (c *fileCase) assertStrangerIsRefused(t *testing.T, p *running) {
	t.Helper()
	if c.stranger != nil && c.stranger(t, p) == nil {
		t.Error("somebody was let in whom the good file refuses")
	}
}

// awaitToken returns how long it took until the app had a token.
func (c *fileCase) awaitToken(t *testing.T, p *running) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "token", func() bool {
		c.assertStrangerIsRefused(t, p)
		return c.app(t, p) == nil
	})
	took := time.Since(began)
	c.assertStrangerIsRefused(t, p)
	eventually(t, "readiness", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
	return took
}

// A file that becomes wrong while serving takes nothing away and lets nobody in: its last good
// version stays, and the metric tells.
func TestAFileThatBreaksWhileServing(t *testing.T) {
	t.Parallel()
	for name, newCase := range fileCases {
		if newCase(t).kind == "" {
			continue // the audit file is not followed: its outages have tests of their own
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(t)
			c.mend(t)
			p := start(t, setup{args: c.args, env: c.env})
			c.awaitToken(t, p)
			wrong := `chatidentity_files_wrong{file="` + c.kind + `"}`
			c.spoil(t)
			eventually(t, "notice of the wrong file", func() bool { return p.metric(t, wrong) == 1 })
			c.awaitToken(t, p)
			c.mend(t)
			eventually(t, "notice of the good file", func() bool { return p.metric(t, wrong) == 0 })
			c.awaitToken(t, p)
		})
	}
}

// contentFaults are those of a file that is read whole.
func contentFaults(path, good, bad string) map[string]fault {
	return map[string]fault{
		"missing":   {breaks: func(*testing.T) {}},
		"empty":     {breaks: func(t *testing.T) { t.Helper(); put(t, path, "") }},
		"malformed": {breaks: func(t *testing.T) { t.Helper(); put(t, path, bad) }},
		"unreadable": {
			// Without these capabilities root may read only what its owner may.
			wrap: []string{"setpriv", "--bounding-set=-dac_override,-dac_read_search"},
			breaks: func(t *testing.T) {
				t.Helper()
				needs(t, "setpriv, as root,", os.Getuid() == 0)
				put(t, path, good)
				chmod(t, path, 0)
			},
			mend: func(t *testing.T) { t.Helper(); chmod(t, path, 0o600) },
		},
		"late, with its directory": {
			breaks: func(t *testing.T) { t.Helper(); move(t, filepath.Dir(path), filepath.Dir(path)+"-later") },
			mend: func(t *testing.T) {
				t.Helper()
				wait10sInProofs(t)
				put(t, filepath.Join(filepath.Dir(path)+"-later", filepath.Base(path)), good)
				move(t, filepath.Dir(path)+"-later", filepath.Dir(path))
			},
		},
	}
}

// put replaces a file at once.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := writeAtomically(path, text); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// wait10sInProofs makes a late file late by 10 s in the long form of the test.
func wait10sInProofs(t *testing.T) {
	t.Helper()
	if os.Getenv("PROOF") == "" {
		return
	}
	select {
	case <-time.After(10 * time.Second):
	case <-t.Context().Done():
	}
}
