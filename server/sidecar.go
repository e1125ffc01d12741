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
	"golang.org/x/sync/errgroup"

	"github.com/chatidentity/chatidentity/server/internal/admin"
	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/listen"
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
	access  *access
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
		s.openAccess,
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
		Limits:              c.Limits.Rates(),
		ShadowLimits:        c.LimitMode == config.LimitShadow,
		Organizations:       s.organizations,
		DefaultOrganization: c.Organization,
		Callers:             callers(c),
		MaxClockSkew:        c.MaxClockSkew,
		Ready:               s.ready,
		Now:                 time.Now,
		NewAuditID:          func(now time.Time) string { return audit.NewID(now, nil) },
		Logger:              s.log,
	}
	s.access.apply(&options)
	s.server = rpc.New(options)
	s.metrics = admin.NewRegistry(s.server.Collectors(), s.access.collectors(),
		[]prometheus.Collector{log, s.files.Collector(), s.audit, s.limiter, secret.NewCollector(s.stores...), listen.NewCollector(s.listeners...)})
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

func (s *sidecar) openAccess() error {
	var err error
	s.access, err = openAccess(s.config, s.files, s.log)
	s.background = append(s.background, s.files.Run)
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
	options := listen.Options{Refused: func(r listen.Refusal) { s.server.Refused(r) }}
	if s.access.tls != nil {
		options.TLS = s.access.tls.Load
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

// ready returns nil when a token would be issued now, or a line a reason.
func (s *sidecar) ready() error { return admin.Ready(s.checks) }

func (s *sidecar) alive() error {
	if !s.live.Load() {
		return errors.New("the listeners do not accept calls")
	}
	return nil
}

// run serves until ctx ends and then stops in order: not ready, the drain
// delay, no new calls, running calls to their end, the rest, and the audit
// last. The error is nil after a clean stop.
func (s *sidecar) run(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	parts, failed := errgroup.WithContext(background)
	parts.Go(func() error { return s.server.Serve(s.listeners...) })
	s.live.Store(true)
	parts.Go(func() error {
		return admin.Serve(failed, s.admin, admin.Handler(s.alive, s.ready, s.metrics), s.log)
	})
	for _, run := range s.background {
		parts.Go(func() error {
			run(failed)
			return nil
		})
	}
	s.log.Info("serving", "listen", s.addresses(), "admin", s.admin.Addr().String(), "version", buildVersion())

	select {
	case <-ctx.Done():
	case <-failed.Done(): // a part failed: stop the others
	}
	stopErr := s.stop(failed)
	s.live.Store(false)
	stopBackground()
	err := errors.Join(parts.Wait(), stopErr, s.closeAudit(context.WithoutCancel(ctx)))
	s.log.Info("stopped", "clean", err == nil)
	return err
}

// stop drains. When a part has failed there is no drain delay.
func (s *sidecar) stop(failed context.Context) error {
	s.draining.Store(true)
	s.log.Info("stopping", "drain_delay", s.config.DrainDelay.String(), "drain_timeout", s.config.DrainTimeout.String())
	select {
	case <-time.After(s.config.DrainDelay):
	case <-failed.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(failed), s.config.DrainTimeout)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		return fmt.Errorf("--drain-timeout %v: %w", s.config.DrainTimeout, err)
	}
	return nil
}

func (s *sidecar) closeAudit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.AuditTimeout)
	defer cancel()
	return s.audit.Close(ctx)
}

func (s *sidecar) addresses() []string {
	addresses := make([]string, len(s.listeners))
	for i, listener := range s.listeners {
		addresses[i] = s.config.Listen[i].Network + " " + listener.Addr().String()
	}
	return addresses
}

// hangup does what SIGHUP asks for: the secrets and the files of access are
// loaded anew and the audit file is rotated.
func (s *sidecar) hangup(ctx context.Context) {
	s.files.Wake()
	for _, store := range s.stores {
		store.Refresh()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.AuditTimeout) // also while it drains
	defer cancel()
	if err := s.audit.Rotate(ctx); err != nil {
		s.log.Error("audit file not rotated", "error", err.Error())
	}
}
