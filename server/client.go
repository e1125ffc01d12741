package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// clientFlags are those of every command that calls a running sidecar.
type clientFlags struct {
	Address config.Address
	Timeout time.Duration
	metadataFlags
	clientTLSFlags
	outputFlag
}

func (f *clientFlags) flags() config.Group {
	return config.Group{Title: "Calling", Flags: slices.Concat([]config.Flag{
		config.Value(&f.Address, config.ParseAddress, "address", "ADDRESS", config.DefaultListen,
			"The sidecar's address: host:port or unix:/path."),
		config.Duration(&f.Timeout, "timeout", "5s", "How long to wait for the answer."),
	}, f.metadataFlags.flags(), f.clientTLSFlags.flags(), f.outputFlag.flags())}
}

// call runs do with a connection to the sidecar. When nothing listens there, it fails at once instead
// of waiting for the timeout.
func (f *clientFlags) call(
	ctx context.Context, console *console, do func(context.Context, grpc.ClientConnInterface) error,
) error {
	if err := checkTimeout(f.Timeout); err != nil {
		return err
	}
	security, err := f.credentials()
	if err != nil {
		return err
	}
	tried := &attempt{TransportCredentials: security}
	connection, err := grpc.NewClient(dialTarget(f.Address),
		grpc.WithTransportCredentials(tried), grpc.WithContextDialer(tried.dial),
		// grpc would hang up after 20 s, which looks as if the sidecar had.
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 2 * f.Timeout}))
	if err != nil {
		return config.Usage("--address %v: %v", f.Address, err)
	}
	defer connection.Close() //nolint:errcheck // nothing is pending
	if ctx, err = f.withMetadata(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	defer console.waitingFor(fmt.Sprintf("the sidecar at %v to answer, at most %v", f.Address, f.Timeout))()
	if err := do(ctx, connection); err != nil {
		hint := f.hint(err, tried) //nolint:contextcheck // ctx may be over
		return fmt.Errorf("%v: %w%s", f.Address, readable(err, hint), f.oldPortHint(ctx, err, oldDefaultListen))
	}
	return nil
}

func checkTimeout(timeout time.Duration) error {
	if timeout <= 0 {
		return config.Usage("--timeout %v must be positive", timeout)
	}
	return nil
}

// dialTarget returns the target string of an address.
func dialTarget(address config.Address) string {
	if address.IsUnix() {
		return address.String()
	}
	return "passthrough:///" + address.String()
}

// readable turns a gRPC error, with its details and a hint, into one line.
func readable(err error, hint string) error {
	said, isStatus := status.FromError(err)
	if !isStatus {
		return err
	}
	text := []string{code.Code(said.Code()).String()} //nolint:gosec // codes are 0 to 16
	var after []string
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			text = append(text, detail.GetReason())
			after = append(after, "audit_id "+detail.GetMetadata()["audit_id"])
		case *errdetails.RetryInfo:
			after = append(after, "retry in "+detail.GetRetryDelay().AsDuration().Round(time.Millisecond).String())
		}
	}
	line := strings.Join(text, " ") + ": " + said.Message()
	if hint != "" {
		after = append(after, hint)
	}
	if after != nil {
		line += " (" + strings.Join(after, ", ") + ")"
	}
	return errors.New(printable(line))
}

// printable keeps text from elsewhere on one line, and from controlling the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
