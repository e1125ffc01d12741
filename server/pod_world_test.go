//go:build linux

package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/spf13/cobra"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/process"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// openDisk fills up the audit's volume to the last byte.
func openDisk(t *testing.T) *pod {
	t.Helper()
	p := newPod(t, withSecret())
	mount(t, p.trail.directory, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
	p.opened(t)
	ballast := filepath.Join(p.trail.directory, "ballast")
	p.strike = func() {
		if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("filled up the volume: %v", err)
		}
	}
	p.mend = func() {
		if err := os.Remove(ballast); err != nil {
			t.Error(err)
		}
	}
	return p
}

// openVolume takes the audit's directory away and gives it back.
func openVolume(t *testing.T) *pod {
	t.Helper()
	p := newPod(t, withSecret()).opened(t)
	p.struck = podLength()
	p.strike = func() { p.trail.takeAway(t) }
	p.mend = func() { p.trail.giveBack(t) }
	return p
}

// named is Kustomer's API under a name that only a file of the test's own resolves: the name server
// that is asked otherwise does not exist.
type named struct {
	hosts string
	*pod
}

func openNamedPod(t *testing.T, hosts string) named {
	t.Helper()
	needs(t, "root, to mount,", os.Getuid() == 0)
	server := httptest.NewUnstartedServer(standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret}))
	server.Config.SetKeepAlivesEnabled(false) // each request asks for the name again
	server.Start()
	t.Cleanup(server.Close)
	url, file := strings.Replace(server.URL, "127.0.0.1", "localhost", 1), writeFile(t, hosts)
	p := newPod(t, setup{
		args: []string{"--api-url", url, "--secret-refresh", "1s", "--secret-max-stale", "2s"},
		env:  []string{"KUSTOMER_API_KEY=" + canaryAPIKey, "GODEBUG=netdns=go"},
		wrap: []string{
			"unshare", "--mount", "sh", "-c",
			`mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"`, "sh",
			file, writeFile(t, "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"),
		},
	})
	return named{file, p.opened(t)}
}

const resolves = "127.0.0.1 localhost\n"

// resolve writes in place: a mount stays with its file.
func (n *named) resolve(t *testing.T, hosts string) {
	t.Helper()
	if err := os.WriteFile(n.hosts, []byte(hosts), 0o600); err != nil {
		t.Error(err)
	}
}

// openNameless begins with a name that nobody resolves.
func openNameless(t *testing.T) *pod {
	t.Helper()
	n := openNamedPod(t, "")
	n.strike = func() {}
	n.mend = func() { n.resolve(t, resolves) }
	return n.pod
}

// openNamed loses the name once it has a secret, which then becomes too old.
func openNamed(t *testing.T) *pod {
	t.Helper()
	n := openNamedPod(t, resolves)
	n.awaitReady(t)
	n.strike = func() { n.resolve(t, "") }
	n.mend = func() { n.resolve(t, resolves) }
	return n.pod
}

func openAhead(t *testing.T) *pod {
	t.Helper()
	return openClock(t, time.Hour, pb.Verdict_VERDICT_EXPIRED)
}

func openBehind(t *testing.T) *pod {
	t.Helper()
	return openClock(t, -time.Hour, pb.Verdict_VERDICT_NOT_YET_VALID)
}

// openClock steps the clock of a sidecar that runs inside the test. A token from before the step is
// judged by the new time; a budget that was spent neither comes back nor lasts longer.
func openClock(t *testing.T, step time.Duration, verdict pb.Verdict) *pod {
	t.Helper()
	url := startVendor(t, standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret}))
	p := newPod(t, setup{args: []string{"--api-url", url, "--secret-refresh", "1s"}}, "--limit-customer", "1/h")
	var apart atomic.Int64
	p.within(t, func() time.Time { return wallSet(time.Now(), time.Duration(apart.Load())) })
	p.awaitReady(t)
	p.strike = func() {
		client := p.client(t)
		before, err := client.IssueToken(t.Context(), issueFor("spent", ""))
		p.trail.answered(before, err)
		apart.Store(int64(step))
		reply, err := client.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: before.GetToken()})
		if reply.GetVerdict() != verdict && reason(err) != "CLOCK_SKEWED" { // a slow machine may know already
			t.Errorf("a token from before the step: %v, %v", reply.GetVerdict(), err)
		}
		_, err = client.IssueToken(t.Context(), issueFor("spent", ""))
		if why := reason(err); why != "RATE_LIMITED" && why != "CLOCK_SKEWED" {
			t.Errorf("a budget spent before the step: %v", err)
		}
	}
	p.mend = func() { apart.Store(0) }
	return p
}

// wallSet is what a clock tells after it was set by whole seconds: its wall time is another, and
// its monotonic time goes on. The time package cannot make such a value.
func wallSet(now time.Time, by time.Duration) time.Time {
	set := now
	*(*int64)(unsafe.Pointer(&set)) += int64(by/time.Second) << 30 // above the nanoseconds of a time with both
	if set.Sub(now) != 0 || set.Round(0).Sub(now.Round(0)) != by {
		panic("time.Time is made in another way")
	}
	return set
}

// within runs serve inside the test, with a clock.
func (p *pod) within(t *testing.T, now func() time.Time) {
	t.Helper()
	var c config.Serve
	command := withFlags(&cobra.Command{Use: serveName}, c.Flags()...)
	args := slices.Concat(p.setup.args, []string{"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"})
	if err := errors.Join(command.ParseFlags(args), completeFlags(command, nil)); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(originsOf(command), config.DevSecrets(sensitive.New(canaryAPIKey))); err != nil {
		t.Fatal(err)
	}
	said := &output{}
	log := process.OpenLog(said, c.NewLogger)
	s, err := openSidecar(context.WithoutCancel(t.Context()), &c, log, now)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	p.end = sync.OnceValue(func() int {
		cancel()
		defer log.Close()
		if err := <-ended; err != nil {
			t.Error(err)
			return exitFailed
		}
		return exitOK
	})
	t.Cleanup(func() { p.end() })
	p.running = &running{
		address: strings.TrimPrefix(s.addresses()[1], "tcp "), admin: s.admin.Addr().String(), stderr: said,
	}
}
