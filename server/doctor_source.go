package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// The checks of each organization's secret.
const (
	checkSecret      = "signing secret"
	checkUpdates     = "secret updates"
	checkClock       = "clock"
	checkIdentifiers = "identifier policy"
)

// origin is where one organization's secret comes from.
type origin struct {
	findings
	source config.SecretSource
	policy customer.IdentifierPolicy
}

// sources checks the secret of each organization, all at once: one may have to
// be waited for.
func (x *examination) sources(ctx context.Context) {
	origins := make([]*origin, 0, len(x.config.Organizations()))
	var checks sync.WaitGroup
	for _, organization := range x.config.Organizations() {
		o := &origin{source: organization.SecretSource, policy: organization.Identifiers}
		origins = append(origins, o)
		checks.Go(func() { o.examine(ctx) })
	}
	checks.Wait()
	asksKustomer := false
	for _, o := range origins {
		asksKustomer = asksKustomer || o.source.UsesAPI()
		for _, found := range o.findings {
			if x.config.PolicyFile != "" {
				found.Check += " of " + o.source.Organization
			}
			x.findings = append(x.findings, found)
		}
	}
	if !asksKustomer {
		x.kernelClock()
	}
}

func (o *origin) examine(ctx context.Context) {
	if o.source.UsesAPI() {
		o.apiSource(ctx)
	} else {
		o.localSource()
	}
	o.identifiers()
}

// localSource reads the secret as serve would: of a file or a variable.
func (o *origin) localSource() {
	store, err := o.source.Open(nil, slog.New(slog.DiscardHandler))
	if err != nil {
		o.failf(checkSecret, "%v", err)
		return
	}
	current, err := store.Current()
	if err != nil {
		o.failf(checkSecret, "--secret-file: %v: put the secret there as `chatidentity secret fetch` writes it, readable by user %d", err, os.Getuid())
		return
	}
	if o.source.SecretFile == "" {
		o.plausible(current, "the environment, so that a change needs a restart")
		return
	}
	o.plausible(current, o.source.SecretFile)
	o.updates(o.source.SecretFile)
}

// plausible looks at a secret that could be read.
func (o *origin) plausible(found secret.Secret, from string) {
	if doubts := secret.Doubts(found.Value); len(doubts) > 0 {
		o.warnf(checkSecret, "read from %s, with the secret_id %s, but %s: compare it with Kustomer's", from, found.ID, strings.Join(doubts, "; "))
		return
	}
	o.okf(checkSecret, "read from %s, with the secret_id %s", from, found.ID)
}

// updates tells a file that will never change, whatever becomes of the volume
// that it was taken from.
func (o *origin) updates(path string) {
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		o.failf(checkUpdates, "%v", err)
		return
	}
	mounts, err := mountPoints()
	switch {
	case err != nil:
		o.warnf(checkUpdates, "whether %s is a mount of its own, which is never updated, cannot be told: %v", path, err)
	case slices.Contains(mounts, resolved):
		o.warnf(checkUpdates, "%s is a mount of its own (subPath, or one file given to the container), which is never updated: mount its directory", path)
	default:
		o.okf(checkUpdates, "%s is followed when it changes", path)
	}
}

// identifiers warns of the policy under which a caller's mistake about one
// address opens somebody else's conversations.
func (o *origin) identifiers() {
	if o.policy == customer.AsGiven {
		o.warnf(checkIdentifiers, "as-given: Kustomer uses the email of a token and ignores its external ID, so an address that is not verified "+
			"shows its owner's conversations to another: give --identifier-policy external-id, unless callers send verified addresses alone")
		return
	}
	o.okf(checkIdentifiers, "%s", o.policy)
}

// kernelClock is for sources that do not tell Kustomer's time.
func (x *examination) kernelClock() {
	synchronized, err := clockSynchronized()
	switch {
	case err != nil:
		x.warnf(checkClock, "whether it is right cannot be told, %v: keep it synchronized, or Kustomer refuses the tokens", err)
	case !synchronized:
		x.warnf(checkClock, "the kernel does not know it to be synchronized, and this source of the secret does not tell Kustomer's time: "+
			"make sure that something keeps it right, or Kustomer refuses the tokens")
	default:
		x.okf(checkClock, "the kernel says that it is synchronized")
	}
}
