package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type verifyCommand struct {
	Token        string
	Organization string
	clientFlags
}

func newVerifyCommand(console *console) *cobra.Command {
	var c verifyCommand
	return withFlags(&cobra.Command{
		Use:   "verify TOKEN",
		Short: "Ask a running sidecar whether Kustomer would accept a token.",
		Long: `With - as TOKEN, it reads the token from standard input, which keeps it out of
the shell's history. The exit code is 0 when Kustomer would accept the token
now, and 1 when not.`,
		Example: "chatidentity issue --external-id user_id | chatidentity verify -",
		RunE: func(command *cobra.Command, args []string) error {
			c.Token = args[0]
			return c.run(command.Context(), console)
		},
	}, config.Group{Flags: []config.Flag{organizationFlag(&c.Organization)}}, c.flags())
}

type verifyAnswer struct {
	Verdict         string     `json:"verdict"`
	Detail          string     `json:"detail,omitempty"`
	ExternalID      string     `json:"external_id,omitempty"`
	Email           string     `json:"email,omitempty"`
	LoginIdentifier string     `json:"login_identifier,omitempty"`
	IssueTime       *time.Time `json:"issue_time,omitempty"`
	ExpireTime      *time.Time `json:"expire_time,omitempty"`
}

// verdictAccepted is the only verdict with which the customer is logged in.
const verdictAccepted = "accepted"

// maxTokenInput is more than the sidecar accepts, so that it refuses a token that is too long instead
// of judging its beginning.
const maxTokenInput = 8192

// run prints a verdict.
func (c *verifyCommand) run(ctx context.Context, console *console) error {
	if c.Token == "-" {
		text, err := io.ReadAll(io.LimitReader(console.in, maxTokenInput))
		if err != nil {
			return fmt.Errorf("read the token from standard input: %w", err)
		}
		c.Token = strings.TrimSpace(string(text))
	}
	if c.Token == "" {
		return config.Usage("verify: the token is empty")
	}
	answer, err := c.verify(ctx, console)
	if err != nil {
		return err
	}
	if err := c.print(console, answer, answer.text()); err != nil {
		return err
	}
	if answer.Verdict != verdictAccepted {
		return errNegative
	}
	return nil
}

func (c *verifyCommand) verify(ctx context.Context, console *console) (verifyAnswer, error) {
	var answer verifyAnswer
	err := c.call(ctx, console, func(ctx context.Context, connection grpc.ClientConnInterface) error {
		request := &pb.VerifyTokenRequest{Token: c.Token, Organization: c.Organization}
		reply, err := pb.NewChatIdentityServiceClient(connection).VerifyToken(ctx, request)
		answer.Verdict, answer.Detail = shortName("VERDICT_", reply.GetVerdict()), reply.GetDetail()
		if reply.GetCustomer() != nil {
			issued, expires := reply.GetIssueTime().AsTime(), reply.GetExpireTime().AsTime()
			answer.ExternalID, answer.Email = reply.GetCustomer().GetExternalId(), reply.GetCustomer().GetEmail()
			answer.LoginIdentifier = shortName("IDENTIFIER_", reply.GetLoginIdentifier())
			answer.IssueTime, answer.ExpireTime = &issued, &expires
		}
		return err
	})
	return answer, err
}

func (a verifyAnswer) text() string {
	lines := []string{verdictLabel + a.Verdict}
	for _, line := range []struct{ label, value string }{
		{"Because      ", a.Detail},
		{"External ID  ", a.ExternalID},
		{"Email        ", a.Email},
		{"Log in by    ", a.LoginIdentifier},
	} {
		if line.value != "" {
			lines = append(lines, line.label+printable(line.value))
		}
	}
	if a.IssueTime != nil {
		ends := "Expires      "
		if a.Verdict == verdictAccepted {
			ends = "Good until   "
		}
		lines = append(lines, "Issued       "+a.IssueTime.Format(time.RFC3339), ends+a.ExpireTime.Format(time.RFC3339))
	}
	return strings.Join(lines, "\n")
}
