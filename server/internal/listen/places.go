package listen

import (
	"net"
	"net/netip"
	"sync"
)

// places is a bounded number of connections, each of a group: those of one host, or of one caller.
// When no place is left, the oldest connection of the largest group gives way to a newcomer, so that
// whoever takes many places pays for it. The zero value has no place.
type places struct {
	most     int
	mostEach int
	spared   func(net.Conn) bool // connections that give way after all others; nil: none
	strict   bool                // the spared never give way

	mu     sync.Mutex
	total  int
	groups map[string][]net.Conn // oldest first
}

// enter takes a place. It returns the connection that gave way, which the caller must close, and
// false if there is no place because none could.
func (p *places) enter(group string, newcomer net.Conn) (net.Conn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var victim net.Conn
	if from := p.crowded(group); from != "" {
		if victim = p.oldest(from); victim == nil {
			return nil, false
		}
		p.remove(from, victim)
	}
	if p.groups == nil {
		p.groups = make(map[string][]net.Conn)
	}
	p.groups[group] = append(p.groups[group], newcomer)
	p.total++
	return victim, true
}

// crowded returns the group that must give a place to a newcomer of the given one, or "".
func (p *places) crowded(newcomers string) string {
	switch {
	case len(p.groups[newcomers]) >= p.mostEach:
		return newcomers
	case p.total < p.most:
		return ""
	}
	fullest := newcomers
	for group, members := range p.groups {
		if len(members) > len(p.groups[fullest]) {
			fullest = group
		}
	}
	return fullest
}

func (p *places) oldest(group string) net.Conn {
	for _, member := range p.groups[group] {
		if p.spared == nil || !p.spared(member) {
			return member
		}
	}
	if p.strict {
		return nil
	}
	return p.groups[group][0]
}

// leave gives a place back. It does nothing for a connection that has none.
func (p *places) leave(group string, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(group, conn)
}

func (p *places) remove(group string, conn net.Conn) {
	members := p.groups[group]
	for i, member := range members {
		if member != conn {
			continue
		}
		p.total--
		if len(members) == 1 {
			delete(p.groups, group)
			return
		}
		p.groups[group] = append(members[:i:i], members[i+1:]...)
		return
	}
}

func (p *places) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

// all returns the connections of this moment.
func (p *places) all() []net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	members := make([]net.Conn, 0, p.total)
	for _, group := range p.groups {
		members = append(members, group...)
	}
	return members
}

// loopbackHosts stands for 127.0.0.0/8: one host has all of it.
const loopbackHosts = "127.0.0.0/8"

// hostOf returns the host of an address as places count it. An IPv6 network is not one host: a pod
// and the kubelet that probes it may share a /64.
func hostOf(address net.Addr) string {
	host, err := netip.ParseAddrPort(address.String())
	switch {
	case err != nil:
		return address.String()
	case host.Addr().Unmap().Is4() && host.Addr().IsLoopback():
		return loopbackHosts
	default:
		return host.Addr().Unmap().String()
	}
}
