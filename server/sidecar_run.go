package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chatidentity/chatidentity/server/internal/admin"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// run serves until ctx ends and then stops in order: not ready, the drain delay, no new calls, running
// calls to their end, the rest, and the audit last. The error is nil after a clean stop.
func (s *sidecar) run(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	parts, failed := errgroup.WithContext(background)
	parts.Go(func() error { return s.server.Serve(s.listeners...) })
	s.live.Store(true)
	parts.Go(func() error {
		return admin.Serve(failed, s.admin, admin.Handler(s.alive, s.ready, s.metrics, s.reloads.last), s.log.Logger)
	})
	if s.profiles != nil {
		parts.Go(func() error { return admin.Serve(failed, s.profiles, admin.Profiles(), s.log.Logger) })
		s.log.Info("serving profiles", "event", "serving_profiles", "address", s.profiles.Addr().String())
	}
	for _, run := range s.background() {
		parts.Go(func() error {
			run(failed)
			return nil
		})
	}
	s.log.Info("serving", "event", "serving",
		"listen", s.addresses(), "admin", s.admin.Addr().String(), "version", buildVersion())

	select {
	case <-ctx.Done():
	case <-failed.Done(): // a part failed: stop the others
	}
	s.startDrain(failed)
	err := s.stop(failed, func() {
		stopBackground()
		_ = parts.Wait() // its error is the cause of failed
	})
	s.log.Info("stopped", "event", "stopped", "clean", err == nil)
	return err
}

// background is what runs beside the listeners.
func (s *sidecar) background() []func(context.Context) {
	all := []func(context.Context){s.files.Run, s.asker.Run}
	if s.shared != nil {
		all = append(all, s.runShared)
	}
	return append(all, func(ctx context.Context) { outage.Watch(ctx, s.outages()) })
}

// outages returns what looks up those that time alone may begin or end.
func (s *sidecar) outages() func() []*outage.Outage {
	lasting := []*outage.Outage{s.audit.Outage(), outage.New("configuration", s.log.Logger, s.configured)}
	if s.shared != nil {
		lasting = append(lasting, s.shared.Outage())
	}
	if s.tracer != nil {
		lasting = append(lasting, s.tracer.Outage())
	}
	if s.tls != nil {
		expired := func() error { return s.tls.Load().Expired(s.now()) }
		lasting = append(lasting, outage.New("certificate", s.log.Logger, expired))
	}
	return func() []*outage.Outage {
		all := slices.Clone(lasting)
		for _, store := range s.stores() {
			all = append(all, store.Outages()...)
		}
		return all
	}
}

// runShared connects to Redis once the files that it needs are there.
func (s *sidecar) runShared(ctx context.Context) {
	select {
	case <-s.files.Whole():
		s.shared.Run(ctx)
	case <-ctx.Done():
	}
}

// startDrain is not ready and goes on answering for the drain delay, unless a part has failed.
func (s *sidecar) startDrain(failed context.Context) {
	s.draining.Store(true)
	s.log.Info("stopping", "event", "stopping",
		"drain_delay", s.config.DrainDelay.String(), "drain_timeout", s.config.DrainTimeout.String())
	select {
	case <-time.After(s.config.DrainDelay):
	case <-failed.Done():
	}
}

// What a stop may take after the drain timeout: calls that are broken off have a part of it (see
// rpc.Server.Stop), the other parts of the process another, and the audit the rest.
const (
	partsTimeout = 100 * time.Millisecond
	closeTimeout = 450 * time.Millisecond
	// tracesTimeout is how long a stop may wait for the collector, while the audit closes.
	tracesTimeout = time.Second
)

// stop ends everything within the drain timeout and a little more, whoever keeps calling: calls first,
// then the other parts, then the audit.
func (s *sidecar) stop(failed context.Context, endParts func()) error {
	most := s.config.DrainTimeout + closeTimeout + s.copyTimeout()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(failed), most)
	defer cancel()
	stopErr := s.stopServer(ctx)
	err := errors.Join(context.Cause(failed), stopErr)
	s.live.Store(false)
	ended := make(chan struct{})
	go func() {
		endParts()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(partsTimeout): // calls that were broken off still run
	}
	traced := s.closeTracer(ctx)
	err = errors.Join(err, s.closeAudit(ctx))
	<-traced
	return err
}

// closeTracer sends the last spans. The channel is closed when it has, or has given up.
func (s *sidecar) closeTracer(ctx context.Context) <-chan struct{} {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if s.tracer == nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, tracesTimeout)
		defer cancel()
		s.tracer.Close(ctx)
	}()
	return closed
}

func (s *sidecar) stopServer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	defer cancel()
	if err := s.server.Stop(ctx); err != nil {
		return fmt.Errorf("--drain-timeout %v: %w", s.config.DrainTimeout, err)
	}
	return nil
}

func (s *sidecar) closeAudit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.AuditTimeout+s.copyTimeout())
	defer cancel()
	return s.audit.Close(ctx)
}

// copyTimeout is what the copy of the audit may take at the stop.
func (s *sidecar) copyTimeout() time.Duration {
	if s.config.AuditCopy == "" {
		return 0
	}
	return writer.CopyTimeout
}

func (s *sidecar) addresses() []string {
	addresses := make([]string, len(s.listeners))
	for i, listener := range s.listeners {
		addresses[i] = s.config.Listen[i].Network + " " + listener.Addr().String()
	}
	return addresses
}
