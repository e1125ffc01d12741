package rpc_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
)

func withMetadata(ctx context.Context, bytes int) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "x-long", strings.Repeat("x", bytes))
}

// Metadata over our bound costs the call that has it, and no other.
func TestLargeMetadata(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bytes  int
		reason string
	}{
		{1 << 10, ""},
		{15 << 10, ""},
		{17_000, ""},
		{20_000, ""},
		{32 << 10, ""},
		{40_000, ""},
		{47 << 10, ""},
		{48 << 10, "METADATA_TOO_LARGE"},
		{50_000, "METADATA_TOO_LARGE"},
		{70_000, "METADATA_TOO_LARGE"},
		{100_000, "METADATA_TOO_LARGE"},
		{120_000, "METADATA_TOO_LARGE"},
		{127 << 10, "METADATA_TOO_LARGE"},
	} {
		t.Run(fmt.Sprint(test.bytes), func(t *testing.T) {
			t.Parallel()
			f := serve(t, nil)
			// A deadline far away is none of the connection's business.
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := f.IssueToken(withMetadata(ctx, test.bytes), issueFor("user_id", ""))
			if test.reason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused := detailsOf(t, err)
			if status.Code(err) != codes.ResourceExhausted || refused.reason != test.reason {
				t.Fatalf("%v", err)
			}
			if record := f.record(t, refused.auditID); record["reason"] != test.reason || record["caller"] != "loopback" {
				t.Errorf("record %v", record)
			}
			_, err = f.VerifyToken(withMetadata(ctx, test.bytes), &pb.VerifyTokenRequest{Token: "x"})
			if detailsOf(t, err).reason != test.reason {
				t.Errorf("VerifyToken: %v", err)
			}
			_, err = healthpb.NewHealthClient(f.conn).Check(withMetadata(ctx, test.bytes), nil)
			if status.Code(err) != codes.ResourceExhausted {
				t.Errorf("health: %v", err)
			}
			if _, err := f.IssueToken(ctx, issueFor("user_id", "")); err != nil {
				t.Errorf("the next call on the connection: %v", err)
			}
			if n := f.metric(t, "chatidentity_transport_errors_total", ""); n != 0 {
				t.Errorf("counted as the transport's: %v", f.series(t, "chatidentity_transport_errors_total"))
			}
		})
	}
}

// 1,000 calls of others go on over the connection of one that sends too much.
func TestLargeMetadataHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	f := serve(t, func(o *setup) { o.Limits = ratelimit.Rates{} })
	for _, size := range []int{17_000, 20_000, 40_000, 70_000, 120_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			conn := dial(t, f.listener)
			client := pb.NewChatIdentityServiceClient(conn)
			ctx, cancel := context.WithCancel(t.Context())
			var sending sync.WaitGroup
			sending.Go(func() {
				for ctx.Err() == nil {
					_, err := client.IssueToken(withMetadata(ctx, size), issueFor("large", ""))
					if code := status.Code(err); code != codes.OK && code != codes.ResourceExhausted && code != codes.Canceled {
						t.Errorf("the large one: %v", err)
						return
					}
				}
			})
			othersCall(t, client)
			cancel()
			sending.Wait()
		})
	}
	for _, kind := range []string{"transport_", "held_bytes", "frame_", "unexplained", "metadata_size", "late_"} {
		if n := f.metric(t, "chatidentity_transport_errors_total", kind); n != 0 {
			t.Errorf("%s: %v", kind, f.series(t, "chatidentity_transport_errors_total"))
		}
	}
}

// othersCall makes 1,000 calls, ten at a time.
func othersCall(t *testing.T, client pb.ChatIdentityServiceClient) {
	t.Helper()
	var others sync.WaitGroup
	for i := range 10 {
		others.Go(func() {
			for n := range 100 {
				if _, err := client.IssueToken(t.Context(), issueFor(fmt.Sprintf("other-%d-%d", i, n), "")); err != nil {
					t.Errorf("another call: %v", err)
				}
			}
		})
	}
	others.Wait()
}

// More calls with large metadata than may be held are refused one by one, like calls beyond the share.
func TestLargeMetadataIsBoundedInAll(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	f := serve(t, func(o *setup) {
		o.Limits = ratelimit.Rates{}
		o.Limiter = &waiting{o.Limiter, release}
	})
	const calls, size = 400, 40_000
	outcomes := make(chan error, calls)
	for range calls {
		go func() {
			_, err := f.IssueToken(withMetadata(t.Context(), size), issueFor("user_id", ""), grpc.WaitForReady(true))
			outcomes <- err
		}()
	}
	refused := 0
	for ; refused < calls-210; refused++ { // 8 MiB of 40,000 bytes are 209
		if err := <-outcomes; detailsOf(t, err).reason != "RATE_LIMITED" {
			t.Fatalf("%v", err)
		}
	}
	close(release)
	for range calls - refused {
		if err := <-outcomes; err != nil && detailsOf(t, err).reason != "RATE_LIMITED" {
			t.Errorf("%v", err)
		}
	}
	eventually(t, "room again", func() bool {
		_, err := f.IssueToken(withMetadata(t.Context(), size), issueFor("user_id", ""))
		return err == nil
	})
	if n := f.metric(t, "chatidentity_transport_errors_total", "held_bytes"); n != 0 {
		t.Error("the connection was cut off")
	}
}

// waiting is a limiter that answers once it is told to.
type waiting struct {
	rpc.Limiter

	release <-chan struct{}
}

func (w *waiting) Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error) {
	select {
	case <-w.release:
	case <-ctx.Done():
	}
	return w.Limiter.Take(ctx, budgets)
}

// rawCall returns what opens a connection and a call with one long header value, in frames of 16 KiB.
// The header block may lack its end.
func rawCall(t *testing.T, size int, ends bool) []byte {
	t.Helper()
	var block, out bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: pb.ChatIdentityService_IssueToken_FullMethodName},
		{Name: ":authority", Value: "localhost"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "x-long", Value: strings.Repeat("~", size), Sensitive: true}, // not packed
	} {
		if err := encoder.WriteField(field); err != nil {
			t.Fatal(err)
		}
	}
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	if err := framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	const frame = 16 << 10
	first := block.Next(frame)
	err := framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: first, EndHeaders: ends && block.Len() == 0,
	})
	for err == nil && block.Len() > 0 {
		next := block.Next(frame)
		err = framer.WriteContinuation(1, ends && block.Len() == 0, next)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
