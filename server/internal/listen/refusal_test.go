package listen

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
)

func TestAHandshakeFailsForAReason(t *testing.T) {
	t.Parallel()
	for want, errs := range map[string][]error{
		kindExpired:   {x509.CertificateInvalidError{Reason: x509.Expired}},
		kindUsage:     {x509.CertificateInvalidError{Reason: x509.IncompatibleUsage}},
		kindUntrusted: {x509.UnknownAuthorityError{}},
		kindName:      {errName},
		kindHandshake: {
			errors.New("no TLS"),
			x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign},
			x509.CertificateInvalidError{Reason: x509.TooManyIntermediates},
		},
	} {
		for _, err := range errs {
			if got := handshakeKind(fmt.Errorf("handshake: %w", err)); got != want {
				t.Errorf("%v is of kind %s, want %s", err, got, want)
			}
		}
	}
}
