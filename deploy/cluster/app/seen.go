package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/deploy/cluster/report"
	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// quick makes the client look for the sidecar often: the suite measures the sidecar, not how long
// gRPC waits before it tries again.
var quick = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond}

// seen is what came of all calls so far.
type seen struct {
	mutex sync.Mutex
	all   report.Report
	ids   bool
}

func newSeen(ids bool) *seen {
	name, _ := os.Hostname() // the pod's
	return &seen{ids: ids, all: report.Report{Pod: name, Start: time.Now(), Failures: map[string]int{}}}
}

// call asks for one token.
func (s *seen) call(client pb.ChatIdentityServiceClient, customer string, n int, late bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if customer == "" {
		customer = fmt.Sprintf("%s_%d", s.all.Pod, n)
	}
	reply, err := client.IssueToken(ctx, &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: customer}})
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.all.Calls++
	if late {
		s.all.AfterTerm++
	}
	if err != nil {
		s.all.Failures[describe(err)]++
		return
	}
	now := time.Now()
	s.all.LongestGap = s.gap(now)
	if s.all.Tokens++; s.all.Tokens == 1 {
		s.all.FirstToken = now
	}
	s.all.LastToken = now
	if s.ids {
		s.all.AuditIDs = append(s.all.AuditIDs, reply.GetAuditId())
	}
}

// gap is the longest one until now.
func (s *seen) gap(now time.Time) time.Duration {
	last := s.all.LastToken
	if last.IsZero() {
		last = s.all.Start
	}
	return max(s.all.LongestGap, now.Sub(last))
}

func (s *seen) report(final bool) report.Report {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	told := s.all
	told.LongestGap = s.gap(time.Now())
	told.Failures = maps.Clone(told.Failures)
	told.Final = final
	return told
}

// watchStalls measures how long the machine keeps the app itself from running.
func (s *seen) watchStalls(ended context.Context) {
	const period = 20 * time.Millisecond
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	for last := time.Now(); ; {
		select {
		case <-ended.Done():
			return
		case <-ticks.C:
		}
		now := time.Now()
		s.mutex.Lock()
		s.all.Stalled = max(s.all.Stalled, now.Sub(last)-period)
		s.mutex.Unlock()
		last = now
	}
}

func describe(err error) string {
	said := status.Convert(err)
	for _, detail := range said.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return said.Code().String()
}
