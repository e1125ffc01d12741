package kustomer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
)

func TestRetryPausesBetweenAttempts(t *testing.T) {
	t.Parallel()
	temporary := &kustomer.Error{Kind: kustomer.KindServer}
	permanent := &kustomer.Error{Kind: kustomer.KindRefused}
	limited := &kustomer.Error{Kind: kustomer.KindRateLimited, RetryAfter: 20 * time.Second}
	for _, test := range []struct {
		name     string
		answers  []error // of each attempt
		want     error
		at, most time.Duration
	}{
		{"at once", []error{nil}, nil, 0, 0},
		{"after two failures", []error{temporary, temporary, nil}, nil, 3 * time.Second, 4500 * time.Millisecond},
		{"never", []error{temporary, temporary, temporary}, temporary, 3 * time.Second, 4500 * time.Millisecond},
		{"permanent", []error{permanent}, permanent, 0, 0},
		{"as asked", []error{limited, nil}, nil, 20 * time.Second, 30 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start, attempts := time.Now(), 0
				_, err := kustomer.Retry(t.Context(), 3, func(context.Context) (int, error) {
					attempts++
					return attempts, test.answers[attempts-1]
				})
				if took := time.Since(start); !errors.Is(err, test.want) || attempts != len(test.answers) || took < test.at || took > test.most {
					t.Errorf("%v after %d attempts in %s; want %v after %d in %s to %s",
						err, attempts, took, test.want, len(test.answers), test.at, test.most)
				}
			})
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := kustomer.Retry(ctx, 100, func(context.Context) (int, error) {
			return 0, &kustomer.Error{Kind: kustomer.KindServer}
		})
		if took := time.Since(start); err == nil || took != 500*time.Millisecond {
			t.Errorf("%v after %s, want the failure after 500ms", err, took)
		}
	})
}

// The rest of how pauses grow is retry's to test.
func TestPausesAreOneSecondToAMinute(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 6: 32 * time.Second, 7: time.Minute, 1 << 40: time.Minute} {
		if pause := kustomer.Pause(failures, nil, 0); pause != want {
			t.Errorf("Pause(%d) = %s, want %s", failures, pause, want)
		}
	}
	limited := &kustomer.Error{Kind: kustomer.KindRateLimited, RetryAfter: 45 * time.Second}
	if pause := kustomer.Pause(1, limited, 0); pause != 45*time.Second {
		t.Errorf("Pause after Retry-After 45 = %s", pause)
	}
}
