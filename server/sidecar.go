package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	"github.com/chatidentity/chatidentity/server/internal/rpc"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// sidecar is all rooms of the house, wired. It is opened, run once, and closes
// itself at the end of the run.
type sidecar struct {
	config  *config.Serve
	log     *slog.Logger
	audit   *writer.Log
	stores  []*secret.Store
	files   *watch.Follower
	tokens  *watch.Value[*caller.Tokens] // nil: not configured, as the two below
	tls     *watch.Value[*caller.TLS]
	policy  *watch.Value[*policy.Policy]
	limiter limiter

	organizations []rpc.Organization
	server        *rpc.Server
	metrics       *prometheus.Registry

	background []func(context.Context) // run beside the listeners
	checks     []admin.Check           // what must be in order for a token to be issued

	listeners []*listen.Listener
	admin     net.Listener
	live      atomic.Bool // the listeners accept calls
	draining  atomic.Bool
}

// limiter is where calls are counted: in this process, or with other replicas.
type limiter interface {
	rpc.Limiter
	prometheus.Collector
}

// errDraining is why a sidecar that stops is not ready.
var errDraining = errors.New("the sidecar is stopping")

// openSidecar opens everything that can be wrong, so that a bad configuration
// is told before the first call: the audit, the secret, and the listeners. An
// error names the flag.
func openSidecar(ctx context.Context, c *config.Serve, log *programLog) (*sidecar, error) {
	s := &sidecar{config: c, log: log.Logger, files: watch.NewFollower(log.Logger)}
	s.require("stopping", func() error {
		if s.draining.Load() {
			return errDraining
		}
		return nil
	})
	for _, open := range []func() error{
		s.openSecrets,
		s.openCallers,
		func() error { return s.listen(ctx) },
		s.openAudit, // last: it writes a record
	} {
		if err := open(); err != nil {
			s.abandon(ctx)
			return nil, err
		}
	}
	options := rpc.Options{
		Audit:               s.audit,
		Limiter:             s.limiter,
		Limits:              c.LimitRates,
		ShadowLimits:        c.LimitMode == config.LimitShadow,
		Organizations:       s.organizations,
		DefaultOrganization: c.Organization,
		Callers:             c.Admission(s.tokens),
		HasTLS:              s.tls != nil,
		MaxClockSkew:        c.MaxClockSkew,
		Ready:               s.ready,
		Now:                 time.Now,
		NewAuditID:          func(now time.Time) string { return audit.NewID(now, nil) },
		Logger:              s.log,
	}
	if s.policy != nil {
		options.Policy = s.policy.Load
	}
	s.server = rpc.New(options)
	collectors := []prometheus.Collector{
		log, s.files.Collector(), s.audit, s.limiter, secret.NewCollector(s.stores...), listen.NewCollector(s.listeners...),
	}
	if s.tls != nil {
		collectors = append(collectors, listen.NewCertificateCollector(s.tls.Load))
	}
	s.metrics = admin.NewRegistry(s.server.Collectors(), collectors)
	return s, nil
}

func (s *sidecar) openSecrets() error {
	for _, organization := range s.config.Organizations() {
		store, err := organization.Open(s.files, s.log)
		if err != nil {
			return err
		}
		s.stores = append(s.stores, store)
		s.organizations = append(s.organizations, rpc.Organization{
			Name: store.Organization(), Secrets: store, Identifiers: organization.Identifiers,
		})
	}
	s.background = append(s.background, func(ctx context.Context) { secret.Run(ctx, s.stores...) })
	s.requireSecret()
	return nil
}

// requireSecret makes the sidecar ready when any organization has its secret: one
// whose secret is missing must not take the others away from their app.
func (s *sidecar) requireSecret() {
	if len(s.stores) == 1 {
		s.require("secret of "+s.stores[0].Organization(), s.stores[0].Ready)
		return
	}
	s.require("secrets", func() error {
		var all []error
		for _, store := range s.stores {
			err := store.Ready()
			if err == nil {
				return nil
			}
			all = append(all, fmt.Errorf("%s: %w", store.Organization(), err))
		}
		return errors.Join(all...)
	})
}

// openCallers reads the files that say who may call and what each caller may do.
func (s *sidecar) openCallers() error {
	s.background = append(s.background, s.files.Run)
	var err error
	if s.tokens, err = s.config.OpenCallerTokens(s.files); err != nil {
		return err
	}
	if s.tls, err = s.config.OpenTLS(s.files); err != nil {
		return err
	}
	s.policy, err = s.config.OpenPolicy(s.files, s.log)
	return err
}

// openAudit opens the audit, and the limiter, which uses its key.
func (s *sidecar) openAudit() error {
	options, err := s.config.AuditOptions(s.log)
	if err != nil {
		return err
	}
	if err := s.openLimiter(options.Keys); err != nil {
		return err
	}
	if s.audit, err = writer.Open(options); err != nil {
		return config.AuditFileError(err)
	}
	s.require("audit", s.audit.Available)
	return nil
}

func (s *sidecar) openLimiter(keys []*audit.Key) error {
	if !s.config.IsShared() {
		s.limiter = config.OpenLocal()
		return nil
	}
	shared, err := s.config.Redis.Open(keys, s.files, s.log)
	if err != nil {
		return err
	}
	s.limiter = shared
	s.background = append(s.background, shared.Run)
	s.require("limiter", shared.Ready)
	return nil
}

func (s *sidecar) require(name string, check func() error) {
	s.checks = append(s.checks, admin.Check{Name: name, Err: check})
}

func (s *sidecar) listen(ctx context.Context) error {
	admission := s.config.Admission(s.tokens)
	options := listen.Options{
		Refused: func(r listen.Refusal) { s.server.Refused(r) },
		Bounds:  listen.NewBounds(),
		IsStranger: func(who caller.Identity) bool {
			return who.Kind == caller.UID && !admission.May(who, caller.CheckHealth)
		},
	}
	if s.tls != nil {
		options.TLS = s.tls.Load
	}
	for _, address := range s.config.Listen {
		listener, err := listen.Open(ctx, whereToListen(s.config, address), options)
		if err != nil {
			return config.Usage("--listen %v: %v", address, err)
		}
		s.listeners = append(s.listeners, listener)
	}
	var err error
	if s.admin, err = listen.OpenAdmin(ctx, s.config.AdminListen.Address); err != nil {
		return config.Usage("--admin-listen %v: %v", s.config.AdminListen, err)
	}
	return nil
}

func whereToListen(c *config.Serve, address config.Address) listen.Address {
	return listen.Address{Network: address.Network, Address: address.Address, SocketMode: c.SocketMode}
}

// abandon releases what was opened before the start failed.
func (s *sidecar) abandon(ctx context.Context) {
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
	if s.admin != nil {
		_ = s.admin.Close()
	}
	if s.audit != nil {
		_ = s.audit.Close(ctx)
	}
}
