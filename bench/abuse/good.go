package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/chatidentity/chatidentity/bench/abuse/bed"
	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// person makes each call one for another customer.
var person atomic.Int64

func issue(ctx context.Context, connection grpc.ClientConnInterface) error {
	customer := &pb.Customer{ExternalId: "good_" + strconv.FormatInt(person.Add(1), 10)}
	reply, err := pb.NewChatIdentityServiceClient(connection).IssueToken(ctx, &pb.IssueTokenRequest{Customer: customer})
	if err == nil && reply.GetToken() == "" {
		return errors.New("a reply without a token")
	}
	return err
}

// good is the client that must not notice anything.
type good struct {
	steady *series // 50 calls a second over one connection
	fresh  *series // 5 a second, each over a connection of its own
	probe  *series // what else must be answered; nil: nothing
}

func newGood(s *bed.Sidecar, r row) (*good, func(), error) {
	connection, err := s.Dial(r.door)
	if err != nil {
		return nil, nil, err
	}
	g := &good{
		steady: every(time.Second/50, func(ctx context.Context) error { return issue(ctx, connection) }),
		fresh:  every(time.Second/5, func(ctx context.Context) error { return issueAnew(ctx, s, r.door) }),
	}
	switch r.probe {
	case probeAdmin:
		g.probe = every(time.Second/4, func(ctx context.Context) error { return probeHTTP(ctx, s) })
	case probeWatch:
		g.probe = every(time.Second/4, func(ctx context.Context) error { return beginWatch(ctx, connection) })
	case probeNothing:
	}
	return g, func() { _ = connection.Close() }, nil
}

// issueAnew calls over a connection of its own.
func issueAnew(ctx context.Context, s *bed.Sidecar, door bed.Door) error {
	fresh, err := s.Dial(door)
	if err != nil {
		return err
	}
	defer fresh.Close() //nolint:errcheck // it has had its answer
	return issue(ctx, fresh)
}

func (g *good) all() []*series {
	if g.probe == nil {
		return []*series{g.steady, g.fresh}
	}
	return []*series{g.steady, g.fresh, g.probe}
}

// probeHTTP asks what a kubelet asks, each over a connection of its own.
func probeHTTP(ctx context.Context, s *bed.Sidecar) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, path := range []string{"/livez", "/readyz"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.AdminURL(path), http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", path, answer.Status)
		}
	}
	return nil
}

// beginWatch has a health watch of its own until its first answer.
func beginWatch(ctx context.Context, connection grpc.ClientConnInterface) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := healthpb.NewHealthClient(connection).Watch(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}
