package listen

import (
	"crypto/x509"
	"errors"
	"maps"
	"slices"
)

// Why something is refused before the service, as metrics and logs name it.
const (
	kindCaller      = "caller_unknown"
	kindPlaces      = "connection_limit"
	kindAdminPlaces = "admin_connection_limit"
	kindDescriptors = "file_descriptors"
	kindUnlisted    = "unlisted_uid"
	kindHandshake   = "tls"
	kindExpired     = "certificate_expired"
	kindUntrusted   = "certificate_untrusted"
	kindUsage       = "certificate_usage"
	kindName        = "certificate_name"
	kindUnproven    = "unproven"
	kindFrameBudget = "frame_budget"
	kindFrameFlood  = "frame_flood"
	kindHeaders     = "header_budget"
	kindHeldBytes   = "held_bytes"
	kindHeldCalls   = "held_calls"
	kindLateRequest = "late_request"
	kindLateHeaders = "late_headers"
	kindMetadata    = "metadata_size"
	kindUnexplained = "unexplained"
	kindReset       = "transport_reset"
	kindClosed      = "transport_closed"
)

// reasons are what is said of each kind when no error says more.
var reasons = map[string]error{
	kindCaller:      errors.New("who is at the other end cannot be told"),
	kindPlaces:      errors.New("too many connections are open: the oldest gave way"),
	kindAdminPlaces: errors.New("too many connections to the admin listener are open: the oldest gave way"),
	kindDescriptors: errors.New("the process has no file descriptor left: the connection was closed"),
	kindUnlisted:    errors.New("the user ID is not allowed: its calls are refused, and it shares few places with others"),
	kindExpired:     errors.New("the client certificate has expired or is not valid yet"),
	kindUntrusted:   errors.New("no CA that is trusted here signed the client certificate"),
	kindUsage:       errors.New("the client certificate is not for clients (extended key usage)"),
	kindName:        errors.New("the client certificate's name is unfit"),
	kindHandshake:   errors.New("the TLS handshake failed"),
	kindUnproven:    errors.New("the connection did not prove who it is in time"),
	kindFrameBudget: errors.New("more frames than its budget that move no call forward: the connection was slowed down"),
	kindFrameFlood:  errors.New("many more frames than its budget that move no call forward: the connection was closed"),
	kindHeaders:     errors.New("more bytes of large header blocks than may pass: the connection was slowed down"),
	kindHeldBytes:   errors.New("requests that are not answered hold too many bytes: the connection was closed"),
	kindHeldCalls:   errors.New("more calls than its share, with deadlines far away: the connection was closed"),
	kindLateRequest: errors.New("a request did not arrive whole, or its answer was not read: the connection was closed"),
	kindLateHeaders: errors.New("a header block was not complete within 2 s: the connection was closed"),
	kindMetadata:    errors.New("metadata of more than 128 KiB: the call was reset"),
	kindUnexplained: errors.New("the transport answered a call with an error of its own: its encoding, content type " +
		"or headers are not gRPC that is spoken here"),
	kindReset: errors.New("the transport reset a call: its headers or frames break HTTP/2, or too many calls are open"),
	kindClosed: errors.New("the transport closed a connection: it does not speak plain gRPC (TLS where there is none?), " +
		"breaks HTTP/2, has metadata over 128 KiB or answers no ping"),
}

// Kinds returns every kind of Refusal.
func Kinds() []string { return slices.Sorted(maps.Keys(reasons)) }

// handshakeKind returns the kind of a handshake's error.
func handshakeKind(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return kindExpired
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return kindUsage
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return kindUntrusted
	case errors.Is(err, errName):
		return kindName
	default:
		return kindHandshake
	}
}

// errName is wrapped by errors of a certificate whose name names nobody.
var errName = errors.New("the client certificate names nobody")

// Refusal describes a connection that was closed or slowed down before a call could come.
type Refusal struct {
	Kind string // one of Kinds
	Peer string // the connection's other end
	Err  error  // the reason
}
