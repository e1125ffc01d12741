// Package config declares the flags of serve and turns them, with their environment variables, into
// one validated struct. Its errors are one line that names the flag and says what to do.
package config

import (
	"io/fs"
	"log/slog"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Serve is the configuration of `serve`.
type Serve struct {
	Listen           []Address
	AdminListen      Address
	ProfileListen    Address // zero: nowhere
	IdentifierPolicy customer.IdentifierPolicy
	StrictStart      bool

	SecretSource
	Audit
	Limits
	Redis
	CallerFiles
	TLS
	Unix
	Drain
	Log
	Tracing Tracing // no flags: OpenTelemetry's own variables, which Validate reads

	AllowRemote bool // `dev` alone: serve outside loopback

	origins Origins // as Validate got them

	variables map[string]sensitive.String // that hold secrets of the policy's organizations
}

// Where serve listens unless told otherwise.
const (
	DefaultListen      = "127.0.0.1:9451"
	DefaultAdminListen = "127.0.0.1:9452"
)

// Flags returns the flags of serve in the order of its help. They store what they are given in s.
func (s *Serve) Flags() []Group {
	return []Group{
		{Flags: []Flag{
			List(&s.Listen, ParseAddress, "listen", "ADDRESS", DefaultListen,
				"Where to serve gRPC: host:port or unix:/path. Addresses other than loopback use TLS. Repeatable."),
			Value(&s.AdminListen, ParseAddress, "admin-listen", "HOST:PORT", DefaultAdminListen,
				"Where to serve /livez, /readyz and /metrics. They show no secrets, so the pod network may reach them."),
			Value(&s.ProfileListen, ParseAddress, "profile-listen", "HOST:PORT", "",
				"Where to serve CPU and heap profiles for debugging: a loopback address. Without it there are none."),
			Text(&s.IdentifierPolicy, "identifier-policy", "POLICY", "as-given",
				"What to sign: as-given, external-id, email (only that one), or exclusive (refuse calls that give both)."),
			Switch(&s.StrictStart, "strict-start",
				"Exit with code 2 when a file of the configuration is missing or wrong at the start, except --secret-file and "+
					"--api-key-file: until they are good, calls get SECRET_UNAVAILABLE. Without this flag, serve answers "+
					"NOT_CONFIGURED until a wrong file is mended, so that the app beside it starts."),
		}},
		s.SecretSource.flags(), s.Audit.flags(), s.Limits.flags(), s.Redis.flags(), s.CallerFiles.flags(), s.TLS.flags(),
		s.Unix.flags(), s.Drain.flags(), s.Log.flags(),
	}
}

// HasProfiles reports whether profiles are served.
func (s *Serve) HasProfiles() bool { return s.ProfileListen != Address{} }

// Audit is the audit trail's configuration.
type Audit struct {
	AuditFile     string
	Instance      string
	AuditMode     writer.Mode
	AuditSync     bool
	AuditKeyFile  string
	AuditTimeout  time.Duration
	AuditFileMode fs.FileMode
	AuditMaxSize  Bytes
	AuditMaxFiles int
	AuditMinFree  Bytes
	AuditCopy     AuditCopy
}

func (a *Audit) flags() Group {
	return Group{"Audit", []Flag{
		Path(&a.AuditFile, "audit-file", writer.DefaultFile,
			"Where to write records; - is standard output. {instance} in the path becomes that of --instance."),
		Value(&a.Instance, parseInstance, "instance", "INSTANCE", "",
			"Name of this process in records and paths (default: the pod or host name). "+
				"Give each its own where several share a host."),
		Value(&a.AuditMode, OneOf(writer.ModeStrict, writer.ModeBestEffort), "audit-mode", "MODE", string(writer.DefaultMode),
			"strict (no record, no token) or best-effort (count the records that are lost)."),
		Value(&a.AuditSync, parseSwitch, "audit-sync", "ON|OFF", "on",
			"For a file: on (fdatasync before the reply) or off (write before the reply)."),
		Path(&a.AuditKeyFile, "audit-key-file", "",
			"Keys of the chain and the pseudonyms: each line is base64 of at least 32 bytes, optionally after name:. "+
				"The first line is the current key."),
		Duration(&a.AuditTimeout, "audit-timeout", writer.DefaultTimeout.String(),
			"How long a call waits for its record: 1ms to 1m."),
		Value(&a.AuditFileMode, parseFileMode, "audit-file-mode", "MODE", "0600",
			"Permissions of the file and the rotated ones, in octal: the owner reads and writes, others never write."),
		Value(&a.AuditMaxSize, parseBytes, "audit-max-size", "SIZE", Bytes(writer.DefaultMaxSize).String(),
			"Size at which to rotate the file; at least 1MiB."),
		Value(&a.AuditMaxFiles, parseCount, "audit-max-files", "COUNT", "0",
			"How many rotated files to keep; the oldest are deleted. 0 keeps all."),
		Value(&a.AuditMinFree, parseBytes, "audit-min-free", "SIZE", Bytes(writer.DefaultMinFree).String(),
			"Warn when the file's disk has less free space than this."),
		Value(&a.AuditCopy, OneOf(CopyToStandard), "audit-copy", "-", "",
			"With - each record that is durable in the file is copied to standard output; no call waits for the copy."),
	}}
}

// AuditCopy says where durable records are copied to; empty: nowhere.
type AuditCopy string

// CopyToStandard copies them to standard output.
const CopyToStandard AuditCopy = writer.Standard

// Limits are the rate limits.
type Limits struct {
	LimitRates ratelimit.Rates
	LimitMode  LimitMode
}

func (l *Limits) flags() Group {
	var flags []Flag
	for _, limit := range ratelimit.Limits() {
		rate := &l.LimitRates[limit]
		flags = append(flags, Text(rate, "limit-"+limit.String(), "RATE", limit.Default(), limit.Help()))
	}
	return Group{"Rate limits (N/s, N/m or N/h, optionally with :BURST; or off)", append(flags,
		Value(&l.LimitMode, OneOf(LimitEnforce, LimitShadow), "limit-mode", "MODE", string(LimitEnforce),
			"enforce, or shadow (decide and record, but refuse nothing)."),
	)}
}

// LimitMode says whether limits refuse calls.
type LimitMode string

// The modes.
const (
	LimitEnforce LimitMode = "enforce"
	LimitShadow  LimitMode = "shadow"
)

// Redis is the configuration of shared limits.
type Redis struct {
	LimitRedis             string
	LimitRedisPasswordFile string
	LimitRedisCA           string
	LimitRedisCert         string
	LimitRedisKey          string
	LimitRedisPrefix       string
	LimitRedisTimeout      time.Duration
	LimitRedisFailure      redis.Failure
}

func (r *Redis) flags() Group {
	return Group{"Rate limits shared by all replicas, through Redis", []Flag{
		String(&r.LimitRedis, "limit-redis", "URL", "",
			"redis://[user@]host[:port][/db], or rediss:// for TLS; of a Cluster ?addr=host:port for each further node, "+
				"of Sentinels ?master_name=NAME too. Needs --audit-key-file with the same "+
				"current key in each replica; it keys the names of the budgets."),
		Path(&r.LimitRedisPasswordFile, "limit-redis-password-file", "", "File with the password."),
		Path(&r.LimitRedisCA, "limit-redis-ca", "",
			"CAs to trust for rediss:// instead of the system's, in PEM. Reloaded when it changes, as are the two below."),
		Path(&r.LimitRedisCert, "limit-redis-cert", "", "Client certificate for rediss://, in PEM."),
		Path(&r.LimitRedisKey, "limit-redis-key", "", "Its private key, in PEM."),
		String(&r.LimitRedisPrefix, "limit-redis-prefix", "TEXT", "chatidentity",
			"Prefix of every key. Replicas with the same prefix share their budgets."),
		Duration(&r.LimitRedisTimeout, "limit-redis-timeout", "50ms", "How long to wait for a decision: 1ms to 10s."),
		Text(&r.LimitRedisFailure, "limit-redis-failure", "MODE", "local",
			"What to do when Redis fails: local (each replica applies its own limits) or closed (refuse calls)."),
	}}
}

// CallerFiles names the files that say who may call, and what each caller may do.
type CallerFiles struct {
	CallerTokensFile string
	PolicyFile       string
}

func (a *CallerFiles) flags() Group {
	return Group{"Callers", []Flag{
		Path(&a.CallerTokensFile, "caller-tokens-file", "",
			"Bearer tokens of callers: lines of name sha256:HEX, reloaded when they change. "+
				"With it, calls over loopback need a token."),
		Path(&a.PolicyFile, "policy-file", "",
			"YAML: organizations, and what each caller may do. Reloaded when it changes. "+
				"With it, callers that it does not name may do nothing."),
	}}
}

// TLS names the files of listeners outside loopback.
type TLS struct {
	TLSCert     string
	TLSKey      string
	TLSClientCA string
}

func (t *TLS) flags() Group {
	return Group{
		"TLS with client certificates, for listeners outside loopback\n" +
			"(all three or none; reloaded when they change)", []Flag{
			Path(&t.TLSCert, "tls-cert", "", "Certificate chain, in PEM."),
			Path(&t.TLSKey, "tls-key", "", "Its private key, in PEM."),
			Path(&t.TLSClientCA, "tls-client-ca", "", "CAs that sign the callers' certificates, in PEM."),
		},
	}
}

// HasTLS reports whether there is TLS.
func (t *TLS) HasTLS() bool { return t.TLSCert != "" }

// Unix is the configuration of unix sockets.
type Unix struct {
	AllowUID   []uint32
	SocketMode fs.FileMode
}

func (u *Unix) flags() Group {
	return Group{"Unix sockets", []Flag{
		List(&u.AllowUID, ParseUserID, "allow-uid", "UID", "", "User ID that may call over unix sockets. Repeatable."),
		Value(&u.SocketMode, parseFileMode, "socket-mode", "MODE", "0660", "Permissions of the sockets, in octal."),
	}}
}

// Drain says how the program stops.
type Drain struct {
	DrainDelay   time.Duration
	DrainTimeout time.Duration
}

func (d *Drain) flags() Group {
	return Group{"Stopping, after SIGTERM", []Flag{
		Duration(&d.DrainDelay, "drain-delay", "0s", "How long to keep accepting calls while not ready."),
		Duration(&d.DrainTimeout, "drain-timeout", "10s", "How long running calls may then take; more than 0s."),
	}}
}

// Log is the program log's configuration.
type Log struct {
	LogLevel  slog.Level
	LogFormat LogFormat
}

func (l *Log) flags() Group {
	return Group{"Program log, on standard error", []Flag{
		Value(&l.LogLevel, parseLevel, "log-level", "LEVEL", "info", "debug, info, warn or error."),
		Value(&l.LogFormat, OneOf(LogJSON, LogText), "log-format", "FORMAT", string(LogJSON), "json or text."),
	}}
}

// LogFormat is how log lines look.
type LogFormat string

// The formats.
const (
	LogJSON LogFormat = "json"
	LogText LogFormat = "text"
)
