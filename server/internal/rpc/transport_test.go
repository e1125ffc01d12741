package rpc_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/listen"
)

// Transport errors come from grpc-go: they carry no ErrorInfo, leave no record and are counted.
func TestTransportErrorsAreCounted(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for _, test := range []struct {
		kind, method string
		message      any
		code         codes.Code
	}{
		{"unknown_method", "/chatidentity.v1.ChatIdentityService/NoSuchMethod", issueFor("x", ""), codes.Unimplemented},
		{"unknown_method", "/no.such.Service/Method", issueFor("x", ""), codes.Unimplemented},
		{"decode", pb.ChatIdentityService_IssueToken_FullMethodName, wrapperspb.Bytes([]byte{0xff, 0xff}), codes.Internal},
		{"message_size", pb.ChatIdentityService_IssueToken_FullMethodName, issueFor(strings.Repeat("x", 17<<10), ""), codes.ResourceExhausted},
	} {
		before := f.metric(t, "chatidentity_transport_errors_total", test.kind)
		err := f.conn.Invoke(t.Context(), test.method, test.message, &pb.IssueTokenResponse{})
		if status.Code(err) != test.code || len(status.Convert(err).Details()) != 0 {
			t.Errorf("%s: %v, want a bare %v", test.kind, err, test.code)
		}
		eventually(t, "count of "+test.kind, func() bool { // grpc may answer before it counts
			return f.metric(t, "chatidentity_transport_errors_total", test.kind) == before+1
		})
	}
	if f.metric(t, "grpc_server_started_total", "NoSuchMethod") != 0 {
		t.Error("a method that somebody made up became a label")
	}
}

// HPACK sends a header field in one byte, so many of them would be held for little.
func TestCallsWithManyHeaderFields(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for _, test := range []struct {
		fields int
		code   codes.Code
	}{{80, codes.OK}, {120, codes.ResourceExhausted}} {
		ctx := metadata.NewOutgoingContext(t.Context(), metadata.MD{"age": make([]string, test.fields)})
		if _, err := f.IssueToken(ctx, issueFor("user_id", "")); status.Code(err) != test.code {
			t.Errorf("%d fields: %v, want %v", test.fields, err, test.code)
		}
	}
	eventually(t, "count of header_fields", func() bool {
		return f.metric(t, "chatidentity_transport_errors_total", "header_fields") == 1
	})
}

// Client keepalive pings are never penalised. By default grpc-go would close the connection with
// too_many_pings.
func TestEagerKeepaliveIsNotPenalised(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.listener)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	const (
		pings                       = 500
		preface                     = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		settings, ping, goAway, ack = 4, 6, 7, 1
		emptySettings               = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
		aPing                       = "\x00\x00\x08\x06\x00\x00\x00\x00\x00" + "12345678"
	)
	if _, err := io.WriteString(raw, preface+emptySettings); err != nil {
		t.Fatal(err)
	}
	// One at a time: a burst would be cut off as a flood of control frames.
	header := make([]byte, 9)
	for answered := range pings {
		if _, err := io.WriteString(raw, aPing); err != nil {
			t.Fatal(err)
		}
		for kind := byte(settings); kind != ping || header[4] != ack; kind = header[3] {
			if _, err := io.ReadFull(raw, header); err != nil {
				t.Fatalf("after %d pings: %v", answered, err)
			}
			if header[3] == goAway {
				t.Fatalf("sent away after %d pings", answered)
			}
			if _, err := io.CopyN(io.Discard, raw, int64(header[1])<<8|int64(header[2])); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Connections that have proven nothing give way to whoever comes, and never to each other's loss.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	if _, err := f.IssueToken(t.Context(), issueFor("first", "")); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.listener)
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
	}
	newcomer := pb.NewChatIdentityServiceClient(dial(t, f.listener))
	if _, err := newcomer.IssueToken(t.Context(), issueFor("late", "")); err != nil {
		t.Errorf("a newcomer: %v", err)
	}
	if _, err := f.IssueToken(t.Context(), issueFor("second", "")); err != nil {
		t.Errorf("the others: %v", err)
	}
	if f.metric(t, "chatidentity_transport_errors_total", "connection_limit") == 0 {
		t.Error("not counted")
	}
}

// Handshakes that fail are counted; one that never ends, ends after 2 seconds.
func TestHandshakesThatFail(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	l := serveEverywhere(t, func(o *setup) { o.TLS = serverTLS(t, ca) })
	silent, err := net.Dial("tcp", l.outside)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := silent.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := silent.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) && !isReset(err) {
		t.Errorf("a silent client: read %d, error %v; want that the server hangs up", n, err)
	}
	eventually(t, "count of the silent one", func() bool { return l.metric(t, "chatidentity_transport_errors_total", "tls") == 1 })
	eventually(t, "free place", func() bool { return l.metric(t, "chatidentity_connections", "") == 0 })
	if strings.Count(l.audit(t), "\n") != 1 { // the chain's start
		t.Error("a handshake left a record")
	}
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

// Every transport error is counted. At most one a second of each kind is logged, with its peer.
func TestTransportErrorsAreLoggedOnceASecond(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	for range 3 {
		for _, kind := range listen.Kinds() {
			f.server.Refused(listen.Refusal{Kind: kind, Peer: "192.0.2.1:1", Err: errors.New("the reason")})
		}
	}
	f.clock.advance(time.Second)
	f.server.Refused(listen.Refusal{Kind: "tls", Peer: "192.0.2.1:2", Err: errors.New("the reason")})
	for _, kind := range listen.Kinds() {
		counted, logged := 3, 1
		if kind == "tls" {
			counted, logged = 4, 2
		}
		if n := f.metric(t, "chatidentity_transport_errors_total", `"`+kind+`"`); n != float64(counted) {
			t.Errorf("%s: %v are counted, want %d", kind, n, counted)
		}
		if n := strings.Count(f.log.String(), `"kind":"`+kind+`","peer":"192.0.2.1:`); n != logged {
			t.Errorf("%s: %d are logged, want %d: %s", kind, n, logged, f.log)
		}
	}
}
