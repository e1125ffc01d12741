package rpc_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// An alert on a counter that first appears with its first count would miss that count.
func TestCountersStandAtZeroBeforeTheFirstCall(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for name, want := range map[string]int{
		"chatidentity_tokens_issued_total":    2,
		"chatidentity_refusals_total":         len(pb.ErrorReason_name) - 1,
		"chatidentity_verdicts_total":         len(pb.Verdict_name) - 1,
		"chatidentity_limited_total":          2 * len(ratelimit.Limits()),
		"chatidentity_transport_errors_total": 28,
	} {
		if series := f.series(t, name); len(series) != want {
			t.Errorf("%s has %d series, want %d: %v", name, len(series), want, series)
		}
	}
}

// A success of each RPC of the contract counts in exactly one of the sidecar's own counters, in a
// series that was exported from the start.
func TestEveryRPCCountsItsSuccess(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	issued, err := f.IssueToken(t.Context(), issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]proto.Message{
		"IssueToken":  issueFor("user_id", ""),
		"VerifyToken": &pb.VerifyTokenRequest{Token: issued.GetToken()},
	}
	methods := pb.File_chatidentity_v1_chat_identity_service_proto.Services().ByName("ChatIdentityService").Methods()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		reply, err := protoregistry.GlobalTypes.FindMessageByName(methods.Get(i).Output().FullName())
		if err != nil || good[name] == nil {
			t.Errorf("%s: no good request in this test, or no reply: %v", name, err)
			continue
		}
		before := f.series(t, "chatidentity_")
		if err := f.conn.Invoke(t.Context(), "/chatidentity.v1.ChatIdentityService/"+name, good[name], reply.New().Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		counted := 0.0
		after := f.series(t, "chatidentity_")
		for series, value := range after {
			counted += value - before[series]
		}
		if counted != 1 || len(after) != len(before) {
			t.Errorf("%s: counted %v, and %d series became %d: %v", name, counted, len(before), len(after), after)
		}
	}
}
