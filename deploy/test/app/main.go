// App stands for the backend in a pod: it asks for tokens from its first moment
// to its last, one after the other and without trying any again, and at the end
// tells what came of them.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const (
	pace    = 10 * time.Millisecond // under the limit of each caller
	timeout = 5 * time.Second
)

// report is what the app prints at its end.
type report struct {
	AuditIDs []string `json:"audit_ids"` // of each token that it got
	Failures []string `json:"failures"`  // code, reason and text of each call that failed
}

func main() {
	address := flag.String("address", "127.0.0.1:9451", "the sidecar's address")
	calls := flag.Int("calls", 0, "end after that many calls; 0: after SIGTERM")
	drain := flag.Duration("drain", 0, "how long to go on after SIGTERM")
	flag.Parse()
	if err := run(*address, *calls, *drain); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(address string, calls int, drain time.Duration) error {
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // nothing is pending
	client := pb.NewChatIdentityServiceClient(connection)

	drained := make(chan struct{})
	context.AfterFunc(terminated, func() { time.AfterFunc(drain, func() { close(drained) }) })
	ticks := time.NewTicker(pace)
	defer ticks.Stop()
	var told report
	for n := 1; ; n++ {
		told.call(client, n)
		if n == calls {
			return json.NewEncoder(os.Stdout).Encode(told)
		}
		select {
		case <-ticks.C:
		case <-drained:
			return json.NewEncoder(os.Stdout).Encode(told)
		}
	}
}

// call asks for the token of a customer of its own.
func (r *report) call(client pb.ChatIdentityServiceClient, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	customer := &pb.Customer{ExternalId: fmt.Sprintf("user_%d", n)}
	reply, err := client.IssueToken(ctx, &pb.IssueTokenRequest{Customer: customer})
	if err != nil {
		r.Failures = append(r.Failures, describe(err))
		return
	}
	r.AuditIDs = append(r.AuditIDs, reply.GetAuditId())
}

func describe(err error) string {
	said := status.Convert(err)
	reason := "-"
	for _, detail := range said.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	return fmt.Sprintf("%v %s: %s", said.Code(), reason, said.Message())
}
