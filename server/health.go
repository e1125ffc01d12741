package main

import (
	"context"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

type healthCommand struct {
	clientFlags
}

func (healthCommand) Help() string {
	return "Exit code 0 when it would, else 1. It needs no shell, so it serves as an exec probe.\n\n" +
		"Example:\n  chatidentity health --address unix:/run/chatidentity/chatidentity.sock"
}

type healthAnswer struct {
	Status string `json:"status"`
}

// Run prints the state of grpc.health.v1.
func (c *healthCommand) Run(ctx context.Context, console *console) error {
	var answer healthAnswer
	err := c.call(ctx, func(ctx context.Context, connection grpc.ClientConnInterface) error {
		reply, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
		answer.Status = reply.GetStatus().String()
		return err
	})
	if err != nil {
		return err
	}
	if err := c.print(console, answer, answer.Status); err != nil {
		return err
	}
	if answer.Status != healthpb.HealthCheckResponse_SERVING.String() {
		return errSaid
	}
	return nil
}
