package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

const (
	// apiTimeout bounds all questions about one organization.
	apiTimeout = 45 * time.Second
	// apiAttempts bounds how often one question is asked: a single hiccup is no fault.
	apiAttempts = 2
)

// answers are what Kustomer says about one organization.
type answers struct {
	settings kustomer.Settings
	err      error         // of the settings, which are all that serve asks for
	user     kustomer.User // whose the API key is
	userErr  error
}

// askKustomer asks what serve would ask and, if Kustomer has looked at the API key, whose it is.
func askKustomer(ctx context.Context, o *organization) answers {
	client, err := o.Client()
	if err != nil {
		return answers{err: err, userErr: err}
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var a answers
	a.settings, a.err = kustomer.Retry(ctx, apiAttempts, client.Settings)
	if a.err != nil && !a.hasKind(kustomer.KindRefused) {
		a.userErr = a.err
		return a
	}
	a.user, a.userErr = kustomer.Retry(ctx, apiAttempts, client.CurrentUser)
	return a
}

func (a *answers) hasKind(kind kustomer.Kind) bool {
	failure, ok := errors.AsType[*kustomer.Error](a.err)
	return ok && failure.Kind == kind
}

// isKeyAccepted reports whether Kustomer knows the API key, though its roles may not be enough.
func (a *answers) isKeyAccepted() bool { return a.err == nil || a.userErr == nil }

// apiHost says where the API key is sent. Config refuses a host below kustomerapp.com that is not the
// API's.
func apiHost(o *organization, _ answers) []Finding {
	base, err := kustomer.ParseBaseURL(o.APIURL, o.SecretSource.Organization)
	switch {
	case err != nil:
		return nil // opening the secret refuses it
	case base.Scheme == "https" && !isKustomers(base):
		return warningf("%s is not below kustomerapp.com, but gets an administrator's API key: check --api-url", base.Host)
	default:
		return okf("%s", base.Host)
	}
}

func isKustomers(base *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(base.Hostname()), ".")
	return strings.HasSuffix(host, ".kustomerapp.com")
}

func api(_ *organization, a answers) []Finding {
	switch {
	case a.hasKind(kustomer.KindKey):
		return nil
	case a.err == nil, a.hasKind(kustomer.KindRefused):
		return okf("it answers")
	case a.hasKind(kustomer.KindNetwork):
		return failedf("%v: check --api-url, DNS, what may leave the pod (network policy), HTTPS_PROXY and --ca-file", a.err)
	default:
		return failedf("%v", a.err)
	}
}

func apiKey(o *organization, a answers) []Finding {
	switch {
	case a.isKeyAccepted():
		return okf("accepted")
	case a.hasKind(kustomer.KindKey) && o.APIKeyFile != "":
		return failedf("%s: %v: put the API key into it", o.Setting("--api-key-file"), a.err)
	case a.hasKind(kustomer.KindKey), a.hasKind(kustomer.KindRefused):
		return failedf("%s", strings.Join(append([]string{a.err.Error()}, o.KeyDoubts()...), "; "))
	default:
		return nil
	}
}

// apiRoles compares the key's roles with those that Kustomer's page asks for. Only the secret itself
// shows whether they are enough.
func apiRoles(_ *organization, a answers) []Finding {
	switch {
	case !a.isKeyAccepted():
		return nil
	case !a.user.RolesKnown:
		return warningf("Kustomer's answer does not tell them; the key needs %s", kustomer.RolesNeeded)
	case !slices.Contains(a.user.Roles, "org.admin") || !slices.Contains(a.user.Roles, "org.user"):
		return warningf("they are %q, and Kustomer asks for %s: give the key both", a.user.Roles, kustomer.RolesNeeded)
	default:
		return okf("%s", kustomer.RolesNeeded)
	}
}

func apiSecret(a answers) []Finding {
	switch {
	case !a.isKeyAccepted():
		return nil
	case a.err != nil:
		return failedf("%v", a.err)
	}
	read, err := secret.New(a.settings.Secret)
	if err != nil {
		return failedf("%v", err)
	}
	return plausible(read, "Kustomer's API")
}

// kustomerClock compares our clock with Kustomer's. Of several answers the one that agrees best
// counts: the others may come from a cache.
func kustomerClock(o *organization, a answers) []Finding {
	if !a.isKeyAccepted() {
		return nil
	}
	clocks := slices.DeleteFunc([]kustomer.Clock{a.user.Clock, a.settings.Clock},
		func(c kustomer.Clock) bool { return !c.Known })
	if len(clocks) == 0 {
		return warningf("Kustomer's answers do not tell its time; keep the clock synchronized, or it refuses the tokens")
	}
	best := slices.MinFunc(clocks, func(a, b kustomer.Clock) int { return int(a.Apart() - b.Apart()) })
	apart := best.Apart()
	difference := fmt.Sprintf("%s: it is %s behind Kustomer's", secret.WarnClock, apart.Round(time.Second))
	if best.Offset() < 0 {
		difference = strings.Replace(difference, "behind", "ahead of", 1)
	}
	switch {
	case apart > o.MaxClockSkew:
		return failedf("%s; beyond --max-clock-skew %s no token is issued: set this machine's clock",
			difference, o.MaxClockSkew)
	case apart >= secret.WarnApart:
		return warningf("%s: set this machine's clock", difference)
	default:
		return okf("it agrees with Kustomer's")
	}
}
