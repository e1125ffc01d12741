package limits

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
)

// rig is a real redis-server with a proxy before it.
type rig struct {
	t       *testing.T
	process *exec.Cmd
	admin   *redis.Client // past the proxy
	proxy   *toxiproxy.Proxy
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, admin: redis.NewClient(&redis.Options{Addr: freeAddress(t)})}
	r.start()
	logger := zerolog.Nop()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), logger)
	r.proxy = toxiproxy.NewProxy(server, "redis", "127.0.0.1:0", r.admin.Options().Addr)
	if err := r.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.proxy.Stop()
		r.admin.Close()
		r.kill()
	})
	return r
}

// freeAddress is one that nobody listens on now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func (r *rig) start() {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.admin.Options().Addr)
	r.process = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
	if err := r.process.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.awaitAnswer()
}

func (r *rig) kill() {
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
}

func (r *rig) awaitAnswer() {
	r.t.Helper()
	await(r.t, "an answer of redis-server", func() bool { return r.admin.Ping(context.Background()).Err() == nil })
}

func (r *rig) addToxic(kind, attribute string, value time.Duration) {
	r.t.Helper()
	text := fmt.Sprintf(`{"name":"fault","type":%q,"attributes":{%q:%d}}`, kind, attribute, value.Milliseconds())
	if _, err := r.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) removeToxic() {
	r.t.Helper()
	if err := r.proxy.Toxics.RemoveToxic(context.Background(), "fault"); err != nil {
		r.t.Fatal(err)
	}
}

// fault is a way in which Redis fails, and how that ends.
type fault struct {
	name    string
	begin   func(r *rig, length time.Duration) // which it must last at least
	end     func(*rig)
	bears   bool // decisions are still made in time
	amnesia bool // budgets are forgotten
}

const slack = 1500 * time.Millisecond // more than it takes to declare a server down

var faults = []fault{
	{
		name:    "stopped (SIGKILL, then started empty)",
		begin:   func(r *rig, _ time.Duration) { r.kill() },
		end:     func(r *rig) { r.start() },
		amnesia: true,
	},
	{
		name: "paused (CLIENT PAUSE)",
		begin: func(r *rig, length time.Duration) {
			if err := r.admin.Do(context.Background(), "CLIENT", "PAUSE", (length + slack).Milliseconds(), "ALL").Err(); err != nil {
				r.t.Fatal(err)
			}
		},
		end: func(r *rig) { r.awaitAnswer() }, // a pause holds up its own end as well
	},
	{
		name:  "slowed by 200 ms",
		begin: func(r *rig, _ time.Duration) { r.addToxic("latency", "latency", 200*time.Millisecond) },
		end:   func(r *rig) { r.removeToxic() },
	},
	{
		name:  "connections reset",
		begin: func(r *rig, _ time.Duration) { r.addToxic("reset_peer", "timeout", 0) },
		end:   func(r *rig) { r.removeToxic() },
	},
	{
		name:  "slowed by 10 ms",
		begin: func(r *rig, _ time.Duration) { r.addToxic("latency", "latency", 10*time.Millisecond) },
		end:   func(r *rig) { r.removeToxic() },
		bears: true,
	},
}

// needsRedis skips where there is none; in CI nothing may be missing.
func needsRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("redis-server is missing")
	}
	t.Skip("redis-server is missing")
}
