package secret_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func TestRefreshesAreSpreadAroundTheirInterval(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(100 * 5 * time.Minute)
		times := s.vendor.times()
		if len(times) < 90 || len(times) > 112 {
			s.Errorf("%d requests in 100 intervals", len(times))
		}
		different := make(map[time.Duration]bool)
		for index := 1; index < len(times); index++ {
			gap := times[index].Sub(times[index-1])
			different[gap] = true
			if gap < 270*time.Second || gap > 330*time.Second {
				s.Errorf("a refresh after %s, want 5m within 10 %%", gap)
			}
		}
		if len(different) < 50 {
			s.Errorf("%d different gaps: refreshes are not spread", len(different))
		}
	})
}

func TestAtMostOneAttemptASecondHoweverTriggered(t *testing.T) {
	t.Parallel()
	slow := func(v *vendor) { v.takes = 300 * time.Millisecond }
	play(t, secret.API{Refresh: time.Second}, slow, func(s scene) {
		for range 1000 {
			s.store.Refresh()
			s.store.Refresh()
			s.pass(10 * time.Millisecond)
		}
		times := s.vendor.times()
		for index := 1; index < len(times); index++ {
			if gap := times[index].Sub(times[index-1]); gap < time.Second {
				s.Errorf("two attempts within %s", gap)
			}
		}
		if len(times) < 10 || len(times) > 11 {
			s.Errorf("%d attempts in 10 s of asking, want 10 or 11", len(times))
		}
	})
}

func TestRefreshTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(time.Minute)
		s.vendor.set(func(v *vendor) { v.secret = secondSecret })
		s.wantSecret(firstSecret)
		s.store.Refresh()
		synctest.Wait()
		s.wantSecret(secondSecret)
	})
}

// Whoever asked gets the result of the next load that begins.
func TestRefreshTellsItsResult(t *testing.T) {
	t.Parallel()
	slow := func(v *vendor) { v.takes = 300 * time.Millisecond }
	play(t, secret.API{}, slow, func(s scene) {
		s.pass(time.Minute)
		for _, want := range []error{nil, &kustomer.Error{Kind: kustomer.KindServer}} {
			s.vendor.set(func(v *vendor) { v.err = want })
			for _, result := range []<-chan error{s.store.Refresh(), s.store.Refresh()} {
				if err := <-result; !errors.Is(err, want) {
					s.Errorf("the result is %v, want %v", err, want)
				}
			}
		}
	})
	fixed := open(t, secret.Options{}, secret.Source{Value: sensitive.New(firstSecret)})
	if err := <-fixed.Refresh(); err != nil {
		t.Errorf("of a source that is not asked: %v", err)
	}
}

func TestStartGoesOnUntilTheVendorIsThere(t *testing.T) {
	t.Parallel()
	down := func(v *vendor) { v.err = &kustomer.Error{Kind: kustomer.KindServer} }
	play(t, secret.API{}, down, func(s scene) {
		s.wantUnavailable("awaited")
		s.pass(time.Hour)
		s.wantUnavailable("")
		times := s.vendor.times()
		if first := times[1].Sub(times[0]); first > 2*time.Second {
			s.Errorf("the second attempt came after %s", first)
		}
		if len(times) < 30 || len(times) > 70 {
			s.Errorf("%d attempts in an hour: want one every minute or so", len(times))
		}
		s.vendor.set(func(v *vendor) { v.err = nil })
		s.pass(90 * time.Second)
		s.wantSecret(firstSecret)
		<-s.store.Loaded()
	})
}

func TestTheLastGoodSecretServesUntilItIsStale(t *testing.T) {
	t.Parallel()
	play(t, secret.API{MaxStale: 2 * time.Hour}, nil, func(s scene) {
		s.pass(time.Second)
		s.vendor.set(func(v *vendor) { v.err = &kustomer.Error{Kind: kustomer.KindServer, Host: "vendor.example"} })
		s.pass(2*time.Hour - 2*time.Second)
		s.wantSecret(firstSecret)
		s.pass(2 * time.Second)
		s.wantUnavailable("older than the maximum of 2h0m0s: vendor.example")
		s.vendor.set(func(v *vendor) { v.err = nil })
		s.pass(90 * time.Second)
		s.wantSecret(firstSecret)
		if warnings := s.log.count("could not be refreshed"); warnings < 50 || warnings > 121 {
			s.Errorf("%d warnings in two hours, want about one a minute", warnings)
		}
	})
}

func TestRetryAfterIsKeptEvenWhenAskedToRefresh(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(10 * time.Second)
		s.vendor.set(func(v *vendor) {
			v.err = &kustomer.Error{Kind: kustomer.KindRateLimited, RetryAfter: 40 * time.Second}
		})
		s.store.Refresh()
		for range 39 {
			s.pass(time.Second)
			s.store.Refresh()
		}
		if asked := len(s.vendor.times()); asked != 2 {
			s.Errorf("%d requests, want 2: the vendor asked to be left alone", asked)
		}
		s.vendor.set(func(v *vendor) { v.err, v.secret = nil, secondSecret })
		s.pass(2 * time.Second)
		s.wantSecret(secondSecret)
	})
}

func TestThePreviousSecretIsKnownFor15Minutes(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(time.Second)
		if snapshot, err := s.store.Snapshot(); err != nil || snapshot.HasPrevious {
			s.Errorf("Snapshot() = %+v, %v; want no previous secret before a change", snapshot, err)
		}
		before, _ := s.store.Current()
		s.vendor.set(func(v *vendor) { v.secret = secondSecret })
		s.store.Refresh()
		synctest.Wait()
		snapshot, err := s.store.Snapshot()
		if err != nil || !snapshot.HasPrevious || snapshot.Previous != before || snapshot.Current.Value.Reveal() != secondSecret {
			s.Errorf("Snapshot() = %+v, %v; want both secrets", snapshot, err)
		}
		if snapshot.Current.ID == before.ID {
			s.Error("two secrets have one fingerprint")
		}
		s.clock.set(-5 * time.Hour) // a step of the wall clock changes no age
		s.pass(15*time.Minute - time.Second)
		if snapshot, _ := s.store.Snapshot(); !snapshot.HasPrevious {
			s.Error("the previous secret was forgotten early")
		}
		s.pass(time.Second)
		if snapshot, _ := s.store.Snapshot(); snapshot.HasPrevious || !snapshot.Previous.Value.IsEmpty() {
			s.Error("the previous secret is still known after 15 minutes")
		}
	})
}

func TestAnUnchangedSecretStaysTheSameValue(t *testing.T) {
	t.Parallel()
	play(t, secret.API{Refresh: time.Second}, nil, func(s scene) {
		s.pass(time.Second)
		before, _ := s.store.Current()
		s.pass(time.Minute)
		if after, _ := s.store.Current(); after != before {
			s.Error("a refresh that changed nothing replaced the secret")
		}
		if snapshot, _ := s.store.Snapshot(); snapshot.HasPrevious {
			s.Error("a refresh that changed nothing left a previous secret")
		}
	})
}

func TestAShortSecretIsWarnedOf(t *testing.T) {
	t.Parallel()
	short := func(v *vendor) { v.secret = "canary-short" }
	play(t, secret.API{}, short, func(s scene) {
		s.pass(time.Second)
		if s.log.count("fewer than 32 bytes") != 1 {
			s.Errorf("want one warning of a short secret, have: %s", s.log)
		}
	})
}

func TestAVendorsOversizedSecretIsRefused(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(time.Second)
		s.vendor.set(func(v *vendor) { v.secret = strings.Repeat("x", secret.MaxSize+1) })
		s.store.Refresh()
		s.pass(time.Second)
		s.wantSecret(firstSecret)
	})
}
