package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// route leads to the server that decides. All keys of a prefix have one hash tag, so there is one.
type route interface {
	// client returns a new one, whose connections lead to that server as far as it is known.
	client() *goredis.Client
	// attempts is how many clients to try, one after the other, before the server counts as lost.
	attempts() int
	// failed notes what a client of the route came to, for the next one. It reports whether that one
	// leads elsewhere, because the server has named another.
	failed(err error) bool
}

func newRoute(d *dialer) route {
	switch {
	case d.place.isCluster:
		return &cluster{dialer: d}
	case d.place.master != "":
		return newSentinels(d)
	default:
		return single{d}
	}
}

// single is a server that is alone, or that something else fails over.
type single struct{ *dialer }

func (s single) client() *goredis.Client { return s.dialer.client(always(s.place.addresses[0])) }
func (single) attempts() int             { return 1 }
func (single) failed(error) bool         { return false }

func always(address string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return address, nil }
}

// cluster leads to the node that holds our keys. Every other node, replicas included, answers MOVED
// and names it, so that a user needs no right to ask for the slots of the Cluster.
type cluster struct {
	dialer *dialer

	mu    sync.Mutex
	named string // by another node; empty: ask the next of the URL's
	next  int
}

func (c *cluster) client() *goredis.Client { return c.dialer.client(always(c.address())) }

// attempts are enough to ask each node and to follow two redirects.
func (c *cluster) attempts() int { return len(c.dialer.place.addresses) + 3 }

func (c *cluster) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.named != "" {
		return c.named
	}
	all := c.dialer.place.addresses
	return all[c.next%len(all)]
}

func (c *cluster) failed(err error) bool {
	to := movedTo(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if to == "" {
		if c.named == "" {
			c.next++
		}
		c.named = ""
		return false
	}
	c.named = to
	return true
}
