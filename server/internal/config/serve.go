// Package config turns flags and environment variables into one validated
// struct. Its errors are one line that names the flag and what to do.
package config

import (
	"io/fs"
	"log/slog"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
)

// Serve is the configuration of `serve`. The tags are its flags; each has an
// environment variable of the same name with the prefix CHATIDENTITY_.
type Serve struct {
	Listen      []Address `default:"127.0.0.1:50451" placeholder:"ADDRESS" help:"Where to serve gRPC: host:port, or unix:/path. Outside loopback it speaks TLS. Repeatable."`
	AdminListen Address   `default:"127.0.0.1:50452" placeholder:"HOST:PORT" help:"Where to serve /livez, /readyz and /metrics. Nothing secret is there, so it may be opened to the pod network."`

	SecretSource `embed:"" group:"Signing secret (exactly one source: KUSTOMER_SECRET_KEY, --secret-file, KUSTOMER_API_KEY or --api-key-file):"`

	IdentifierPolicy customer.IdentifierPolicy `default:"as-given" placeholder:"POLICY" help:"What to sign: as-given, external-id, email (that one alone), or exclusive (both given: refused)."`

	Audit  `embed:"" group:"Audit:"`
	Limits `embed:"" group:"Rate limits (N/s, N/m or N/h, with :BURST, or off):"`
	Redis  `embed:"" group:"Rate limits shared by all replicas, through Redis:"`
	Access `embed:"" group:"Callers:"`
	TLS    `embed:"" group:"TLS with client certificates, for listeners outside loopback (all three or none; followed when they change):"`
	Unix   `embed:"" group:"Unix sockets:"`
	Drain  `embed:"" group:"Stopping, after SIGTERM:"`
	Log    `embed:"" group:"Program log, on standard error:"`

	AllowRemote bool `kong:"-"` // `dev` alone: serve outside loopback

	// As Validate found them:
	policy        *policy.Policy // nil without a file
	organizations []Organization
}

// Audit is the audit trail's configuration.
type Audit struct {
	AuditFile    string        `default:"-" placeholder:"PATH" help:"Where records go; - is standard output. {instance} in the path is the pod or host name."`
	AuditMode    AuditMode     `default:"strict" placeholder:"MODE" help:"strict (no record, no token) or best-effort (counts what it drops)."`
	AuditSync    AuditSync     `default:"on" placeholder:"ON|OFF" help:"Of a file: on (fdatasync before the reply) or off (write before the reply)."`
	AuditKeyFile string        `placeholder:"PATH" help:"Keys of the chain and the pseudonyms: lines of base64 of at least 32 bytes, optionally after name:, the current one first."`
	AuditTimeout time.Duration `default:"2s" placeholder:"DURATION" help:"How long a call waits for its record."`
	AuditMaxSize Bytes         `default:"100MiB" placeholder:"SIZE" help:"Size at which a file is rotated."`
	AuditMinFree Bytes         `default:"64MiB" placeholder:"SIZE" help:"Free space below which a file's disk is warned about."`
}

// Limits are the rate limits.
type Limits struct {
	LimitGlobal   ratelimit.Rate `default:"off" placeholder:"RATE" help:"Of all calls together."`
	LimitCaller   ratelimit.Rate `default:"200/s:400" placeholder:"RATE" help:"Of each caller."`
	LimitCustomer ratelimit.Rate `default:"10/m:10" placeholder:"RATE" help:"Of tokens for each customer."`
	LimitMode     LimitMode      `default:"enforce" placeholder:"MODE" help:"enforce, or shadow (decide and record, refuse nothing)."`
}

// Rates returns the rate of each limit.
func (l *Limits) Rates() ratelimit.Rates {
	return ratelimit.Rates{
		ratelimit.Global:   l.LimitGlobal,
		ratelimit.Caller:   l.LimitCaller,
		ratelimit.Customer: l.LimitCustomer,
	}
}

// Redis is the configuration of shared limits.
type Redis struct {
	LimitRedis             string        `placeholder:"URL" help:"redis://[user@]host[:port][/db], rediss:// for TLS. Needs --audit-key-file with the same current key in each replica, which keys the names of budgets."`
	LimitRedisPasswordFile string        `placeholder:"PATH" help:"File with its password."`
	LimitRedisPrefix       string        `default:"chatidentity" placeholder:"TEXT" help:"Beginning of every key. Replicas that share a budget share it."`
	LimitRedisTimeout      time.Duration `default:"50ms" placeholder:"DURATION" help:"How long a decision waits."`
	LimitRedisFailure      redis.Failure `default:"local" placeholder:"MODE" help:"What decides when Redis fails: local (each replica's own limits) or closed (calls are refused)."`
}

// Access names the files that say who may call, and what each caller may do.
type Access struct {
	CallerTokensFile string `placeholder:"PATH" help:"Bearer tokens of callers: lines of name sha256:HEX, followed when it changes. Then a call over loopback needs one."`
	PolicyFile       string `placeholder:"PATH" help:"YAML: organizations, and what each caller may do. Followed when it changes. Then whoever is not in it may do nothing."`
}

// TLS names the files of listeners outside loopback.
type TLS struct {
	TLSCert     string `name:"tls-cert" placeholder:"PATH" help:"Certificate chain, in PEM."`
	TLSKey      string `name:"tls-key" placeholder:"PATH" help:"Its private key, in PEM."`
	TLSClientCA string `name:"tls-client-ca" placeholder:"PATH" help:"CAs that sign the certificates of callers, in PEM."`
}

// HasTLS reports whether there is TLS.
func (t *TLS) HasTLS() bool { return t.TLSCert != "" }

// Unix is the configuration of unix sockets.
type Unix struct {
	AllowUID   []uint32 `name:"allow-uid" placeholder:"UID" help:"User ID that may call over unix sockets. Repeatable."`
	SocketMode FileMode `default:"0660" placeholder:"MODE" help:"Permissions of the sockets, in octal."`
}

// Drain says how the program stops.
type Drain struct {
	DrainDelay   time.Duration `default:"0s" placeholder:"DURATION" help:"How long calls are still accepted while not ready."`
	DrainTimeout time.Duration `default:"10s" placeholder:"DURATION" help:"How long running calls may then take."`
}

// Log is the program log's configuration.
type Log struct {
	LogLevel  slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat LogFormat  `default:"json" placeholder:"FORMAT" help:"json or text."`
}

// AuditMode is what happens when a record cannot be written.
type AuditMode string

// The modes.
const (
	AuditStrict     AuditMode = "strict"
	AuditBestEffort AuditMode = "best-effort"
)

// UnmarshalText reads a mode.
func (m *AuditMode) UnmarshalText(text []byte) error {
	return oneOf(m, text, AuditStrict, AuditBestEffort)
}

// AuditSync says whether records are synced to disk before the reply.
type AuditSync string

// The settings.
const (
	AuditSyncOn  AuditSync = "on"
	AuditSyncOff AuditSync = "off"
)

// UnmarshalText reads on or off.
func (s *AuditSync) UnmarshalText(text []byte) error {
	return oneOf(s, text, AuditSyncOn, AuditSyncOff)
}

// LimitMode says whether limits refuse calls.
type LimitMode string

// The modes.
const (
	LimitEnforce LimitMode = "enforce"
	LimitShadow  LimitMode = "shadow"
)

// UnmarshalText reads a mode.
func (m *LimitMode) UnmarshalText(text []byte) error {
	return oneOf(m, text, LimitEnforce, LimitShadow)
}

// LogFormat is how log lines look.
type LogFormat string

// The formats.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)

// UnmarshalText reads a format.
func (f *LogFormat) UnmarshalText(text []byte) error {
	return oneOf(f, text, LogJSON, LogText)
}

// FileMode is the permissions of a file.
type FileMode fs.FileMode
