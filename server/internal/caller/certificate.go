package caller

import (
	"crypto/x509"
	"errors"
	"net/url"
	"strings"
)

// maxCertificateName keeps a caller's name whole in an audit record.
const maxCertificateName = 480

// FromCertificate names the owner of a verified client certificate: its SPIFFE ID if it has one,
// else its first DNS name in lower case. A certificate with a SPIFFE ID and other URIs is refused,
// as the SPIFFE standard for X.509 requires (X509-SVID, section 2).
func FromCertificate(certificate *x509.Certificate, peer string) (Identity, error) {
	name, err := certificateName(certificate)
	if err != nil {
		return Identity{}, err
	}
	if len(name) > maxCertificateName || strings.ContainsFunc(name, outsideName) {
		return Identity{}, errors.New("the client certificate's name is too long or has characters that names cannot have")
	}
	return Identity{Kind: Certificate, Name: name, Peer: peer}, nil
}

func certificateName(certificate *x509.Certificate) (string, error) {
	for _, uri := range certificate.URIs {
		if !strings.EqualFold(uri.Scheme, "spiffe") {
			continue
		}
		if len(certificate.URIs) > 1 || !isSPIFFE(uri) {
			return "", errors.New("the client certificate's SPIFFE ID is malformed or not the only URI")
		}
		return uri.String(), nil
	}
	if len(certificate.DNSNames) == 0 || certificate.DNSNames[0] == "" {
		return "", errors.New("the client certificate has neither a SPIFFE ID nor a DNS name")
	}
	if strings.ContainsAny(certificate.DNSNames[0], ":/") { // it would read as a SPIFFE ID
		return "", errors.New("the client certificate's DNS name is not a DNS name")
	}
	return strings.ToLower(certificate.DNSNames[0]), nil
}

func isSPIFFE(uri *url.URL) bool {
	return uri.Scheme == "spiffe" && uri.Host != "" && uri.Host == uri.Hostname() && uri.User == nil &&
		uri.RawQuery == "" && !uri.ForceQuery && uri.Fragment == "" && uri.Opaque == ""
}

func outsideName(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || '9' < r) && !strings.ContainsRune("-._:/*", r)
}
