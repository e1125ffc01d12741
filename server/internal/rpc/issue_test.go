package rpc_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

func TestIssuedTokenLogsInAndIsRecorded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	vendor := standin.New(standin.Options{Secret: signingSecret})
	for name, test := range map[string]struct {
		request    *pb.IssueTokenRequest
		identifier pb.Identifier
		by, value  string
		recorded   string
	}{
		"external id": {issueFor("user_id", ""), pb.Identifier_IDENTIFIER_EXTERNAL_ID, "externalId", "user_id", "external_id"},
		"email":       {issueFor("", "ada@example.com"), pb.Identifier_IDENTIFIER_EMAIL, "email", "ada@example.com", "email"},
		"both":        {issueFor("user_id", "bob@example.com"), pb.Identifier_IDENTIFIER_EMAIL, "email", "bob@example.com", "email"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", "req-1",
				"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			reply, err := f.IssueToken(ctx, test.request)
			if err != nil {
				t.Fatal(err)
			}
			if reply.GetLoginIdentifier() != test.identifier {
				t.Errorf("login identifier %v, want %v", reply.GetLoginIdentifier(), test.identifier)
			}
			issued := reply.GetIssueTime().AsTime()
			if reply.GetExpireTime().AsTime().Sub(issued) != 15*time.Minute || issued.Nanosecond() != 0 {
				t.Errorf("issued %v, expires %v: want 15 minutes from a whole second", issued, reply.GetExpireTime().AsTime())
			}
			login, err := vendor.Login(reply.GetToken(), issued)
			if err != nil || login.By != test.by || login.Value != test.value {
				t.Errorf("the vendor logs in %+v, error %v", login, err)
			}
			want := map[string]any{
				"event": "token.issue", "outcome": "OK", "organization": "default", "identifier": test.recorded, "caller": "loopback",
				"iat": float64(issued.Unix()), "token_sha256": token.Digest(reply.GetToken()), "request_id": "req-1",
				"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
			}
			record := f.record(t, reply.GetAuditId())
			for field, value := range want {
				if record[field] != value {
					t.Errorf("record's %s is %v, want %v", field, record[field], value)
				}
			}
			if _, given := record["external_id_hmac"]; given != (test.request.GetCustomer().GetExternalId() != "") {
				t.Errorf("record has an external_id_hmac: %t", given)
			}
			if _, given := record["email_hmac"]; given != (test.request.GetCustomer().GetEmail() != "") {
				t.Errorf("record has an email_hmac: %t", given)
			}
		})
	}
}

func TestIdentifierPolicyDecidesWhatIsSigned(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Organizations[0].Identifiers = customer.OnlyExternalID })
	reply, err := f.IssueToken(t.Context(), issueFor("user_id", "ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := token.Parse(reply.GetToken())
	if err != nil || parsed.Customer() != (customer.Customer{ExternalID: "user_id"}) {
		t.Errorf("signed more or less than the external ID; error %v", err)
	}
	if reply.GetLoginIdentifier() != pb.Identifier_IDENTIFIER_EXTERNAL_ID {
		t.Errorf("login identifier %v", reply.GetLoginIdentifier())
	}
	_, err = f.IssueToken(t.Context(), issueFor("", "ada@example.com"))
	if refused := detailsOf(t, err); refused.reason != "INVALID_CUSTOMER" || !slices.Equal(refused.fields, []string{"customer.external_id"}) {
		t.Errorf("an email alone: %+v", refused)
	}
}

// The identifier policy of the caller takes precedence over that of the organization, and that over
// the default.
func TestIdentifierPolicies(t *testing.T) {
	t.Parallel()
	external := customer.OnlyExternalID
	own := grantOf("default", "mail")
	own.Identifiers = &external
	for name, test := range map[string]struct {
		grant        *policy.Grant
		organization string
		want         pb.Identifier
	}{
		"everybody's":        {grantOf("default"), "default", pb.Identifier_IDENTIFIER_EMAIL},
		"the organization's": {grantOf("mail"), "mail", pb.Identifier_IDENTIFIER_EMAIL},
		"the caller's":       {own, "default", pb.Identifier_IDENTIFIER_EXTERNAL_ID},
		"both":               {own, "mail", pb.Identifier_IDENTIFIER_EXTERNAL_ID},
	} {
		request := issueFor("user_id", "ada@example.com")
		request.Organization = test.organization
		reply, err := serveUnder(t, test.grant, nil).IssueToken(t.Context(), request)
		if err != nil || reply.GetLoginIdentifier() != test.want {
			t.Errorf("%s: %v, error %v", name, reply.GetLoginIdentifier(), err)
		}
	}
	request := issueFor("user_id", "")
	request.Organization = "mail"
	if _, err := serveUnder(t, grantOf("mail"), nil).IssueToken(t.Context(), request); detailsOf(t, err).reason != "INVALID_CUSTOMER" {
		t.Errorf("no email for an organization that signs that alone: %v", err)
	}
}
