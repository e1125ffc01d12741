package secret

import (
	"cmp"
	"context"
	"path/filepath"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// NewStatic returns a store of one secret that never changes, that of an
// environment variable. An empty one is an error that names the setting.
func NewStatic(options Options, value sensitive.String) (*Store, error) {
	return newStore(options, static{value}, plan{}).loadAtStart("KUSTOMER_SECRET_KEY")
}

type static struct{ value sensitive.String }

func (static) String() string { return "the environment" }

func (f static) load(context.Context) (sensitive.String, kustomer.Clock, error) {
	return f.value, kustomer.Clock{}, nil
}

func (static) directory() string { return "" }

// defaultPoll is how often a secret's file is read when no change is seen.
const defaultPoll = 10 * time.Second

// NewFile returns a store that follows a file: its directory is watched, and its
// content read every poll (0: 10 s), since some changes leave no event. One
// trailing newline is dropped. A file that cannot be read now is an error that
// names the setting; the store is good all the same, and waits for it. Later, the
// last good secret stays.
func NewFile(options Options, path string, poll time.Duration) (*Store, error) {
	following := plan{interval: cmp.Or(poll, defaultPoll), settle: fileSettle}
	s := newStore(options, file{path}, following)
	_, err := s.loadAtStart("--secret-file")
	return s, err
}

type file struct{ path string }

func (f file) String() string { return f.path }

func (f file) load(context.Context) (sensitive.String, kustomer.Clock, error) {
	value, err := readFile(f.path)
	return value, kustomer.Clock{}, err
}

func (f file) directory() string { return filepath.Dir(f.path) }

// settings is what the API source asks: *kustomer.Client.
type settings interface {
	Settings(ctx context.Context) (kustomer.Settings, error)
}

// APIOptions are those of Kustomer's API as a source.
type APIOptions struct {
	// Refresh is the time between two refreshes, spread by 10 % either way; at least
	// 1 s. 0: 5 minutes.
	Refresh time.Duration
	// MaxStale is how long the last good secret serves when no refresh succeeds.
	// 0: 24 hours.
	MaxStale time.Duration
	// MaxClockSkew is by how much our clock may differ from Kustomer's. 0: 5 minutes.
	MaxClockSkew time.Duration
}

// NewAPI returns a store that asks Kustomer's API. It has no secret until Run has
// fetched one; Loaded tells when.
func NewAPI(options Options, client settings, api APIOptions) *Store {
	return newStore(options, remote{client}, plan{
		interval: max(cmp.Or(api.Refresh, 5*time.Minute), minGap),
		spread:   0.1,
		minGap:   minGap,
		backOff:  true,
		maxStale: cmp.Or(api.MaxStale, 24*time.Hour),
		maxSkew:  cmp.Or(api.MaxClockSkew, 5*time.Minute),
	})
}

type remote struct{ client settings }

func (remote) String() string { return "Kustomer's API" }

func (r remote) load(ctx context.Context) (sensitive.String, kustomer.Clock, error) {
	answer, err := r.client.Settings(ctx)
	if err != nil {
		return sensitive.String{}, kustomer.Clock{}, err
	}
	return answer.Secret, answer.Clock, nil
}

func (remote) directory() string { return "" }
