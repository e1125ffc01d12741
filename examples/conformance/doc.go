// Package conformance holds the test of the backends in examples: each one's
// README is followed literally, and the backend is driven over HTTP while the
// real sidecar behind it works, refuses, hangs, dies and comes back.
package conformance
