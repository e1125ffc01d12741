package secret

import (
	"cmp"
	"context"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// API is Kustomer's API as a source.
type API struct {
	// Client asks it: a *kustomer.Client.
	Client settings
	// Close, if not nil, lets go of what Client uses. The store calls it when it is closed.
	Close func()
	// Refresh is the time between two refreshes, spread by 10 % either way; at least 1 s. 0: 5
	// minutes.
	Refresh time.Duration
	// MaxStale is how long the last good secret serves while no refresh succeeds. 0: 24 hours.
	MaxStale time.Duration
	// MaxClockSkew is by how much our clock may differ from Kustomer's. 0: 5 minutes.
	MaxClockSkew time.Duration
}

type settings interface {
	Settings(ctx context.Context) (kustomer.Settings, error)
}

// openAPI asks nothing yet: the asker does.
func openAPI(s *Store, source Source) error {
	api := source.API
	s.source, s.hasAge = "Kustomer's API", true
	s.maxStale = cmp.Or(api.MaxStale, 24*time.Hour)
	s.clock.limit = cmp.Or(api.MaxClockSkew, 5*time.Minute)
	s.refresh = &refresh{
		interval: max(cmp.Or(api.Refresh, 5*time.Minute), minGap),
		minGap:   minGap,
		load: func(ctx context.Context) (sensitive.String, kustomer.Clock, error) {
			answer, err := api.Client.Settings(ctx)
			return answer.Secret, answer.Clock, err
		},
	}
	asker := s.options.Asker
	if asker != nil {
		asker.add(s)
	}
	s.release = func() {
		if asker != nil {
			asker.remove(s)
		}
		if api.Close != nil {
			api.Close()
		}
	}
	return nil
}
