package rpc_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/chatidentity/chatidentity/server/internal/caller"
	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

var (
	ownUID         = uint32(os.Getuid())
	ownName        = "uid:" + strconv.Itoa(os.Getuid())
	goodName       = "certificate:" + goodSPIFFE
	outcomesByCode = map[codes.Code]string{
		codes.OK: "OK", codes.Unauthenticated: "UNAUTHENTICATED", codes.PermissionDenied: "PERMISSION_DENIED",
	}
	reasonsByCode = map[codes.Code]string{
		codes.Unauthenticated: "CALLER_UNAUTHENTICATED", codes.PermissionDenied: "CALLER_DENIED",
	}
)

// admitting returns a server of each configuration, with a listener of each kind.
func admitting(t *testing.T, ca *callertest.CA) map[string]*listeners {
	t.Helper()
	letIn := caller.Admission{AllowedUIDs: []uint32{ownUID}, OverflowUID: caller.OverflowUID()}
	withTokens := letIn
	withTokens.Tokens = knownTokens(t)
	others := withTokens
	others.AllowedUIDs = []uint32{ownUID + 1}
	servers := map[string]*listeners{}
	for name, configured := range map[string]struct {
		callers caller.Admission
		granted []string // nil: there is no policy
	}{
		"no policy":         {letIn, nil},
		"tokens, no policy": {withTokens, nil},
		"policy":            {letIn, []string{"loopback", ownName, goodName}},
		"policy for others": {letIn, []string{"token:somebody", "uid:12345"}},
		"tokens and policy": {withTokens, []string{"loopback", ownName, "token:checkout", goodName}},
		"uid not allowed":   {others, []string{ownName, "token:checkout"}},
	} {
		servers[name] = serveEverywhere(t, func(o *setup) {
			o.Callers, o.TLS = configured.callers, serverTLS(t, ca)
			if configured.granted != nil {
				o.Policy = allOf(configured.granted...)
			}
		})
	}
	return servers
}

// admission is an attempt and what becomes of it. A caller that is refused before the handshake
// ends gets UNAVAILABLE and leaves no record.
type admission struct {
	name, server, listener, certificate string
	authorization                       []string
	want                                codes.Code
	caller                              string // in the audit record; empty: there is none
}

func byConnection() []admission {
	const (
		loopback, unix, outside = "loopback", "unix", "outside"

		ok              = codes.OK
		unauthenticated = codes.Unauthenticated
		denied          = codes.PermissionDenied
		handshake       = codes.Unavailable
	)
	return []admission{
		{"loopback", "no policy", loopback, "", nil, ok, "loopback"},
		{"loopback", "policy", loopback, "", nil, ok, "loopback"},
		{"loopback", "policy for others", loopback, "", nil, denied, "loopback"},
		{"loopback", "tokens, no policy", loopback, "", nil, unauthenticated, "loopback"},
		{"loopback", "tokens and policy", loopback, "", nil, unauthenticated, "loopback"},
		{"TLS on loopback", "no policy", loopback, "good", nil, handshake, ""},

		{"an allowed uid", "no policy", unix, "", nil, ok, ownName},
		{"an allowed uid", "policy", unix, "", nil, ok, ownName},
		{"an allowed uid", "tokens, no policy", unix, "", nil, ok, ownName},
		{"an allowed uid", "tokens and policy", unix, "", nil, ok, ownName},
		{"a uid without a grant", "policy for others", unix, "", nil, denied, ownName},
		{"a disallowed uid with a grant", "uid not allowed", unix, "", nil, denied, ownName},
		{"a disallowed uid with a token", "uid not allowed", unix, "", []string{"Bearer " + goodToken}, denied, "token:checkout"},
		{"TLS on a unix socket", "no policy", unix, "good", nil, handshake, ""},

		{"a certificate", "no policy", outside, "good", nil, ok, goodName},
		{"a certificate with a DNS name", "no policy", outside, "DNS name", nil, ok, "certificate:checkout.example"},
		{"a certificate", "policy", outside, "good", nil, ok, goodName},
		{"a certificate", "tokens and policy", outside, "good", nil, ok, goodName},
		{"a certificate of another name", "policy", outside, "other", nil, denied, "certificate:" + otherSPIFFE},
		{"a certificate of a DNS name", "policy", outside, "DNS name", nil, denied, "certificate:checkout.example"},
		{"plain text", "no policy", outside, "", nil, handshake, ""},
		{"no certificate", "no policy", outside, "none", nil, handshake, ""},
		{"an expired certificate", "no policy", outside, "expired", nil, handshake, ""},
		{"a certificate of tomorrow", "no policy", outside, "not yet good", nil, handshake, ""},
		{"a foreign certificate", "no policy", outside, "foreign", nil, handshake, ""},
		{"a certificate for servers", "no policy", outside, "for servers", nil, handshake, ""},
		{"a certificate without a name", "no policy", outside, "without name", nil, handshake, ""},
		{"a certificate with a bit changed", "no policy", outside, "bit changed", nil, handshake, ""},
		{"TLS 1.2", "no policy", outside, "TLS 1.2", nil, handshake, ""},
		{"a token, but no certificate", "tokens and policy", outside, "none", []string{"Bearer " + goodToken}, handshake, ""},

		// Without tokens, the metadata is not read.
		{"a stray token", "no policy", loopback, "", []string{"Bearer whatever"}, ok, "loopback"},
		{"a token on a connection that has a grant", "policy", loopback, "", []string{"Bearer whatever"}, ok, "loopback"},
	}
}

// byToken tries each token on each listener.
func byToken() []admission {
	bitChanged := []byte(goodToken)
	bitChanged[20] ^= 1
	var all []admission
	for _, connection := range []admission{
		{listener: "loopback", caller: "loopback"},
		{listener: "unix", caller: ownName},
		{listener: "outside", certificate: "good", caller: goodName},
	} {
		for _, token := range []admission{
			{name: "the token", authorization: []string{"Bearer " + goodToken}, want: codes.OK, caller: "token:checkout"},
			{name: "a token without a grant", authorization: []string{"Bearer " + otherToken}, want: codes.PermissionDenied, caller: "token:another"},
			{name: "a wrong token", authorization: []string{"Bearer chatidentity_canary-wrong"}, want: codes.Unauthenticated},
			{name: "a token with a bit changed", authorization: []string{"Bearer " + string(bitChanged)}, want: codes.Unauthenticated},
			{name: "the digest as token", authorization: []string{"Bearer " + digestOf(goodToken)}, want: codes.Unauthenticated},
			{name: "the token without a scheme", authorization: []string{goodToken}, want: codes.Unauthenticated},
			{name: "another scheme", authorization: []string{"Basic " + goodToken}, want: codes.Unauthenticated},
			{name: "two tokens", authorization: []string{"Bearer " + goodToken, "Bearer " + goodToken}, want: codes.Unauthenticated},
			{name: "an empty header", authorization: []string{""}, want: codes.Unauthenticated},
		} {
			token.server, token.listener, token.certificate = "tokens and policy", connection.listener, connection.certificate
			if token.caller == "" {
				token.caller = connection.caller
			}
			all = append(all, token)
		}
	}
	return all
}

// Every kind of caller, allowed, denied and malformed, on each kind of listener.
func TestWhoIsLetIn(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	servers, certificates := admitting(t, ca), clientTLS(t, ca)
	for _, test := range slices.Concat(byConnection(), byToken()) {
		t.Run(test.server+"/"+test.listener+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			server := servers[test.server]
			address := map[string]string{"loopback": server.loopback, "unix": server.unix, "outside": server.outside}[test.listener]
			certificate, known := certificates[test.certificate]
			if !known {
				t.Fatalf("no certificate %q", test.certificate)
			}
			err := attempt{address, certificate, test.authorization}.issue(t)
			if status.Code(err) != test.want {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if reason := reasonsByCode[test.want]; reason != "" {
				if refused := detailsOf(t, err); refused.reason != reason || strings.Contains(err.Error(), "canary") {
					t.Errorf("%v, want reason %s and not the token", err, reason)
				}
			}
			if test.caller != "" {
				server.recordOf(t, test.want, test.caller)
			}
		})
	}
	t.Cleanup(func() {
		for name, server := range servers {
			if recorded := server.audit(t); strings.Contains(recorded+server.log.String(), "canary") || strings.Contains(recorded, digestOf(goodToken)) {
				t.Errorf("%s: the audit or the log contains a token or its digest", name)
			}
		}
	})
}

// recordOf waits for a record of the outcome and the caller. Refusals within a second share one.
func (l *listeners) recordOf(t *testing.T, outcome codes.Code, who string) {
	t.Helper()
	eventually(t, outcome.String()+" record of "+who, func() bool {
		for line := range strings.Lines(l.audit(t)) {
			if strings.Contains(line, `"outcome":"`+outcomesByCode[outcome]+`"`) && strings.Contains(line, `"caller":"`+who+`"`) {
				return true
			}
		}
		return false
	})
}
