package secret_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// rounds is how many changes a test makes: SECRET_CHANGES (1000 for the proof), else
// few.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SECRET_CHANGES")
	if text == "" {
		return 25
	}
	count, err := strconv.Atoi(text)
	check(t, err)
	return count
}

// Under load a secret changes again and again: no call fails, each "token" verifies under the
// secret that its record names, and a call signs with exactly one secret.
func TestSecretChangesUnderLoad(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(t *testing.T) (*secret.Store, func(want string)){
		"file": func(t *testing.T) (*secret.Store, func(string)) {
			t.Helper()
			path := write(t, t.TempDir(), firstSecret)
			store := open(t, secret.Options{Follower: follower(t, io.Discard)}, secret.Source{File: path})
			return store, func(want string) { check(t, os.Rename(write(t, t.TempDir(), want), path)) }
		},
		"API": func(t *testing.T) (*secret.Store, func(string)) {
			t.Helper()
			vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret, CallsPerMinute: 1 << 30})
			store := open(t, secret.Options{}, secret.Source{API: &secret.API{Client: clientOf(t, vendor)}})
			store.WithoutPauses()
			return store, func(want string) {
				vendor.SetSecret(want)
				store.Refresh()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, change := source(t)
			run(t, store)
			<-store.Loaded()
			changeUnderLoad(t, store, change)
		})
	}
}

func changeUnderLoad(t *testing.T, store *secret.Store, change func(want string)) {
	t.Helper()
	load := startLoad(t, store)
	count := rounds(t)
	late := make([]time.Duration, 0, count)
	for round := range count {
		want := fmt.Sprintf("%s-%d", secondSecret, round)
		change(want)
		changed := time.Now()
		awaitSecret(t, store, want)
		late = append(late, time.Since(changed))
	}
	signed, failed := load.stop()
	if failed > 0 || signed == 0 {
		t.Errorf("%d of %d calls failed", failed, signed+failed)
	}
	slices.Sort(late)
	t.Logf("%d changes under %d calls, %d failed; the new secret was in use after %s (median), %s (longest)",
		len(late), signed, failed, late[len(late)/2], late[len(late)-1])
}

// load are callers that sign and check all the time.
type load struct {
	ending         chan struct{}
	running        sync.WaitGroup
	signed, failed atomic.Int64
}

func startLoad(t *testing.T, store *secret.Store) *load {
	t.Helper()
	l := &load{ending: make(chan struct{})}
	for range 2 {
		l.running.Go(func() {
			// Paced, so that on two cores there is room for what is tested.
			calls := time.NewTicker(500 * time.Microsecond)
			defer calls.Stop()
			byID := make(map[string]secret.Secret)
			for {
				select {
				case <-l.ending:
					return
				case <-calls.C:
					l.call(t, store, byID)
				}
			}
		})
	}
	return l
}

// call does what an IssueToken does with a secret, and checks the result.
func (l *load) call(t *testing.T, store *secret.Store, byID map[string]secret.Secret) {
	t.Helper()
	current, err := store.Current()
	if err != nil {
		l.failed.Add(1)
		return
	}
	token := sign(current.Value.Reveal())
	known, seen := byID[current.ID]
	if !seen {
		known, err = secret.New(current.Value)
		if err != nil || known.ID != current.ID {
			t.Errorf("the secret's ID is %s, but its fingerprint %s, %v", current.ID, known.ID, err)
		}
		byID[current.ID] = known
	}
	if !hmac.Equal(token, sign(known.Value.Reveal())) {
		t.Error("a token does not verify under the secret that its record names")
	}
	snapshot, err := store.Snapshot()
	if err != nil || snapshot.HasPrevious && snapshot.Previous.ID == snapshot.Current.ID {
		t.Errorf("Snapshot() = %+v, %v", snapshot, err)
	}
	l.signed.Add(1)
}

func (l *load) stop() (int64, int64) {
	close(l.ending)
	l.running.Wait()
	return l.signed.Load(), l.failed.Load()
}

func sign(key string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("header.payload"))
	return mac.Sum(nil)
}
