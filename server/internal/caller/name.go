package caller

import (
	"fmt"
	"strconv"
	"strings"
)

// Prefixes of callers' names.
const (
	loopbackName      = "loopback"
	uidPrefix         = "uid:"
	tokenNamePrefix   = "token:"
	certificatePrefix = "certificate:"
)

// ParseName checks a caller's name as Identity.String writes it: "loopback", "uid:N", "token:NAME"
// or "certificate:NAME".
func ParseName(text string) error {
	if text == loopbackName {
		return nil
	}
	if name, ok := strings.CutPrefix(text, uidPrefix); ok {
		uid, err := strconv.ParseUint(name, 10, 32)
		if err == nil && strconv.FormatUint(uid, 10) == name {
			return nil
		}
		return fmt.Errorf("%q must be uid: and a user ID in decimal", text)
	}
	if name, ok := strings.CutPrefix(text, tokenNamePrefix); ok && tokenName.MatchString(name) {
		return nil
	}
	if name, ok := strings.CutPrefix(text, certificatePrefix); ok && isCertificateName(name) {
		return nil
	}
	return fmt.Errorf("%q must be loopback, uid:N, token:NAME, or certificate: and a SPIFFE ID or a lower-case DNS name",
		text)
}

func isCertificateName(name string) bool {
	if name == "" || len(name) > maxCertificateName || strings.ContainsFunc(name, outsideName) {
		return false
	}
	return strings.HasPrefix(name, "spiffe://") || name == strings.ToLower(name) && !strings.ContainsAny(name, "/:")
}
