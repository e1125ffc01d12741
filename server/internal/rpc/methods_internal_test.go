package rpc

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Every RPC that is served has an entry in the table, and the table has no others.
func TestEveryMethodHasItsEntry(t *testing.T) {
	t.Parallel()
	server := unserved(t, Options{Ready: func() error { return nil }})
	served := map[string]bool{}
	for service, info := range server.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			fullMethod := "/" + service + "/" + m.Name
			served[fullMethod] = true
			if _, known := methods[fullMethod]; !known {
				t.Errorf("%s has no entry in methods", fullMethod)
			}
			if service == pb.ChatIdentityService_ServiceDesc.ServiceName && m.IsServerStream {
				t.Errorf("%s is a stream, which the chain does not audit", fullMethod)
			}
		}
	}
	for fullMethod := range methods {
		if !served[fullMethod] {
			t.Errorf("%s has an entry and is not served", fullMethod)
		}
	}
}

// Every RPC of the contract is audited under its own event, requires permission to call, and spends
// the global limit and that of its caller. A reply waits for its record unless it carries no token.
func TestEveryRPCOfTheContractIsGuarded(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("../../../docs/audit-record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	events := map[audit.Event]bool{}
	for _, desc := range pb.ChatIdentityService_ServiceDesc.Methods {
		m := methods["/"+pb.ChatIdentityService_ServiceDesc.ServiceName+"/"+desc.MethodName]
		if m.event == "" || events[m.event] || strings.Count(string(schema), fmt.Sprintf("%q", m.event)) < 2 {
			t.Errorf("%s: event %q is empty, another RPC's, or not both an event and a summarized event of the schema",
				desc.MethodName, m.event)
		}
		events[m.event] = true
		if m.check == nil || m.success == nil {
			t.Errorf("%s: without a check, or without what its success counts as", desc.MethodName)
		}
		answered := audit.Record{Event: m.event, Outcome: audit.OutcomeOK}
		if answered.CarriesToken() == m.leavesUnrecorded {
			t.Errorf("%s: audit.Record.CarriesToken and leavesUnrecorded disagree on whether its reply must wait for its record",
				desc.MethodName)
		}
		if m.action != caller.Call {
			t.Errorf("%s: action %d", desc.MethodName, m.action)
		}
		if len(m.limits) < 2 || m.limits[0] != ratelimit.Global || m.limits[1] != ratelimit.Caller {
			t.Errorf("%s: limits %v", desc.MethodName, m.limits)
		}
	}
}

// IssueToken spends a budget of every limit, at the rate of that limit. Each but the global one has
// an owner.
func TestIssueTokenSpendsEveryLimit(t *testing.T) {
	t.Parallel()
	var rates ratelimit.Rates
	for i := range rates {
		if err := rates[i].UnmarshalText(fmt.Appendf(nil, "%d/s", 1+i)); err != nil {
			t.Fatal(err)
		}
	}
	server := unserved(t, Options{Ready: func() error { return nil }, Limits: rates})
	budgets := server.budgets(&call{
		callerName:   "loopback",
		grant:        unrestricted,
		organization: Organization{Name: "acme"},
		signed:       customer.Customer{ExternalID: "user_id"},
	}, methods[pb.ChatIdentityService_IssueToken_FullMethodName].limits)
	for _, limit := range ratelimit.Limits() {
		budget := budgets[limit]
		if budget.Rate != rates[limit] {
			t.Errorf("%v: rate %v, want %v", limit, budget.Rate, rates[limit])
		}
		if isOwned := budget.Key != (ratelimit.Key{}); isOwned != (limit != ratelimit.Global) {
			t.Errorf("%v: key %+v", limit, budget.Key)
		}
	}
}

// Replicas share every budget but that of a caller whose name means somebody else in another pod.
func TestWhichBudgetsReplicasShare(t *testing.T) {
	t.Parallel()
	for kind, isLocal := range map[caller.Kind]bool{caller.Loopback: true, caller.UID: true, caller.Token: false, caller.Certificate: false} {
		budgets := unserved(t, Options{Ready: func() error { return nil }}).budgets(&call{
			caller:       caller.Identity{Kind: kind, Name: "name"},
			callerName:   "name",
			grant:        unrestricted,
			organization: Organization{Name: "acme"},
			signed:       customer.Customer{ExternalID: "user_id"},
		}, ratelimit.Limits())
		for _, limit := range ratelimit.Limits() {
			if want := isLocal && limit == ratelimit.Caller; budgets[limit].Local != want {
				t.Errorf("%v of caller kind %v: local is %v", limit, kind, !want)
			}
		}
	}
}

func TestAMethodWithoutEntryFailsClosed(t *testing.T) {
	t.Parallel()
	server := unserved(t, Options{Ready: func() error { return nil }})
	err := server.admit(t.Context(), "/chatidentity.v1.ChatIdentityService/SomethingNew")
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("error %v, want UNIMPLEMENTED", err)
	}
}

// Every reason of the contract has a code.
func TestEveryReasonHasItsCode(t *testing.T) {
	t.Parallel()
	for number, name := range pb.ErrorReason_name {
		if _, ok := reasonCodes[pb.ErrorReason(number)]; !ok && number != 0 {
			t.Errorf("%s has no code", name)
		}
	}
}

func TestTraceID(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":      id,
		"01-" + id + "-00f067aa0ba902b7-01-more": id,
		"":                                       "",
		id:                                       "",
		"00-" + id:                               "",
		"00-" + id + "-":                         "",
		"00-" + id + "-00f067aa0ba902b7":         "",
		"00-" + id + "-00f067aa0ba902b7-01-more": "",
		"00-" + id + "-00f067aa0ba902b7-01-":     id,
		"00-" + id + "-00f067aa0ba902b7-04":      "",
		"00-" + id + "-00f067aa0ba902b7-03":      id,
		"00-" + id + "-0000000000000000-01":      "",
		"ff-" + id + "-00f067aa0ba902b7-01":      "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-" + id[1:] + "\n-00f067aa0ba902b7-01":                 "",
		"00-" + id + "x-00f067aa0ba902b7-01":                      "",
	} {
		if got := traceID(header); got != want {
			t.Errorf("trace ID of %q is %q, want %q", header, got, want)
		}
		if got := byOpenTelemetry(header); got != want {
			t.Errorf("OpenTelemetry finds trace ID %q in %q, want %q", got, header, want)
		}
	}
}

func FuzzTraceID(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Fuzz(func(t *testing.T, header string) {
		if id, want := traceID(header), byOpenTelemetry(header); id != want {
			t.Errorf("trace ID %q of %q, OpenTelemetry finds %q", id, header, want)
		}
	})
}

// byOpenTelemetry is the trace ID that spans would have.
func byOpenTelemetry(traceparent string) string {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceparent})
	if parent := trace.SpanContextFromContext(ctx); parent.IsValid() {
		return parent.TraceID().String()
	}
	return ""
}

// A panic's text may hold a value of the request; the log gets only the place.
func TestPanicSiteNamesThePlaceAndNoValue(t *testing.T) {
	t.Parallel()
	var refused *refusal
	func() {
		server := unserved(t, Options{Ready: func() error { return nil }})
		defer func() { refused = asRefusal(server.recovered(t.Context(), recover())) }()
		panic("canary@example.com")
	}()
	text := refused.Error()
	if want := "methods_internal_test.go"; !strings.Contains(text, want) || strings.Contains(text, "canary") {
		t.Errorf("logged %q, want the file %s and no value", text, want)
	}
}
