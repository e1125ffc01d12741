package cluster

import (
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// row is one thing that happens to a pod, in a namespace of its own.
type row struct {
	name string
	done string // what was done, for the table
	run  func(s *space) saw
}

// saw is what came of it.
type saw struct {
	apps    []report.Report
	besides string // what the suite itself saw
}

// TestSuite runs one row after the other: the machine is small, and figures are wanted.
//
//nolint:paralleltest // see above
func TestSuite(t *testing.T) {
	for _, row := range rows() {
		t.Run(row.name, func(t *testing.T) {
			s := newSpace(t)
			seen := row.run(s)
			for _, app := range seen.apps {
				if app.Stalled > stall {
					t.Errorf("the machine kept the app of %s from running for %v: figures say nothing", app.Pod, app.Stalled)
				}
			}
			if !t.Failed() {
				addLine(row, seen)
			}
		})
	}
}

// stall is how long the machine may keep an app from running before its figures mean nothing.
const stall = 2 * time.Second

func rows() []row {
	var all []row
	for _, some := range [][]row{overlayRows(), helmRows, pageRows, manifestRows, jobRows, secretRows, refreshRows, stopRows, readyRows, auditRows, redisRows, limitRows} {
		all = append(all, some...)
	}
	return all
}
