// Package observe checks what operators look at: the Prometheus rules of deploy/prometheus and the
// Grafana dashboard of deploy/grafana. Prometheus' own parser reads every expression, its own
// engine evaluates them over scrapes of the real program, and its unit tests of rules run.
//
// It is a module of its own, so that none of Prometheus' libraries are in the program's.
package observe
