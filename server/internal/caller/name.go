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
	if name, ok := strings.CutPrefix(text, tokenNamePrefix); ok && tokenName().MatchString(name) {
		return nil
	}
	if name, ok := strings.CutPrefix(text, certificatePrefix); ok {
		if err := checkCertificateName(name); err != nil {
			return fmt.Errorf("%q cannot be a certificate: %w", text, err)
		}
		return nil
	}
	return fmt.Errorf("%q must be loopback, uid:N, token:NAME, or certificate: and a SPIFFE ID or a lower-case DNS name",
		text)
}
