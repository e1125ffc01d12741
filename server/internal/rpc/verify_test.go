package rpc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

// rotated is an organization whose secret has changed.
type rotated struct{}

const previousSecret = "previous-secret-0123456789-01234"

func (rotated) Ready() error { return nil }

func (rotated) Snapshot() (secret.Snapshot, error) {
	return secret.Snapshot{
		Current:     secret.Secret{Value: sensitive.New(signingSecret), ID: "current"},
		Previous:    secret.Secret{Value: sensitive.New(previousSecret), ID: "previous"},
		HasPrevious: true,
	}, nil
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Organizations[0].Secrets = rotated{} })
	now := f.clock.now()
	both := customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}
	signed := func(key string, at time.Duration) string {
		text, err := token.Sign(sensitive.New(key), both, now.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		return text.Reveal()
	}
	none := "eyJhbGciOiJub25lIn0.eyJleHRlcm5hbElkIjoieCIsImlhdCI6MX0."
	for name, test := range map[string]struct {
		token   string
		verdict pb.Verdict
		detail  string
	}{
		"fresh":                        {signed(signingSecret, 0), pb.Verdict_VERDICT_ACCEPTED, ""},
		"almost 15 minutes old":        {signed(signingSecret, -15*time.Minute+time.Second), pb.Verdict_VERDICT_ACCEPTED, ""},
		"15 minutes old":               {signed(signingSecret, -15*time.Minute), pb.Verdict_VERDICT_EXPIRED, "iat is 15 minutes old or older"},
		"a year old":                   {signed(signingSecret, -365*24*time.Hour), pb.Verdict_VERDICT_EXPIRED, "iat is 15 minutes old or older"},
		"ahead by the allowed skew":    {signed(signingSecret, 5*time.Minute), pb.Verdict_VERDICT_ACCEPTED, ""},
		"ahead by more":                {signed(signingSecret, 5*time.Minute+time.Second), pb.Verdict_VERDICT_NOT_YET_VALID, "iat lies in the future; is the signer's clock right?"},
		"previous secret":              {signed(previousSecret, 0), pb.Verdict_VERDICT_PREVIOUS_SECRET, "it is signed with the secret before the last change"},
		"previous secret, and expired": {signed(previousSecret, -time.Hour), pb.Verdict_VERDICT_PREVIOUS_SECRET, "it is signed with the secret before the last change"},
		"another secret":               {signed("another-secret", 0), pb.Verdict_VERDICT_BAD_SIGNATURE, "it is signed with another secret"},
		"another secret, and expired":  {signed("another-secret", -time.Hour), pb.Verdict_VERDICT_BAD_SIGNATURE, "it is signed with another secret"},
		"not a token":                  {"hello", pb.Verdict_VERDICT_MALFORMED, "it is not three parts with a dot between them"},
		"alg none":                     {none, pb.Verdict_VERDICT_MALFORMED, "the header names none"},
		"as long as can be":            {strings.Repeat("x", 4096), pb.Verdict_VERDICT_MALFORMED, "it is not three parts with a dot between them"},
		"signed with a newline":        {signed(signingSecret+"\n", 0), pb.Verdict_VERDICT_BAD_SIGNATURE, "it is signed with the secret and a newline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: test.token})
			if err != nil {
				t.Fatal(err)
			}
			if reply.GetVerdict() != test.verdict {
				t.Errorf("verdict %v, want %v", reply.GetVerdict(), test.verdict)
			}
			if reply.GetDetail() != test.detail {
				t.Errorf("detail %q, want %q", reply.GetDetail(), test.detail)
			}
			goodSignature := test.verdict != pb.Verdict_VERDICT_MALFORMED && test.verdict != pb.Verdict_VERDICT_BAD_SIGNATURE
			filledIn := reply.GetCustomer().GetExternalId() == "user_id" && reply.GetCustomer().GetEmail() == "ada@example.com" &&
				reply.GetLoginIdentifier() == pb.Identifier_IDENTIFIER_EMAIL && reply.GetIssueTime() != nil &&
				reply.GetExpireTime().AsTime().Sub(reply.GetIssueTime().AsTime()) == 15*time.Minute
			empty := reply.GetCustomer() == nil && reply.GetLoginIdentifier() == 0 && reply.GetIssueTime() == nil && reply.GetExpireTime() == nil
			if goodSignature && !filledIn || !goodSignature && !empty {
				t.Errorf("claims must be filled in for a good signature alone: %v", reply)
			}
		})
	}
}

func TestVerifyRefusesOtherSizes(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for _, size := range []int{0, 4097} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			_, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: strings.Repeat("x", size)})
			refused := detailsOf(t, err)
			if status.Code(err) != codes.InvalidArgument || refused.reason != "INVALID_TOKEN_SIZE" || len(refused.fields) != 1 || refused.fields[0] != "token" {
				t.Errorf("refusal %+v", refused)
			}
		})
	}
}

// The vendor's own Android sample signs a number, and the record says why a token is not accepted.
func TestAForeignTokenIsJudgedAsKustomerWould(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	sign := func(claims string) string {
		signed, err := jws.Sign([]byte(fmt.Sprintf(claims, f.clock.now().Unix())), jws.WithKey(jwa.HS256, []byte(signingSecret)))
		if err != nil {
			t.Fatal(err)
		}
		return string(signed)
	}
	reply, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: sign(`{"externalId":12345,"iat":%d}`)})
	if err != nil {
		t.Fatal(err)
	}
	if reply.GetVerdict() != pb.Verdict_VERDICT_ACCEPTED || reply.GetCustomer().GetExternalId() != "12345" || reply.GetDetail() != "" {
		t.Errorf("a number: %v", reply)
	}
	if record := f.record(t, `"ACCEPTED"`); record["reason"] != nil || record["external_id_hmac"] == nil {
		t.Errorf("its record: %v", record)
	}
	for claims, want := range map[string]string{
		`{"externalId":"x","iat":%d000}`:   "iat is not a whole number of seconds; are these milliseconds?",
		`{"external_id":"x","iat":%d}`:     "external_id instead of externalId",
		`{"externalId":"x","issued":"%d"}`: "no iat",
	} {
		reply, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: sign(claims)})
		if err != nil {
			t.Fatal(err)
		}
		if reply.GetVerdict() != pb.Verdict_VERDICT_MALFORMED || reply.GetDetail() != want {
			t.Errorf("%s: %v", claims, reply)
		}
		if record := f.record(t, `"reason":"`+want); record["verdict"] != "MALFORMED" || record["outcome"] != "OK" {
			t.Errorf("its record: %v", record)
		}
	}
}

func TestVerificationIsRecorded(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	reply, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: reply.GetToken()}); err != nil {
		t.Fatal(err)
	}
	record := f.record(t, `"token.verify"`)
	issued := f.record(t, reply.GetAuditId())
	if record["verdict"] != "ACCEPTED" || record["token_sha256"] != issued["token_sha256"] || record["external_id_hmac"] != issued["external_id_hmac"] {
		t.Errorf("verification %v does not match issue %v", record, issued)
	}
}
