package config

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/trace"
)

func variables(pairs ...string) environment {
	return func(name string) string {
		for _, pair := range pairs {
			if key, value, _ := strings.Cut(pair, "="); key == name {
				return value
			}
		}
		return ""
	}
}

const anEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"

// Tracing is on exactly when there is an endpoint and nothing switches it off.
func TestWhenTracingIsOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		env      environment
		isOn     bool
		protocol trace.Protocol
	}{
		{variables(), false, ""},
		{variables("OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=nonsense", "OTEL_TRACES_SAMPLER=nonsense"), false, ""},
		{variables("OTEL_EXPORTER_OTLP_ENDPOINT= ", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="), false, ""},
		{variables(anEndpoint), true, trace.HTTP},
		{variables("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://collector/traces"), true, trace.HTTP},
		{variables(anEndpoint, "OTEL_TRACES_EXPORTER=otlp", "OTEL_SDK_DISABLED=false"), true, trace.HTTP},
		{variables(anEndpoint, "OTEL_SDK_DISABLED=true"), false, ""},
		{variables(anEndpoint, "OTEL_SDK_DISABLED=True", "OTEL_TRACES_EXPORTER=zipkin"), false, ""},
		{variables(anEndpoint, "OTEL_TRACES_EXPORTER=none", "OTEL_TRACES_SAMPLER=nonsense"), false, ""},
		{variables(anEndpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"), true, trace.GRPC},
		{variables(anEndpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf"), true, trace.HTTP},
		{variables(anEndpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL= grpc "), true, trace.GRPC},
		{variables(anEndpoint, "OTEL_TRACES_SAMPLER=ParentBased_TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG=0.25"), true, trace.HTTP},
		{variables(anEndpoint, "OTEL_TRACES_SAMPLER=always_on", "OTEL_TRACES_SAMPLER_ARG=nonsense"), true, trace.HTTP}, // it has no argument
		{variables(anEndpoint, "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Basic%20dTpw,x-tenant=a"), true, trace.HTTP},
		{variables(anEndpoint, "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=prod", "OTEL_EXPORTER_OTLP_TIMEOUT=500"), true, trace.HTTP},
	} {
		got, err := parseTracing(test.env)
		if err != nil || (got.endpoint != "") != test.isOn || got.protocol != test.protocol {
			t.Errorf("%+v: endpoint from %q, protocol %q, %v; want on %v, %q",
				test, got.endpoint, got.protocol, err, test.isOn, test.protocol)
		}
		tracer, err := got.Open(t.Context(), "test", "instance", slog.New(slog.DiscardHandler))
		if err != nil || (tracer != nil) != test.isOn {
			t.Errorf("%+v: opened %v, %v", test, tracer != nil, err)
		}
		if tracer != nil {
			tracer.Close(t.Context())
		}
	}
}

// A wrong value is a usage error of one line that names its variable, and does not repeat what may
// be a password.
func TestWrongTracingVariables(t *testing.T) {
	t.Parallel()
	for pair, want := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317":                      "http://",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://":                             "http://",
		"OTEL_EXPORTER_OTLP_ENDPOINT=ftp://collector":                     "http://",
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:canary":             "http://",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://user:canary@collector": "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/json":                           "http/protobuf",
		"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=thrift":                       "grpc",
		"OTEL_EXPORTER_OTLP_TIMEOUT=10s":                                  "milliseconds",
		"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=-1":                            "milliseconds",
		"OTEL_EXPORTER_OTLP_COMPRESSION=zstd":                             "gzip",
		"OTEL_EXPORTER_OTLP_INSECURE=maybe":                               "true",
		"OTEL_EXPORTER_OTLP_HEADERS=canary":                               "NAME=VALUE",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=authorization=Bearer%2Xcanary": "percent",
		"OTEL_EXPORTER_OTLP_HEADERS=Authorization: Basic canary==":        "Authorization=Basic",
		"OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-tenant=a,x canary=b":         "names are those of headers",
		"OTEL_TRACES_EXPORTER=zipkin":                                     "otlp",
		"OTEL_TRACES_SAMPLER=jaeger_remote":                               "parentbased_always_on",
		"OTEL_TRACES_SAMPLER_ARG=2":                                       "0 to 1",
		"OTEL_TRACES_SAMPLER_ARG=NaN":                                     "0 to 1",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment":                 "NAME=VALUE",
	} {
		variable, _, _ := strings.Cut(pair, "=")
		_, err := parseTracing(variables(pair, anEndpoint, "OTEL_TRACES_SAMPLER=traceidratio"))
		if !errors.Is(err, ErrUsage) || !strings.HasPrefix(err.Error(), variable+": ") || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want a line that begins with the variable and has %q", pair, err, want)
		}
	}
}
