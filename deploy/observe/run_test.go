package observe

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// scrapeInterval is how far apart the samples are. The run itself does not wait that long: a scrape
// is taken after each round of calls.
const scrapeInterval = 15 * time.Second

// run is a sidecar whose callers, strangers and outages fill a store.
type run struct {
	*sidecar

	store      *store
	rules      *evaluator
	connection *grpc.ClientConn
	client     pb.ChatIdentityServiceClient
	begin, now time.Time
	customers  int
	fired      map[string]bool // alerts that fired at some time
}

// startRun lives through some minutes of a sidecar: calls that go well, strangers and refusals, a
// Redis that stops, an audit that hangs and comes back, a secret that is changed.
func startRun(t *testing.T) *run {
	t.Helper()
	r := &run{sidecar: startSidecar(t), store: newStore(), begin: time.Now(), now: time.Now(), fired: map[string]bool{}}
	r.rules = newEvaluator(t, r.store)
	connection, err := grpc.NewClient("passthrough:///"+r.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	r.connection, r.client = connection, pb.NewChatIdentityServiceClient(connection)

	r.until(t, codes.OK) // the secret is there
	r.rounds(t, 12, func() { r.issue(t, 20) })
	r.rounds(t, 8, func() {
		r.issue(t, 20)
		r.misbehave(t)
	})
	r.stopRedis()
	r.rounds(t, 10, func() { r.issue(t, 20) })
	r.auditStops.Lock()
	r.until(t, codes.Unavailable)
	r.rounds(t, 16, func() { r.issue(t, 5) })
	r.auditStops.Unlock()
	r.until(t, codes.OK)
	r.secret.Store("the-second-secret-of-the-vendor-012345678")
	if err := r.process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.rounds(t, 20, func() { r.issue(t, 20) })
	return r
}

func (r *run) rounds(t *testing.T, count int, do func()) {
	t.Helper()
	for range count {
		do()
		r.scrape(t)
	}
}

// issue asks for tokens of customers who have not asked yet.
func (r *run) issue(t *testing.T, count int) {
	t.Helper()
	for range count {
		if code := r.issueFor(t, r.nextCustomer()); code != codes.OK && code != codes.Unavailable {
			t.Fatalf("IssueToken answers %v", code)
		}
	}
}

func (r *run) nextCustomer() string {
	r.customers++
	return fmt.Sprintf("customer-%d", r.customers)
}

func (r *run) issueFor(t *testing.T, customer string) codes.Code {
	t.Helper()
	_, err := r.client.IssueToken(t.Context(), &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: customer}})
	return status.Code(err)
}

// until asks until the answer is what it should become.
func (r *run) until(t *testing.T, want codes.Code) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		got := r.issueFor(t, r.nextCustomer())
		if got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("IssueToken answers %v, want %v", got, want)
		}
	}
}

// misbehave does what is refused: a customer too often, an invalid customer, a method that is not
// there, a connection without a certificate.
func (r *run) misbehave(t *testing.T) {
	t.Helper()
	for range 5 {
		_ = r.issueFor(t, "too often")
	}
	if code := r.issueFor(t, " not trimmed"); code != codes.InvalidArgument {
		t.Errorf("an invalid customer is answered with %v", code)
	}
	_, _ = r.client.VerifyToken(t.Context(), &pb.VerifyTokenRequest{Token: "no token"})
	_ = r.connection.Invoke(t.Context(), "/chatidentity.v1.ChatIdentityService/Nothing", &pb.IssueTokenRequest{}, &pb.IssueTokenResponse{})
	stranger, err := tls.Dial("tcp", r.tls, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		_, err = stranger.Read(make([]byte, 1))
		_ = stranger.Close()
	}
	if err == nil {
		t.Error("a stranger was let in")
	}
}

// scrape reads /metrics as Prometheus does, and evaluates the rules.
func (r *run) scrape(t *testing.T) {
	t.Helper()
	r.now = r.now.Add(scrapeInterval)
	answer, err := http.Get("http://" + r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	parser, err := textparse.New(text, answer.Header.Get("Content-Type"), labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scraped := map[string]bool{}
	for {
		entry, err := parser.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if entry == textparse.EntrySeries {
			scraped[r.keep(parser)] = true
		}
	}
	r.endGone(scraped)
	r.rules.evaluate(t, r.now)
	for _, rule := range r.rules.rules {
		if rule.Alert != "" && len(r.rules.firing(rule.Alert, r.now)) > 0 {
			r.fired[rule.Alert] = true
		}
	}
}

// keep stores the parser's sample with the labels that Prometheus adds, and returns its key.
func (r *run) keep(parser textparse.Parser) string {
	var metric labels.Labels
	parser.Labels(&metric)
	_, _, sample := parser.Series()
	metric = labels.NewBuilder(metric).Set(model.JobLabel, "chat").Set(model.InstanceLabel, "pod-1").Labels()
	r.store.add(metric, r.now, sample)
	return metric.String()
}

// endGone marks the series that this scrape does not have any more, as Prometheus does.
func (r *run) endGone(scraped map[string]bool) {
	for key, series := range r.store.series {
		last := series.Floats[len(series.Floats)-1]
		if series.Metric.Get(model.InstanceLabel) != "" && !scraped[key] && last.T == r.now.Add(-scrapeInterval).UnixMilli() {
			r.store.add(series.Metric, r.now, stale)
		}
	}
}
