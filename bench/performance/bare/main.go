// Bare is a stock grpc-go server that answers IssueToken with a constant as large as the sidecar's
// answer: default options, no interceptors, and a health service. It is the floor that the sidecar is
// measured against.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const (
	tokenSize = 142 // of a token for a customer such as customer_12345
	auditID   = "0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70"
	issueTime = 1_764_000_000
	lifetime  = 15 * 60
)

type service struct {
	pb.UnimplementedChatIdentityServiceServer

	answer *pb.IssueTokenResponse
}

// IssueToken answers with the constant.
func (s service) IssueToken(context.Context, *pb.IssueTokenRequest) (*pb.IssueTokenResponse, error) {
	return s.answer, nil
}

// VerifyToken tells how many objects this process has allocated so far, as an external ID.
func (service) VerifyToken(context.Context, *pb.VerifyTokenRequest) (*pb.VerifyTokenResponse, error) {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	count := strconv.FormatUint(memory.Mallocs, 10)
	return &pb.VerifyTokenResponse{Customer: &pb.Customer{ExternalId: count}}, nil
}

func main() {
	targets := flag.String("listen", "127.0.0.1:0", "where to serve: host:port or unix:/path, with commas between them")
	workers := flag.Uint("workers", 0, "stream workers; 0 is grpc-go's default, a goroutine for each call")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, strings.Split(*targets, ","), uint32(*workers)); err != nil {
		log.Print(err)
	}
}

func serve(ctx context.Context, targets []string, workers uint32) error {
	var options []grpc.ServerOption
	if workers > 0 {
		options = append(options, grpc.NumStreamWorkers(workers))
	}
	server := grpc.NewServer(options...)
	pb.RegisterChatIdentityServiceServer(server, service{answer: &pb.IssueTokenResponse{
		Token:           strings.Repeat("t", tokenSize),
		IssueTime:       &timestamppb.Timestamp{Seconds: issueTime},
		ExpireTime:      &timestamppb.Timestamp{Seconds: issueTime + lifetime},
		LoginIdentifier: pb.Identifier_IDENTIFIER_EXTERNAL_ID,
		AuditId:         auditID,
	}})
	healthpb.RegisterHealthServer(server, health.NewServer())
	addModules()
	failed := make(chan error, len(targets))
	serving := struct {
		Message string   `json:"msg"`
		Listen  []string `json:"listen"`
	}{Message: "serving"}
	for _, target := range targets {
		network, address := "tcp", target
		if path, found := strings.CutPrefix(target, "unix:"); found {
			network, address = "unix", path
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
		if err != nil {
			return err
		}
		serving.Listen = append(serving.Listen, network+" "+listener.Addr().String())
		go func() { failed <- server.Serve(listener) }()
	}
	context.AfterFunc(ctx, server.GracefulStop)
	if err := json.NewEncoder(os.Stderr).Encode(serving); err != nil {
		return err
	}
	return <-failed
}

// modules use, each, a module of the sidecar as the sidecar does. Build tags add them.
var modules []func()

func addModules() {
	for _, use := range modules {
		use()
	}
}
