package config

import (
	"log/slog"
	"math/rand/v2"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// Open returns the default organization's secret from the one source that is
// given. Validate has been called before. A file that is not there yet, or has
// nothing in it yet, is no error: it may be mounted or fetched later, and a
// sidecar that does not start would keep the app of its pod from starting.
func (s *Source) Open(secrets Secrets, log *slog.Logger) (*secret.Store, error) {
	options := secret.Options{Organization: s.Organization, Logger: log}
	if s.UsesAPI(secrets) {
		return s.openAPI(options, secrets)
	}
	if s.SecretFile != "" {
		options.Setting = "--secret-file"
		store, err := secret.NewFile(options, s.SecretFile, 0)
		if err != nil {
			log.Error("serving without a signing secret until its file has one", "organization", s.Organization, "error", err.Error())
		}
		return store, nil
	}
	options.Setting = secretKeyVariable
	store, err := secret.NewStatic(options, secrets.SecretKey)
	if err != nil {
		return nil, Usage("%v", err)
	}
	return store, nil
}

func (s *Source) openAPI(options secret.Options, secrets Secrets) (*secret.Store, error) {
	client, err := s.Client(secrets)
	if err != nil {
		return nil, err
	}
	return secret.NewAPI(options, client, secret.APIOptions{
		Refresh: s.SecretRefresh, MaxStale: s.SecretMaxStale, MaxClockSkew: s.MaxClockSkew,
	}), nil
}

// Client returns a client of Kustomer's API.
func (s *Source) Client(secrets Secrets) (*kustomer.Client, error) {
	baseURL, err := kustomer.ParseBaseURL(s.APIURL, s.Organization)
	if err != nil {
		return nil, Usage("--api-url: %v", err)
	}
	key := func() (sensitive.String, error) { return secrets.APIKey, nil }
	if s.APIKeyFile != "" {
		key = secret.KeyFile(s.APIKeyFile)
	}
	return kustomer.NewClient(kustomer.Options{BaseURL: baseURL, APIKey: key})
}

// OpenLocal returns the limiter of this process alone.
func OpenLocal() *ratelimit.Local {
	return ratelimit.NewLocal(ratelimit.DefaultCapacity, ratelimit.Monotonic())
}

// IsShared reports whether limits are shared with other replicas.
func (r *Redis) IsShared() bool { return r.LimitRedis != "" }

// Open returns the limiter that is shared, under the current one of the audit
// keys. Validate has been called before.
func (r *Redis) Open(keys []*audit.Key, log *slog.Logger) (*ratelimit.Redis, error) {
	options := ratelimit.RedisOptions{
		URL:       r.LimitRedis,
		KeySecret: keys[0].LimitNames(),
		Prefix:    r.LimitRedisPrefix,
		Timeout:   r.LimitRedisTimeout,
		Failure:   r.LimitRedisFailure,
		Log:       log,
		Jitter:    rand.Float64,
	}
	if r.LimitRedisPasswordFile != "" {
		options.Password = secret.KeyFile(r.LimitRedisPasswordFile)
		if _, err := options.Password(); err != nil {
			return nil, Usage("--limit-redis-password-file: %v", err)
		}
	}
	shared, err := ratelimit.NewRedis(OpenLocal(), options)
	if err != nil {
		return nil, Usage("--limit-redis: %v", err)
	}
	return shared, nil
}

// AuditOptions returns those of the audit log, with the keys of --audit-key-file.
func (a *Audit) AuditOptions(log *slog.Logger) (writer.Options, error) {
	options := writer.Options{
		File:    a.AuditFile,
		Mode:    writer.Mode(a.AuditMode),
		NoSync:  a.AuditSync == AuditSyncOff,
		Timeout: a.AuditTimeout,
		MaxSize: int64(a.AuditMaxSize),
		MinFree: int64(a.AuditMinFree),
		Logger:  log,
	}
	if a.AuditKeyFile != "" {
		keys, err := audit.ReadKeyFile(a.AuditKeyFile)
		if err != nil {
			return options, Usage("--audit-key-file %s: %v", a.AuditKeyFile, err)
		}
		options.Keys = keys
	}
	return options, nil
}
