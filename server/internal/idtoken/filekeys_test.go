package idtoken_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"

	"github.com/chatidentity/chatidentity/server/internal/idtoken"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

func TestKeysFromAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jwks.json")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issuer := describe("")
	issuer.JWKSFile = path
	if _, err := idtoken.New(issuer, idtoken.Options{}); err == nil {
		t.Error("a file that is not there is an error at the start")
	}
	for name, text := range map[string]string{
		"empty": "", "not JSON": "x", "no keys": `{"keys":[]}`, "a symmetric key alone": published(t, map[string]any{"s": hmacSecret}),
		"a short Ed25519 key": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`, "a point off its curve": `{"keys":[{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}]}`,
		"a private key alone": published(t, map[string]any{"p": rsaKey()}), "too large": `{"keys":[` + strings.Repeat(" ", 1<<20) + `]}`,
	} {
		write(text)
		if _, err := idtoken.New(issuer, idtoken.Options{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Keys in a file are followed until the verifier is closed.
func TestKeysFromAFileAreFollowed(t *testing.T) {
	t.Parallel()
	now := newClock()
	issuer := describe("")
	issuer.JWKSFile = filepath.Join(t.TempDir(), "jwks.json")
	write := func(text string) {
		if err := os.WriteFile(issuer.JWKSFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	follower := watch.NewFollower(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { follower.Run(ctx) })
	defer running.Wait()
	defer cancel()
	write(published(t, map[string]any{"rsa": rsaKey().Public()}))
	v, err := idtoken.New(issuer, idtoken.Options{Now: now.read, Follower: follower})
	if err != nil || v.LoadKeys(t.Context()) != nil {
		t.Fatal(err)
	}
	old := signed(t, jwa.RS256, rsaKey(), kid("rsa"), claims(now.read(), nil))
	fresh := signed(t, jwa.ES256, ecKey(), kid("ec"), claims(now.read(), nil))
	assert := func(token string, want error) {
		t.Helper()
		if err := v.Prove(t.Context(), token, ada); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	assert(old, nil)
	assert(fresh, idtoken.ErrUnproven)
	write(published(t, map[string]any{"ec": ecKey().Public()}))
	await(t, func() bool { err := v.Prove(t.Context(), fresh, ada); return err == nil })
	assert(old, idtoken.ErrUnproven)
	write("half a fi")
	await(t, func() bool { return errors.Is(v.LoadKeys(t.Context()), idtoken.ErrUnavailable) })
	assert(fresh, nil)                  // by the last good keys
	assert(old, idtoken.ErrUnavailable) // its key may be in the file that is broken
	v.Close()
	v.Close() // as often as anybody likes
	write(published(t, map[string]any{"rsa": rsaKey().Public()}))
	next, err := idtoken.New(issuer, idtoken.Options{Now: now.read, Follower: follower})
	if err != nil {
		t.Fatal(err)
	}
	write(published(t, map[string]any{"rsa": rsaKey().Public(), "ec": ecKey().Public()}))
	await(t, func() bool { err := next.Prove(t.Context(), fresh, ada); return err == nil })
	assert(old, idtoken.ErrUnavailable) // the change was not for a verifier that is closed
	assert(fresh, nil)
}

func await(t *testing.T, condition func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	tooLate := time.After(20 * time.Second)
	for !condition() {
		select {
		case <-again.C:
		case <-tooLate:
			t.Fatal("did not happen in time")
		}
	}
}
