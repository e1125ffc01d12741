//go:build with_otel

package main

import (
	"context"
	"log"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() {
		overGRPC, err := otlptracegrpc.New(context.Background(), otlptracegrpc.WithEndpoint("127.0.0.1:1"))
		if err != nil {
			log.Fatal(err)
		}
		overHTTP, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpoint("127.0.0.1:1"))
		if err != nil {
			log.Fatal(err)
		}
		sdktrace.NewTracerProvider(sdktrace.WithBatcher(overGRPC), sdktrace.WithBatcher(overHTTP))
	})
}
