package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/trace"
)

// Tracing is what OpenTelemetry's own variables say about traces. The zero value is off. The
// exporter reads some of them by itself, and only logs those that it does not understand: so all
// are checked here.
type Tracing struct {
	endpoint string // the variable that gives it; empty: off
	protocol trace.Protocol
	sampler  trace.Sampler
}

// The variables that decide whether there are traces.
const (
	endpointVariable       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpointVariable = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	samplerArgVariable     = "OTEL_TRACES_SAMPLER_ARG"
	attributesVariable     = "OTEL_RESOURCE_ATTRIBUTES"
)

// exporterPrefixes begin the names of exporterVariables. The second form is for traces alone.
var exporterPrefixes = []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"}

// headers is the exporter's variable that holds the key of a collector, if there is one.
const headers = "HEADERS"

// exporterVariables are checked with each prefix.
var exporterVariables = map[string]func(value string) error{
	"ENDPOINT":    checkEndpoint,
	"PROTOCOL":    checkProtocol,
	"TIMEOUT":     checkMilliseconds,
	"COMPRESSION": oneOf("gzip", "none"),
	"INSECURE":    oneOf("true", "false"),
	headers:       checkHeaders,
}

// environment looks variables up.
type environment func(name string) string

// get returns a variable without white space around it; empty: it is not set.
func (e environment) get(name string) string { return strings.TrimSpace(e(name)) }

// validateTracing reads the variables.
func (s *Serve) validateTracing() error {
	var err error
	s.Tracing, err = parseTracing(os.Getenv)
	return err
}

// parseTracing reads the variables. The error names the one that is wrong. Those without effect are
// not looked at.
func parseTracing(env environment) (Tracing, error) {
	t := Tracing{endpoint: endpointVariable, protocol: trace.HTTP}
	if env.get(tracesEndpointVariable) != "" {
		t.endpoint = tracesEndpointVariable
	}
	if env.get(t.endpoint) == "" || strings.EqualFold(env.get("OTEL_SDK_DISABLED"), "true") {
		return Tracing{}, nil
	}
	switch exporter := env.get("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return Tracing{}, nil
	case "", "otlp":
	default:
		return Tracing{}, Usage("OTEL_TRACES_EXPORTER: %q must be otlp or none", exporter)
	}
	if err := checkExporter(env); err != nil {
		return Tracing{}, err
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if protocol := env.get(variable); protocol != "" { // that of traces comes last
			t.protocol = trace.Protocol(protocol)
		}
	}
	var err error
	t.sampler, err = parseSampler(env)
	return t, err
}

// checkExporter checks what the exporter reads by itself.
func checkExporter(env environment) error {
	checks := map[string]func(string) error{attributesVariable: checkPairs}
	for name, check := range exporterVariables {
		for _, prefix := range exporterPrefixes {
			checks[prefix+name] = check
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(checks)) {
		value := env.get(variable)
		if value == "" {
			continue
		}
		if err := checks[variable](value); err != nil {
			return Usage("%s: %v", variable, err)
		}
	}
	return nil
}

func parseSampler(env environment) (trace.Sampler, error) {
	name, share := strings.ToLower(env.get("OTEL_TRACES_SAMPLER")), 1.0
	if name == "" {
		name = trace.DefaultSampler
	}
	if arg := env.get(samplerArgVariable); arg != "" && strings.HasSuffix(name, "traceidratio") {
		var err error
		if share, err = parseShare(arg); err != nil {
			return trace.Sampler{}, Usage("%s: %v", samplerArgVariable, err)
		}
	}
	sampler, found := trace.NewSampler(name, share)
	if !found {
		return trace.Sampler{}, Usage("OTEL_TRACES_SAMPLER: %v", checkSampler(name))
	}
	return sampler, nil
}

func checkSampler(text string) error { return oneOf(trace.Samplers()...)(strings.ToLower(text)) }

func parseShare(text string) (float64, error) {
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(share) || share < 0 || share > 1 {
		return 0, fmt.Errorf("%q must be a number from 0 to 1", text)
	}
	return share, nil
}

func checkShare(text string) error {
	_, err := parseShare(text)
	return err
}

// checkEndpoint never repeats what may be a password.
func checkEndpoint(text string) error {
	endpoint, err := url.Parse(text)
	switch {
	case err != nil, endpoint.Host == "", endpoint.Scheme != "http" && endpoint.Scheme != "https":
		return errors.New("must be http:// or https:// and a host, such as http://collector:4318")
	case endpoint.User != nil:
		return errors.New("must hold no user or password: give OTEL_EXPORTER_OTLP_HEADERS")
	default:
		return nil
	}
}

func checkProtocol(text string) error { return oneOf(string(trace.GRPC), string(trace.HTTP))(text) }

func checkMilliseconds(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n <= 0 {
		return errors.New("must be a positive whole number of milliseconds, such as 10000")
	}
	return nil
}

// headerName is a token of RFC 9110.
var headerName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$")

// checkHeaders refuses what would put a password into a name: the exporter logs the names that no
// header can have.
func checkHeaders(text string) error {
	if err := checkPairs(text); err != nil {
		return err
	}
	for pair := range strings.SplitSeq(text, ",") {
		name, _, _ := strings.Cut(pair, "=")
		if !headerName.MatchString(strings.TrimSpace(name)) {
			return errors.New("must be NAME=VALUE pairs whose names are those of headers, such as Authorization=Basic%20TEXT")
		}
	}
	return nil
}

// checkPairs does not repeat them: headers may hold a password.
func checkPairs(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); !found || err != nil || strings.TrimSpace(name) == "" {
			return errors.New("must be NAME=VALUE pairs with commas between them, and values percent-encoded")
		}
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return errors.New(strconv.Quote(text) + " is not one of " + strings.Join(words, ", "))
	}
}

// Open returns what makes spans; nil if tracing is off. It connects to nothing yet.
func (t *Tracing) Open(ctx context.Context, version, instance string, log *slog.Logger) (*trace.Tracer, error) {
	if t.endpoint == "" {
		return nil, nil //nolint:nilnil // a nil tracer makes no spans
	}
	tracer, err := trace.New(ctx, trace.Options{
		Protocol: t.protocol, Sampler: t.sampler, Version: version, Instance: instance, Log: log,
	})
	if err != nil {
		return nil, Usage("%s: %v", t.endpoint, err)
	}
	return tracer, nil
}
