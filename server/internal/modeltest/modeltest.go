// Package modeltest plays random schedules of models in tests.
package modeltest

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
)

// Play plays one schedule after the other, each in a bubble and with its own seed, until they have
// taken that many steps or one has failed: steps in CI, proof with PROOF. play returns
// how many it took. MODEL_SEED plays that schedule alone. Play reports whether it was all.
func Play(t *testing.T, steps, proof int, play func(t *testing.T, seed uint64) int) bool {
	t.Helper()
	if text := os.Getenv("MODEL_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MODEL_SEED: %v", err)
		}
		synctest.Test(t, func(t *testing.T) { play(t, seed) })
		return false
	}
	if os.Getenv("PROOF") != "" {
		steps = proof
	}
	for seed := uint64(1); steps > 0 && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { steps -= play(t, seed) })
	}
	return true
}
