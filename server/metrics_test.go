package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

const metricsPage = "../docs/metrics.md"

// docs/metrics.md has a row for each metric of a running sidecar that uses everything, and none for
// another. `go test ./server -run TestMetricsPage -update` writes it anew.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	_, scraped := startWithEverything(t).get(t, "/metrics")
	rows := metricRows(t, scraped)
	if *update {
		if err := os.WriteFile(metricsPage, []byte(metricsHead+strings.Join(rows, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(metricsPage)
	if err != nil {
		t.Fatal(err)
	}
	text, found := strings.CutPrefix(string(page), metricsHead)
	if !found {
		t.Error("the page begins otherwise: run with -update")
	}
	listed := slices.Collect(strings.Lines(text))
	for _, row := range rows {
		if !slices.Contains(listed, row) {
			t.Errorf("run with -update: the page does not have\n%s", row)
		}
	}
	for _, row := range listed {
		if !slices.Contains(rows, row) {
			t.Errorf("run with -update: a scrape does not have\n%s", row)
		}
	}
}

// `promtool check metrics` has nothing to say of a scrape. It asks promlint, and so does this test;
// `make proof` runs promtool itself.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	_, scraped := startWithEverything(t).get(t, "/metrics")
	problems, err := promlint.New(strings.NewReader(scraped)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	if os.Getenv("PROOF") == "" {
		return
	}
	promtool := exec.Command("go", "tool", "-modfile=../tools/promtool/go.mod", "promtool", "check", "metrics")
	promtool.Env = append(os.Environ(), "GOFLAGS=-tags=remove_all_sd")
	promtool.Stdin = strings.NewReader(scraped)
	if said, err := promtool.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v: %s", err, said)
	}
}

// A Prometheus that asks for native histograms gets them, and the classic buckets beside them.
func TestNativeHistograms(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	p.mustIssue(t)
	_, header, body := p.getAs(t, "/metrics", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.ResponseFormat(header))
	native := map[string]bool{}
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, metric := range family.GetMetric() {
			h := metric.GetHistogram()
			if h.GetSampleCount() > 0 && len(h.GetPositiveSpan()) > 0 && len(h.GetBucket()) > 5 {
				native[family.GetName()] = true
			}
		}
	}
	for _, name := range []string{"grpc_server_handling_seconds", "chatidentity_audit_commit_duration_seconds"} {
		if !native[name] {
			t.Errorf("%s is not a native histogram with classic buckets", name)
		}
	}
}

const metricsHead = `# Metrics

Everything that ` + "`/metrics` of `--admin-listen`" + ` has. Which of them a sidecar has depends on its
configuration: those of Redis, certificates, traces and Kustomer's clock need what they measure.
Counters stand at 0 from the start. Histograms of durations are native ones too, for a Prometheus
that asks for them. No label holds anything that a request can choose. The rows without advice, at
the end, are for looking closer: they need no alert.

This table is made from the program: ` + "`go test ./server -run TestMetricsPage -update`" + `.

| metric | type | labels | meaning | when it moves |
|---|---|---|---|---|
`

// startWithEverything returns a sidecar that has every metric.
func startWithEverything(t *testing.T) *running {
	t.Helper()
	ca := callertest.NewCA(t)
	server := ca.Server(t)
	v := &volume{directory: t.TempDir()}
	_, line := newToken(t, "backend")
	v.swap(t, map[string][]byte{
		"ca.crt": ca.PEM, "tls.crt": server.Certificate, "tls.key": server.Key, "tokens": []byte(line + "\n"),
		"policy.yaml": []byte("callers: {}\n"), "audit.key": []byte(strings.Repeat("A", 44) + "\n"),
	})
	p := start(t, setup{env: []string{"KUSTOMER_API_KEY=" + canaryAPIKey, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, args: []string{
		"--api-url", startVendor(t, standin.New(standin.Options{APIKey: canaryAPIKey, Secret: canarySecret})),
		"--listen", "0.0.0.0:0", "--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt"),
		"--caller-tokens-file", v.path("tokens"), "--policy-file", v.path("policy.yaml"),
		"--audit-key-file", v.path("audit.key"), "--limit-redis", "redis://127.0.0.1:1",
	}})
	eventually(t, "secret", func() bool { return p.metric(t, `chatidentity_secret_available{organization="default"}`) == 1 })
	return p
}

// metricRows returns the table's rows: ours first, then those of the libraries, each by name.
func metricRows(t *testing.T, scraped string) []string {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scraped))
	if err != nil {
		t.Fatal(err)
	}
	var own, others, closer []string
	for _, name := range slices.Sorted(maps.Keys(families)) {
		family := families[name]
		meaning, advice, found := strings.Cut(family.GetHelp(), " When it moves: ")
		isOurs := strings.HasPrefix(name, "chatidentity_")
		switch {
		case isOurs && !found:
			t.Errorf("the help of %s does not say what to do when it moves", name)
		case !isOurs:
			advice = adviceOfLibraries(name)
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()), labelsOf(family), meaning, advice)
		switch {
		case isOurs:
			own = append(own, row)
		case advice != "":
			others = append(others, row)
		default:
			closer = append(closer, row)
		}
	}
	if len(own) < 30 || len(others) < 5 || len(closer) < 20 {
		t.Errorf("only %d metrics of our own, %d of libraries and %d without advice", len(own), len(others), len(closer))
	}
	return slices.Concat(own, others, closer)
}

func labelsOf(family *dto.MetricFamily) string {
	names := map[string]bool{}
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			names["`"+label.GetName()+"`"] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}

// adviceOfLibraries says what to do about metrics whose help is not ours.
func adviceOfLibraries(name string) string {
	for _, of := range []struct{ prefix, advice string }{
		{"grpc_server_handled_total", "compare codes; `chatidentity_refusals_total` has the reasons behind them"},
		{"grpc_server_handling_seconds", "compare with `chatidentity_audit_commit_duration_seconds` and `chatidentity_ratelimit_redis_duration_seconds`"},
		{"grpc_server_", "it follows the load of the callers"},
		{"process_cpu", "near the container's limit, calls wait: raise it or add replicas"},
		{"process_open_fds", "near `process_max_fds`, new connections are closed"},
		{"process_resident_memory_bytes", "near the container's limit, the process is killed: raise it"},
		{"go_goroutines", "it follows open calls and connections; growth without them is a leak to report"},
	} {
		if strings.HasPrefix(name, of.prefix) {
			return of.advice
		}
	}
	return ""
}
