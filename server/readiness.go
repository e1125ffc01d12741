package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// requirement is one thing that a token cannot be issued without.
type requirement struct {
	name string       // begins its line on /readyz
	err  func() error // nil when it is met; never blocks
}

// requirements are in the order of /readyz.
func (s *sidecar) requirements() []requirement {
	all := []requirement{{"stopping", s.notStopping}, {"listen", s.listening}, {"files", s.configured}}
	if s.policy == nil {
		all = append(all, requirement{"secret of " + s.own.Organization(), s.own.Ready})
	} else {
		all = append(all, requirement{"secrets", s.anySecret})
	}
	if s.shared != nil {
		all = append(all, requirement{"limiter", s.shared.Ready})
	}
	return append(all, requirement{"audit", s.auditing})
}

// ready returns nil when a token would be issued now, or an error with one line for each requirement
// that is not met.
func (s *sidecar) ready() error {
	var reasons []string
	for _, required := range s.required {
		if err := required.err(); err != nil {
			reasons = append(reasons, required.name+": "+strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if reasons == nil {
		return nil
	}
	return errors.New(strings.Join(reasons, "\n"))
}

// configured returns nil once every file of the configuration has been good, and until then what is
// wrong, a line each. What happens later to a file takes nothing away: its last good version stays.
func (s *sidecar) configured() error {
	if s.whole.Load() {
		return nil
	}
	err := s.wanting()
	s.whole.Store(err == nil)
	return err
}

// wanting returns what is wrong with files that have not been good yet. The audit file waits for its
// keys, and says nothing else until they are there.
func (s *sidecar) wanting() error {
	err := s.files.Wanting()
	if s.audit == nil {
		return err
	}
	if s.keys != nil {
		if _, missing := s.keys.Current(); missing != nil {
			return err
		}
	}
	return errors.Join(err, config.AuditFileError(s.audit.Opened()))
}

// auditing is met while records can be written. What keeps the log from opening is said of its files.
func (s *sidecar) auditing() error {
	if s.audit.Opened() != nil {
		return nil //nolint:nilerr // it is told elsewhere
	}
	return s.audit.Available()
}

// alive returns nil while the listeners accept calls.
func (s *sidecar) alive() error {
	if !s.live.Load() {
		return errors.New("the listeners do not accept calls")
	}
	return s.listening()
}

// listening is met while callers can connect to every listener.
func (s *sidecar) listening() error {
	all := make([]error, len(s.listeners))
	for i, listener := range s.listeners {
		all[i] = listener.Live()
	}
	return errors.Join(all...)
}

func (s *sidecar) notStopping() error {
	if s.draining.Load() {
		return errors.New("the sidecar is stopping")
	}
	return nil
}

// anySecret is met by one organization: one whose secret is missing must not stop the others.
func (s *sidecar) anySecret() error {
	var all []error
	for _, store := range s.stores() {
		err := store.Ready()
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", store.Organization(), err))
	}
	return errors.Join(all...)
}
