package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/devweb"
)

// serveWeb serves the page until ctx ends.
func (c *devCommand) serveWeb(ctx context.Context, sidecar *sidecar, vendor *devVendor) error {
	connection, err := grpc.NewClient(dialTarget(c.address(sidecar)),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("call myself: %w", err)
	}
	defer connection.Close() //nolint:errcheck // nothing is pending
	backend := &devBackend{pb.NewChatIdentityServiceClient(connection), sidecar.config.AuditFile, vendor}
	return devweb.Serve(ctx, c.web, backend, sidecar.log.Logger)
}

// devBackend is a backend as the page of dev --web has it: a client of the sidecar like any other.
type devBackend struct {
	chat    pb.ChatIdentityServiceClient
	records string // the audit file
	vendor  *devVendor
}

// Issue asks for a token.
func (b *devBackend) Issue(ctx context.Context, who customer.Customer) (devweb.Issued, error) {
	ctx, cancel := context.WithTimeout(ctx, devTimeout)
	defer cancel()
	reply, err := b.chat.IssueToken(ctx, &pb.IssueTokenRequest{
		Customer: &pb.Customer{ExternalId: who.ExternalID, Email: who.Email},
	})
	if err != nil {
		return devweb.Issued{}, refusalOf(err)
	}
	return devweb.Issued{
		Token:           reply.GetToken(),
		Claims:          decodePart(strings.Split(reply.GetToken(), ".")[1]),
		LoginIdentifier: shortName("IDENTIFIER_", reply.GetLoginIdentifier()),
		ExpireTime:      reply.GetExpireTime().AsTime(),
		AuditID:         reply.GetAuditId(),
	}, nil
}

// Verify asks for a verdict.
func (b *devBackend) Verify(ctx context.Context, token string) (devweb.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, devTimeout)
	defer cancel()
	reply, err := b.chat.VerifyToken(ctx, &pb.VerifyTokenRequest{Token: token})
	if err != nil {
		return devweb.Verdict{}, refusalOf(err)
	}
	return devweb.Verdict{Verdict: shortName("VERDICT_", reply.GetVerdict()), Detail: reply.GetDetail()}, nil
}

// The record of a refusal may come later than the refusal: a call without a token does not wait for
// the disk.
const (
	recordTimeout = 5 * time.Second
	recordPause   = 20 * time.Millisecond
)

// Record finds a record in the audit file, and waits for it.
func (b *devBackend) Record(auditID string) (json.RawMessage, error) {
	for deadline := time.Now().Add(recordTimeout); ; time.Sleep(recordPause) {
		record, err := findRecord(b.records, auditID)
		if err == nil || time.Now().After(deadline) {
			return record, err
		}
	}
}

// LogIn asks the stand-in.
func (b *devBackend) LogIn(token string) (string, string, error) {
	found, err := b.vendor.Login(token, time.Now())
	return found.By, found.Value, err
}

// refusalOf takes an error of a call apart.
func refusalOf(err error) *devweb.Refusal {
	said := status.Convert(err)
	name := code.Code(said.Code()).String() //nolint:gosec // codes are 0 to 16
	refusal := &devweb.Refusal{Code: name, Message: said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			refusal.Reason, refusal.AuditID = detail.GetReason(), detail.GetMetadata()["audit_id"]
		case *errdetails.RetryInfo:
			wait := detail.GetRetryDelay().AsDuration() + time.Second - 1
			refusal.Wait = int(wait / time.Second)
		case *errdetails.QuotaFailure:
			for _, violation := range detail.GetViolations() {
				refusal.Limit = violation.GetSubject()
			}
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				refusal.Fields = append(refusal.Fields, devweb.Field{
					Name: violation.GetField(), Problem: violation.GetDescription(),
				})
			}
		}
	}
	return refusal
}
