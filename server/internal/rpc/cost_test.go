//go:build linux && !race

package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// What a call may allocate, in all and beyond what grpc itself allocates for an empty call. Both are
// bounds of issue and not of chance: allocations are counted, not timed.
const (
	maxAllocations    = 64
	maxOwnAllocations = 16
	callsInFlight     = 64
)

// Not parallel: it counts what the whole process allocates.
//
//nolint:paralleltest // see above
func TestWhatACallAllocates(t *testing.T) {
	f := serve(t, unlimited(t))
	ours := allocationsPerCall(t, f.listener)
	floor := allocationsPerCall(t, serveEmptyCalls(t))
	t.Logf("%v allocations a call, %v of them our own", ours, ours-floor)
	if ours > maxAllocations || ours-floor > maxOwnAllocations {
		t.Errorf("%v allocations a call, %v of them our own: want at most %d and %d",
			ours, ours-floor, maxAllocations, maxOwnAllocations)
	}
}

// serveEmptyCalls answers every call with the same reply, by grpc alone.
func serveEmptyCalls(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	pb.RegisterChatIdentityServiceServer(server, constant{reply: &pb.IssueTokenResponse{
		Token: "a", AuditId: "b", IssueTime: timestamppb.Now(), ExpireTime: timestamppb.Now(),
	}})
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

type constant struct {
	pb.UnimplementedChatIdentityServiceServer

	reply *pb.IssueTokenResponse
}

func (c constant) IssueToken(context.Context, *pb.IssueTokenRequest) (*pb.IssueTokenResponse, error) {
	return c.reply, nil
}

// allocationsPerCall calls IssueToken with a client that allocates nothing, so that what is counted is
// the server's.
func allocationsPerCall(t *testing.T, address string) float64 {
	t.Helper()
	client := dialFrames(t, address)
	for range 10 { // let pools and buffers grow
		client.calls(callsInFlight)
	}
	return testing.AllocsPerRun(50, func() { client.calls(callsInFlight) }) / callsInFlight
}

// frameClient sends the frames of one call again and again.
type frameClient struct {
	t      *testing.T
	conn   net.Conn
	frames []byte
	data   int // where the frame with the message begins
	stream uint32
	in     []byte
	out    []byte
}

func dialFrames(t *testing.T, address string) *frameClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &frameClient{t: t, conn: conn, stream: 1, in: make([]byte, 0, 64<<10)}
	var begin bytes.Buffer
	begin.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&begin, nil)
	if err := errors.Join(framer.WriteSettings(), framer.WriteWindowUpdate(0, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(begin.Bytes()); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for range 2 { // the second time the headers are in the table of both sides
		block.Reset()
		c.encode(encoder, &block)
		c.calls(1)
	}
	return c
}

func (c *frameClient) encode(encoder *hpack.Encoder, block *bytes.Buffer) {
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "http"},
		{":path", pb.ChatIdentityService_IssueToken_FullMethodName},
		{":authority", "localhost"},
		{"content-type", "application/grpc"},
		{"user-agent", "frames"},
		{"te", "trailers"},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			c.t.Fatal(err)
		}
	}
	message, err := proto.Marshal(issueFor("0190b5a4-7b3c-7d2e-8f10-2b3c4d5e6f70", ""))
	if err != nil {
		c.t.Fatal(err)
	}
	prefixed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)
	var frames bytes.Buffer
	framer := http2.NewFramer(&frames, nil)
	err = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	c.data = frames.Len()
	if err = errors.Join(err, framer.WriteData(1, true, prefixed)); err != nil {
		c.t.Fatal(err)
	}
	c.frames = frames.Bytes()
}

// calls makes n calls at once and waits for the end of all.
func (c *frameClient) calls(n int) {
	c.out = c.out[:0]
	for range n {
		binary.BigEndian.PutUint32(c.frames[5:], c.stream)
		binary.BigEndian.PutUint32(c.frames[c.data+5:], c.stream)
		c.out = append(c.out, c.frames...)
		c.stream += 2
	}
	if _, err := c.conn.Write(c.out); err != nil {
		c.t.Fatal(err)
	}
	for n -= c.ended(); n > 0; n -= c.ended() {
		read, err := c.conn.Read(c.in[len(c.in):cap(c.in)])
		if err != nil {
			c.t.Fatal(err)
		}
		c.in = c.in[:len(c.in)+read]
	}
}

// ended takes the whole frames off what has come, and counts the calls that they end.
func (c *frameClient) ended() int {
	const head = 9
	ended, rest := 0, c.in
	for len(rest) >= head {
		size := head + int(binary.BigEndian.Uint32(rest)>>8)
		if len(rest) < size {
			break
		}
		kind, flags := http2.FrameType(rest[3]), http2.Flags(rest[4])
		if kind == http2.FrameRSTStream || kind == http2.FrameGoAway {
			c.t.Fatalf("calls were broken off: frame %v", kind)
		}
		if kind == http2.FrameHeaders && flags.Has(http2.FlagHeadersEndStream) {
			ended++
		}
		rest = rest[size:]
	}
	c.in = c.in[:copy(c.in, rest)]
	return ended
}

// Calls that are under way together share reads, writes and batches of the audit. The bound is about
// twice what was measured.
//
//nolint:paralleltest // it counts the system calls of the whole process
func TestSystemCallsOfACall(t *testing.T) {
	const most = 0.55
	f := serve(t, unlimited(t))
	client := dialFrames(t, f.listener)
	client.calls(callsInFlight)
	before := readsAndWrites(t)
	const rounds = 200
	for range rounds {
		client.calls(callsInFlight)
	}
	perCall := float64(readsAndWrites(t)-before) / (rounds * callsInFlight)
	t.Logf("%.3f reads and writes a call, the client's included", perCall)
	if perCall > most {
		t.Errorf("%.3f reads and writes a call, want at most %v", perCall, most)
	}
}

// readsAndWrites is how often this process has read and written.
func readsAndWrites(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, name := range []string{"syscr", "syscw"} {
		_, rest, found := strings.Cut(string(text), name+": ")
		value, _, _ := strings.Cut(rest, "\n")
		n, err := strconv.Atoi(value)
		if !found || err != nil {
			t.Fatalf("%s: %v in\n%s", name, err, text)
		}
		sum += n
	}
	return sum
}

// unlimited keeps all limits on, and out of the way.
func unlimited(t *testing.T) func(*setup) {
	t.Helper()
	most := rate(t, "1000000/s")
	return func(o *setup) {
		o.Limits = ratelimit.Rates{ratelimit.Global: most, ratelimit.Caller: most, ratelimit.Customer: most}
	}
}
