package config

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// Of an organization that has left the policy file, whatever its source, nothing leads to the secret
// any more: the memory is the garbage collector's. A call in flight keeps it for as long as it runs.
func TestARemovedOrganizationsSecretIsGone(t *testing.T) {
	vendor := standin.New(standin.Options{APIKey: "canary-key", Secret: "canary-secret"})
	url, stop, err := vendor.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	t.Setenv("REMOVED_SECRET", "canary-secret")
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const callers = "callers: {loopback: {organizations: all}}\n"
	text := callers + "organizations:\n  stays: {secret_file: " + write("secret", "canary-secret") + "}\n"
	s := &Serve{CallerFiles: CallerFiles{PolicyFile: write("policy.yaml", text+
		"  file: {secret_file: "+write("file", "canary-secret")+"}\n  env: {secret_env: REMOVED_SECRET}\n"+
		"  api: {api_key_file: "+write("key", "canary-key")+", api_url: '"+url+"'}\n")}}
	s.SecretTimes = SecretTimes{SecretRefresh: time.Second, SecretMaxStale: time.Hour, MaxClockSkew: time.Minute}
	if err := s.validateOrganizations(); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	options := secret.Options{Follower: watch.NewFollower(log), Asker: new(secret.Asker), Logger: log}
	file := s.OpenPolicy(options)
	if file.Err() != nil {
		t.Fatal(file.Err())
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { options.Follower.Run(ctx) })
	running.Go(func() { options.Asker.Run(ctx) })
	defer running.Wait()
	defer cancel()

	removed := map[string]weak.Pointer[secret.Store]{}
	for name, organization := range file.Load().Organizations {
		<-organization.Secrets.Loaded()
		if name != "stays" {
			removed[name] = weak.Make(organization.Secrets)
		}
	}
	inFlight := file.Load().Organizations["file"].Secrets
	write("policy.yaml", text)
	await(t, "the change", func() bool { return len(file.Load().Organizations) == 1 })
	await(t, "the others' secrets to go", func() bool {
		runtime.GC()
		return removed["env"].Value() == nil && removed["api"].Value() == nil
	})
	if current, err := inFlight.Current(); err != nil || current.Value.Reveal() != "canary-secret" {
		t.Errorf("a call in flight: %v", err)
	}
	runtime.KeepAlive(inFlight)
	inFlight = nil
	await(t, "the secret of the call in flight to go", func() bool {
		runtime.GC()
		return inFlight == nil && removed["file"].Value() == nil
	})
	if value := s.variable("REMOVED_SECRET"); !value.IsEmpty() {
		t.Error("the variable's value is still there")
	}
	runtime.KeepAlive(s)
	if current, err := file.Load().Organizations["stays"].Secrets.Current(); err != nil || current.ID == "" {
		t.Errorf("the one that stays: %v", err)
	}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	tooLate := time.After(20 * time.Second)
	for !is() {
		select {
		case <-time.After(time.Millisecond):
		case <-tooLate:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
