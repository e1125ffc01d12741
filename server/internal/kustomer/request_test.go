package kustomer_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func TestTheKeyIsAskedForEachRequest(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: "new", Secret: secret})
	keys := []string{"old", "new"}
	client := newClient(t, start(t, vendor), kustomer.Options{APIKey: func() (sensitive.String, error) {
		key := keys[0]
		keys = keys[1:]
		return sensitive.New(key), nil
	}})
	if _, err := client.Settings(t.Context()); err == nil {
		t.Error("the old key was accepted")
	}
	if _, err := client.Settings(t.Context()); err != nil {
		t.Errorf("the new key was not used: %v", err)
	}
}

func TestAnUnusableKeyIsNotSent(t *testing.T) {
	t.Parallel()
	unreadable := errors.New("unreadable")
	for name, key := range map[string]func() (sensitive.String, error){
		"empty":      func() (sensitive.String, error) { return sensitive.String{}, nil },
		"unreadable": func() (sensitive.String, error) { return sensitive.String{}, unreadable },
		"line end":   func() (sensitive.String, error) { return sensitive.New(apiKey + "\nHost: evil"), nil },
		"space":      func() (sensitive.String, error) { return sensitive.New(apiKey + " "), nil },
		"not ASCII":  func() (sensitive.String, error) { return sensitive.New(apiKey + "é"), nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
			_, err := newClient(t, start(t, vendor), kustomer.Options{APIKey: key}).Settings(t.Context())
			failure, ok := errors.AsType[*kustomer.Error](err)
			if !ok || failure.Kind != kustomer.KindKey || strings.Contains(err.Error(), canary) {
				t.Errorf("error %v, want one of kind key without the key", err)
			}
			if name == "unreadable" && !errors.Is(err, unreadable) {
				t.Errorf("error %v does not tell its cause", err)
			}
			if requests := vendor.Requests(); requests != 0 {
				t.Errorf("%d requests were sent", requests)
			}
		})
	}
}

func TestTheContextsEndIsNotKustomersFault(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
	vendor.SetBehaviour(standin.Slow)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := clientOf(t, vendor, noTimeout).Settings(ctx)
	if _, ours := errors.AsType[*kustomer.Error](err); ours || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's own", err)
	}
}

func TestTransportFailuresAreExplained(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
	secure := httptest.NewTLSServer(vendor)
	t.Cleanup(secure.Close)
	plain := start(t, vendor)
	closed := httptest.NewServer(vendor)
	closed.Close()
	for name, test := range map[string]struct{ address, says string }{
		"untrusted certificate": {secure.URL, "TLS certificate is not trusted"},
		"plain HTTP":            {strings.Replace(plain, "http:", "https:", 1), "plain HTTP where https is expected"},
		"nobody listens":        {closed.URL, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, test.address, kustomer.Options{APIKey: key}).Settings(t.Context())
			failure, ok := errors.AsType[*kustomer.Error](err)
			if !ok || failure.Kind != kustomer.KindNetwork || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one of kind network with %q", err, test.says)
			}
		})
	}
	t.Run("trusted certificate", func(t *testing.T) {
		t.Parallel()
		client := newClient(t, secure.URL, kustomer.Options{APIKey: key, Transport: secure.Client().Transport})
		if _, err := client.Settings(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRetryGoesOnWhileItMayHelp(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: secret})
	client := clientOf(t, vendor, noTimeout)
	vendor.SetBehaviour(standin.Refused)
	if _, err := kustomer.Retry(t.Context(), 3, client.Settings); err == nil {
		t.Error("a refused key succeeded")
	}
	if requests := vendor.Requests(); requests != 1 {
		t.Errorf("%d requests for a key that is refused, want 1", requests)
	}
}
