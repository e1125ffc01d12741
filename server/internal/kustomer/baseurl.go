package kustomer

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// DefaultBaseURL is Kustomer's address. An organization's host routes to the right region.
const DefaultBaseURL = "https://{organization}.api.kustomerapp.com"

const placeholder = "{organization}"

// hostLabel is one label of a host name: RFC 1123.
var hostLabel = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
})

// NeedsOrganization reports whether the base URL contains {organization}, so that an organization
// is required.
func NeedsOrganization(rawURL string) bool { return strings.Contains(rawURL, placeholder) }

// ParseBaseURL checks the API's address and replaces {organization}. Plain http is allowed only for
// loopback addresses. A host below kustomerapp.com without the label "api" serves the web
// application, so the error suggests the API's host.
func ParseBaseURL(rawURL, organization string) (*url.URL, error) {
	if NeedsOrganization(rawURL) {
		if !hostLabel().MatchString(organization) {
			return nil, fmt.Errorf("the organization %q is not valid in a host name: "+
				"give the part before .kustomerapp.com of the address where you log in to Kustomer", retry.Printable(organization))
		}
		rawURL = strings.ReplaceAll(rawURL, placeholder, strings.ToLower(organization))
	}
	base, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("not a URL: write it like " + DefaultBaseURL)
	}
	if err := checkBaseURL(base); err != nil {
		return nil, err
	}
	return base, nil
}

func checkBaseURL(base *url.URL) error {
	host := base.Hostname()
	if base.Scheme != "https" && base.Scheme != "http" || host == "" {
		return errors.New("not an http or https URL with a host: write it like " + DefaultBaseURL)
	}
	if base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "" {
		return errors.New("the API's URL must not have a user, a query or a fragment")
	}
	if base.Scheme == "http" && !isLoopback(host) {
		return errors.New("http is allowed only for a loopback address, or the API key would travel unprotected: use https")
	}
	if meant := missingAPILabel(host); meant != "" {
		return fmt.Errorf("the host %s is Kustomer's web application, not its API: write %s", retry.Printable(host), meant)
	}
	return nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// missingAPILabel returns the API host to suggest for a host below kustomerapp.com without the
// label "api", or "".
func missingAPILabel(host string) string {
	const domain = "kustomerapp.com"
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == domain {
		return "ORGANIZATION.api." + domain
	}
	below, found := strings.CutSuffix(host, "."+domain)
	if !found {
		return ""
	}
	labels := strings.Split(below, ".")
	if slices.Contains(labels, "api") {
		return ""
	}
	return strings.Join(slices.Insert(labels, 1, "api"), ".") + "." + domain
}
