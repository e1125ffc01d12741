package config

import (
	"strings"
	"testing"
)

// A value that is taken for the pods is one with which serve starts, and the other way round.
func TestOtherVariablesAreThoseThatServeTakes(t *testing.T) {
	t.Parallel()
	base := map[string]string{endpointVariable: "http://collector:4318", "OTEL_TRACES_SAMPLER": "traceidratio"}
	rows := 0
	for name, variable := range OtherVariables() {
		if !strings.HasPrefix(name, "OTEL_") || name == "OTEL_SDK_DISABLED" || strings.HasPrefix(name, "OTEL_BSP_") {
			continue // serve takes any text: OpenTelemetry's library reads it
		}
		for _, value := range []string{
			"http://c:4318", "c:4318", "https://u:p@c", "grpc", "http/protobuf", "http/json", "gzip", "zstd", "true", "yes", "1", "0", "0.5", "2",
			"-1", "NaN", "a=b", "a=b,c=d", "a", "a=%zz", "otlp", "none", "console", "always_on", "Parentbased_TraceIDRatio", "jaeger_remote", "/ca.pem",
		} {
			rows++
			_, err := parseTracing(func(asked string) string {
				if asked == name {
					return value
				}
				return base[asked]
			})
			if taken := variable.Set(value); (taken == nil) != (err == nil) {
				t.Errorf("%s=%s: %v for a pod, %v at the start", name, value, taken, err)
			}
		}
	}
	if rows < 400 {
		t.Errorf("%d rows", rows)
	}
}

func TestProxiesOfPods(t *testing.T) {
	t.Parallel()
	for value, good := range map[string]bool{
		"http://proxy:3128": true, "https://proxy": true, "socks5://proxy:1080": true, "proxy:3128": true, "proxy": true, "10.0.0.1:3128": true,
		"ftp://proxy": false, "http://": false, "http://a b": false, "": false,
	} {
		if err := OtherVariables()["HTTPS_PROXY"].Set(value); (err == nil) != good {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestKeysOfCollectorsAreNotInManifests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		if _, taken := OtherVariables()[name]; taken || !HoldsKey(name) {
			t.Errorf("%s: taken %t, a key %t", name, taken, HoldsKey(name))
		}
	}
	if HoldsKey("OTEL_SERVICE_NAME") {
		t.Error("a name is no key")
	}
}
