// Package load calls a server: some calls in flight, or so many a second as they come.
package load

import (
	"context"
	"errors"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// Caller makes the n-th call.
type Caller interface {
	Call(ctx context.Context, n int64) error
}

// GRPC calls IssueToken, each call for the next customer, and over the next connection.
type GRPC struct {
	Customers int64         // in rotation
	Deadline  time.Duration // of each call; 0: none, which leaves out what deadlines cost gRPC itself

	connections []*grpc.ClientConn
	clients     []pb.ChatIdentityServiceClient
}

// Dial returns a caller over that many connections, which are made at once.
func Dial(target string, connections int, customers int64) (*GRPC, error) {
	g := &GRPC{Customers: customers}
	for range connections {
		connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.connections = append(g.connections, connection)
		g.clients = append(g.clients, pb.NewChatIdentityServiceClient(connection))
	}
	for n := range connections {
		if err := g.Call(context.Background(), int64(n)); err != nil {
			return nil, errors.Join(err, g.Close())
		}
	}
	return g, nil
}

// Close ends the connections.
func (g *GRPC) Close() error {
	var errs []error
	for _, connection := range g.connections {
		errs = append(errs, connection.Close())
	}
	return errors.Join(errs...)
}

// Call asks for a token.
func (g *GRPC) Call(ctx context.Context, n int64) error {
	if g.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Deadline)
		defer cancel()
	}
	client := g.clients[n%int64(len(g.clients))]
	_, err := client.IssueToken(ctx, &pb.IssueTokenRequest{Customer: &pb.Customer{
		ExternalId: "customer_" + strconv.FormatInt(n%g.Customers, 10),
	}})
	return err
}

// Mallocs asks a bare server how many objects it has allocated.
func (g *GRPC) Mallocs(ctx context.Context) (float64, error) {
	answer, err := g.clients[0].VerifyToken(ctx, &pb.VerifyTokenRequest{})
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(answer.GetCustomer().GetExternalId(), 64)
}
