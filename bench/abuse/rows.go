package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// row is one attack and what is expected of it.
type row struct {
	attack      string // a name of attack.Names; empty: none, which shows what the machine does by itself
	door        bed.Door
	who         bed.Who
	connections int      // of each user
	kinds       []string // one of them is in a metric's label and in a log line; nil: nothing is refused
	short       bool     // also in the short form

	users     int           // user IDs that attack; 0: one
	addresses int           // of 127.0.0.0/8 that attack; 0: one
	length    time.Duration // of the long form; 0: as all
	probe     probe         // what else must be answered
	heap      bool          // the heap must be afterwards where it was
	stop      bool          // the sidecar is told to stop meanwhile, and must have stopped in its time
	args      []string      // of the sidecar
}

func (r row) name() string {
	name := r.attack
	if name == "" {
		name = "nothing"
	}
	if r.stop {
		name += " (told to stop)"
	}
	if len(r.args) > 0 {
		name += " (" + r.args[0] + " " + r.args[1] + ")"
	}
	return fmt.Sprintf("%s, %s, %s × %d", name, r.door, r.who, r.connections*max(1, r.users))
}

type probe int

const (
	probeNothing probe = iota
	probeAdmin         // /livez and /readyz
	probeWatch         // a health watch begins
)

// How the sidecar names what it refuses, in the label of a metric and in a log
// line. To be edited when the defences name their kinds; any of a set will do.
var (
	frames  = []string{"frame_budget", "frame_flood"}
	places  = []string{"connection_limit"}
	admins  = []string{"admin_connection_limit"}
	inCalls = []string{"calls_in_flight", "held_calls", "held_bytes", "late_request", "frame_flood", "header_budget"}
	greets  = []string{"connection_limit", "unproven", "tls"}
	streams = []string{"stream_limit"}
	dear    = []string{"calls_in_flight", "frame_budget"}
	headers = []string{"late_headers", "late_request", "held_bytes", "unproven", "connection_limit"}
	strange = []string{"unlisted_uid"}
	overrun = append([]string{"decode"}, frames...)
)

var unlimited = []string{"--limit-caller", "off"}

// rows are all attacks there are.
var rows = slices.Concat(single,
	floods(bed.Unix, bed.Stranger, true), floods(bed.MTLS, bed.Other, false), floods(bed.Loopback, bed.Same, false))

// floods are those of each kind of frame.
func floods(door bed.Door, who bed.Who, short bool) []row {
	kinds := []string{
		"ping", "settings", "priority", "window-update", "goaway", "idle-reset", "unknown-frame",
		"empty-data", "empty-continuation",
	}
	all := make([]row, 0, len(kinds))
	for _, frame := range kinds {
		all = append(all, row{attack: frame, door: door, who: who, connections: 8, kinds: frames, short: short})
	}
	return all
}

var single = []row{
	{door: bed.Unix, who: bed.Stranger, short: true},

	// Strangers on the unix socket.
	{attack: "unfinished-message", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: inCalls, short: true},
	{attack: "unfinished-message", door: bed.Unix, who: bed.Stranger, connections: 16, kinds: inCalls, short: true},
	{attack: "unfinished-message", door: bed.Unix, who: bed.Stranger, connections: 64, kinds: inCalls},
	{attack: "large-metadata", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: inCalls, short: true},
	{attack: "refused-metadata", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: inCalls, short: true},
	{attack: "one-byte-short", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: inCalls, short: true},
	{attack: "unended-headers", door: bed.Unix, who: bed.Stranger, connections: 256, kinds: headers, short: true},
	{attack: "rapid-reset", door: bed.Unix, who: bed.Stranger, connections: 16, kinds: frames, short: true},
	{attack: "rapid-reset", door: bed.Unix, who: bed.Stranger, connections: 64, kinds: frames, short: true},
	{attack: "window-update-zero", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: frames, short: true},
	{attack: "window-overflow", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: frames, short: true},
	{attack: "data-over-window", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: overrun},
	{attack: "data-after-end", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: frames, short: true},
	{attack: "honest", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: strange},
	{attack: "unknown-method", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: append(strange, "unknown_method")},
	{attack: "long-timeout", door: bed.Unix, who: bed.Stranger, connections: 8, kinds: strange, short: true, length: 2 * time.Minute, heap: true},
	{attack: "idle", door: bed.Unix, who: bed.Stranger, connections: 256, users: 4, kinds: places, short: true},
	{attack: "silent", door: bed.Unix, who: bed.Stranger, connections: 256, users: 4, kinds: places},

	// Strangers at the listener that speaks TLS.
	{attack: "silent", door: bed.MTLS, who: bed.Stranger, connections: 1024, addresses: 4, kinds: greets, short: true},
	{attack: "client-hello", door: bed.MTLS, who: bed.Stranger, connections: 1024, addresses: 4, kinds: greets},
	{attack: "handshake", door: bed.MTLS, who: bed.Stranger, connections: 16, kinds: greets, short: true},

	// Strangers at the admin listener, some at the prober's own address.
	{attack: "slow-http", door: bed.Admin, who: bed.Stranger, connections: 256, addresses: 8, kinds: admins, probe: probeAdmin, short: true},

	// Other callers that are listed.
	{attack: "large-metadata", door: bed.Unix, who: bed.Other, connections: 16, kinds: inCalls, short: true},
	{attack: "refused-metadata", door: bed.Unix, who: bed.Other, connections: 16, kinds: inCalls},
	{attack: "unended-headers", door: bed.Unix, who: bed.Other, connections: 256, kinds: headers, short: true},
	{attack: "unended-fields", door: bed.Unix, who: bed.Other, connections: 256, kinds: headers, short: true},
	{attack: "gzip-bombs", door: bed.Unix, who: bed.Other, connections: 16, kinds: []string{"message_size"}, short: true},
	{attack: "unfinished-message", door: bed.Unix, who: bed.Other, connections: 16, kinds: inCalls, short: true},
	{attack: "one-byte-short", door: bed.Unix, who: bed.Other, connections: 16, kinds: inCalls},
	{attack: "many-fields", door: bed.Unix, who: bed.Other, connections: 16, kinds: []string{"header_fields"}, short: true},
	{attack: "rapid-reset", door: bed.Unix, who: bed.Other, connections: 16, kinds: frames},
	{attack: "rapid-reset-complete", door: bed.Unix, who: bed.Other, connections: 16, kinds: frames},
	{attack: "honest", door: bed.Unix, who: bed.Other, connections: 8, kinds: dear, short: true},
	{attack: "honest", door: bed.Unix, who: bed.Other, connections: 8, kinds: dear, args: unlimited},
	{attack: "window-zero", door: bed.Unix, who: bed.Other, connections: 8, kinds: inCalls, args: unlimited, short: true},
	{attack: "never-reads", door: bed.Unix, who: bed.Other, connections: 64, kinds: inCalls, args: unlimited},
	{attack: "watch", door: bed.Unix, who: bed.Other, connections: 1, kinds: streams, probe: probeWatch, short: true},
	{attack: "watch", door: bed.Unix, who: bed.Other, connections: 8, kinds: streams, probe: probeWatch},
	{attack: "idle", door: bed.Unix, who: bed.Other, connections: 1024, kinds: places},
	{attack: "unfinished-message", door: bed.MTLS, who: bed.Other, connections: 16, kinds: inCalls, short: true},
	{attack: "rapid-reset", door: bed.MTLS, who: bed.Other, connections: 16, kinds: frames, short: true},
	{attack: "honest", door: bed.MTLS, who: bed.Other, connections: 8, kinds: dear},
	{attack: "honest", door: bed.Token, who: bed.Other, connections: 8, kinds: dear},

	// Plain loopback, where nobody can be told apart.
	{attack: "unfinished-message", door: bed.Loopback, who: bed.Same, connections: 8, kinds: inCalls},
	{attack: "unfinished-message", door: bed.Token, who: bed.Same, connections: 8, kinds: inCalls},
	{attack: "large-metadata", door: bed.Loopback, who: bed.Same, connections: 8, kinds: inCalls},
	{attack: "one-byte-short", door: bed.Loopback, who: bed.Same, connections: 8, kinds: inCalls},
	{attack: "rapid-reset", door: bed.Loopback, who: bed.Same, connections: 8, kinds: frames, short: true},
	{attack: "rapid-reset", door: bed.Token, who: bed.Same, connections: 8, kinds: frames},
	{attack: "rapid-reset-complete", door: bed.Loopback, who: bed.Same, connections: 8, kinds: frames, short: true},
	{attack: "window-update-zero", door: bed.Loopback, who: bed.Same, connections: 8, kinds: frames},
	{attack: "window-overflow", door: bed.Loopback, who: bed.Same, connections: 8, kinds: frames},
	{attack: "data-after-end", door: bed.Loopback, who: bed.Same, connections: 8, kinds: frames},
	{attack: "window-zero", door: bed.Loopback, who: bed.Same, connections: 8, kinds: inCalls},
	{attack: "never-reads", door: bed.Loopback, who: bed.Same, connections: 64, kinds: inCalls},
	{attack: "honest", door: bed.Loopback, who: bed.Same, connections: 8, kinds: dear},
	{attack: "silent", door: bed.Loopback, who: bed.Same, connections: 1024, addresses: 4, kinds: places},

	// A sidecar that stops, attacked.
	{attack: "rapid-reset", door: bed.Unix, who: bed.Other, connections: 16, stop: true, short: true},
	{attack: "rapid-reset-complete", door: bed.Loopback, who: bed.Same, connections: 8, stop: true},
	{attack: "unfinished-message", door: bed.Unix, who: bed.Other, connections: 4, stop: true, short: true},
}
