package secret_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

const (
	firstSecret  = "canary-first-secret-0123456789abcdef"
	secondSecret = "canary-second-secret-0123456789abcdef"
	apiKey       = "canary-api-key-0123456789abcdef"
)

func TestStaticStoreHasItsSecretAtOnce(t *testing.T) {
	t.Parallel()
	store, err := secret.NewStatic(secret.Options{}, sensitive.New(firstSecret))
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

func TestStartErrorsNameTheSetting(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, staticErr := secret.NewStatic(secret.Options{}, sensitive.String{})
	_, missingErr := secret.NewFile(secret.Options{}, filepath.Join(t.TempDir(), "missing"), 0)
	_, emptyErr := secret.NewFile(secret.Options{}, empty, 0)
	_, policyErr := secret.NewFile(secret.Options{Setting: "organizations.acme.secret_file"}, empty, 0)
	for _, test := range []struct {
		err   error
		names string
		is    error
	}{
		{staticErr, "KUSTOMER_SECRET_KEY", secret.ErrEmpty},
		{missingErr, "--secret-file", os.ErrNotExist},
		{emptyErr, "--secret-file", secret.ErrEmpty},
		{policyErr, "organizations.acme.secret_file", secret.ErrEmpty},
	} {
		if !errors.Is(test.err, test.is) || !strings.HasPrefix(test.err.Error(), test.names+": ") {
			t.Errorf("error %q, want one that is %q and begins with %q", test.err, test.is, test.names)
		}
	}
}

func TestAPIStoreFetchesFromTheStandin(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
	store := secret.NewAPI(secret.Options{}, clientOf(t, vendor), secret.APIOptions{})
	if _, err := store.Current(); !errors.Is(err, secret.ErrUnavailable) {
		t.Errorf("Current() before Run: %v, want ErrUnavailable", err)
	}
	run(t, store)
	<-store.Loaded()
	if current, err := store.Current(); err != nil || current.Value.Reveal() != firstSecret {
		t.Errorf("Current() = %v, %v; want the stand-in's secret", current, err)
	}
}

func TestRefreshReadsAFileThatLeftNoEvent(t *testing.T) {
	t.Parallel()
	target := write(t, t.TempDir(), firstSecret)
	link := filepath.Join(t.TempDir(), "key")
	check(t, os.Symlink(target, link))
	store, err := secret.NewFile(secret.Options{}, link, never)
	check(t, err)
	run(t, store)
	check(t, os.WriteFile(target, []byte(secondSecret), 0o600))
	store.Refresh()
	awaitSecret(t, store, secondSecret)
}

func TestRunLastsAsLongAsItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, err := secret.NewStatic(secret.Options{}, sensitive.New(firstSecret))
		check(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		store.Refresh() // an environment's secret cannot be read again
		start := time.Now()
		secret.Run(ctx, nil, store)
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

// run keeps the stores current until the test ends.
func run(t *testing.T, stores ...*secret.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		secret.Run(ctx, nil, stores...)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}
