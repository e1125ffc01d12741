package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

// flagRows show what each flag of serve does, on the program itself. A row fails when one of its
// flags is accepted but has no effect. Flags share a row when neither works without the other.
var flagRows = []struct {
	flags string // separated by spaces
	show  func(*testing.T)
}{
	{"listen admin-listen", eachListensWhereItIsTold},
	{"profile-listen", TestProfiles},
	{"listen allow-uid socket-mode", aUserIsAllowedOnTheSocket},
	{"tls-cert tls-key tls-client-ca", tlsOutsideLoopback},
	{"caller-tokens-file", TestTokensFromTheCommandLine},
	{"policy-file", callersOutsideThePolicyAreDenied},
	{"strict-start", aStrictStartEndsAtAWrongFile},
	{"drain-delay", TestDrainDelayGoesOnAnsweringWhileNotReady},
	{"drain-timeout", aCallIsCutOffAfterTheDrainTimeout},
	{"log-level", debugLines},
	{"log-format", textLines},

	{"secret-file", tokensAreSignedWithTheFile},
	{"organization", callsNameTheOrganization},
	{"identifier-policy", theEmailAloneIsSigned},
	{"api-key-file api-url secret-refresh", theSecretIsFetchedAgain},
	{"ca-file", aPrivateCAIsTrusted},
	{"secret-max-stale", TestKustomerIsGoneForGood},
	{"max-clock-skew", kustomersClockMayDiffer},
	{"max-clock-skew", tokensMayComeFromTheFuture},

	{"audit-file audit-key-file", recordsVerifyUnderTheKey},
	{"instance", twoInstancesOnOneHost},
	{"audit-mode", bestEffortNeedsNoRecord},
	{"audit-sync", aDiskThatCannotSync},
	{"audit-timeout", callsWaitForTheirRecordSoLong},
	{"audit-file-mode", theAuditFileHasTheMode},
	{"audit-max-size", aFullFileIsRotated},
	{"audit-max-files", theOldestFilesAreDeleted},
	{"audit-min-free", aFullDiskIsLogged},
	{"audit-copy", theCopyHoldsUpNobody},

	{"limit-global", callsShareTheGlobalLimit},
	{"limit-caller", callsShareTheCallersLimit},
	{"limit-customer", callsShareTheCustomersLimit},
	{"limit-mode", shadowLimitsRefuseNothing},
	{"limit-redis limit-redis-password-file limit-redis-prefix", redisHoldsTheBudgets},
	{"limit-redis-ca limit-redis-cert limit-redis-key", redisWantsAClientCertificate},
	{"limit-redis-timeout", aSlowRedisIsWaitedFor},
	{"limit-redis-failure", callsAreRefusedWithoutRedis},
}

func TestEveryFlagOfServeHasAnEffect(t *testing.T) {
	t.Parallel()
	for _, row := range flagRows { //nolint:paralleltest // each row is parallel: some are tests of their own
		t.Run(row.flags, row.show)
	}
}

func TestEveryFlagOfServeHasARow(t *testing.T) {
	t.Parallel()
	rows := map[string]bool{}
	for _, row := range flagRows {
		for flag := range strings.FieldsSeq(row.flags) {
			rows[flag] = true
		}
	}
	for _, group := range new(config.Serve).Flags() {
		for _, flag := range group.Flags {
			if !rows[flag.Name] {
				t.Errorf("no row of flagRows shows what --%s does", flag.Name)
			}
			delete(rows, flag.Name)
		}
	}
	for flag := range rows {
		t.Errorf("flagRows has --%s, which is no flag of serve", flag)
	}
}

// issue asks for a token over a connection of its own.
func (p *running) issue(t *testing.T, request *pb.IssueTokenRequest) (token string, err error) {
	t.Helper()
	reply, err := p.client(t).IssueToken(t.Context(), request)
	return reply.GetToken(), err
}

// mustIssue returns a token for a user.
func (p *running) mustIssue(t *testing.T) string {
	t.Helper()
	token, err := p.issue(t, issueFor("user_id", ""))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// writeFile makes a file that lasts as long as the test.
func writeFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func eachListensWhereItIsTold(t *testing.T) {
	t.Parallel()
	one, other := start(t, withSecret()), start(t, withSecret()) // start names free ports
	if one.address == other.address || one.admin == other.admin {
		t.Errorf("two sidecars listen at %s %s and %s %s", one.address, one.admin, other.address, other.admin)
	}
	for _, p := range []*running{one, other} {
		p.mustIssue(t)
		if code, _ := p.get(t, "/livez"); code != 200 {
			t.Errorf("%s is not live: %d", p.admin, code)
		}
	}
}

// Without --allow-uid the sidecar's own user may not ask for tokens.
func aUserIsAllowedOnTheSocket(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("", "flags-*") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	socket := filepath.Join(directory, "s")
	start(t, withSecret("--listen", "unix:"+socket, "--allow-uid", strconv.Itoa(os.Getuid()), "--socket-mode", "0600"))
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, error %v", info, err)
	}
	if err := issueOver(t.Context(), "unix:"+socket, insecure.NewCredentials(), issueFor("user_id", "")); err != nil {
		t.Error(err)
	}
}

func tlsOutsideLoopback(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	pair := ca.Server(t)
	p := start(t, withSecret("--listen", "0.0.0.0:0", "--tls-cert", writeFile(t, string(pair.Certificate)),
		"--tls-key", writeFile(t, string(pair.Key)), "--tls-client-ca", writeFile(t, string(ca.PEM))))
	if !servedBy(t, p.outside(t), ca, certificateOf(t, pair)) {
		t.Error("another certificate than that of --tls-cert")
	}
	issueAs := func(from *callertest.CA) error {
		return issueOver(t.Context(), p.outside(t), clientTLS(t, ca, from), issueFor("user_id", ""))
	}
	if err := issueAs(ca); err != nil {
		t.Errorf("a client of --tls-client-ca: %v", err)
	}
	if err := issueAs(callertest.NewCA(t)); status.Code(err) != codes.Unavailable {
		t.Errorf("a client of another CA: %v", err)
	}
}

func callersOutsideThePolicyAreDenied(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret("--policy-file", writeFile(t, "callers: {}\n")))
	if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != "CALLER_DENIED" {
		t.Errorf("error %v", err)
	}
}

// Two sidecars are told to stop while each has a call that does not end. The second, with a short
// timeout, exits; the first, with a long one, still waits.
func aCallIsCutOffAfterTheDrainTimeout(t *testing.T) {
	t.Parallel()
	drain := func(timeout string) *running {
		p := start(t, withSecret("--drain-timeout", timeout))
		p.openCall(t)
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the drain", func() bool { return strings.Contains(p.stderr.String(), `"stopping"`) })
		return p
	}
	patient := drain("1h")
	hasty := drain("50ms")
	err := hasty.waited()
	if hasty.ProcessState.ExitCode() != exitFailed || !strings.Contains(hasty.stderr.String(), "--drain-timeout 50ms") {
		t.Errorf("%v\n%s", err, hasty.stderr)
	}
	if code, _ := patient.get(t, "/livez"); code != 200 {
		t.Errorf("the other does not wait any more: %d", code)
	}
}

// openCall begins a call whose request never comes.
func (p *running) openCall(t *testing.T) {
	t.Helper()
	connection, ctx := p.dial(t), t.Context()
	stream := &grpc.StreamDesc{ClientStreams: true}
	if _, err := connection.NewStream(ctx, stream, pb.ChatIdentityService_IssueToken_FullMethodName); err != nil {
		t.Fatal(err)
	}
	// The server reads a connection in order: once it answers this call it knows the one before.
	client := pb.NewChatIdentityServiceClient(connection)
	if _, err := client.VerifyToken(ctx, &pb.VerifyTokenRequest{Token: "x"}); err != nil {
		t.Fatal(err)
	}
}

func debugLines(t *testing.T) {
	t.Parallel()
	p := start(t, setup{args: []string{"--secret-file", "/nowhere", "--log-level", "debug"}})
	if _, err := p.issue(t, issueFor("user_id", "")); reason(err) != "SECRET_UNAVAILABLE" {
		t.Errorf("error %v", err)
	}
	eventually(t, "line for debugging", func() bool { return strings.Contains(p.stderr.String(), `"level":"DEBUG"`) })
}

func textLines(t *testing.T) {
	t.Parallel()
	c := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "text")
	c.Env = append(os.Environ(), "KUSTOMER_SECRET_KEY="+testSecret)
	log := &output{}
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	}()
	eventually(t, "start", func() bool { return strings.Contains(log.String(), "msg=serving") })
}
