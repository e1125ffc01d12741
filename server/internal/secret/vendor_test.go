package secret_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// results are what each way of lying counts as.
var results = map[standin.Behaviour]string{
	standin.RateLimited:      "rate_limited",
	standin.RetryAfter:       "rate_limited",
	standin.ServerError:      "server",
	standin.Unavailable:      "server",
	standin.Slow:             "network",
	standin.SlowBody:         "network",
	standin.HangUp:           "network",
	standin.Truncated:        "network",
	standin.Garbage:          "network",
	standin.TruncatedJSON:    "answer",
	standin.HTML:             "answer",
	standin.Empty:            "answer",
	standin.EmptySecret:      "answer",
	standin.Huge:             "answer",
	standin.WrongType:        "answer",
	standin.Null:             "answer",
	standin.NoSecret:         "answer",
	standin.NotUnicode:       "answer",
	standin.OtherHost:        "status",
	standin.RedirectLoop:     "status",
	standin.LeakyError:       "status",
	standin.UnexpectedStatus: "status",
	standin.Refused:          "refused",
}

// However the vendor fails at start: no secret, the reason in Ready, a count, a warning, nothing
// leaked, and the secret as soon as the vendor is well.
func TestAVendorThatFailsAtStart(t *testing.T) {
	t.Parallel()
	for _, behaviour := range standin.Failing() {
		t.Run(string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
			vendor.SetBehaviour(behaviour)
			store, log := following(t, vendor)
			awaitFailure(t, store, log, behaviour, "no signing secret")
			_, err := store.Current()
			if !errors.Is(err, secret.ErrUnavailable) || strings.Contains(err.Error(), "awaited") || strings.Contains(err.Error(), "canary") {
				t.Errorf("Current() = %v, want ErrUnavailable with the reason and no value", err)
			}
			vendor.SetBehaviour(standin.Normal)
			awaitRefreshed(t, store, firstSecret)
			log.assertNoCanary(t)
		})
	}
}

// However it fails at a refresh: the last good secret stays, with a count and a warning, and the
// new one is taken up as soon as the vendor is well.
func TestAVendorThatFailsAtRefresh(t *testing.T) {
	t.Parallel()
	for _, behaviour := range standin.Failing() {
		t.Run(string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
			store, log := following(t, vendor)
			<-store.Loaded()
			vendor.SetSecret(secondSecret)
			vendor.SetBehaviour(behaviour)
			store.Refresh()
			awaitFailure(t, store, log, behaviour, "could not be refreshed")
			if current, err := store.Current(); err != nil || current.Value.Reveal() != firstSecret || store.Ready() != nil {
				t.Errorf("Current() = %v, %v; want the last good secret", current, err)
			}
			vendor.SetBehaviour(standin.Normal)
			awaitRefreshed(t, store, secondSecret)
			log.assertNoCanary(t)
		})
	}
}

func TestAnswersThatAreOddButGoodAreTaken(t *testing.T) {
	t.Parallel()
	for behaviour, tellsTime := range map[standin.Behaviour]bool{
		standin.BareAttributes: true, standin.CachedLongAgo: false, standin.MissingDate: false,
	} {
		t.Run(string(behaviour), func(t *testing.T) {
			t.Parallel()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
			vendor.SetBehaviour(behaviour)
			store, _ := following(t, vendor)
			awaitRefreshed(t, store, firstSecret)
			told := false
			for _, series := range gather(t, store) {
				told = told || series.name == "chatidentity_kustomer_clock_offset_seconds"
			}
			if told != tellsTime {
				t.Errorf("the answer was used to tell the time: %t, want %t", told, tellsTime)
			}
		})
	}
}

// A vendor that is not there at all, at start and later.
func TestAVendorThatIsDown(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
	address, stop, err := vendor.Start()
	check(t, err)
	store, log := followingAt(t, address)
	<-store.Loaded()
	stop()
	store.Refresh()
	await(t, func() bool { return log.count("connection refused") > 0 })
	if current, err := store.Current(); err != nil || current.Value.Reveal() != firstSecret {
		t.Errorf("Current() = %v, %v; want the last good secret", current, err)
	}
	fresh, log := followingAt(t, address)
	await(t, func() bool { return log.count("connection refused") > 0 })
	if _, err := fresh.Current(); !errors.Is(err, secret.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("Current() = %v, want ErrUnavailable with the reason", err)
	}
}

func following(t *testing.T, vendor *standin.Vendor) (*secret.Store, *logbook) {
	t.Helper()
	address, stop, err := vendor.Start()
	check(t, err)
	t.Cleanup(stop)
	return followingAt(t, address)
}

func followingAt(t *testing.T, address string) (*secret.Store, *logbook) {
	t.Helper()
	log := &logbook{}
	options := secret.Options{Organization: "acme", Logger: slog.New(slog.NewTextHandler(log, nil))}
	store := open(t, options, secret.Source{API: &secret.API{Client: clientAt(t, address)}})
	store.WithoutPauses()
	run(t, store)
	return store, log
}

func awaitFailure(t *testing.T, store *secret.Store, log *logbook, behaviour standin.Behaviour, warning string) {
	t.Helper()
	await(t, func() bool {
		return metric(t, "chatidentity_secret_refresh_total", "result="+results[behaviour], store) > 0 && log.count(warning) > 0
	})
}

// awaitRefreshed asks for a refresh until the secret is there.
func awaitRefreshed(t *testing.T, store *secret.Store, want string) {
	t.Helper()
	await(t, func() bool {
		store.Refresh()
		current, err := store.Current()
		return err == nil && current.Value.Reveal() == want
	})
}
