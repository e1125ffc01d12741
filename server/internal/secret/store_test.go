package secret_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

const (
	firstSecret  = "canary-first-secret-0123456789abcdef"
	secondSecret = "canary-second-secret-0123456789abcdef"
	apiKey       = "canary-api-key-0123456789abcdef"
)

func TestStaticStoreHasItsSecretAtOnce(t *testing.T) {
	t.Parallel()
	store, err := secret.Open(secret.Options{}, secret.Source{Value: sensitive.New(firstSecret)})
	if err != nil {
		t.Fatal(err)
	}
	current, err := store.Current()
	if err != nil || current.Value.Reveal() != firstSecret || len(current.ID) != 12 {
		t.Errorf("Current() = %v, %v; want the secret with an ID of 12 digits", current, err)
	}
	if err := store.Ready(); err != nil {
		t.Errorf("Ready() = %v, want nil", err)
	}
}

func TestOneSourceIsOpened(t *testing.T) {
	t.Parallel()
	value, api := sensitive.New(firstSecret), &secret.API{}
	path := write(t, t.TempDir(), firstSecret)
	for kind, source := range map[string]secret.Source{
		"environment": {Value: value},
		"file":        {File: path},
		"api":         {API: api},
	} {
		if store, err := secret.Open(secret.Options{}, source); err != nil || store.Kind() != kind {
			t.Errorf("%s: kind %q, error %v", kind, store.Kind(), err)
		}
		if !slices.Contains(secret.Kinds(), kind) {
			t.Errorf("%s is none of %q", kind, secret.Kinds())
		}
	}
	if len(secret.Kinds()) != 3 {
		t.Errorf("kinds %q: say above how each is opened", secret.Kinds())
	}
	for _, source := range []secret.Source{{}, {Value: value, File: path}, {File: path, API: api}} {
		if _, err := secret.Open(secret.Options{}, source); err == nil {
			t.Errorf("%+v was opened", source)
		}
	}
	if _, err := secret.Open(secret.Options{}, secret.Source{Value: sensitive.New(strings.Repeat("x", secret.MaxSize+1))}); !errors.Is(err, secret.ErrTooLarge) {
		t.Errorf("an oversized value: %v", err)
	}
}

func TestAPIStoreFetchesFromTheStandin(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
	store := open(t, secret.Options{}, secret.Source{API: &secret.API{Client: clientOf(t, vendor)}})
	if _, err := store.Current(); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("Current() before Run: %v, want ErrUnavailable", err)
	}
	run(t, store)
	<-store.Loaded()
	if current, err := store.Current(); err != nil || current.Value.Reveal() != firstSecret {
		t.Errorf("Current() = %v, %v; want the stand-in's secret", current, err)
	}
}

func TestRunLastsAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := secret.Open(secret.Options{}, secret.Source{Value: sensitive.New(firstSecret)})
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		store.Refresh() // an environment's secret cannot be read again
		start := time.Now()
		secret.Run(ctx, store)
		if took := time.Since(start); took != time.Hour {
			t.Errorf("Run returned after %s, want an hour", took)
		}
	})
}

// clientOf returns a client of a stand-in on a real socket.
func clientOf(t *testing.T, vendor *standin.Vendor) *kustomer.Client {
	t.Helper()
	address, stop, err := vendor.Start()
	check(t, err)
	t.Cleanup(stop)
	return clientAt(t, address)
}

func clientAt(t *testing.T, address string) *kustomer.Client {
	t.Helper()
	base, err := kustomer.ParseBaseURL(address, "")
	check(t, err)
	client, err := kustomer.NewClient(kustomer.Options{
		BaseURL: base,
		Timeout: time.Second,
		APIKey:  func() (sensitive.String, error) { return sensitive.New(apiKey), nil },
	})
	check(t, err)
	return client
}

func open(t *testing.T, options secret.Options, source secret.Source) *secret.Store {
	t.Helper()
	store, err := secret.Open(options, source)
	check(t, err)
	return store
}

// run keeps stores of the API source current until the test ends.
func run(t *testing.T, stores ...*secret.Store) {
	t.Helper()
	background(t, func(ctx context.Context) { secret.Run(ctx, stores...) })
}

// follower keeps files current until the test ends.
func follower(t *testing.T, log io.Writer) *watch.Follower {
	t.Helper()
	f := watch.NewFollower(slog.New(slog.NewTextHandler(log, nil)))
	background(t, f.Run)
	return f
}

func background(t *testing.T, run func(context.Context)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}
