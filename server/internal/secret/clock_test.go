package secret_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// answers asks n times, as fast as it may.
func (s scene) answers(n int) {
	for range n {
		s.store.Refresh()
		s.pass(time.Second)
	}
}

func (s scene) wantSkewed(want bool, when string) {
	s.Helper()
	if err := s.store.Skewed(); errors.Is(err, secret.ErrClockSkewed) != want || (err != nil) != want {
		s.Errorf("%s: Skewed() = %v, want skewed: %t", when, err, want)
	}
	if ready := s.store.Ready(); (ready != nil) != want {
		s.Errorf("%s: Ready() = %v", when, ready)
	}
}

func TestThreeFreshAnswersInARowAreBelieved(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"ahead": 302 * time.Second, "behind": -301 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, secret.API{}, nil, func(s scene) {
				s.pass(2 * time.Second)
				s.vendor.set(func(v *vendor) { v.ahead = ahead })
				s.answers(2)
				s.wantSkewed(false, "after two answers")
				s.vendor.set(func(v *vendor) { v.cached = true })
				s.answers(3)
				s.wantSkewed(false, "after two fresh answers and three cached ones")
				s.vendor.set(func(v *vendor) { v.cached = false })
				s.answers(1)
				s.wantSkewed(true, "after three fresh answers")
				if _, err := s.store.Current(); err != nil {
					s.Errorf("the secret is there all the same, for verifying: %v", err)
				}
				s.vendor.set(func(v *vendor) { v.ahead = 0 })
				s.answers(1)
				s.wantSkewed(false, "after a good answer")
			})
		})
	}
}

func TestAGoodAnswerBreaksTheRow(t *testing.T) {
	t.Parallel()
	play(t, secret.API{}, nil, func(s scene) {
		s.pass(2 * time.Second)
		for range 5 {
			s.vendor.set(func(v *vendor) { v.ahead = time.Hour })
			s.answers(2)
			s.vendor.set(func(v *vendor) { v.ahead = 0 })
			s.answers(1)
		}
		s.wantSkewed(false, "never three in a row")
	})
}

func TestClocksThatAreCloseEnoughAreNotSkewed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ahead    time.Duration
		warnings int
	}{
		"20 s":             {20 * time.Second, 0},
		"40 s":             {40 * time.Second, 1},
		"the limit, ahead": {301 * time.Second, 1}, // the bounds are a second wide
		"the limit":        {-300 * time.Second, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, secret.API{}, func(v *vendor) { v.ahead = test.ahead }, func(s scene) {
				s.pass(2 * time.Second)
				s.answers(5)
				s.wantSkewed(false, "within the limit")
				if warnings := s.log.count("differs from Kustomer's"); warnings != test.warnings {
					s.Errorf("%d warnings, want %d: %s", warnings, test.warnings, s.log)
				}
			})
		})
	}
}

// Somebody sets the system's clock: within a minute no more tokens are issued that Kustomer would
// refuse, and soon after it is set right they are again.
func TestASteppingSystemClockIsNoticed(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"forwards": 3 * time.Hour, "backwards": -3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, secret.API{Refresh: time.Hour, MaxStale: 2 * time.Hour}, nil, func(s scene) {
				s.pass(10 * time.Minute)
				s.clock.set(step)
				s.pass(45 * time.Second)
				s.wantSkewed(true, "after the step")
				s.wantSecret(firstSecret) // an age is no matter of the wall clock
				s.clock.set(0)
				s.pass(15 * time.Second)
				s.wantSkewed(false, "after it was set right")
				asked := len(s.vendor.times())
				s.pass(30 * time.Minute)
				if again := len(s.vendor.times()); again != asked {
					s.Errorf("%d requests in half an hour with a right clock, want none", again-asked)
				}
			})
		})
	}
}

func TestAStepOfTheSystemClockMakesNoSecretStale(t *testing.T) {
	t.Parallel()
	play(t, secret.API{MaxStale: time.Hour}, nil, func(s scene) {
		s.pass(time.Second)
		for _, step := range []time.Duration{-48 * time.Hour, 48 * time.Hour, 0} {
			s.clock.set(step)
			synctest.Wait()
			s.wantSecret(firstSecret)
			s.pass(time.Minute)
			s.wantSecret(firstSecret)
		}
	})
}
