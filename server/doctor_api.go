package main

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// The checks of Kustomer's API as a source.
const (
	checkAPIHost  = "API host"
	checkAPI      = "API"
	checkAPIKey   = "API key"
	checkAPIRoles = "API key's roles"
)

const (
	// apiTimeout bounds all that is asked for one organization.
	apiTimeout = 45 * time.Second
	// apiAttempts bounds how often the same is asked: one hiccup is no fault.
	apiAttempts = 2
	// clockWarning is the difference of clocks from which serve warns too.
	clockWarning = 30 * time.Second
)

// apiSource asks Kustomer what serve would ask, and whose the API key is.
func (o *origin) apiSource(ctx context.Context) {
	client, err := o.source.Client(nil)
	if err != nil {
		o.failf(checkAPIKey, "%v", err)
		return
	}
	if o.source.APIKeyFile != "" {
		if _, err := secret.ReadText(o.source.APIKeyFile); err != nil {
			o.failf(checkAPIKey, "--api-key-file: %v: put the API key into it", err)
			return
		}
	}
	o.apiHost()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	user, err := kustomer.Retry(ctx, apiAttempts, client.CurrentUser)
	if err != nil {
		o.apiFailed(err)
		return
	}
	o.okf(checkAPI, "it answers")
	o.okf(checkAPIKey, "accepted")
	o.roles(user)
	settings, err := kustomer.Retry(ctx, apiAttempts, client.Settings)
	if err != nil {
		o.failf(checkSecret, "%v", err)
		o.kustomerClock(user.Clock)
		return
	}
	found, err := secret.New(settings.Secret)
	if err != nil {
		o.failf(checkSecret, "%v", err)
	} else {
		o.plausible(found, "Kustomer's API")
	}
	o.kustomerClock(user.Clock, settings.Clock)
}

// apiFailed puts a failure to the check that it belongs to.
func (o *origin) apiFailed(err error) {
	failure, ok := errors.AsType[*kustomer.Error](err)
	switch {
	case ok && failure.Kind == kustomer.KindRefused:
		o.okf(checkAPI, "it answers")
		o.failf(checkAPIKey, "%v", err)
	case ok && failure.Kind == kustomer.KindKey:
		o.failf(checkAPIKey, "%v", err)
	case ok && failure.Kind == kustomer.KindNetwork:
		o.failf(checkAPI, "%v: check --api-url, DNS, what may leave the pod (network policy), and HTTPS_PROXY", err)
	default:
		o.failf(checkAPI, "%v", err)
	}
}

// apiHost says where the API key is sent. A host below kustomerapp.com that is
// not the API's has been refused before, as by serve.
func (o *origin) apiHost() {
	base, err := kustomer.ParseBaseURL(o.source.APIURL, o.source.Organization)
	switch {
	case err != nil:
		o.failf(checkAPIHost, "--api-url: %v", err)
	case base.Scheme == "https" && !isKustomers(base):
		o.warnf(checkAPIHost, "%s is not below kustomerapp.com: the API key, an administrator's, is sent there; check --api-url", base.Host)
	default:
		o.okf(checkAPIHost, "%s", base.Host)
	}
}

func isKustomers(base *url.URL) bool {
	host := strings.TrimSuffix(strings.ToLower(base.Hostname()), ".")
	return strings.HasSuffix(host, ".kustomerapp.com")
}

// roles compares the key's roles with those that Kustomer's page asks for.
// Whether they are enough is told by the secret itself.
func (o *origin) roles(user kustomer.User) {
	switch {
	case !user.RolesKnown:
		o.warnf(checkAPIRoles, "Kustomer's answer does not tell them; the key needs %s", kustomer.RolesNeeded)
	case !slices.Contains(user.Roles, "org.admin") || !slices.Contains(user.Roles, "org.user"):
		o.warnf(checkAPIRoles, "it has %s, and Kustomer asks for %s: give the key both", noneOr(strings.Join(user.Roles, ", ")), kustomer.RolesNeeded)
	default:
		o.okf(checkAPIRoles, "%s", kustomer.RolesNeeded)
	}
}

func noneOr(list string) string {
	if list == "" {
		return "none"
	}
	return list
}

// kustomerClock compares our clock with Kustomer's. Of several answers the one
// that agrees best counts: another may come from a cache.
func (o *origin) kustomerClock(clocks ...kustomer.Clock) {
	clocks = slices.DeleteFunc(clocks, func(clock kustomer.Clock) bool { return !clock.Known })
	if len(clocks) == 0 {
		o.warnf(checkClock, "Kustomer's answers do not tell its time; keep this machine's clock synchronized, or its tokens are refused")
		return
	}
	best := slices.MinFunc(clocks, func(a, b kustomer.Clock) int { return int(a.Apart() - b.Apart()) })
	apart := best.Apart().Round(time.Second)
	direction := "behind"
	if best.Offset() < 0 {
		direction = "ahead of"
	}
	switch {
	case best.Apart() > o.source.MaxClockSkew:
		o.failf(checkClock, "it is %s %s Kustomer's; beyond --max-clock-skew %s no token is issued: set this machine's clock",
			apart, direction, o.source.MaxClockSkew)
	case best.Apart() >= clockWarning:
		o.warnf(checkClock, "it is %s %s Kustomer's: set this machine's clock", apart, direction)
	default:
		o.okf(checkClock, "it agrees with Kustomer's")
	}
}
