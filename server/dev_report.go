package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/customer"
)

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
	APIURL       string          `json:"api_url"`
	APIKeyFile   string          `json:"api_key_file"`
	WebURL       string          `json:"web_url,omitempty"`
}

// devLogin is the customer whom the stand-in logged in.
type devLogin struct {
	By    string `json:"by"`
	Value string `json:"value"`
}

// report issues a token to itself, over gRPC as any backend would, and asks the stand-in to log it in.
func (c *devCommand) report(
	ctx context.Context, console *console, sidecar *sidecar, vendor *devVendor,
) (*devReport, error) {
	address := c.address(sidecar)
	issue := issueCommand{
		ExternalID: "user_id", Email: c.email(), clientFlags: clientFlags{Address: address, Timeout: devTimeout},
	}
	issued, err := issue.issue(ctx, console)
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
		APIURL:       vendor.url,
		APIKeyFile:   vendor.apiKeyFile,
		WebURL:       c.webURL(),
	}, nil
}

// address is where the sidecar listens.
func (c *devCommand) address(sidecar *sidecar) config.Address {
	address := c.Listen[0]
	address.Address = sidecar.listeners[0].Addr().String()
	return address
}

func (c *devCommand) webURL() string {
	if c.web == nil {
		return ""
	}
	return "http://" + c.web.Addr().String() + "/"
}

// email returns an address if the identifier policy requires one.
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
	part("Signing secret, fetched from a stand-in for Kustomer as from Kustomer itself. It is worthless:", r.Secret)
	part(fmt.Sprintf("Token for %s, issued over gRPC on %s:", r.Login.Value, r.Address), r.Token)
	part("Its header and claims:", string(r.Header), string(r.Claims))
	part("The stand-in logs its customer in:", fmt.Sprintf("by %s %q", r.Login.By, r.Login.Value))
	part("The audit record, written before the token left:", string(r.AuditRecord))
	if exiting {
		return strings.TrimSuffix(b.String(), "\n\n")
	}
	if r.WebURL != "" {
		part("Log in to chat in a browser:", r.WebURL)
	}
	part("Call it from another shell:",
		invocation()+" issue --address "+r.Address+" --external-id user_id",
		"grpcurl -plaintext -d '{\"customer\":{\"external_id\":\"user_id\"}}' "+grpcurlTarget(r.Address)+
			" chatidentity.v1.ChatIdentityService/IssueToken")
	part("Look at it:", "curl http://"+r.AdminAddress+"/metrics", "tail -f "+r.AuditFile,
		invocation()+" audit verify --audit-key-file "+r.AuditKeyFile+" "+r.AuditFile)
	api := " --api-url " + r.APIURL + " --api-key-file " + r.APIKeyFile
	part("Try what asks Kustomer's API: the stand-in answers it.",
		invocation()+" secret fetch"+api+" --file kustomer.secret",
		invocation()+" doctor"+api+" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
		invocation()+" serve"+api+" --listen 127.0.0.1:9461 --admin-listen 127.0.0.1:9462")
	b.WriteString("Serving until Ctrl-C.")
	return b.String()
}

// invocation returns how this program was started, for commands to paste.
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
		if strings.HasSuffix(line, "\n") && strings.Contains(line, auditID) {
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
