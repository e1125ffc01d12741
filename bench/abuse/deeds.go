package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"

	"github.com/chatidentity/chatidentity/bench/abuse/attack"
	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// TagRPC, HandleRPC, TagConn and HandleConn count what the server ends.
func (s *scene) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *scene) HandleRPC(context.Context, stats.RPCStats)                         {}
func (s *scene) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (s *scene) HandleConn(_ context.Context, event stats.ConnStats) {
	if _, over := event.(*stats.ConnEnd); over {
		s.ended.Add(1)
	}
}

// connections are kept until the sidecar stops, so that none ends by us.
func (s *scene) connections(n int) ([]*grpc.ClientConn, error) {
	var all []*grpc.ClientConn
	for range n {
		connection, err := s.Dial(s.door, grpc.WithStatsHandler(s))
		if err != nil {
			return nil, err
		}
		all = append(all, connection)
	}
	return all, nil
}

func keepalive(ctx context.Context, s *scene) error {
	spec, _ := s.Target(attack.Spec{Attack: "keepalive", Connections: 16, Length: s.length}, s.door, bed.Good)
	report, err := attack.Run(ctx, spec)
	s.calls.Store(report.Sent)
	s.ended.Store(report.Closed + report.Failed)
	return err
}

func cancelTogether(ctx context.Context, s *scene) error {
	connections, err := s.connections(1)
	if err != nil {
		return err
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for begin := time.Now(); time.Since(begin) < s.length; <-second.C {
		s.callAndCancel(ctx, connections[0])
		if err := issue(ctx, connections[0]); err != nil {
			return fmt.Errorf("the call after: %w", err)
		}
	}
	return nil
}

func (s *scene) callAndCancel(ctx context.Context, connection *grpc.ClientConn) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var calls sync.WaitGroup
	for range 1024 {
		calls.Go(func() {
			s.calls.Add(1)
			_ = issue(ctx, connection)
			cancel() // the first answer ends all others
		})
	}
	calls.Wait()
}

func stallAudit(ctx context.Context, s *scene) error {
	connections, err := s.connections(1)
	if err != nil {
		return err
	}
	if err := issue(ctx, connections[0]); err != nil {
		return err
	}
	release := s.Audit.Hold()
	stalled, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var callers sync.WaitGroup
	for range 1000 {
		callers.Go(func() {
			for stalled.Err() == nil {
				s.calls.Add(1)
				call, over := context.WithTimeout(context.Background(), 100*time.Millisecond)
				_ = issue(call, connections[0])
				<-call.Done() // a refusal comes at once, and nobody hurries
				over()
			}
		})
	}
	callers.Wait()
	release()
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(20 * time.Millisecond) {
		if err = issue(ctx, connections[0]); err == nil {
			return nil
		}
	}
	return fmt.Errorf("no token 5 s after the stall: %w", err)
}

// largeMetadata makes calls as those with ID tokens of many groups are.
func largeMetadata(ctx context.Context, s *scene) error {
	connections, err := s.connections(1)
	if err != nil {
		return err
	}
	text := strings.Repeat("eyJzdWIiOiJ1", 40<<10/12)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < s.length; <-tick.C {
		size := 20<<10 + int(s.calls.Add(1))*1009%(20<<10)
		call, cancel := context.WithTimeout(ctx, deadline)
		err := issue(metadata.AppendToOutgoingContext(call, "x-user-id-token", text[:size]), connections[0])
		cancel()
		if err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
	}
	return nil
}

// fullSpeed makes as many calls as 512 callers can.
func fullSpeed(over int) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		connections, err := s.connections(over)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, s.length)
		defer cancel()
		var failed atomic.Int64
		var last atomic.Value
		var running sync.WaitGroup
		for i := range 512 {
			running.Go(func() {
				for ctx.Err() == nil {
					s.calls.Add(1)
					if err := issue(context.Background(), connections[i%over]); err != nil {
						failed.Add(1)
						last.Store(err.Error())
					}
				}
			})
		}
		running.Wait()
		if failed.Load() > 0 {
			return fmt.Errorf("%d calls failed: %v", failed.Load(), last.Load())
		}
		return nil
	}
}
