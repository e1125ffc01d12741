package rpc_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	own := uint32(os.Getuid())
	for name, test := range map[string]struct {
		callers caller.Admission
		call    codes.Code
		health  codes.Code
	}{
		"allowed":               {caller.Admission{AllowedUIDs: []uint32{own}, OwnUID: own, OverflowUID: 65534}, codes.OK, codes.OK},
		"the sidecar's own uid": {caller.Admission{OwnUID: own, OverflowUID: 65534}, codes.PermissionDenied, codes.OK},
		"another uid":           {caller.Admission{AllowedUIDs: []uint32{own + 1}, OwnUID: own + 1, OverflowUID: 65534}, codes.PermissionDenied, codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := serve(t, func(o *setup) { o.Callers = test.callers })
			path := filepath.Join(t.TempDir(), "s")
			f.listen(t, "unix", path)
			conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = pb.NewChatIdentityServiceClient(conn).IssueToken(t.Context(), issueFor("user_id", ""))
			if status.Code(err) != test.call {
				t.Errorf("issue: %v, want %v", err, test.call)
			}
			if err != nil {
				refused := detailsOf(t, err)
				if record := f.record(t, refused.auditID); refused.reason != "CALLER_DENIED" || record["caller"] != "uid:"+strconv.Itoa(os.Getuid()) {
					t.Errorf("refusal %+v, record %v", refused, record)
				}
			}
			if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); status.Code(err) != test.health {
				t.Errorf("health: %v, want %v", err, test.health)
			}
		})
	}
}

// A connection may outlive its certificate and the CA that signed it. Its next call is then
// refused, and the client has to reconnect.
func TestACertificateIsVerifiedAnewForEachCall(t *testing.T) {
	t.Parallel()
	first, second := callertest.NewCA(t), callertest.NewCA(t)
	own := first.Server(t)
	trusting := func(cas ...*callertest.CA) *caller.TLS {
		var pems []byte
		for _, ca := range cas {
			pems = append(pems, ca.PEM...)
		}
		trusted, err := caller.ParseTLS(own.Certificate, own.Key, pems)
		if err != nil {
			t.Fatal(err)
		}
		return trusted
	}
	var trusted atomic.Pointer[caller.TLS]
	trusted.Store(trusting(first))
	l := serveEverywhere(t, func(o *setup) { o.TLS = trusted.Load })
	shown := &tls.Config{RootCAs: first.Pool(), Certificates: []tls.Certificate{first.Client(t, goodSPIFFE).TLS(t)}, MinVersion: tls.VersionTLS13}
	client := pb.NewChatIdentityServiceClient(attempt{l.outside, shown, nil}.dial(t))
	for i, step := range []struct {
		trusted *caller.TLS
		later   time.Duration
		want    codes.Code
	}{
		{trusting(first), 0, codes.OK},
		{trusting(first, second), 0, codes.OK},
		{trusting(second), 0, codes.Unauthenticated},
		{trusting(second, first), 0, codes.OK},
		{trusting(first), 58 * time.Minute, codes.OK},
		{trusting(first), 3 * time.Minute, codes.Unauthenticated},
	} {
		trusted.Store(step.trusted)
		l.clock.advance(step.later)
		if _, err := client.IssueToken(t.Context(), issueFor(fmt.Sprint("user", i), "")); status.Code(err) != step.want {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
	}
}
