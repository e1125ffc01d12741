package kustomer

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// DefaultBaseURL is Kustomer's own address: the host of an organization routes
// to its region by itself.
const DefaultBaseURL = "https://{organization}.api.kustomerapp.com"

const placeholder = "{organization}"

// hostLabel is one label of a host name: RFC 1123.
var hostLabel = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// NeedsOrganization reports whether the base URL names the organization, so that
// one must be given.
func NeedsOrganization(rawURL string) bool { return strings.Contains(rawURL, placeholder) }

// ParseBaseURL checks the API's address and puts the organization in the place
// of {organization}. Plain http is for loopback addresses alone. A host below
// kustomerapp.com without the label "api" is refused with the name that is
// meant: it serves the web application.
func ParseBaseURL(rawURL, organization string) (*url.URL, error) {
	if NeedsOrganization(rawURL) {
		if !hostLabel.MatchString(organization) {
			return nil, fmt.Errorf("the organization %q cannot stand in a host name: "+
				"write the part before .kustomerapp.com of the address at which you log in to Kustomer", retry.Printable(organization))
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
		return errors.New("a user, a query or a fragment has no place in the API's URL")
	}
	if base.Scheme == "http" && !isLoopback(host) {
		return errors.New("http is allowed to a loopback address only: the API key would travel unprotected; write https")
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

// missingAPILabel returns the host that is meant by one below kustomerapp.com
// without the label "api", or "".
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
