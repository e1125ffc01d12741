package rpc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// wireCall is a call as its frames show it, so that a test can break any of it.
type wireCall struct {
	http   string // method; empty: POST
	method string // empty: IssueToken
	header http.Header
	body   []byte
}

// wireReply is what came back.
type wireReply struct {
	header  http.Header
	trailer http.Header
	body    []byte
}

func (r wireReply) code() string { return r.header.Get("Grpc-Status") + r.trailer.Get("Grpc-Status") }

func (r wireReply) details() string {
	return r.header.Get("Grpc-Status-Details-Bin") + r.trailer.Get("Grpc-Status-Details-Bin")
}

// frame puts a message behind gRPC's prefix.
func frame(compressed byte, message []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(len(message))), message...)
}

func gzipped(t testing.TB, message []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func marshalled(t testing.TB, message proto.Message) []byte {
	t.Helper()
	text, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wireTo returns plain HTTP/2 to the fixture's listener, over one connection.
func wireTo(t testing.TB, address string) *http2.Transport { //nolint:staticcheck // it shows HTTP/2 errors as they are
	t.Helper()
	transport := &http2.Transport{AllowHTTP: true, DisableCompression: true} //nolint:staticcheck // as above
	//nolint:staticcheck // as above
	transport.DialTLSContext = func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	t.Cleanup(transport.CloseIdleConnections) //nolint:staticcheck // as above
	return transport
}

func (c wireCall) over(t testing.TB, transport *http2.Transport) (wireReply, error) { //nolint:staticcheck // as above
	t.Helper()
	method, path := "POST", pb.ChatIdentityService_IssueToken_FullMethodName
	if c.http != "" {
		method = c.http
	}
	if c.method != "" {
		path = c.method
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}}
	maps.Copy(request.Header, c.header)
	response, err := transport.RoundTrip(request) //nolint:staticcheck // as above
	if err != nil {
		return wireReply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return wireReply{response.Header, response.Trailer, body}, err
}

// A call that fails without a reason of ours is a fault of somebody's set-up. Whatever it is, it is
// counted under a kind, and the log says so once a second.
func TestAnErrorThatNoReasonExplainsIsVisible(t *testing.T) {
	t.Parallel()
	good := marshalled(t, issueFor("user_id", ""))
	bomb := gzipped(t, make([]byte, 10<<20))
	lying := slices.Concat(bomb[:len(bomb)-4], []byte{1, 0, 0, 0})
	encoded := func(encoding string) http.Header { return http.Header{"Grpc-Encoding": {encoding}} }
	long := func(bytes int) http.Header { return http.Header{"X-Long": {strings.Repeat("x", bytes)}} }
	for name, test := range map[string]struct {
		call wireCall
		kind string
		code codes.Code // Unknown: the transport resets the call or closes the connection
	}{
		"snappy":                       {wireCall{header: encoded("snappy"), body: frame(1, good)}, "unexplained", codes.Unimplemented},
		"zstd":                         {wireCall{header: encoded("zstd"), body: frame(1, good)}, "unexplained", codes.Unimplemented},
		"deflate":                      {wireCall{header: encoded("deflate"), body: frame(1, good)}, "unexplained", codes.Unimplemented},
		"GZIP in capitals":             {wireCall{header: encoded("GZIP"), body: frame(1, good)}, "unexplained", codes.Unimplemented},
		"an encoding of one's own":     {wireCall{header: encoded("canary"), body: frame(1, good)}, "unexplained", codes.Unimplemented},
		"compressed, with no encoding": {wireCall{body: frame(1, good)}, "decode", codes.Internal},
		"gzip that is none":            {wireCall{header: encoded("gzip"), body: frame(1, good)}, "decode", codes.Internal},
		"gzip cut short":               {wireCall{header: encoded("gzip"), body: frame(1, gzipped(t, good)[:12])}, "decode", codes.Internal},
		"a bomb that hides its size":   {wireCall{header: encoded("gzip"), body: frame(1, lying)}, "message_size", codes.ResourceExhausted},
		"a bomb":                       {wireCall{header: encoded("gzip"), body: frame(1, bomb)}, "message_size", codes.ResourceExhausted},
		"16 KiB and a byte, unpacked": {
			wireCall{header: encoded("gzip"), body: frame(1, gzipped(t, make([]byte, 16<<10+1)))}, "message_size", codes.ResourceExhausted,
		},
		"17 KiB":                        {wireCall{body: frame(0, make([]byte, 17<<10))}, "message_size", codes.ResourceExhausted},
		"a message that is none":        {wireCall{body: frame(0, []byte{0xff, 0xff})}, "decode", codes.Internal},
		"a message of another service":  {wireCall{body: frame(0, []byte{0x0a, 0x7f})}, "decode", codes.Internal},
		"another version of the API":    {wireCall{method: "/chatidentity.v2.ChatIdentityService/IssueToken"}, "unknown_method", codes.Unimplemented},
		"a method that is not there":    {wireCall{method: "/chatidentity.v1.ChatIdentityService/Issue"}, "unknown_method", codes.Unimplemented},
		"a path without a method":       {wireCall{method: "/IssueToken"}, "unexplained", codes.Unimplemented},
		"JSON":                          {wireCall{header: http.Header{"Content-Type": {"application/json"}}, body: []byte("{}")}, "unexplained", codes.InvalidArgument},
		"no content type":               {wireCall{header: http.Header{"Content-Type": nil}}, "unexplained", codes.InvalidArgument},
		"Connect":                       {wireCall{header: http.Header{"Content-Type": {"application/proto"}}, body: good}, "unexplained", codes.InvalidArgument},
		"GET":                           {wireCall{http: "GET"}, "unexplained", codes.Internal},
		"a timeout that is none":        {wireCall{header: http.Header{"Grpc-Timeout": {"soon"}}}, "unexplained", codes.Internal},
		"binary metadata that is text":  {wireCall{header: http.Header{"X-Bin": {"!"}, "X-Thing-Bin": {"!!!"}}}, "unexplained", codes.Internal},
		"more fields than are accepted": {wireCall{header: http.Header{"X-Many": make([]string, 120)}}, "header_fields", codes.ResourceExhausted},
		"metadata just over 128 KiB":    {wireCall{header: long(129 << 10)}, "transport_closed", codes.Unknown},
		"metadata far over 128 KiB":     {wireCall{header: long(400 << 10)}, "transport_closed", codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, nil)
			if strings.HasPrefix(name, "metadata") { // the client would keep to the server's bound
				f.sendRawMetadata(t, len(test.call.header.Get("X-Long")))
			} else {
				reply, err := test.call.over(t, wireTo(t, f.listener))
				if err != nil || reply.code() != fmt.Sprint(int(test.code)) || reply.details() != "" {
					t.Errorf("error %v, code %q with details %q; want a bare %d", err, reply.code(), reply.details(), test.code)
				}
			}
			eventually(t, "count of "+test.kind, func() bool {
				return f.metric(t, "chatidentity_transport_errors_total", `"`+test.kind+`"`) == 1
			})
			if n := f.metric(t, "chatidentity_transport_errors_total", ""); n != 1 {
				t.Errorf("%v are counted in all, want 1: %v", n, f.series(t, "chatidentity_transport_errors_total"))
			}
			eventually(t, "line of "+test.kind, func() bool { // which comes after the count
				return strings.Contains(f.log.String(), `"kind":"`+test.kind+`"`)
			})
			if n := strings.Count(f.log.String(), `"kind":"`+test.kind+`"`); n != 1 || strings.Contains(f.log.String(), "canary") {
				t.Errorf("%d lines: %s", n, f.log)
			}
		})
	}
}

// sendRawMetadata sends a call with one long value, whatever the server says that it takes, and waits
// for the connection's end.
func (f *fixture) sendRawMetadata(t *testing.T, bytes int) {
	t.Helper()
	conn, err := net.Dial("tcp", f.listener)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = conn.Write(rawCall(t, bytes, true)) }() // more than the socket may take
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil && !isReset(err) {
		t.Errorf("the connection did not end: %v", err)
	}
}

// Somebody who does not speak plain gRPC is seen too.
func TestAConnectionThatSpeaksSomethingElseIsVisible(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"TLS on a plain port": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 500),
		"HTTP/1":              "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"HTTP/1 and an upgrade": "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
			"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
		"the Redis protocol": "*1\r\n$4\r\nPING\r\n" + strings.Repeat("\r\n", 20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, nil)
			conn, err := net.Dial("tcp", f.listener)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, says); err != nil {
				t.Fatal(err)
			}
			eventually(t, "count", func() bool {
				return f.metric(t, "chatidentity_transport_errors_total", "transport_closed") == 1
			})
		})
	}
}

// What is nobody's fault, or has a reason, is not counted as the transport's.
func TestWhatHasAReasonIsNoTransportError(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	wire := wireTo(t, f.listener)
	good := frame(0, marshalled(t, issueFor("user_id", "")))
	for _, test := range []struct {
		name string
		call wireCall
		code codes.Code
	}{
		{"a token", wireCall{body: good}, codes.OK},
		{"gzip", wireCall{header: http.Header{"Grpc-Encoding": {"gzip"}}, body: frame(1, gzipped(t, good[5:]))}, codes.OK},
		{"identity", wireCall{header: http.Header{"Grpc-Encoding": {"identity"}}, body: good}, codes.OK},
		{"announced, and not used", wireCall{header: http.Header{"Grpc-Encoding": {"gzip"}}, body: good}, codes.OK},
		{"a customer that is none", wireCall{body: frame(0, nil)}, codes.InvalidArgument},
		{"a health check", wireCall{method: "/grpc.health.v1.Health/Check", body: frame(0, nil)}, codes.OK},
		{"health of nobody", wireCall{method: "/grpc.health.v1.Health/Check", body: frame(0, []byte("\x0a\x01x"))}, codes.NotFound},
		{"reflection without a question", wireCall{method: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}, codes.OK},
		{"no time at all", wireCall{header: http.Header{"Grpc-Timeout": {"0n"}}, body: good}, codes.DeadlineExceeded},
		{"a nanosecond", wireCall{header: http.Header{"Grpc-Timeout": {"1n"}}, body: good}, codes.DeadlineExceeded},
		{"a token again", wireCall{body: good}, codes.OK},
	} {
		reply, err := test.call.over(t, wire)
		if reset := (http2.StreamError{}); err != nil && (test.code != codes.DeadlineExceeded || !errors.As(err, &reset)) {
			t.Errorf("%s: %v", test.name, err)
		} else if err == nil && reply.code() != fmt.Sprint(int(test.code)) {
			t.Errorf("%s: code %s, want %d", test.name, reply.code(), test.code)
		}
	}
	probe, err := net.Dial("tcp", f.listener) // as a kubelet's TCP probe does
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	eventually(t, "end of the probe", func() bool { return f.metric(t, "chatidentity_connections", "") == 2-1 })
	if n := f.metric(t, "chatidentity_transport_errors_total", ""); n != 0 {
		t.Errorf("counted: %v", f.series(t, "chatidentity_transport_errors_total"))
	}
}

// Requests may be packed; replies are not, whatever the client accepts.
func TestRepliesAreNeverCompressed(t *testing.T) {
	t.Parallel()
	f := serve(t, nil)
	wire := wireTo(t, f.listener)
	for _, call := range []wireCall{
		{body: marshalled(t, issueFor("user_id", ""))},
		{method: pb.ChatIdentityService_VerifyToken_FullMethodName, body: marshalled(t, &pb.VerifyTokenRequest{Token: "x"})},
		{method: "/grpc.health.v1.Health/Check"},
		{method: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", body: []byte{0x3a, 0}}, // which services are there?
		{body: nil}, // an error
	} {
		call.header = http.Header{"Grpc-Encoding": {"gzip"}, "Grpc-Accept-Encoding": {"gzip, identity"}}
		call.body = frame(1, gzipped(t, call.body))
		reply, err := call.over(t, wire)
		if err != nil {
			t.Fatal(err)
		}
		if encoding := reply.header.Get("Grpc-Encoding"); encoding != "" && encoding != "identity" {
			t.Errorf("%s: the reply is announced as %s", call.method, encoding)
		}
		if len(reply.body) > 0 && reply.body[0] != 0 {
			t.Errorf("%s: the reply is compressed", call.method)
		}
		if reply.code() == "0" && len(reply.body) == 0 {
			t.Errorf("%s: no reply", call.method)
		}
	}
}

// BenchmarkBomb is what a message costs that unpacks to 10 MiB: client, server and the refusal.
func BenchmarkBomb(b *testing.B) {
	f := serve(b, nil)
	wire := wireTo(b, f.listener)
	for name, call := range map[string]wireCall{
		"bomb":    {header: http.Header{"Grpc-Encoding": {"gzip"}}, body: frame(1, gzipped(b, make([]byte, 10<<20)))},
		"nothing": {body: frame(0, []byte{0xff, 0xff})},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if reply, err := call.over(b, wire); err != nil || reply.code() == "0" {
					b.Fatal(err, reply.code())
				}
			}
		})
	}
}
