package rpc

import (
	"context"
	"log/slog"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/trace"
)

// AuditLog is what the chain needs of the audit.
type AuditLog interface {
	// Write records a call. For a call that issued a token it returns once the record is written; an
	// error means that the token must not leave. It sets the record's AuditID to the one that leads to
	// what is written of the call, which may be a summary.
	Write(ctx context.Context, record *audit.Record) error
	// Available returns nil, or why no record can be written now.
	Available() error
	// Pseudonym stands for a person's identifier in a record.
	Pseudonym(kind, value string) string
}

// Limiter is what the chain needs of the rate limits.
type Limiter interface {
	// Take spends every budget or none. The error says why it cannot decide.
	Take(ctx context.Context, budgets ratelimit.Budgets) (ratelimit.Decision, error)
	// Peek returns what is known of that decision at no cost, and spends nothing.
	Peek(budgets *ratelimit.Budgets) ratelimit.Decision
}

// Secrets is what the chain needs of an organization's signing secret.
type Secrets interface {
	// Ready returns nil, or why no token can be signed now.
	Ready() error
	// Snapshot returns the current secrets, or why there are none.
	Snapshot() (secret.Snapshot, error)
}

// Organization is one that tokens can be signed for. The zero value is none.
type Organization struct {
	Name        string
	Secrets     Secrets
	Identifiers customer.IdentifierPolicy // of callers whose grant has none; zero: as given
}

func (o *Organization) isKnown() bool { return o.Secrets != nil }

// Options are what a Server is made of. All are required except those that say what their zero
// value means.
type Options struct {
	Audit               AuditLog
	Limiter             Limiter
	Limits              ratelimit.Rates // zero: none
	ShadowLimits        bool            // decide and record, refuse nothing
	Organizations       []Organization  // that the policy does not define
	DefaultOrganization string
	Callers             caller.Admission          // zero: loopback and certificates
	Policy              func() *policy.Policy     // the current one. Nil: whoever is admitted may do everything
	Identifiers         customer.IdentifierPolicy // of the policy's organizations that have none; zero: as given
	HasTLS              bool                      // some listener speaks TLS; see maxConnectionAge
	MaxClockSkew        time.Duration             // of an iat in the future, for VerifyToken
	Configured          func() error              // nil, or which files have yet to be good. Nil: all are
	Ready               func() error              // nil, or why no token can be issued now; for grpc.health.v1
	Now                 func() time.Time          // nil: time.Now
	NewAuditID          func(now time.Time) string
	Tracer              *trace.Tracer // nil: no spans are made
	Logger              *slog.Logger  // nil: nothing is logged
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Configured == nil {
		o.Configured = func() error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
