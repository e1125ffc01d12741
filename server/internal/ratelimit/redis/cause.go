package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/retry"
)

// Codes of error replies that stand for several things.
const (
	codeGeneric      = "ERR"
	codeNoPermission = "NOPERM"
)

// meanings say what an error reply means and what to do. The first whose code and text the reply has
// counts. A reply's own text is never repeated: it may hold the password.
var meanings = []struct{ code, has, means string }{
	{"WRONGPASS", "", "the user or the password is wrong: correct the user in the URL, or the password's file"},
	{"NOAUTH", "", "it wants a password: give the file that holds it, and the user in the URL " +
		"unless it is the default one"},
	{codeGeneric, "AUTH", "its default user has no password: put the user in the URL, or give no password file"},
	{codeGeneric, "SENTINEL", "it is not a Sentinel: give the address of one, or leave out master_name"},
	{codeGeneric, "invalid password", "the password is wrong: correct the password's file"},
	{codeNoPermission, "'select'", "its user may not choose a database: allow it +select, or use database 0"},
	{codeNoPermission, "'eval", "its user may not run scripts: allow it +eval +evalsha +time +get +set"},
	{codeNoPermission, "channel", "its user lacks a right: allow it +eval +evalsha +time +get +set"},
	{codeNoPermission, "key", "its user may not use our keys: allow it ~PREFIX:*, with our prefix"},
	{codeNoPermission, "sentinel", "its user may not ask Sentinels: allow it +sentinel|get-master-addr-by-name there"},
	{codeNoPermission, "", "its user lacks a right: allow it +eval +evalsha +time +get +set"},
	{codeGeneric, "ACL failure", withinScripts},
	{codeGeneric, "executing the script can't", withinScripts},
	{codeGeneric, codeNoPermission, withinScripts},
	{"READONLY", "", "it is a replica, which decides nothing: give the primary's address, or that of the Sentinels with " +
		"?master_name=NAME"},
	{"MOVED", "", "it is a node of a Cluster, and another one holds our keys: give all nodes, as " +
		"redis://host:port?addr=host2:port2"},
	{"ASK", "", "the Cluster is moving our keys to another node, which passes"},
	{"TRYAGAIN", "", "the Cluster is moving our keys to another node, which passes"},
	{"CLUSTERDOWN", "", "the Cluster is down, or no node has our slot: see CLUSTER INFO"},
	{"MASTERDOWN", "", "it is a replica that has lost its primary: give the primary's address, or that of the Sentinels"},
	{"LOADING", "", "it is still loading its data, which passes"},
	{"BUSY", "", "a script of somebody else keeps it busy"},
	{"OOM", "", "its memory is full: raise maxmemory"},
	{"MISCONF", "", "it cannot save to its disk and therefore refuses to write: see its log"},
	{"NOREPLICAS", "", "it refuses to write because it has too few replicas (min-replicas-to-write)"},
	{"DENIED", "", "it is in protected mode: give it a password, or have it listen on loopback"},
	{codeGeneric, "max number of clients", "it has no connection free: raise maxclients"},
	{codeGeneric, "SELECT is not allowed", "it is a Cluster, which has database 0 alone: " +
		"leave the database out of the URL"},
	{codeGeneric, "DB index", "it has no such database: correct the number in the URL"},
	{codeGeneric, "unknown command", "it runs no scripts: if it is a Sentinel, add ?master_name=NAME; " +
		"otherwise it must be Redis 5.0 or later"},
}

const withinScripts = "its user lacks a right within scripts: allow it +time +get +set"

// cause says why the server did not answer within the timeout and what to do about it, in words of
// our own.
func cause(err error, timeout time.Duration) error {
	var (
		file      *fileError
		sentinel  *sentinelError
		handshake *handshakeError
		reply     goredis.Error
	)
	switch {
	case errors.As(err, &file):
		return file
	case errors.As(err, &sentinel):
		return &sentinelError{cause(sentinel.cause, timeout)}
	case errors.Is(err, errUnknownPrimary):
		return errUnknownPrimary
	case errors.Is(err, goredis.ErrPoolTimeout):
		return errors.New("no connection was free within " + timeout.String())
	case errors.As(err, &reply):
		return errors.New("error " + meaning(reply))
	}
	if text := explainTLS(err); text != "" {
		return errors.New(text)
	}
	text := retry.Explain(err, timeout)
	switch {
	case text == "":
		return errNotRedis
	case errors.As(err, &handshake):
		return errors.New(text + " in the TLS handshake: if it does not speak TLS, use redis:// instead of rediss://")
	default:
		return errors.New(text)
	}
}

// hint says what to try when a server that has never answered hangs up. It may do so before its
// reason has been read.
func hint(err error, isTLS bool) string {
	switch {
	case !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF):
		return ""
	case isTLS:
		return ": if it wants a client certificate, give one that it trusts, with its key"
	default:
		return ": if it speaks TLS, use rediss:// instead of redis://"
	}
}

// meaning returns the code of a reply and what it means.
func meaning(reply goredis.Error) string {
	code := errorCode(reply)
	for _, known := range meanings {
		if code == known.code && strings.Contains(reply.Error(), known.has) {
			return code + ": " + known.means
		}
	}
	return code
}

// explainTLS says what is wrong between TLS and none, or with the certificates.
func explainTLS(err error) string {
	var (
		header    tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		operation *net.OpError
	)
	switch {
	case errors.As(err, &header):
		return "it does not speak TLS: use redis:// instead of rediss://"
	case errors.As(err, &authority):
		return "its TLS certificate is not trusted (" + retry.Printable(authority.Error()) + "): give the CA that signed it"
	case errors.As(err, &operation) && operation.Op == "remote error":
		return "it refused our side of TLS (" + retry.Printable(operation.Err.Error()) +
			"): give a client certificate that it trusts, with its key"
	default:
		return ""
	}
}

// codeOf returns the code of an error reply; "" if the error is none.
func codeOf(err error) string {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	return errorCode(reply)
}

func isAnswer(err error) bool { return codeOf(err) != "" || errors.Is(err, errUnknownPrimary) }

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

// movedTo returns the address that a Cluster's node names in place of itself; "" if it names none.
func movedTo(err error) string {
	var reply goredis.Error
	if !errors.As(err, &reply) {
		return ""
	}
	words := strings.Fields(reply.Error()) // MOVED, the slot, host:port
	if len(words) != 3 || words[0] != "MOVED" {
		return ""
	}
	colon := strings.LastIndexByte(words[2], ':')
	if colon <= 0 { // a node may not know its own name: then it is no help
		return ""
	}
	return net.JoinHostPort(strings.Trim(words[2][:colon], "[]"), words[2][colon+1:])
}
