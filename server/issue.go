package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

type issueCommand struct {
	ExternalID   string `name:"external-id" placeholder:"ID" help:"The customer's ID in your own database."`
	Email        string `placeholder:"ADDRESS" help:"The customer's email address, verified by you."`
	Organization string `placeholder:"NAME" help:"Organization (default: the sidecar's default one)."`
	clientFlags  `group:"Calling:"`
}

func (issueCommand) Help() string {
	return "Off a terminal it prints the bare token.\n\nExample:\n  chatidentity issue --external-id user_id"
}

type issueAnswer struct {
	Token           string    `json:"token"`
	IssueTime       time.Time `json:"issue_time"`
	ExpireTime      time.Time `json:"expire_time"`
	LoginIdentifier string    `json:"login_identifier"`
	AuditID         string    `json:"audit_id"`
}

// Run prints a token.
func (c *issueCommand) Run(ctx context.Context, console *console) error {
	if c.ExternalID == "" && c.Email == "" {
		return config.Usage("issue: for whom? give --external-id, --email, or both")
	}
	answer, err := c.issue(ctx)
	if err != nil {
		return err
	}
	if c.Output == outputAuto && !console.terminal {
		_, err := fmt.Fprintln(console.out, answer.Token)
		return err
	}
	return c.print(console, answer, fmt.Sprintf(
		"Token       %s\nLog in by   %s\nIssued      %s\nGood until  %s\nAudit ID    %s",
		printable(answer.Token), answer.LoginIdentifier, answer.IssueTime.Format(time.RFC3339), answer.ExpireTime.Format(time.RFC3339), printable(answer.AuditID)))
}

func (c *issueCommand) issue(ctx context.Context) (issueAnswer, error) {
	var answer issueAnswer
	err := c.call(ctx, func(ctx context.Context, connection grpc.ClientConnInterface) error {
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
