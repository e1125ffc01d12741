package ratelimit

import "strings"

// Limit is one of the rate limits.
type Limit uint8

// The limits, from the widest to the narrowest.
const (
	Global Limit = iota
	Caller
	Customer

	limitCount
)

// limits is all that differs from one limit to the next.
var limits = [limitCount]struct {
	name        string
	rate        string // the default
	help        string // what the rate is for
	description string // of the calls that it counts, to a client that reached it
	capacity    int    // how many budgets a Local remembers; 0: as many as NewLocal is given
}{
	Global: {
		name: "global", rate: off, help: "For all calls together.",
		description: "calls of all callers together", capacity: 1,
	},
	Caller: {
		name: "caller", rate: "200/s:400", help: "For each caller.",
		description: "calls of this caller", capacity: 4096,
	},
	Customer: {
		name: "customer", rate: "10/m:10", help: "For each customer's tokens.",
		description: "calls of all callers for this customer",
	},
}

// Limits returns every limit, from the widest to the narrowest.
func Limits() []Limit {
	all := make([]Limit, 0, limitCount)
	for l := range limitCount {
		all = append(all, l)
	}
	return all
}

// String returns the name that flags, clients, metrics and audit records use, such as "caller".
func (l Limit) String() string { return limits[l].name }

// Default returns the rate that [ParseRate] reads where no other is given.
func (l Limit) Default() string { return limits[l].rate }

// Help tells an operator what the rate is for, such as "For each caller.", in the help of its flag.
func (l Limit) Help() string { return limits[l].help }

// Description tells a client which calls the limit counts, such as "calls of this caller".
func (l Limit) Description() string { return limits[l].description }

// Rates is the rate of each limit, indexed by [Limit]. The zero value limits nothing.
type Rates [limitCount]Rate

// String returns the rates with the names of their limits.
func (r Rates) String() string {
	var texts [limitCount]string
	for _, limit := range Limits() {
		texts[limit] = limit.String() + " " + r[limit].String()
	}
	return strings.Join(texts[:], ", ")
}
