package redis

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/freeport"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// node is a server of a Cluster.
type node struct {
	*server

	address string
}

// startCluster starts three primaries, each with a replica.
func startCluster(t *testing.T, args ...string) []*node {
	t.Helper()
	var nodes []*node
	create := []string{"--cluster", "create"}
	for range 6 {
		port := freeport.Get(t)
		s := startServer(t, append([]string{
			"--port", port, "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--cluster-config-file", "nodes-" + port,
			"--cluster-port", freeport.Get(t), "--cluster-node-timeout", "1000",
		}, args...)...)
		nodes = append(nodes, &node{s, "127.0.0.1:" + port})
		create = append(create, "127.0.0.1:"+port)
	}
	output, err := exec.Command("redis-cli", append(create, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli --cluster create: %v\n%s", err, output)
	}
	awaitLong(t, "the Cluster to be whole", func() bool {
		return !slices.ContainsFunc(nodes, func(n *node) bool {
			return !strings.Contains(fmt.Sprint(n.do("CLUSTER", "INFO")), "cluster_state:ok") ||
				n.role() == "slave" && !strings.Contains(fmt.Sprint(n.do("INFO", "replication")), "master_link_status:up")
		})
	})
	return nodes
}

func (s *server) role() string {
	s.t.Helper()
	return fmt.Sprint(s.do("ROLE").([]any)[0])
}

// awaitLong waits as long as a failover may take on a busy machine.
func awaitLong(t *testing.T, what string, is func() bool) {
	t.Helper()
	tooLate := time.After(time.Minute)
	for !is() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-tooLate:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// clusterURL names the nodes.
func clusterURL(nodes ...*node) string {
	url := "redis://" + nodes[0].address
	for i, n := range nodes[1:] {
		url += map[bool]string{true: "?", false: "&"}[i == 0] + "addr=" + n.address
	}
	return url
}

// holder returns the primary that holds our keys.
func holder(t *testing.T, nodes []*node) *node {
	t.Helper()
	for _, n := range nodes {
		if n.role() == "master" && n.do("DBSIZE").(int64) > 0 {
			return n
		}
	}
	t.Fatal("no node holds our keys")
	return nil
}

// All replicas of the program share one budget, whichever nodes their URLs name: another node, or a
// replica of Redis, leads to the one that holds our keys. They follow when that is another one.
func TestCluster(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	var replicas []*Limiter
	var logs []*journal
	for i := range nodes {
		r, log := replica(t, nodes[i].server, func(o *Options) { o.URL = clusterURL(nodes[i], nodes[(i+1)%len(nodes)]) })
		await(t, "sharing", func() bool { return r.breaker.is(up) })
		replicas, logs = append(replicas, r), append(logs, log)
	}
	spend := func(customer int) int {
		passed := 0
		for _, r := range replicas {
			passed += admitted(t, r, 4, budgetsFor(customer, ratelimit.MustRate("1000/h"), ratelimit.Rate{}, ratelimit.MustRate("10/h")))
		}
		return passed
	}
	if n := spend(1); n != 10 {
		t.Errorf("%d passed on six replicas, want one budget of 10", n)
	}
	before := holder(t, nodes)
	heir := replicaOf(t, nodes, before)
	heir.do("CLUSTER", "FAILOVER")
	awaitLong(t, "the heir to be the primary", func() bool { return heir.role() == "master" && before.role() == "slave" })
	if n := spend(1); n != 0 {
		t.Errorf("%d more passed after the handover", n)
	}
	if n := spend(2); n != 10 {
		t.Errorf("%d passed for another customer after the handover, want 10", n)
	}
	for i, r := range replicas {
		if downs := r.breaker.changes[down].Load(); downs > 0 {
			t.Errorf("a node that names another one is no failure, but replica %d was without: %s", i, logs[i])
		}
	}
}

func replicaOf(t *testing.T, nodes []*node, primary *node) *node {
	t.Helper()
	_, port, _ := strings.Cut(primary.address, ":")
	for _, n := range nodes {
		if role := n.do("ROLE").([]any); role[0] == "slave" && fmt.Sprint(role[2]) == port {
			return n
		}
	}
	t.Fatal("it has no replica")
	return nil
}

// The primary dies under load: no call fails, the pods apply their own limits meanwhile, and share
// again after the Cluster has made another.
func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t)
	survivesFailover(t, nodes[0].server, clusterURL(nodes...), func() { holder(t, nodes).kill() })
}
