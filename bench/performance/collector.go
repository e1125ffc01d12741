package main

import (
	"context"
	"net"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// collector takes spans and forgets them.
type collector struct {
	collectorpb.UnimplementedTraceServiceServer
}

// Export implements collectorpb.TraceServiceServer.
func (collector) Export(
	context.Context, *collectorpb.ExportTraceServiceRequest,
) (*collectorpb.ExportTraceServiceResponse, error) {
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// startCollector starts one until the end of the section, and returns its address.
func (b *bench) startCollector() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	collectorpb.RegisterTraceServiceServer(server, collector{})
	go server.Serve(listener) //nolint:errcheck // it ends with Stop
	b.ends = append(b.ends, func() error {
		server.Stop()
		return nil
	})
	return listener.Addr().String(), nil
}
