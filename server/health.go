package main

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

type healthCommand struct {
	clientFlags
}

func newHealthCommand(console *console) *cobra.Command {
	var c healthCommand
	return withFlags(&cobra.Command{
		Use:   "health",
		Short: "Ask a running sidecar whether it would issue a token now.",
		Long: `The exit code is 0 when it would, and 1 when not. It needs no shell, so it can
be an exec probe. The answer is about the sidecar as a whole: the protocol,
grpc.health.v1, has no field for an organization.`,
		Example: "chatidentity health --address unix:/run/chatidentity/chatidentity.sock",
		RunE:    func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, c.flags())
}

type healthAnswer struct {
	Status string `json:"status"`
}

func (a healthAnswer) serving() bool {
	return a.Status == healthpb.HealthCheckResponse_SERVING.String()
}

// run prints the state of grpc.health.v1.
func (c *healthCommand) run(ctx context.Context, console *console) error {
	answer, err := c.ask(ctx, console)
	if err != nil {
		return err
	}
	if err := c.print(console, answer, answer.Status); err != nil {
		return err
	}
	if !answer.serving() {
		return errNegative
	}
	return nil
}

func (c *healthCommand) ask(ctx context.Context, console *console) (healthAnswer, error) {
	var answer healthAnswer
	err := c.call(ctx, console, func(ctx context.Context, connection grpc.ClientConnInterface) error {
		reply, err := healthpb.NewHealthClient(connection).Check(ctx, &healthpb.HealthCheckRequest{})
		answer.Status = reply.GetStatus().String()
		return err
	})
	return answer, err
}
