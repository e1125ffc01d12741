package caller

import (
	"crypto/x509"
	"errors"
	"regexp"
	"strings"
	"sync"
)

const (
	// maxCertificateName keeps a caller's name whole in an audit record.
	maxCertificateName = 480
	spiffeScheme       = "spiffe://"
)

var (
	// spiffeID is the ID of a workload: SPIFFE-ID, section 2. Its trust domain is in lower case and
	// nothing is escaped, so a workload has one spelling.
	spiffeID = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`)
	})
	// hostName is a DNS name in lower case (RFC 1123, with the underscore that services use), without
	// a wildcard and a trailing dot.
	hostName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$`)
	})
)

// Why a certificate names nobody.
var (
	errNameTooLong = errors.New("its name has more than 480 bytes")
	errManyURIs    = errors.New("it has a SPIFFE ID and other URIs: an X509-SVID has exactly one URI")
	errSPIFFE      = errors.New("its SPIFFE ID must have a trust domain in lower case and a path of plain segments, " +
		"without . and .. and a trailing slash")
	errNoName  = errors.New("it has neither a SPIFFE ID nor a DNS name")
	errDNSName = errors.New("its first DNS name is not a plain host name: no wildcard, no trailing dot")
)

// FromCertificate names the owner of a verified client certificate: its SPIFFE ID if it has one,
// else its first DNS name in lower case. A certificate with a SPIFFE ID and other URIs is refused,
// as the SPIFFE standard for X.509 requires (X509-SVID, section 2). The error says what is wrong with
// the name and does not repeat it.
func FromCertificate(certificate *x509.Certificate, peer string) (Identity, error) {
	name, err := certificateName(certificate)
	if err == nil {
		err = checkCertificateName(name)
	}
	if err != nil {
		return Identity{}, err
	}
	return Identity{Kind: Certificate, Name: name, Peer: peer}, nil
}

func certificateName(certificate *x509.Certificate) (string, error) {
	for _, uri := range certificate.URIs {
		if !strings.EqualFold(uri.Scheme, "spiffe") {
			continue
		}
		if len(certificate.URIs) > 1 {
			return "", errManyURIs
		}
		if uri.Scheme != "spiffe" || uri.Opaque != "" {
			return "", errSPIFFE
		}
		return uri.String(), nil
	}
	if len(certificate.DNSNames) == 0 || certificate.DNSNames[0] == "" {
		return "", errNoName
	}
	if strings.HasPrefix(certificate.DNSNames[0], spiffeScheme) {
		return "", errDNSName
	}
	return strings.ToLower(certificate.DNSNames[0]), nil
}

// checkCertificateName returns what keeps a name from being a caller's.
func checkCertificateName(name string) error {
	path, isSPIFFE := strings.CutPrefix(name, spiffeScheme)
	switch {
	case len(name) > maxCertificateName:
		return errNameTooLong
	case isSPIFFE && (!spiffeID().MatchString(name) || hasDotSegment(path)):
		return errSPIFFE
	case !isSPIFFE && !hostName().MatchString(name):
		return errDNSName
	default:
		return nil
	}
}

func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
