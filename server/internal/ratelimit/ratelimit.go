// Package ratelimit decides whether a call may pass. It knows keys and rates,
// not gRPC or people.
//
// A call makes up to three demands at once: on everybody's budget, on its
// caller's, on its customer's. All of them spend or none does. [Local] decides
// from the memory of this process; [Redis] counts the demands that are shared
// with other replicas in a Redis server, and keeps a Local beside it.
//
// Each budget is one time stamp, by the generic cell rate algorithm (ITU-T
// I.371, "virtual scheduling"). In any stretch of time t a budget admits at
// most burst + rate × t.
package ratelimit

import (
	"fmt"
	"time"
)

// Dimension says whose budget it is.
type Dimension uint8

// The dimensions, from the widest to the narrowest.
const (
	Global Dimension = iota
	Caller
	Customer
)

const dimensions = 3

// String returns the name that clients, metrics and audit records see:
// "global", "caller" or "customer".
func (d Dimension) String() string {
	switch d {
	case Global:
		return "global"
	case Caller:
		return "caller"
	case Customer:
		return "customer"
	default:
		return fmt.Sprintf("dimension(%d)", uint8(d))
	}
}

// Key tells one budget of a dimension from another. Two keys are the same when
// all three parts are; no part is interpreted. The zero value is a key too, and
// the right one for [Global].
type Key struct {
	Kind  string // what Name is: an identifier's kind, a kind of caller
	Scope string // where Name means something: an organization
	Name  string
}

// Demand asks one dimension to admit one call.
type Demand struct {
	Key  Key
	Rate Rate // the zero Rate always admits and spends nothing
	// Shared demands are counted across all replicas where there is a shared
	// store; the others by this process alone.
	Shared bool
}

// Demands is all that one call asks for, indexed by [Dimension]. The zero value
// asks for nothing and is admitted.
type Demands [dimensions]Demand

// shared reports whether a shared store has a say.
func (d *Demands) shared() bool {
	return d[Global].isShared() || d[Caller].isShared() || d[Customer].isShared()
}

func (d *Demand) isShared() bool { return d.Shared && !d.Rate.IsOff() }

// Decision is the answer to [Demands]. The zero value refuses.
type Decision struct {
	Allowed bool
	// Limit is the dimension that refused; of several, the one with the longest
	// wait. It means nothing when the call is allowed.
	Limit Dimension
	// RetryAfter is how long until every demand would be admitted, if nobody
	// else spends meanwhile: exact to the nanosecond for a [Local]. It is
	// positive for a refused call, zero for an allowed one.
	RetryAfter time.Duration
}

// refuse records that limit wants the call to wait.
func (d *Decision) refuse(limit Dimension, wait time.Duration) {
	d.Allowed = false
	if wait > d.RetryAfter {
		d.Limit, d.RetryAfter = limit, wait
	}
}
