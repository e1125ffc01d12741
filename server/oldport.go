package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

// oldDefaultListen is where serve listened by default before the first release. This file goes with
// the release after it.
const oldDefaultListen = "127.0.0.1:50451"

const oldPortTimeout = time.Second

// oldPortHint returns what to add to the error of a call: a hint if nothing listens at the default
// address while a sidecar answers at the old one, or else nothing.
func (f *clientFlags) oldPortHint(ctx context.Context, err error, old string) string {
	if status.Code(err) != codes.Unavailable || f.Address.String() != config.DefaultListen || !isSidecar(ctx, old) {
		return ""
	}
	return fmt.Sprintf("; a sidecar answers at the old default port %s: give --address %s, or move it to %s",
		old, old, config.DefaultListen)
}

// isSidecar reports whether a sidecar answers at the address, even if only to refuse the call.
func isSidecar(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, oldPortTimeout)
	defer cancel()
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.NewClient("passthrough:///"+address, plain)
	if err != nil {
		return false
	}
	defer connection.Close() //nolint:errcheck // nothing is pending
	service := pb.ChatIdentityService_ServiceDesc.ServiceName
	_, err = healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{Service: service})
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == "chatidentity" {
			return true
		}
	}
	return err == nil
}
