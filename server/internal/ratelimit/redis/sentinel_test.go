package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/freeport"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// group is a primary with a replica, and three Sentinels that call it "pods".
type group struct {
	primary, secondary *node
	sentinels          []string // addresses
}

// startGroup starts one whose servers and Sentinels have the further settings, a line each. All
// listen on TLS if the settings say so.
func startGroup(t *testing.T, settings, sentinelSettings []string) *group {
	t.Helper()
	if _, err := exec.LookPath("redis-sentinel"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-sentinel is not installed")
		}
		t.Skip("redis-sentinel is not installed")
	}
	isTLS := strings.Contains(strings.Join(settings, " "), "tls-cert-file")
	flag := map[bool]string{false: "--port", true: "--tls-port"}[isTLS]
	var words []string
	for _, line := range settings {
		name, value, _ := strings.Cut(line, " ")
		words = append(words, "--"+name, value)
	}
	server := func(more ...string) *node {
		port := freeport.Get(t)
		s := startServer(t, append(append([]string{flag, port, "--bind", "127.0.0.1"}, words...), more...)...)
		return &node{s, "127.0.0.1:" + port}
	}
	g := &group{primary: server()}
	_, port, _ := strings.Cut(g.primary.address, ":")
	g.secondary = server("--replicaof", "127.0.0.1 "+port)
	for range 3 {
		g.sentinels = append(g.sentinels, startSentinel(t, isTLS, append([]string{
			"sentinel monitor pods 127.0.0.1 " + port + " 2", "sentinel down-after-milliseconds pods 1000", "sentinel failover-timeout pods 5000",
		}, sentinelSettings...)))
	}
	awaitLong(t, "the group to be whole", func() bool {
		return strings.Contains(fmt.Sprint(g.secondary.do("INFO", "replication")), "master_link_status:up")
	})
	return g
}

func startSentinel(t *testing.T, isTLS bool, lines []string) (address string) {
	t.Helper()
	directory := t.TempDir()
	port := freeport.Get(t)
	listen := "port " + port
	if isTLS {
		listen = "port 0\ntls-port " + port
	}
	text := listen + "\nbind 127.0.0.1\ndir " + directory + "\n" + strings.Join(lines, "\n") + "\n"
	file := filepath.Join(directory, "sentinel.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output := &journal{}
	command := exec.Command("redis-sentinel", file)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	address = "127.0.0.1:" + port
	await(t, "redis-sentinel to listen", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return address
}

// awaitSentinels waits until each of them knows the others and the secondary, and so can fail over.
func (g *group) awaitSentinels(t *testing.T, options goredis.Options) {
	t.Helper()
	for _, address := range g.sentinels {
		options.Addr, options.Protocol, options.DisableIdentity = address, 2, true
		client := goredis.NewClient(&options)
		defer client.Close()
		awaitLong(t, "the Sentinels to know each other", func() bool {
			fields, err := client.Do(context.Background(), "SENTINEL", "MASTER", "pods").StringSlice()
			known := map[string]string{}
			for i := 0; i+1 < len(fields); i += 2 {
				known[fields[i]] = fields[i+1]
			}
			return err == nil && known["num-other-sentinels"] == "2" && known["num-slaves"] == "1" && known["flags"] == "master"
		})
	}
}

func (g *group) url() string {
	return "redis://" + g.sentinels[0] + "?master_name=pods&addr=" + g.sentinels[1] + "&addr=" + g.sentinels[2]
}

// The primary dies under load, and the Sentinels make another.
func TestSentinelsFailOver(t *testing.T) {
	t.Parallel()
	g := startGroup(t, nil, nil)
	g.awaitSentinels(t, goredis.Options{})
	survivesFailover(t, g.primary.server, g.url(), g.primary.kill)
}

// TLS and the password hold on every connection, the Sentinels' included, before and after the
// failover; and the new primary is the one that decides.
func TestSentinelsWithTLSAndPasswords(t *testing.T) {
	t.Parallel()
	directory, roots := certificate(t)
	cert, key := filepath.Join(directory, "cert"), filepath.Join(directory, "key")
	common := []string{"tls-cert-file " + cert, "tls-key-file " + key, "tls-ca-cert-file " + cert, "tls-auth-clients no", "tls-replication yes"}
	g := startGroup(t,
		append([]string{"requirepass canary-password", "masterauth canary-password"}, common...),
		append([]string{"sentinel auth-pass pods canary-password", "requirepass canary-password", "sentinel sentinel-pass canary-password"}, common...))
	tlsConfig := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	g.awaitSentinels(t, goredis.Options{Password: canaryPassword, TLSConfig: tlsConfig})
	url := strings.ReplaceAll(strings.Replace(g.url(), "redis://", "rediss://", 1), "127.0.0.1", "localhost")
	secure := func(o *Options) {
		o.Password = password(canaryPassword)
		o.TLS = func() (*tls.Config, error) { return &tls.Config{RootCAs: roots}, nil }
	}
	survivesFailover(t, g.primary.server, url, g.primary.kill, secure)
	if role := g.secondary.role(); role != "master" {
		t.Errorf("the secondary is a %s", role)
	}
}

// The password goes only to those that want one: a Sentinel without one would refuse it.
func TestSentinelsWithoutAPassword(t *testing.T) {
	t.Parallel()
	g := startGroup(t, []string{"requirepass canary-password", "masterauth canary-password"}, []string{"sentinel auth-pass pods canary-password"})
	r, log := replica(t, g.primary.server, func(o *Options) { o.URL, o.Password = g.url(), password(canaryPassword) })
	if !r.breaker.is(up) {
		t.Errorf("down: %s", log)
	}
	if n := admitted(t, r, 20, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))); n != 10 {
		t.Errorf("%d passed, want 10", n)
	}
}
