package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// cause says why the server did not answer, in words of our own: what a server says may repeat the
// password. Of an error that it sent, only the code is kept.
func cause(err error) error {
	var (
		reply       goredis.Error
		password    *passwordError
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		alert       tls.AlertError
		errno       syscall.Errno
	)
	text := errNotRedis.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		text = "timeout"
	case errors.As(err, &password):
		text = password.Error()
	case errors.As(err, &reply):
		text = "error " + errorCode(reply)
	case errors.As(err, &dns):
		text = "the host name cannot be resolved"
	case errors.As(err, &certificate):
		text = "its TLS certificate is not trusted: " + strconv.QuoteToASCII(certificate.Err.Error())
	case errors.As(err, &alert):
		text = "the TLS handshake failed: " + alert.Error()
	case errors.As(err, &errno):
		text = errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		text = "the connection was closed"
	}
	return errors.New(text)
}

// maxCode is longer than any of a server's error codes.
const maxCode = 16

// errorCode is the first word of an error reply, if it is one of a server's codes.
func errorCode(reply goredis.Error) string {
	code, _, _ := strings.Cut(reply.Error(), " ")
	if code == "" || len(code) > maxCode || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "without a code"
	}
	return code
}
