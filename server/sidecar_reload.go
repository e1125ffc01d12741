package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/admin"
)

// reloadTimeout is how long a reload waits for files that are being written and for Kustomer's API.
const reloadTimeout = 15 * time.Second

// errSuperseded ends the wait for a reload that another one has followed.
var errSuperseded = errors.New("another reload has begun")

// hangup does what SIGHUP asks for: it reloads the secrets and the files of access, and rotates the
// audit file. What takes time goes on after it returns.
func (s *sidecar) hangup(ctx context.Context) {
	ctx, supersede := context.WithCancelCause(context.WithoutCancel(ctx)) // also while it drains
	number := s.reloads.begin(func() { supersede(errSuperseded) })
	stop := s.log.Follow(s.reloads.add)
	looked := s.files.Look()
	secrets := map[string]<-chan error{}
	for _, store := range s.stores() {
		secrets[store.Organization()] = store.Refresh()
	}
	rotated := s.rotateAudit(ctx)
	go func() {
		defer stop()
		ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
		defer cancel()
		err := errors.Join(rotated, s.reloadedFiles(ctx, looked), refreshed(ctx, secrets))
		switch {
		case errors.Is(context.Cause(ctx), errSuperseded):
			return
		case err == nil:
			s.log.Info("reload ended", "event", "reload_ended")
		default:
			s.log.Warn("reload ended: something is wrong", "event", "reload_ended", "error", err.Error())
		}
		s.reloads.end(number, err != nil)
	}()
}

func (s *sidecar) rotateAudit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.AuditTimeout)
	defer cancel()
	err := s.audit.Rotate(ctx)
	if err != nil {
		s.log.Error("audit file not rotated", "event", "audit_rotation_failed", "error", err.Error())
	}
	return err
}

// reloadedFiles returns what is wrong with files once they have been looked at.
func (s *sidecar) reloadedFiles(ctx context.Context, looked <-chan struct{}) error {
	select {
	case <-looked:
		return s.files.Wrong()
	case <-ctx.Done():
		return errors.Join(errors.New("files keep changing"), s.files.Wrong())
	}
}

// refreshed returns why secrets of the API could not be read.
func refreshed(ctx context.Context, secrets map[string]<-chan error) error {
	var all []error
	for organization, result := range secrets {
		var err error
		select {
		case err = <-result:
		case <-ctx.Done():
			err = errors.New("it has not been read yet")
		}
		if err != nil {
			all = append(all, fmt.Errorf("secret of %s: %w", organization, err))
		}
	}
	return errors.Join(all...)
}

// maxReloadLines bounds the lines of the log that are kept of a reload.
const maxReloadLines = 200

// reloads keeps what the last reload did. The zero value is ready to use.
type reloads struct {
	mu        sync.Mutex
	now       admin.Reload
	left      int // lines that may still be kept
	supersede func()
}

func (r *reloads) last() admin.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := r.now
	last.PID, last.Log = os.Getpid(), slices.Clone(last.Log)
	return last
}

// begin returns the number of a new reload, and supersedes the one before.
func (r *reloads) begin(supersede func()) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.supersede != nil {
		r.supersede()
	}
	r.supersede = supersede
	r.now = admin.Reload{Number: r.now.Number + 1}
	r.left = maxReloadLines
	return r.now.Number
}

func (r *reloads) add(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left > 0 {
		r.left--
		r.now.Log = append(r.now.Log, string(bytes.TrimRight(line, "\n")))
	}
}

// end ends the reload unless another has begun.
func (r *reloads) end(number uint64, failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now.Number == number {
		r.now.Ended, r.now.Failed = true, failed
	}
}
