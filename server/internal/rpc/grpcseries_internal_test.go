package rpc

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// The chain counts calls as the provider's own interceptor does: the same series, with the same
// values.
func TestCallsAreCountedAsTheProviderCountsThem(t *testing.T) {
	t.Parallel()
	server := unserved(t, Options{Ready: func() error { return nil }})
	theirs := newGRPCMetrics()
	theirs.InitializeMetrics(server.grpc)
	outcomes := []error{
		nil, nil, status.Error(codes.ResourceExhausted, ""), context.Canceled, errors.New("of no code"),
		internal(errors.New("of ours")), status.Error(codes.Unauthenticated, ""),
	}
	for _, method := range []string{
		pb.ChatIdentityService_IssueToken_FullMethodName, pb.ChatIdentityService_VerifyToken_FullMethodName,
	} {
		for _, outcome := range outcomes {
			answer := func(context.Context, any) (any, error) { return nil, outcome }
			info := &grpc.UnaryServerInfo{FullMethod: method}
			c := &call{Context: t.Context(), method: server.served[method], began: server.options.Now()}
			_, _ = server.count(c, nil, info, answer)
			_, _ = theirs.UnaryServerInterceptor()(t.Context(), nil, info, answer)
		}
	}
	ours, want := gather(t, server.metrics.grpc), gather(t, theirs)
	if len(want) < 100 || len(ours) != len(want) {
		t.Errorf("%d series, want %d, over 100", len(ours), len(want))
	}
	for series, value := range want {
		if ours[series] != value {
			t.Errorf("%s is %v, want %v", series, ours[series], value)
		}
	}
}

// gather returns the value of each counter and how much each histogram has counted, by name and
// labels.
func gather(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName() + fmt.Sprint(m.GetLabel())
			series[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return series
}
