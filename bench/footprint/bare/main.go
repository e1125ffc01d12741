// Bare is a grpc-go server that does nothing else, for bench/footprint to
// compare with: an echo of messages as large as the sidecar's.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// tokenSize is about that of a token with an external ID.
const tokenSize = 150

type service struct {
	pb.UnimplementedChatIdentityServiceServer
}

// IssueToken answers with as many bytes as a token has.
func (service) IssueToken(context.Context, *pb.IssueTokenRequest) (*pb.IssueTokenResponse, error) {
	return &pb.IssueTokenResponse{Token: strings.Repeat("t", tokenSize)}, nil
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "where to serve")
	flag.Parse()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterChatIdentityServiceServer(server, service{})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, server.GracefulStop)
	if err := server.Serve(listener); err != nil {
		log.Print(err)
	}
}
