package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/process"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

type devCommand struct {
	Exit bool
	outputFlag
	config.Serve
}

func newDevCommand(console *console) *cobra.Command {
	var c devCommand
	return withFlags(&cobra.Command{
		Use:   "dev",
		Short: "Run the sidecar on a stand-in Kustomer, to try it out.",
		Long: `A stand-in Kustomer runs inside the process, with a secret made for this run.
Everything else is as in serve, with the same flags except those of the secret
(KUSTOMER_*, --secret-file, --api-key-file, --api-url), --tls-*, --policy-file
and --caller-tokens-file. Audit records go to a temporary file with a temporary
key, unless --audit-file and --audit-key-file name others. It may listen on any
address, because its secret is worthless.`,
		Example: `chatidentity dev
chatidentity dev --exit --output json`,
		RunE: func(command *cobra.Command, _ []string) error { return c.run(command.Context(), console) },
	}, append([]config.Group{{Flags: append([]config.Flag{
		config.Switch(&c.Exit, "exit", "Use free ports, show one token, then exit with code 0."),
	}, c.flags()...)}}, c.Flags()...)...)
}

// devReport is what dev shows.
type devReport struct {
	Secret       string          `json:"secret"`
	Address      string          `json:"address"`
	AdminAddress string          `json:"admin_address"`
	Token        string          `json:"token"`
	Header       json.RawMessage `json:"header"`
	Claims       json.RawMessage `json:"claims"`
	Login        devLogin        `json:"login"`
	AuditRecord  json.RawMessage `json:"audit_record"`
	AuditFile    string          `json:"audit_file"`
	AuditKeyFile string          `json:"audit_key_file"`
}

// devVendor is the stand-in, and what it was made with.
type devVendor struct {
	*standin.Vendor
	secret, apiKey string
}

// devLogin is whom the stand-in logged in.
type devLogin struct {
	By    string `json:"by"`
	Value string `json:"value"`
}

const devTimeout = 10 * time.Second

// run shows one token's way and then serves until a signal.
func (c *devCommand) run(ctx context.Context, console *console) error {
	config.TakeSecrets() // real ones have no business here
	if c.SecretFile != "" || c.APIKeyFile != "" || c.APIURL != kustomer.DefaultBaseURL {
		return config.Usage("--secret-file, --api-key-file and --api-url have no use in dev, which makes its own secret: leave them out, or use serve")
	}
	scratch, err := os.MkdirTemp("", "chatidentity-dev-*")
	if err != nil {
		return fmt.Errorf("make a directory for the audit: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the system clears its temporary files
	vendor := devVendor{secret: randomText(), apiKey: randomText()}
	vendor.Vendor = standin.New(standin.Options{APIKey: vendor.apiKey, Secret: vendor.secret})
	baseURL, stopVendor, err := vendor.Start()
	if err != nil {
		return err
	}
	defer stopVendor()
	if err := c.prepare(scratch, baseURL); err != nil {
		return err
	}
	if err := c.Validate(config.DevSecrets(sensitive.New(vendor.apiKey))); err != nil {
		return err
	}
	log := c.openLog(console)
	defer log.Close()
	sidecar, err := openSidecar(ctx, &c.Serve, log)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(ctx, sidecar)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- sidecar.run(ctx) }()
	showErr := c.show(ctx, console, sidecar, vendor)
	if c.Exit || showErr != nil {
		stop()
	}
	return errors.Join(showErr, <-served)
}

// prepare fills in what dev chooses itself: addresses, callers, and an audit
// file with a key, so that all of the audit can be tried.
func (c *devCommand) prepare(scratch, baseURL string) error {
	c.APIURL = baseURL
	c.AllowRemote = true
	c.AllowUID = append(c.AllowUID, uint32(os.Getuid())) //nolint:gosec // a user ID has 32 bits
	if c.Exit {
		c.useFreePorts()
	}
	if c.AuditFile == "-" {
		c.AuditFile = filepath.Join(scratch, "audit.jsonl")
	}
	if c.AuditKeyFile == "" {
		c.AuditKeyFile = filepath.Join(scratch, "audit-key")
		if err := os.WriteFile(c.AuditKeyFile, []byte(randomText()+"\n"), 0o600); err != nil {
			return fmt.Errorf("make an audit key: %w", err)
		}
	}
	return nil
}

// useFreePorts replaces the default addresses, so that a sidecar which runs there
// is not in the way.
func (c *devCommand) useFreePorts() {
	free := config.Address{Network: "tcp", Address: "127.0.0.1:0"}
	for i, address := range c.Listen {
		if address.String() == config.DefaultListen {
			c.Listen[i] = free
		}
	}
	if c.AdminListen.String() == config.DefaultAdminListen {
		c.AdminListen = free
	}
}

// openLog keeps the log out of the way of what dev shows, unless a level is
// asked for.
func (c *devCommand) openLog(console *console) *process.Log {
	if c.LogLevel == slog.LevelInfo {
		c.LogLevel, c.LogFormat = slog.LevelWarn, config.LogText
	}
	return process.OpenLog(console.err, c.NewLogger)
}

func (c *devCommand) show(ctx context.Context, console *console, sidecar *sidecar, vendor devVendor) error {
	ctx, cancel := context.WithTimeout(ctx, devTimeout)
	defer cancel()
	select {
	case <-sidecar.stores[0].Loaded():
	case <-ctx.Done():
		return fmt.Errorf("wait for the secret: %w", ctx.Err())
	}
	report, err := c.report(ctx, sidecar, vendor)
	if err != nil {
		return err
	}
	return c.print(console, report, report.text(c.Exit))
}

// report issues a token to itself, over the same gRPC as any backend would, and
// asks the stand-in to log it in.
func (c *devCommand) report(ctx context.Context, sidecar *sidecar, vendor devVendor) (*devReport, error) {
	address := c.Listen[0]
	address.Address = sidecar.listeners[0].Addr().String()
	issue := issueCommand{ExternalID: "user_id", Email: c.email(), clientFlags: clientFlags{Address: address, Timeout: devTimeout}}
	issued, err := issue.issue(ctx)
	if err != nil {
		return nil, fmt.Errorf("issue a token to myself: %w", err)
	}
	login, err := vendor.Login(issued.Token, time.Now())
	if err != nil {
		return nil, fmt.Errorf("the stand-in refuses the token: %w", err)
	}
	record, err := findRecord(sidecar.config.AuditFile, issued.AuditID)
	if err != nil {
		return nil, err
	}
	parts := strings.Split(issued.Token, ".")
	return &devReport{
		Secret:       vendor.secret,
		Address:      address.String(),
		AdminAddress: sidecar.admin.Addr().String(),
		Token:        issued.Token,
		Header:       decodePart(parts[0]),
		Claims:       decodePart(parts[1]),
		Login:        devLogin(login),
		AuditRecord:  record,
		AuditFile:    sidecar.config.AuditFile,
		AuditKeyFile: sidecar.config.AuditKeyFile,
	}, nil
}

// email is what the identifier policy may demand.
func (c *devCommand) email() string {
	if c.IdentifierPolicy == customer.OnlyEmail {
		return "ada@example.com"
	}
	return ""
}

func (r *devReport) text(exiting bool) string {
	var b strings.Builder
	part := func(title string, lines ...string) {
		_, _ = fmt.Fprintf(&b, "%s\n  %s\n\n", title, strings.Join(lines, "\n  "))
	}
	part("Signing secret, fetched from a stand-in Kustomer as from the real one. It is worthless:", r.Secret)
	part(fmt.Sprintf("Token for %s, issued over gRPC on %s:", r.Login.Value, r.Address), r.Token)
	part("Its header and claims:", string(r.Header), string(r.Claims))
	part("The stand-in logs its customer in:", fmt.Sprintf("by %s %q", r.Login.By, r.Login.Value))
	part("The audit record, written before the token left:", string(r.AuditRecord))
	if exiting {
		return strings.TrimSuffix(b.String(), "\n\n")
	}
	part("Call it from another shell:",
		invocation()+" issue --address "+r.Address+" --external-id user_id",
		"grpcurl -plaintext -d '{\"customer\":{\"external_id\":\"user_id\"}}' "+grpcurlTarget(r.Address)+
			" chatidentity.v1.ChatIdentityService/IssueToken")
	part("Look at it:", "curl http://"+r.AdminAddress+"/metrics", "tail -f "+r.AuditFile,
		invocation()+" audit verify --audit-key-file "+r.AuditKeyFile+" "+r.AuditFile)
	b.WriteString("Serving until Ctrl-C.")
	return b.String()
}

// invocation is how this program was started, for commands to paste.
func invocation() string {
	if strings.Contains(os.Args[0], "go-build") { // where go run puts it
		return "go run ./server"
	}
	return os.Args[0]
}

func grpcurlTarget(address string) string {
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		return "-unix " + path
	}
	return address
}

// findRecord returns the line of the audit file that holds the ID.
func findRecord(path, auditID string) (json.RawMessage, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own choice
	if err != nil {
		return nil, fmt.Errorf("read the audit record: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, auditID) {
			return json.RawMessage(strings.TrimSpace(line)), nil
		}
	}
	return nil, fmt.Errorf("no audit record of %s in %s", auditID, path)
}

func decodePart(part string) json.RawMessage {
	decoded, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return json.RawMessage(`"` + part + `"`)
	}
	return decoded
}

// randomText returns 256 random bits in base64.
func randomText() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)
}
