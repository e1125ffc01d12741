package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

type healthCommand struct {
	AdminAddress config.Address // empty: Address is asked
	clientFlags
}

func newHealthCommand(console *console) *cobra.Command {
	var c healthCommand
	return withFlags(&cobra.Command{
		Use:   "health",
		Short: "Ask a running sidecar whether it would issue a token now.",
		Long: `The exit code is 0 when it would, and 1 when not. It needs no shell, so it can
be an exec probe. The answer is about the sidecar as a whole: the protocol,
grpc.health.v1, has no field for an organization. With --admin-address it
also says why not.`,
		Example: "chatidentity health --address unix:/run/chatidentity/chatidentity.sock",
		RunE:    func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, config.Group{Flags: []config.Flag{
		adminAddress(&c.AdminAddress, "", "Ask /readyz of the sidecar's --admin-listen instead, which says why not."),
	}}, c.flags())
}

type healthAnswer struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // what /readyz says
}

func (a healthAnswer) serving() bool {
	return a.Status == healthpb.HealthCheckResponse_SERVING.String()
}

// run prints the state of grpc.health.v1.
func (c *healthCommand) run(ctx context.Context, console *console) error {
	ask := c.ask
	if c.AdminAddress.Address != "" {
		ask = c.askAdmin
	}
	answer, err := ask(ctx, console)
	if err != nil {
		return err
	}
	text := answer.Status
	if answer.Reason != "" {
		text += ": " + answer.Reason
	}
	if err := c.print(console, answer, text); err != nil {
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

// askAdmin asks /readyz.
func (c *healthCommand) askAdmin(ctx context.Context, console *console) (healthAnswer, error) {
	if err := checkTimeout(c.Timeout); err != nil {
		return healthAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	defer console.waitingFor(fmt.Sprintf("the sidecar at %v to answer, at most %v", c.AdminAddress, c.Timeout))()
	status, body, err := getAdmin(ctx, c.AdminAddress, "/readyz")
	text := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		return healthAnswer{}, err
	case status == http.StatusOK && text == "ok":
		return healthAnswer{Status: healthpb.HealthCheckResponse_SERVING.String()}, nil
	case status == http.StatusServiceUnavailable && text != "":
		return healthAnswer{Status: healthpb.HealthCheckResponse_NOT_SERVING.String(), Reason: text}, nil
	default:
		return healthAnswer{}, noAdminListener(c.AdminAddress, status)
	}
}
