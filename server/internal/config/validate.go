package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// The environment variables that hold secrets. Flags never do: a process's
// arguments can be read by others.
const (
	secretKeyVariable = "KUSTOMER_SECRET_KEY"
	apiKeyVariable    = "KUSTOMER_API_KEY" //nolint:gosec // the name of a variable
)

// defaultOrganization is the name of the default organization unless another
// is given.
const defaultOrganization = "default"

// Secrets are what the environment holds of them.
type Secrets struct {
	SecretKey sensitive.String
	APIKey    sensitive.String
	given     []string
}

// TakeSecrets reads the secrets out of the environment and removes them from
// it, so that nothing which prints or passes on the environment has them.
func TakeSecrets() Secrets {
	var secrets Secrets
	take := func(name string) sensitive.String {
		value, given := os.LookupEnv(name)
		if given {
			secrets.given = append(secrets.given, name)
			_ = os.Unsetenv(name) // fails for malformed names alone
		}
		return sensitive.New(value)
	}
	secrets.SecretKey, secrets.APIKey = take(secretKeyVariable), take(apiKeyVariable)
	return secrets
}

// DevSecrets are those of `dev`: the stand-in's API key.
func DevSecrets(apiKey sensitive.String) Secrets {
	return Secrets{APIKey: apiKey, given: []string{apiKeyVariable}}
}

// Validate checks what no single flag can tell, and fills in the default
// organization. The error is one line that names the flag and what to do.
func (s *Serve) Validate(secrets Secrets) error {
	for _, check := range []func() error{
		s.validateListeners,
		s.validateTLS,
		s.validateAccess,
		func() error { return s.validateOrganizations(secrets) },
		s.Audit.validate,
		s.validateRedis,
		s.Drain.validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// ErrUsage is wrapped by every error that a flag or variable is the cause of.
var ErrUsage = errors.New("bad usage or configuration")

type usageError struct{ text string }

func (e usageError) Error() string        { return e.text }
func (e usageError) Is(target error) bool { return target == ErrUsage }

// Usage returns an error that wraps ErrUsage and reads as the text alone.
func Usage(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

func (s *Serve) validateListeners() error {
	seen := map[Address]bool{}
	for _, address := range s.Listen {
		switch {
		case seen[address]:
			return Usage("--listen %v is given twice: give it once", address)
		case address.IsUnix() && len(s.AllowUID) == 0:
			return Usage("--listen %v: nobody may call over a unix socket yet: give the app's user ID with --allow-uid", address)
		case address.isOutside() && !s.HasTLS() && !s.AllowRemote:
			return Usage("--listen %v is not a loopback address: it needs TLS with client certificates (--tls-cert, --tls-key, --tls-client-ca); "+
				"or use 127.0.0.1:PORT, [::1]:PORT or unix:/path", address)
		}
		seen[address] = true
	}
	if s.AdminListen.IsUnix() {
		return Usage("--admin-listen %v must be host:port: Kubernetes probes it over HTTP", s.AdminListen)
	}
	if overflow := caller.OverflowUID(); slices.Contains(s.AllowUID, overflow) {
		return Usage("--allow-uid %d is what the kernel calls every user that it cannot name here: run the app under a user ID of its own and give that", overflow)
	}
	return nil
}

func (s *Serve) validateTLS() error {
	for _, file := range []struct{ flag, path string }{
		{"--tls-cert", s.TLSCert}, {"--tls-key", s.TLSKey}, {"--tls-client-ca", s.TLSClientCA},
	} {
		switch {
		case file.path != "" && s.AllowRemote:
			return Usage("%s has no use in dev, whose secret is worthless: leave it out, or use serve", file.flag)
		case file.path != "" && !slices.ContainsFunc(s.Listen, Address.isOutside):
			return Usage("%s has no use: every --listen is a loopback address or a unix socket, which speak plain text; leave it out", file.flag)
		case file.path == "" && s.TLSCert+s.TLSKey+s.TLSClientCA != "":
			return Usage("%s is missing: --tls-cert, --tls-key and --tls-client-ca belong together", file.flag)
		}
	}
	return nil
}

// validateAccess reads the policy: it may hold organizations. dev calls itself
// over loopback, without a token and under no policy.
func (s *Serve) validateAccess() error {
	for flag, path := range map[string]string{"--caller-tokens-file": s.CallerTokensFile, "--policy-file": s.PolicyFile} {
		if path != "" && s.AllowRemote {
			return Usage("%s has no use in dev, which shows what one caller sees: leave it out, or use serve", flag)
		}
	}
	return nil
}

// sources returns the names of the flags and variables that give the default
// organization's secret.
func (s *Source) sources(secrets Secrets) []string {
	given := slices.Clone(secrets.given)
	for name, value := range map[string]string{"--secret-file": s.SecretFile, "--api-key-file": s.APIKeyFile} {
		if value != "" {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	return given
}

func (s *Source) validate(secrets Secrets) error {
	if err := s.validateChoice(s.sources(secrets), secrets); err != nil {
		return err
	}
	if s.UsesAPI(secrets) {
		if err := s.validateURL(); err != nil {
			return err
		}
	}
	s.Organization = cmp.Or(s.Organization, defaultOrganization)
	return nil
}

func (s *Source) validateChoice(given []string, secrets Secrets) error {
	switch {
	case len(given) == 0:
		return Usage("no source of the signing secret: give --secret-file (recommended), KUSTOMER_SECRET_KEY, --api-key-file or KUSTOMER_API_KEY; " +
			"or try `chatidentity dev`")
	case len(given) > 1:
		return Usage("%s: more than one source of the signing secret: give one", strings.Join(given, ", "))
	case given[0] == secretKeyVariable && secrets.SecretKey.IsEmpty(), given[0] == apiKeyVariable && secrets.APIKey.IsEmpty():
		return Usage("%s is empty: set it to the value, or unset it and give --secret-file", given[0])
	default:
		return nil
	}
}

func (s *Source) validateTimes() error {
	switch {
	case s.SecretRefresh < time.Second:
		return Usage("--secret-refresh %v must be at least 1s", s.SecretRefresh)
	case s.SecretMaxStale < s.SecretRefresh:
		return Usage("--secret-max-stale %v must be at least --secret-refresh (%v)", s.SecretMaxStale, s.SecretRefresh)
	case s.MaxClockSkew < time.Second || s.MaxClockSkew > 15*time.Minute:
		return Usage("--max-clock-skew %v must be from 1s to 15m, the life of a token", s.MaxClockSkew)
	default:
		return nil
	}
}

func (s *Source) validateURL() error {
	if s.Organization == "" && kustomer.NeedsOrganization(s.APIURL) {
		return Usage("--organization is required: it stands for {organization} in --api-url %s", s.APIURL)
	}
	if _, err := kustomer.ParseBaseURL(s.APIURL, s.Organization); err != nil {
		return Usage("--api-url: %v", err)
	}
	return nil
}

// UsesAPI reports whether the secret comes from Kustomer's API.
func (s *Source) UsesAPI(secrets Secrets) bool {
	return s.APIKeyFile != "" || !secrets.APIKey.IsEmpty()
}

func (a *Audit) validate() error {
	switch {
	case a.AuditFile == "":
		return Usage("--audit-file is empty: give a path, or - for standard output")
	case a.AuditTimeout < time.Millisecond || a.AuditTimeout > time.Minute:
		return Usage("--audit-timeout %v must be from 1ms to 1m", a.AuditTimeout)
	case a.AuditMaxSize < 1<<20:
		return Usage("--audit-max-size must be at least 1MiB")
	default:
		return nil
	}
}

func (s *Serve) validateRedis() error {
	switch {
	case s.LimitRedis == "" && s.LimitRedisPasswordFile != "":
		return Usage("--limit-redis-password-file has no use without --limit-redis: give both or neither")
	case s.LimitRedis == "":
		return nil
	case s.AuditKeyFile == "":
		return Usage("--limit-redis needs --audit-key-file, with the same current key in each replica: " +
			"it keys the names under which budgets are stored, so that Redis holds no person")
	case s.LimitRedisTimeout < time.Millisecond || s.LimitRedisTimeout > 10*time.Second:
		return Usage("--limit-redis-timeout %v must be from 1ms to 10s", s.LimitRedisTimeout)
	default:
		return nil
	}
}

func (d *Drain) validate() error {
	if d.DrainDelay < 0 || d.DrainTimeout <= 0 {
		return Usage("--drain-delay %v must not be negative, and --drain-timeout %v must be positive", d.DrainDelay, d.DrainTimeout)
	}
	return nil
}

// NewLogger returns the program log.
func (l *Log) NewLogger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: l.LogLevel}
	if l.LogFormat == LogText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
