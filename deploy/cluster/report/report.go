// Package report is what the suite's app tells of its calls.
package report

import "time"

// Report is what an app has seen from its start until the report.
type Report struct {
	Pod        string         `json:"pod"`
	Start      time.Time      `json:"start"`
	FirstToken time.Time      `json:"first_token"`
	LastToken  time.Time      `json:"last_token"`
	Calls      int            `json:"calls"`
	Tokens     int            `json:"tokens"`
	Failures   map[string]int `json:"failures"`            // by code and reason
	LongestGap time.Duration  `json:"longest_gap"`         // without a token, start and end included
	AfterTerm  int            `json:"after_term"`          // calls since the app itself was told to stop
	Stalled    time.Duration  `json:"stalled"`             // the longest time in which the app itself did not run
	AuditIDs   []string       `json:"audit_ids,omitempty"` // of the tokens
	Final      bool           `json:"final"`               // the app's last
}

// Failed counts the calls that got no token.
func (r Report) Failed() int { return r.Calls - r.Tokens }
