package main

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/admin"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/listen"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/process"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/trace"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// sidecar is all rooms of the house, wired. It is opened, run once, and closes itself at the end of
// the run.
type sidecar struct {
	config *config.Serve
	log    *process.Log
	now    func() time.Time // the wall clock of tokens, records and secrets
	files  *watch.Follower

	asker     *secret.Asker
	own       *secret.Store                // of the organization whose secret the flags name; nil: none is
	tokens    *watch.Value[*caller.Tokens] // nil: not configured, as the two below
	tls       *watch.Value[*caller.TLS]
	policy    *watch.Value[*policy.Policy]
	bounds    *listen.Bounds
	listeners []*listen.Listener
	admin     net.Listener
	profiles  net.Listener // nil: none are served
	keys      *watch.Value[[]*audit.Key]
	limiter   limiter
	shared    *redis.Limiter // nil: this process counts for itself
	audit     *writer.Log
	tracer    *trace.Tracer // nil: tracing is off
	server    *rpc.Server
	metrics   *prometheus.Registry
	required  []requirement

	reloads reloads

	whole    atomic.Bool // every file of the configuration has been good
	live     atomic.Bool // the listeners accept calls
	draining atomic.Bool
}

// limiter is where calls are counted: in this process, or together with other replicas.
type limiter interface {
	rpc.Limiter
	prometheus.Collector
}

// openSidecar opens everything that can fail, so that a bad configuration is reported before the
// first call. An error names the flag.
func openSidecar(ctx context.Context, c *config.Serve, log *process.Log, now func() time.Time) (*sidecar, error) {
	s := &sidecar{
		config: c, log: log, now: now,
		files: watch.NewFollower(log.Logger), asker: new(secret.Asker), bounds: listen.NewBounds(),
	}
	for _, open := range []func(context.Context) error{
		s.openSecret,    // what to sign with
		s.openCallers,   // who may call, what each caller may do, and the organizations of the policy
		s.openListeners, // where calls arrive
		s.openKeys,      // of the audit, which also name the budgets of shared limits
		s.openLimiter,   // how many calls
		s.openTracer,    // where spans go
		s.openAudit,     // last of what can fail: it writes a record
		s.openServer,
	} {
		if err := cmp.Or(open(ctx), s.strict()); err != nil {
			s.abandon(ctx)
			return nil, err
		}
	}
	s.logWrong()
	return s, nil
}

// strict is the error of a strict start: the first file that is wrong.
func (s *sidecar) strict() error {
	if !s.config.StrictStart {
		return nil
	}
	return config.WrongFile(s.wanting())
}

// logWrong says what the operator has to mend.
func (s *sidecar) logWrong() {
	if err := s.configured(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			s.log.Error("a file is wrong: every call is refused until it is mended", "event", "file_wrong", "error", line)
		}
	}
}

func (s *sidecar) openSecret(context.Context) error {
	own := s.config.OwnOrganization()
	if own == nil {
		return nil
	}
	var err error
	s.own, err = own.Open(s.keepsSecrets())
	return err
}

// keepsSecrets says what keeps the secrets current.
func (s *sidecar) keepsSecrets() secret.Options {
	return secret.Options{Follower: s.files, Asker: s.asker, Logger: s.log.Logger, Now: s.now}
}

// stores returns the secrets of all organizations that there are now: the one of the flags first,
// then those of the policy by name.
func (s *sidecar) stores() []*secret.Store {
	var all []*secret.Store
	if s.own != nil {
		all = append(all, s.own)
	}
	if s.policy == nil || s.policy.Load() == nil {
		return all
	}
	organizations := s.policy.Load().Organizations
	for _, name := range slices.Sorted(maps.Keys(organizations)) {
		all = append(all, organizations[name].Secrets)
	}
	return all
}

func (s *sidecar) openCallers(context.Context) error {
	s.tokens = s.config.OpenCallerTokens(s.files)
	s.tls = s.config.OpenTLS(s.files)
	s.policy = s.config.OpenPolicy(s.keepsSecrets())
	return nil
}

func (s *sidecar) openListeners(ctx context.Context) error {
	admission := s.config.Admission(s.tokens)
	options := listen.Options{
		Refused: func(r listen.Refusal) { s.server.Refused(r) },
		Bounds:  s.bounds,
		Logger:  s.log.Logger,
		IsStranger: func(who caller.Identity) bool {
			return who.Kind == caller.UID && !admission.May(who, caller.CheckHealth)
		},
	}
	if s.tls != nil {
		options.TLS = s.tls.Load
	}
	for _, address := range s.config.Listen {
		listener, err := listen.Open(ctx, s.config.ListenAddress(address), options)
		if err != nil {
			return config.ListenError("--listen", address, err)
		}
		s.listeners = append(s.listeners, listener)
	}
	var err error
	if s.admin, err = listen.OpenAdmin(ctx, s.config.AdminListen.Address, options); err != nil {
		return config.ListenError("--admin-listen", s.config.AdminListen, err)
	}
	if !s.config.HasProfiles() {
		return nil
	}
	if s.profiles, err = listen.OpenAdmin(ctx, s.config.ProfileListen.Address, options); err != nil {
		return config.ListenError("--profile-listen", s.config.ProfileListen, err)
	}
	return nil
}

func (s *sidecar) openKeys(context.Context) error {
	s.keys = s.config.OpenAuditKeys(s.files)
	return nil
}

func (s *sidecar) openLimiter(context.Context) error {
	if !s.config.IsShared() {
		s.limiter = config.OpenLocal()
		return nil
	}
	var err error
	s.shared, err = s.config.OpenRedis(s.keys, s.config.OpenRedisPassword(s.files), s.files, s.log.Logger)
	s.limiter = s.shared
	return err
}

func (s *sidecar) openAudit(context.Context) error {
	options := s.config.AuditOptions(s.keys, s.log.Logger)
	options.Now = s.now
	var err error
	s.audit, err = writer.Start(options)
	return config.AuditFileError(err)
}

func (s *sidecar) openTracer(ctx context.Context) error {
	var err error
	s.tracer, err = s.config.Tracing.Open(ctx, buildVersion(), s.config.Instance, s.log.Logger)
	return err
}

// openServer makes the gRPC server of what is open.
func (s *sidecar) openServer(context.Context) error {
	s.required = s.requirements()
	options := rpc.Options{
		Audit:               s.audit,
		Limiter:             s.limiter,
		Limits:              s.config.LimitRates,
		ShadowLimits:        s.config.LimitMode == config.LimitShadow,
		DefaultOrganization: s.config.Organization,
		Identifiers:         s.config.IdentifierPolicy,
		Callers:             s.config.Admission(s.tokens),
		HasTLS:              s.tls != nil,
		MaxClockSkew:        s.config.MaxClockSkew,
		Configured:          s.configured,
		Ready:               s.ready,
		Now:                 s.now,
		NewAuditID:          func(now time.Time) string { return audit.NewID(now, nil) },
		Tracer:              s.tracer,
		Logger:              s.log.Logger,
	}
	if s.own != nil {
		options.Organizations = []rpc.Organization{{
			Name: s.own.Organization(), Secrets: s.own, Identifiers: s.config.IdentifierPolicy,
		}}
	}
	if s.policy != nil {
		options.Policy = s.policy.Load
	}
	s.server = rpc.New(options)
	collectors := []prometheus.Collector{
		s.log, s.files, s.config.GateCollector(), s.audit, s.limiter,
		secret.NewCollector(s.stores), listen.NewCollector(s.listeners...), s.bounds,
	}
	if s.tls != nil {
		collectors = append(collectors, listen.NewCertificateCollector(s.tls.Load))
	}
	if s.tracer != nil {
		collectors = append(collectors, s.tracer.Collector())
	}
	s.metrics = admin.NewRegistry(buildVersion(), s.server.Collectors(), collectors)
	return nil
}

// abandon releases what was opened before the start failed.
func (s *sidecar) abandon(ctx context.Context) {
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
	for _, listener := range []net.Listener{s.admin, s.profiles} {
		if listener != nil {
			_ = listener.Close()
		}
	}
	if s.tracer != nil {
		s.tracer.Close(ctx)
	}
	if s.audit != nil {
		_ = s.audit.Close(ctx)
	}
}
