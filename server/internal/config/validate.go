package config

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/caller"
)

// Validate checks how the flags fit together, reads the policy file, and fills in the default
// organization with its secrets. The error is one line that names the flag and says what to do.
func (s *Serve) Validate(origins Origins, secrets Secrets) error {
	s.origins, s.Secrets = origins, secrets
	for _, check := range []func() error{
		s.validateListeners,
		s.validateTLS,
		s.validateCallerFiles,
		s.validateOrganizations,
		s.Audit.validate,
		s.validateRedis,
		s.Drain.validate,
		s.validateTracing,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// ErrUsage is wrapped by every error that a flag or variable causes.
var ErrUsage = errors.New("bad usage or configuration")

type usageError struct{ text string }

func (e usageError) Error() string        { return e.text }
func (e usageError) Is(target error) bool { return target == ErrUsage }

// Usage returns an error that wraps ErrUsage and consists of the text alone.
func Usage(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

// WrongFile returns what is wrong with a file at a strict start: the first line of err; nil if that
// is nil.
func WrongFile(err error) error {
	if err == nil {
		return nil
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return Usage("%s", first)
}

func (s *Serve) validateListeners() error {
	if err := s.validateDistinct(); err != nil {
		return err
	}
	for _, address := range s.Listen {
		switch {
		case address.IsUnix() && len(s.AllowUID) == 0:
			return Usage("--listen %v: nobody may call over a unix socket yet: give the app's user ID with --allow-uid", address)
		case address.isOutside() && !s.HasTLS() && !s.AllowRemote:
			return Usage("--listen %v is not a loopback address: it needs TLS with client certificates "+
				"(--tls-cert, --tls-key, --tls-client-ca); or use 127.0.0.1:PORT, [::1]:PORT or unix:/path", address)
		}
	}
	if s.HasProfiles() && !s.ProfileListen.IsLoopback() {
		return Usage("--profile-listen %v must be a loopback address, such as 127.0.0.1:9453", s.ProfileListen)
	}
	if s.AdminListen.IsUnix() {
		return Usage("--admin-listen %v must be host:port, such as %s: Kubernetes probes it over HTTP",
			s.AdminListen, DefaultAdminListen)
	}
	return s.validateUsers()
}

// validateDistinct refuses an address that is given twice, however it is spelled.
func (s *Serve) validateDistinct() error {
	for i, address := range s.Listen {
		switch {
		case slices.Contains(s.Listen[:i], address):
			return Usage("--listen %v is given twice: give it once", address)
		case slices.ContainsFunc(s.Listen[:i], address.clashes):
			return Usage("--listen %v is the same address as another --listen: give it once", address)
		case address.clashes(s.AdminListen):
			return Usage("--listen %v and --admin-listen %v are the same address: give each its own port",
				address, s.AdminListen)
		}
	}
	return nil
}

func (s *Serve) validateUsers() error {
	overflow := caller.OverflowUID()
	switch {
	case slices.Contains(s.AllowUID, overflow):
		return Usage("--allow-uid %d stands for every user that the kernel cannot map into this container: "+
			"run the app under its own user ID and give that", overflow)
	case s.origins.Given["allow-uid"] && !slices.ContainsFunc(s.Listen, Address.IsUnix):
		return Usage("--allow-uid keeps nobody out here: it is about unix sockets, and no --listen is one: " +
			"add --listen unix:/path, or leave it out")
	default:
		return nil
	}
}

func (s *Serve) validateTLS() error {
	for _, file := range []struct{ flag, path string }{
		{"--tls-cert", s.TLSCert}, {"--tls-key", s.TLSKey}, {"--tls-client-ca", s.TLSClientCA},
	} {
		switch {
		case file.path != "" && s.AllowRemote:
			return Usage("%s has no use in dev, whose secret is worthless: leave it out, or use serve", file.flag)
		case file.path != "" && !slices.ContainsFunc(s.Listen, Address.isOutside):
			return Usage("%s has no use: every --listen is a loopback address or a unix socket, without TLS; leave it out",
				file.flag)
		case file.path == "" && s.TLSCert+s.TLSKey+s.TLSClientCA != "":
			return Usage("%s is missing: --tls-cert, --tls-key and --tls-client-ca belong together", file.flag)
		}
	}
	return nil
}

// validateCallerFiles refuses the files in dev, which calls itself over loopback, without a token and
// under no policy.
func (s *Serve) validateCallerFiles() error {
	for flag, path := range map[string]string{"--caller-tokens-file": s.CallerTokensFile, "--policy-file": s.PolicyFile} {
		if path != "" && s.AllowRemote {
			return Usage("%s has no use in dev, which shows what one caller sees: leave it out, or use serve", flag)
		}
	}
	return nil
}

func (a *Audit) validate() error {
	switch {
	case a.AuditTimeout < time.Millisecond || a.AuditTimeout > time.Minute:
		return Usage("--audit-timeout %v must be from 1ms to 1m", a.AuditTimeout)
	case a.AuditMaxSize < 1<<20:
		return Usage("--audit-max-size must be at least 1MiB")
	case a.AuditFileMode&0o002 != 0:
		return Usage("--audit-file-mode %#o lets every user change the records: give a mode like 0640", a.AuditFileMode)
	case a.AuditFileMode&0o600 != 0o600:
		return Usage("--audit-file-mode %#o keeps the program from its own records: give a mode like 0600", a.AuditFileMode)
	default:
		return nil
	}
}

func (s *Serve) validateRedis() error {
	for flag, path := range map[string]string{
		"--limit-redis-ca": s.LimitRedisCA, "--limit-redis-cert": s.LimitRedisCert, "--limit-redis-key": s.LimitRedisKey,
	} {
		if path != "" && !strings.HasPrefix(s.LimitRedis, "rediss:") {
			return Usage("%s has no use without TLS: give --limit-redis rediss://… or leave it out", flag)
		}
	}
	switch {
	case (s.LimitRedisCert == "") != (s.LimitRedisKey == ""):
		return Usage("--limit-redis-cert and --limit-redis-key belong together: give both or neither")
	case s.LimitRedis == "" && s.LimitRedisPasswordFile != "":
		return Usage("--limit-redis-password-file has no use without --limit-redis: give both or neither")
	case s.LimitRedis == "":
		return nil
	case s.AuditKeyFile == "":
		return Usage("--limit-redis needs --audit-key-file, with the same current key in each replica: " +
			"it keys the names under which budgets are stored, so that Redis holds no personal data")
	case s.LimitRedisTimeout < time.Millisecond || s.LimitRedisTimeout > 10*time.Second:
		return Usage("--limit-redis-timeout %v must be from 1ms to 10s", s.LimitRedisTimeout)
	default:
		return nil
	}
}

func (d *Drain) validate() error {
	if d.DrainDelay < 0 || d.DrainTimeout <= 0 {
		return Usage("--drain-delay %v must not be negative, and --drain-timeout %v must be positive",
			d.DrainDelay, d.DrainTimeout)
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
