//go:build linux

package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What happens to a machine, its network and its volumes, as a table. Each row strikes the sidecar
// while the app next door calls it, over a connection that it keeps and over new ones. Whatever is
// struck: each call of the app ends within its deadline with a token or an error that says what is
// wrong; what was lost is counted; afterwards there are tokens again, on the same connection; and
// the trail holds each token that was received.
func TestPod(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		open   func(t *testing.T) *pod
		meets  string   // what the app meets while it lasts
		kept   []string // what it may meet over the connection that it keeps, besides tokens
		anew   []string // and over new ones
		counts []string // what has counted it afterwards
	}{
		"the memory limit is hit": { // the trail counts what a killed process lost
			openMemory, "Unavailable", []string{"Unavailable"}, []string{"Unavailable"}, nil,
		},
		"a tenth of the processor": {
			openProcessor, answered, nil, nil, nil,
		},
		"the clock an hour ahead": {
			openAhead, "CLOCK_SKEWED", []string{"CLOCK_SKEWED"}, []string{"CLOCK_SKEWED"}, nil,
		},
		"the clock an hour behind": {
			openBehind, "CLOCK_SKEWED", []string{"CLOCK_SKEWED"}, []string{"CLOCK_SKEWED"}, nil,
		},
		"a name that nobody resolves, at start": {
			openNameless, "SECRET_UNAVAILABLE",
			[]string{"SECRET_UNAVAILABLE"},
			[]string{"SECRET_UNAVAILABLE"},
			[]string{failedRefresh},
		},
		"a name that nobody resolves any more": {
			openNamed, "SECRET_UNAVAILABLE",
			[]string{"SECRET_UNAVAILABLE"},
			[]string{"SECRET_UNAVAILABLE"},
			[]string{failedRefresh},
		},
		"the disk is full": {
			openDisk, "AUDIT_UNAVAILABLE",
			[]string{"AUDIT_UNAVAILABLE"},
			[]string{"AUDIT_UNAVAILABLE"},
			[]string{"chatidentity_audit_write_failures_total"},
		},
		"the audit volume is taken away": {
			openVolume, "AUDIT_UNAVAILABLE",
			[]string{"AUDIT_UNAVAILABLE"},
			[]string{"AUDIT_UNAVAILABLE"},
			[]string{"chatidentity_audit_write_failures_total"},
		},
		"no descriptor is left": {
			openDescriptors, "Unavailable", nil,
			[]string{"Unavailable"},
			[]string{`chatidentity_transport_errors_total{kind="file_descriptors"}`},
		},
		"callers at once": {
			openCrowd, "RATE_LIMITED of the crowd", nil, nil,
			[]string{`chatidentity_limited_total{limit="customer",mode="enforce"}`},
		},
		"SIGSTOP": { // in the middle of a commit, the audit seems to hang until it ends
			openStopped, "DeadlineExceeded",
			[]string{"DeadlineExceeded", "AUDIT_UNAVAILABLE"},
			[]string{"DeadlineExceeded", "AUDIT_UNAVAILABLE"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := row.open(t)
			app := startApp(t, pod)
			app.connects()
			before := app.all()
			pod.strike()
			app.meets(row.meets, before)
			pod.last()
			pod.mend()
			app.recovers()
			app.stop()
			app.assertAnswers("over the connection that it keeps", app.kept, row.kept)
			app.assertAnswers("over new connections", app.anew, row.anew)
			pod.assertCounted(t, app, row.counts)
			if code := pod.end(); code != 0 {
				t.Errorf("exit code %d\n%s", code, pod.stderr)
			}
			pod.trail.assert(t, pod.keyFile)
		})
	}
}

const failedRefresh = `chatidentity_secret_refresh_total{organization="default",result="network"}`

func refused(reason string) string { return `chatidentity_refusals_total{reason="` + reason + `"}` }

// pod is a sidecar that an app calls over a unix socket, and what a row does to it.
type pod struct {
	*running
	trail           *trail
	keyFile, socket string
	setup           setup
	deadline        time.Duration // of the app's calls: long, because the test machine may be busy
	struck          time.Duration // how long it lasts at least; 0: until the app has met it

	strike, mend func()
	end          func() int            // stops it and returns the exit code
	others       func() map[string]int // what others than the app have met; nil: there are none
}

// newPod prepares a sidecar. Its limits hold nobody up, unless the arguments say otherwise.
func newPod(t *testing.T, secret setup, args ...string) *pod {
	t.Helper()
	directory, err := os.MkdirTemp("", "pod-*") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	p := &pod{
		trail: newTrail(t, t.Name()), keyFile: limitKeyFile(t), socket: directory + "/s", setup: secret,
		deadline: 20 * time.Second,
	}
	p.setup.args = slices.Concat(secret.args, []string{
		"--listen", "unix:" + p.socket, "--allow-uid", strconv.Itoa(os.Getuid()),
		"--audit-file", p.trail.directory + "/audit.jsonl", "--audit-key-file", p.keyFile,
		"--audit-timeout", "10s",
	}, args)
	p.end = func() int { return p.stop(t) }
	return p
}

// opened starts the sidecar.
func (p *pod) opened(t *testing.T) *pod {
	t.Helper()
	p.running = start(t, p.setup)
	return p
}

// awaitReady waits for the first secret.
func (p *pod) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
}

// last lets pass what the row shall last.
func (p *pod) last() { <-time.After(p.struck) }

// assertCounted wants what happened in the metrics, at least as many refusals of each reason as the
// app met, and an end of each call that has come.
func (p *pod) assertCounted(t *testing.T, a *app, counts []string) {
	t.Helper()
	for _, series := range counts {
		if p.metric(t, series) == 0 {
			t.Errorf("%s counts nothing", series)
		}
	}
	const started, handled = "grpc_server_started_total", "grpc_server_handled_total"
	eventually(t, "end of each call", func() bool {
		_, page := p.get(t, "/metrics")
		return sum(t, page, started) == sum(t, page, handled)
	})
	for answer, met := range a.all() {
		if !isReason(answer) {
			continue
		}
		if counted := p.metric(t, refused(answer)); counted < float64(met) {
			t.Errorf("%v refusals with %s are counted, and the app met %d", counted, answer, met)
		}
	}
}

// sum adds up all series of a metric.
func sum(t *testing.T, page, metric string) float64 {
	t.Helper()
	total := 0.0
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, metric+"{") {
			continue
		}
		_, text, _ := strings.Cut(line, "} ")
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			t.Fatal(err)
		}
		total += value
	}
	return total
}
