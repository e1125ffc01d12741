package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// watchInterval is how soon those who watch health learn of a change.
const watchInterval = time.Second

// health answers grpc.health.v1 for the server ("") and the service: SERVING if a token would be
// issued now. Each answer asks again; grpc's own implementation would have to be told of every
// change.
type health struct {
	healthpb.UnimplementedHealthServer
	ready func() error
}

func (h *health) state(service string) healthpb.HealthCheckResponse_ServingStatus {
	switch {
	case service != "" && service != pb.ChatIdentityService_ServiceDesc.ServiceName:
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN
	case h.ready() != nil:
		return healthpb.HealthCheckResponse_NOT_SERVING
	default:
		return healthpb.HealthCheckResponse_SERVING
	}
}

// Check returns the current state; NOT_FOUND for other services.
func (h *health) Check(_ context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	state := h.state(req.GetService())
	if state == healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: state}, nil
}

// List returns the current state.
func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now := &healthpb.HealthCheckResponse{Status: h.state("")}
	return &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{
		"": now, pb.ChatIdentityService_ServiceDesc.ServiceName: now,
	}}, nil
}

// Watch sends the state and each change of it, until the client or the server stops.
func (h *health) Watch(
	req *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse],
) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for {
		if state := h.state(req.GetService()); state != sent {
			if err := stream.Send(&healthpb.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			sent = state
		}
		select {
		case <-ticker.C:
		case <-stream.Context().Done():
			return status.Error(codes.Canceled, "the stream has ended")
		}
	}
}
