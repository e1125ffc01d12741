// Package devweb serves the page of `chatidentity dev --web`: it plays an app whose user logs in to
// chat in a browser, and shows what happens on the way. It is for dev alone, listens on loopback
// alone, and answers only its own page. See guard.go.
package devweb

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

// Backend is what the app's backend does, and Kustomer. Errors of its calls to the sidecar are of
// type *Refusal.
type Backend interface {
	// Issue asks the sidecar for a token.
	Issue(ctx context.Context, who customer.Customer) (Issued, error)
	// Verify asks the sidecar whether Kustomer would accept a token now.
	Verify(ctx context.Context, token string) (Verdict, error)
	// Record returns the audit record of a call. An error is one that a person may see.
	Record(auditID string) (json.RawMessage, error)
	// LogIn is Kustomer's chat: it returns the claim by which it has found the customer, and the
	// value.
	LogIn(token string) (claim, value string, err error)
}

// Issued is a token, and what is in it.
type Issued struct {
	Token           string          `json:"token"`
	Claims          json.RawMessage `json:"claims"`
	LoginIdentifier string          `json:"login_identifier"` // external_id or email
	ExpireTime      time.Time       `json:"expire_time"`
	AuditID         string          `json:"audit_id"`
}

// Verdict is what Kustomer would say of a token.
type Verdict struct {
	Verdict string `json:"verdict"`
	Detail  string `json:"detail,omitempty"` // why it is not accepted
}

// Refusal is the sidecar's error. None of its texts repeats a value of the request.
type Refusal struct { //nolint:errname // the page shows it as what it is
	Code    string  `json:"code"`   // such as INVALID_ARGUMENT
	Reason  string  `json:"reason"` // such as INVALID_CUSTOMER; empty: the error is gRPC's own
	Message string  `json:"message"`
	AuditID string  `json:"audit_id,omitempty"`
	Limit   string  `json:"limit,omitempty"`       // that is reached
	Wait    int     `json:"retry_after,omitempty"` // seconds
	Fields  []Field `json:"fields,omitempty"`
}

// Field is a field of the request that breaks a rule.
type Field struct {
	Name    string `json:"name"` // as in the contract, such as "customer.email"
	Problem string `json:"problem"`
}

// Error returns the code, the reason and the message.
func (r *Refusal) Error() string { return r.Code + " " + r.Reason + ": " + r.Message }

// Listen opens a free loopback port.
func Listen() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // binding loopback does not block
	if err != nil {
		return nil, fmt.Errorf("listen for browsers: %w", err)
	}
	return listener, nil
}

// Serve answers browsers until ctx ends. It returns an error only when it fails before that.
func Serve(ctx context.Context, listener net.Listener, backend Backend, log *slog.Logger) error {
	server := &http.Server{
		Handler:           Handler(backend),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("event", "dev_web").Handler(), slog.LevelWarn),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve browsers on %v: %w", listener.Addr(), err)
	}
	return nil
}
