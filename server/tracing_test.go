package main

import (
	"encoding/hex"
	"strings"
	"testing"

	oteltrace "go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
)

// A collector gets the spans of a traced client's calls, below that client's span, and the trace's
// ID is in their records and in the log.
func TestSpansReachTheCollector(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{overGRPC, overHTTP} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t, protocol, nil)
			client := c
			if protocol == overHTTP { // the client's own spans go over gRPC
				client = startCollector(t, overGRPC, nil)
			}
			p := start(t, traced(c.url, protocol, "--limit-customer", "1/h:1", "--log-level", "debug", "--max-clock-skew", "1s"))
			ctx, parent, end := tracedClient(t, client.url)
			reply, err := p.client(t).IssueToken(ctx, issueFor("canary_id", "canary@example.com"))
			if err != nil {
				t.Fatal(err)
			}
			_, limited := p.client(t).IssueToken(ctx, issueFor("canary_id", "canary@example.com"))
			end()
			alone, err := p.client(t).IssueToken(t.Context(), issueFor("other_id", ""))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []struct {
				auditID, code, reason, limit string
				events                       string
			}{
				{reply.GetAuditId(), "OK", "", "", "limit sign audit"},
				{auditIDOf(limited), "RESOURCE_EXHAUSTED", "RATE_LIMITED", "customer", "limit audit"},
			} {
				span := c.span(t, want.auditID)
				assertParent(t, span, parent.SpanContext())
				assertSpan(t, span, want.code, want.reason, want.events)
				if said := eventAttributes(span)["chatidentity.limit"]; said != want.limit {
					t.Errorf("limit %q, want %q", said, want.limit)
				}
			}
			root := c.span(t, alone.GetAuditId())
			if len(root.GetParentSpanId()) != 0 {
				t.Errorf("a call without a traceparent has the parent %x", root.GetParentSpanId())
			}
			p.assertTraceInRecord(t, reply.GetAuditId(), parent.SpanContext().TraceID().String())
			p.assertTraceInRecord(t, alone.GetAuditId(), hex.EncodeToString(root.GetTraceId()))
			if got := c.everything(); strings.Contains(got, "canary") {
				t.Errorf("spans hold a person's identifiers: %s", got)
			}
			p.assertExemplar(t, hex.EncodeToString(root.GetTraceId()))
		})
	}
}

func assertParent(t *testing.T, span *tracepb.Span, parent oteltrace.SpanContext) {
	t.Helper()
	trace, id := parent.TraceID(), parent.SpanID()
	if string(span.GetTraceId()) != string(trace[:]) || string(span.GetParentSpanId()) != string(id[:]) {
		t.Errorf("the span is in trace %x below %x, want %v below %v", span.GetTraceId(), span.GetParentSpanId(), trace, id)
	}
}

func assertSpan(t *testing.T, span *tracepb.Span, code, reason, events string) {
	t.Helper()
	said := attributes(span.GetAttributes())
	for name, want := range map[string]string{
		"rpc.system.name":           "grpc",
		"rpc.method":                "chatidentity.v1.ChatIdentityService/IssueToken",
		"rpc.response.status_code":  code,
		"chatidentity.reason":       reason,
		"chatidentity.organization": "default",
	} {
		if said[name] != want {
			t.Errorf("%s is %q, want %q", name, said[name], want)
		}
	}
	var names []string
	for _, event := range span.GetEvents() {
		names = append(names, event.GetName())
	}
	if got := strings.Join(names, " "); got != events {
		t.Errorf("events %q, want %q", got, events)
	}
	if span.GetKind() != tracepb.Span_SPAN_KIND_SERVER || span.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
		t.Errorf("kind %v and status %v of a call that the sidecar answered", span.GetKind(), span.GetStatus())
	}
}

func eventAttributes(span *tracepb.Span) map[string]string {
	var all []*commonpb.KeyValue
	for _, event := range span.GetEvents() {
		all = append(all, event.GetAttributes()...)
	}
	return attributes(all)
}

// assertTraceInRecord wants the trace's ID in the record of a call.
func (p *running) assertTraceInRecord(t *testing.T, auditID, traceID string) {
	t.Helper()
	for line := range strings.Lines(p.stdout.String()) {
		if strings.Contains(line, auditID) && strings.Contains(line, `"trace_id":"`+traceID+`"`) {
			return
		}
	}
	t.Errorf("no record of %s with trace %s in\n%s", auditID, traceID, p.stdout)
}

// assertExemplar wants the trace as an exemplar of the latencies.
func (p *running) assertExemplar(t *testing.T, traceID string) {
	t.Helper()
	_, _, body := p.getAs(t, "/metrics", "application/openmetrics-text; version=1.0.0")
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "grpc_server_handling_seconds_bucket") && strings.Contains(line, `# {trace_id="`+traceID+`"}`) {
			return
		}
	}
	t.Errorf("trace %s is no exemplar", traceID)
}

// A collector that is not there, refuses or hangs costs no call anything; its spans are counted,
// and the outage is told.
func TestACollectorThatFailsCostsNoCall(t *testing.T) {
	t.Parallel()
	const calls = 300
	for _, protocol := range []string{overGRPC, overHTTP} {
		for name, url := range map[string]func(t *testing.T) string{
			"nobody listens": func(*testing.T) string { return "http://127.0.0.1:1" },
			"it hangs":       func(t *testing.T) string { return startCollector(t, protocol, make(chan struct{})).url },
		} {
			t.Run(protocol+", "+name, func(t *testing.T) {
				t.Parallel()
				s := traced(url(t), protocol, "--limit-customer", "off", "--limit-caller", "off", "--limit-global", "off")
				// One batch has all spans, unless the calls take ten seconds. What comes later makes small ones,
				// each of which is tried for seconds.
				s.env = append(s.env, "OTEL_EXPORTER_OTLP_TIMEOUT=200", "OTEL_BSP_SCHEDULE_DELAY=10000")
				p := start(t, s)
				client := p.client(t)
				for range calls {
					if _, err := client.IssueToken(t.Context(), issueFor("user_id", "")); err != nil {
						t.Fatal(err)
					}
				}
				eventually(t, "begin of the outage", func() bool { return len(p.outages("tracing", "outage_began")) == 1 })
				eventually(t, "all spans dropped", func() bool {
					failed := p.metric(t, `chatidentity_trace_spans_dropped_total{reason="export"}`)
					return failed > 0 && failed+p.metric(t, `chatidentity_trace_spans_dropped_total{reason="rate"}`) == calls
				})
				if n := p.metric(t, "chatidentity_trace_spans_sent_total"); n != 0 {
					t.Errorf("%v spans were sent to nobody", n)
				}
				if code := p.stop(t); code != 0 {
					t.Errorf("exit code %d\n%s", code, p.stderr)
				}
			})
		}
	}
}

// An outage of the collector ends when it takes spans again.
func TestTheCollectorsOutageEnds(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	c := startCollector(t, overHTTP, hang)
	s := traced(c.url, overHTTP)
	s.env = append(s.env, "OTEL_EXPORTER_OTLP_TIMEOUT=100")
	p := start(t, s)
	p.mustIssue(t)
	eventually(t, "begin of the outage", func() bool { return len(p.outages("tracing", "outage_began")) > 0 })
	close(hang)
	p.mustIssue(t)
	p.assertOneOutage(t, "tracing")
}

// The last spans leave at the stop. A collector that hangs holds it up for a moment only, and what
// is lost is told.
func TestSpansLeaveAtTheStop(t *testing.T) {
	t.Parallel()
	for name, hang := range map[string]chan struct{}{"it answers": nil, "it hangs": make(chan struct{})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t, overGRPC, hang)
			s := withSecret()
			s.env = append(s.env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+c.url, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc",
				"OTEL_BSP_SCHEDULE_DELAY=3600000", "OTEL_SERVICE_NAME=chat-login")
			p := start(t, s)
			p.mustIssue(t)
			if code := p.stop(t); code != 0 {
				t.Errorf("exit code %d\n%s", code, p.stderr)
			}
			isLost := strings.Contains(p.stderr.String(), `"event":"spans_lost","spans":1`)
			if isLost != (hang != nil) || (len(c.received()) == 1) == isLost {
				t.Errorf("%d spans received, lost: %v\n%s", len(c.received()), isLost, p.stderr)
			}
			if hang == nil && !c.names["chat-login"] {
				t.Errorf("OTEL_SERVICE_NAME has no effect: %v", c.names)
			}
		})
	}
}

// Without an endpoint, or switched off, nothing is sent and nothing is counted.
func TestTracingIsOff(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"no endpoint":          {"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER=always_on", "OTEL_TRACES_EXPORTER=otlp"},
		"OTEL_SDK_DISABLED":    {"OTEL_EXPORTER_OTLP_ENDPOINT=URL", "OTEL_SDK_DISABLED=true"},
		"OTEL_TRACES_EXPORTER": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=URL", "OTEL_TRACES_EXPORTER=none"},
		"a blank endpoint":     {"OTEL_EXPORTER_OTLP_ENDPOINT= "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCollector(t, overHTTP, nil)
			s := withSecret()
			for _, variable := range append(env, "OTEL_BSP_SCHEDULE_DELAY=1") {
				s.env = append(s.env, strings.Replace(variable, "URL", c.url, 1))
			}
			p := start(t, s)
			p.mustIssue(t)
			if _, page := p.get(t, "/metrics"); strings.Contains(page, "chatidentity_trace_") {
				t.Error("spans are counted")
			}
			if code := p.stop(t); code != 0 || c.requests.Load() != 0 {
				t.Errorf("exit code %d, and the collector was asked %d times", code, c.requests.Load())
			}
		})
	}
}

// The program's own trace IDs are in its log whether tracing is on or not.
func TestTraceIDInTheLog(t *testing.T) {
	t.Parallel()
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	p := start(t, setup{args: []string{"--secret-file", t.TempDir() + "/none", "--log-level", "debug"}})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+id+"-00f067aa0ba902b7-00")
	_, err := p.client(t).IssueToken(ctx, issueFor("user_id", ""))
	if reason(err) != "SECRET_UNAVAILABLE" {
		t.Errorf("without a secret: %v", err)
	}
	eventually(t, "line of the call", func() bool {
		return strings.Contains(p.stderr.String(), `"event":"call_failed","audit_id":"`+auditIDOf(err)) &&
			strings.Contains(p.stderr.String(), `"trace_id":"`+id)
	})
}

func auditIDOf(err error) string { return detail[*errdetails.ErrorInfo](err).GetMetadata()["audit_id"] }
