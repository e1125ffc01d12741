package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type issueCommand struct {
	ExternalID   string
	Email        string
	Organization string
	clientFlags
}

func newIssueCommand(console *console) *cobra.Command {
	var c issueCommand
	return withFlags(&cobra.Command{
		Use:     "issue",
		Short:   "Ask a running sidecar for a token.",
		Long:    "When the output is not a terminal, it prints only the token.",
		Example: "chatidentity issue --external-id user_id",
		RunE:    func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, config.Group{Flags: []config.Flag{
		config.String(&c.ExternalID, "external-id", "ID", "", "The customer's ID in your own database."),
		config.String(&c.Email, "email", "EMAIL", "", "The customer's email address, verified by you."),
		organizationFlag(&c.Organization),
	}}, c.flags())
}

// organizationFlag is the same for each command that asks a sidecar about tokens.
func organizationFlag(to *string) config.Flag {
	return config.String(to, "organization", "NAME", "", "Organization (default: the sidecar's default organization).")
}

type issueAnswer struct {
	Token           string    `json:"token"`
	IssueTime       time.Time `json:"issue_time"`
	ExpireTime      time.Time `json:"expire_time"`
	LoginIdentifier string    `json:"login_identifier"`
	AuditID         string    `json:"audit_id"`
}

// run prints a token.
func (c *issueCommand) run(ctx context.Context, console *console) error {
	if c.ExternalID == "" && c.Email == "" {
		return config.Usage("issue: for whom? give --external-id, --email, or both")
	}
	answer, err := c.issue(ctx, console)
	if err != nil {
		return err
	}
	if c.Output == outputAuto && !console.terminal {
		_, err := fmt.Fprintln(console.out, answer.Token)
		return err
	}
	return c.print(console, answer, strings.Join([]string{
		"Token       " + printable(answer.Token),
		"Log in by   " + answer.LoginIdentifier,
		"Issued      " + answer.IssueTime.Format(time.RFC3339),
		"Good until  " + answer.ExpireTime.Format(time.RFC3339),
		"Audit ID    " + printable(answer.AuditID),
	}, "\n"))
}

func (c *issueCommand) issue(ctx context.Context, console *console) (issueAnswer, error) {
	var answer issueAnswer
	err := c.call(ctx, console, func(ctx context.Context, connection grpc.ClientConnInterface) error {
		reply, err := pb.NewChatIdentityServiceClient(connection).IssueToken(ctx, &pb.IssueTokenRequest{
			Customer:     &pb.Customer{ExternalId: c.ExternalID, Email: c.Email},
			Organization: c.Organization,
		})
		answer = issueAnswer{
			Token:           reply.GetToken(),
			IssueTime:       reply.GetIssueTime().AsTime(),
			ExpireTime:      reply.GetExpireTime().AsTime(),
			LoginIdentifier: shortName("IDENTIFIER_", reply.GetLoginIdentifier()),
			AuditID:         reply.GetAuditId(),
		}
		return err
	})
	return answer, err
}

// shortName returns an enum value's name without its prefix, in lower case.
func shortName(prefix string, value fmt.Stringer) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}
