package doctor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// discard is the log of what a check opens: its errors are what counts.
var discard = slog.New(slog.DiscardHandler)

// signingSecret opens the secret as serve would. Only the API must be asked for it.
func signingSecret(o *organization) []Finding {
	store, err := o.Open(secret.Options{Logger: discard})
	switch {
	case err != nil:
		return refused(err)
	case o.UsesAPI():
		return apiSecret(o.ask())
	}
	current, err := store.Current()
	switch {
	case err != nil:
		return failedf("%s: %v: put the secret there as `chatidentity secret fetch` writes it, readable by user %d",
			o.Setting("--secret-file"), err, os.Getuid())
	case !store.IsReadAgain():
		return plausible(current, store.Source()+", so that a change needs a restart")
	default:
		return plausible(current, store.Source())
	}
}

// plausible looks at a secret that could be read.
func plausible(found secret.Secret, from string) []Finding {
	if doubts := secret.Doubts(found.Value); len(doubts) > 0 {
		return warningf("read from %s, with the secret_id %s, but %s: compare it with Kustomer's",
			from, found.ID, strings.Join(doubts, "; "))
	}
	return okf("read from %s, with the secret_id %s", from, found.ID)
}

// secretUpdates finds a file that never changes, whatever happens to the volume that it comes from.
func secretUpdates(o *organization) []Finding {
	path := o.SecretFile
	if _, err := secret.ReadText(path); path == "" || err != nil {
		return nil
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		resolved, err = filepath.Abs(resolved)
	}
	if err != nil {
		return failedf("%v", err)
	}
	mounts, err := mountPoints()
	switch {
	case err != nil:
		return warningf("cannot tell whether %s is itself a mount, which is never updated: %v", path, err)
	case slices.Contains(mounts, resolved):
		return warningf("%s is itself a mount (subPath, or a single file), which is never updated: mount its directory", path)
	default:
		return okf("%s is followed when it changes", path)
	}
}

// identifiers warns of the policy under which a caller's mistake about an address opens somebody
// else's conversations.
func identifiers(o *organization) []Finding {
	if o.Identifiers == customer.AsGiven {
		return warningf("as-given: Kustomer uses the email of a token and ignores its external ID, so an address that is " +
			"not verified shows its owner's conversations to somebody else: give --identifier-policy external-id, " +
			"unless callers send only verified addresses")
	}
	return okf("%s", o.Identifiers)
}

// clock compares this machine's clock with Kustomer's, or asks the kernel if no source of a secret
// tells Kustomer's time.
func clock(ctx context.Context, s *setup) []Finding {
	if slices.ContainsFunc(s.organizations, func(o *organization) bool { return o.UsesAPI() }) {
		return answered(kustomerClock)(ctx, s)
	}
	synchronized, err := clockSynchronized()
	switch {
	case err != nil:
		return warningf("cannot tell whether it is right, %v: keep it synchronized, or Kustomer refuses the tokens", err)
	case !synchronized:
		return warningf("the kernel reports it as unsynchronized, and this source of the secret does not tell Kustomer's " +
			"time: make sure that something keeps it right, or Kustomer refuses the tokens")
	default:
		return okf("the kernel reports it as synchronized")
	}
}
