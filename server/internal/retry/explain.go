package retry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// Explain says in words of our own why a server gave no complete answer within the timeout, or ""
// if the error is none of the transport's: then the answer made no sense to the client that reports
// it. An error's own text is used only where it cannot quote the server, which may repeat a secret.
func Explain(err error, timeout time.Duration) string {
	if through, ok := errors.AsType[*proxyError](err); ok {
		return through.explain(timeout)
	}
	if own, ok := errors.AsType[*wayError](err); ok {
		return own.text
	}
	if said := explainTLS(err); said != "" {
		return said
	}
	var (
		dns      *net.DNSError
		errno    syscall.Errno
		netError net.Error
	)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netError) && netError.Timeout():
		return fmt.Sprintf("no complete answer within %s", timeout)
	case errors.As(err, &dns):
		return "the host name cannot be resolved (" + Printable(dns.Err) + ")"
	case errors.As(err, &errno):
		return Printable(errno.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "the connection was closed before the answer was complete"
	default:
		return ""
	}
}

// explainTLS says what is wrong with the server's TLS, or "" if nothing is.
func explainTLS(err error) string {
	var (
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
	)
	switch {
	case errors.As(err, &certificate):
		said := "its TLS certificate is not trusted (" + Printable(certificate.Err.Error()) + ")"
		if errors.As(err, new(x509.UnknownAuthorityError)) {
			said += ": if a private CA signed it, add that CA"
		}
		return said
	case errors.Is(err, http.ErrSchemeMismatch):
		return "it answers plain HTTP where https is expected"
	case errors.As(err, &alert):
		return "the TLS handshake failed (" + Printable(alert.Error()) + ")"
	default:
		return ""
	}
}

// maxPrintable bounds foreign text, in characters.
const maxPrintable = 120

// Printable makes foreign text fit for one line of a log: at most 120 characters, all printable.
func Printable(text string) string {
	var printable strings.Builder
	for count, char := range []rune(text) {
		if count == maxPrintable {
			printable.WriteString("...")
			break
		}
		if !unicode.IsPrint(char) {
			char = '?'
		}
		printable.WriteRune(char)
	}
	return printable.String()
}
