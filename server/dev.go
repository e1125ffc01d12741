package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/devweb"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/process"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

type devCommand struct {
	Exit bool
	Web  bool
	outputFlag
	config.Serve

	web net.Listener // nil: without --web
}

func newDevCommand(console *console) *cobra.Command {
	var c devCommand
	command := withFlags(&cobra.Command{
		Use:   "dev",
		Short: "Run the sidecar on a stand-in Kustomer, to try it out.",
		Long: `A stand-in Kustomer runs inside the process, with a secret made for this run.
Everything else is as in serve, with the same flags except those that name the
secret, callers or certificates. Audit records go to a temporary file with a
temporary key, unless --audit-file and --audit-key-file name others. It may
listen on any address, because its secret is worthless. It prints the address
of the stand-in, which answers what asks Kustomer's API. With --web it also
serves a page, on loopback alone, on which to log in to chat in a browser.`,
		Example: `chatidentity dev
chatidentity dev --web
chatidentity dev --exit --output json`,
		PersistentPreRunE: completeFlags,
		RunE: func(command *cobra.Command, _ []string) error {
			return c.run(command.Context(), console, originsOf(command))
		},
	}, append([]config.Group{{Flags: append([]config.Flag{
		config.Switch(&c.Exit, "exit", "Use free ports, show one token, then exit with code 0."),
		config.Switch(&c.Web, "web", "Serve a page that shows the log-in in a browser, on a free loopback port."),
	}, c.flags()...)}}, c.Flags()...)...)
	for _, name := range refusedInDev {
		command.Flags().Lookup(name).Hidden = true
	}
	return command
}

// refusedInDev are flags of serve that have no use in dev. They are there to be refused with a
// reason.
var refusedInDev = []string{
	"secret-file", "api-key-file", "api-url", "caller-tokens-file", "policy-file", "tls-cert", "tls-key", "tls-client-ca",
}

// devVendor is the stand-in, and the worthless secrets that it was made with.
type devVendor struct {
	*standin.Vendor
	secret, apiKey string
	url            string
	apiKeyFile     string // for other commands to call it with
}

// openVendor runs a stand-in until the function that it returns is called.
func openVendor(scratch string) (*devVendor, func(), error) {
	vendor := &devVendor{secret: randomText(), apiKey: randomText(), apiKeyFile: filepath.Join(scratch, "api-key")}
	vendor.Vendor = standin.New(standin.Options{APIKey: vendor.apiKey, Secret: vendor.secret})
	if err := os.WriteFile(vendor.apiKeyFile, []byte(vendor.apiKey+"\n"), 0o600); err != nil {
		return nil, nil, fmt.Errorf("make an API key: %w", err)
	}
	url, stop, err := vendor.Start()
	vendor.url = url
	return vendor, stop, err
}

const devTimeout = 10 * time.Second

// refuseSecrets refuses flags that name a source of the signing secret.
func (c *devCommand) refuseSecrets() error {
	given := c.Given()
	if c.APIURL != kustomer.DefaultBaseURL {
		given = append(given, "--api-url")
	}
	if len(given) == 0 {
		return nil
	}
	return config.Usage("%s has no use in dev, which makes its own secret: leave it out, or use serve", given[0])
}

// run shows how one token is issued, and then serves until a signal.
func (c *devCommand) run(ctx context.Context, console *console, origins config.Origins) error {
	ctx = console.untilSignal(ctx)
	config.TakeSecrets() // dev must never see real ones
	if err := c.refuseSecrets(); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "chatidentity-dev-*")
	if err != nil {
		return fmt.Errorf("make a directory for the audit: %w", err)
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // the system clears its temporary files
	vendor, stopVendor, err := openVendor(scratch)
	if err != nil {
		return err
	}
	defer stopVendor()
	if err := c.prepare(scratch, vendor.url); err != nil {
		return err
	}
	if err := c.Validate(origins, config.DevSecrets(sensitive.New(vendor.apiKey))); err != nil {
		return err
	}
	if c.Web {
		if c.web, err = devweb.Listen(); err != nil {
			return err
		}
		defer c.web.Close() //nolint:errcheck // it is closed already unless the start failed
	}
	log := c.openLog(console, origins)
	defer log.Close()
	logNotices(log, c.Blank(), c.Idle(), c.Exposed(), c.idleBeforeExit(origins))
	// A stop during the start is one in good order.
	sidecar, err := openSidecar(context.WithoutCancel(ctx), &c.Serve, log, time.Now)
	if err != nil {
		return err
	}
	go console.signals.reload(sidecar)
	return c.serve(ctx, console, sidecar, vendor)
}

// serve shows what it has when the secret is there, and goes on until a signal.
func (c *devCommand) serve(ctx context.Context, console *console, sidecar *sidecar, vendor *devVendor) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return sidecar.run(ctx) })
	if c.Web {
		parts.Go(func() error { return c.serveWeb(ctx, sidecar, vendor) })
	}
	showErr := c.show(ctx, console, sidecar, vendor)
	if ctx.Err() != nil { // a signal came before there was anything to show
		showErr = nil
	}
	if c.Exit || showErr != nil {
		stop()
	}
	return errors.Join(showErr, parts.Wait())
}

// prepare fills in what dev chooses itself: addresses, callers, and an audit file with a key, so
// that every audit command can be tried.
func (c *devCommand) prepare(scratch, baseURL string) error {
	c.APIURL = baseURL
	c.AllowRemote = true
	c.StrictStart = true                                 // somebody looks at the terminal
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

// useFreePorts replaces the default addresses: a sidecar may be running there.
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

// idleBeforeExit returns a notice for each flag that asks for what nobody can call, since dev ends
// at once.
func (c *devCommand) idleBeforeExit(origins config.Origins) []config.Notice {
	var notices []config.Notice
	for _, flag := range []string{"listen", "admin-listen", "web"} {
		if c.Exit && origins.Given[flag] {
			notices = append(notices, config.Notice{
				Setting: "--" + flag, Text: "the flag has hardly any effect, because dev --exit ends at once: leave it out",
			})
		}
	}
	return notices
}

// openLog keeps the log out of the way of what dev shows, unless flags ask for more.
func (c *devCommand) openLog(console *console, origins config.Origins) *process.Log {
	if !origins.Given["log-level"] {
		c.LogLevel = slog.LevelWarn
	}
	if !origins.Given["log-format"] {
		c.LogFormat = config.LogText
	}
	return process.OpenLog(console.err, c.NewLogger)
}

func (c *devCommand) show(ctx context.Context, console *console, sidecar *sidecar, vendor *devVendor) error {
	ctx, cancel := context.WithTimeout(ctx, devTimeout)
	defer cancel()
	select {
	case <-sidecar.own.Loaded():
	case <-ctx.Done():
		return fmt.Errorf("wait for the secret: %w", ctx.Err())
	}
	report, err := c.report(ctx, console, sidecar, vendor)
	if err != nil {
		return err
	}
	return c.print(console, report, report.text(c.Exit))
}

// randomText returns 256 random bits in base64.
func randomText() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return base64.StdEncoding.EncodeToString(random)
}
