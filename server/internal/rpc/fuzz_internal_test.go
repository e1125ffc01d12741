package rpc

import (
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/customer"
)

// FuzzCustomerKey compares two customers that may have tokens. They share a budget only if Kustomer
// would log both in as the same person, or their addresses differ in ASCII case alone.
func FuzzCustomerKey(f *testing.F) {
	f.Add("ada", "ada@example.com", "acme", "bob", "ADA@example.com", "acme")
	f.Add("a", "", "acme", "", "a@b", "acme")
	f.Add("a", "", "ac", "a", "", "me")
	f.Add("", "\u017f@example.com", "x", "", "s@example.com", "x")
	f.Fuzz(func(t *testing.T, id1, email1, org1, id2, email2, org2 string) {
		one, other := customer.Customer{ExternalID: id1, Email: email1}, customer.Customer{ExternalID: id2, Email: email2}
		if len(one.Check())+len(other.Check()) > 0 {
			t.Skip("no customers")
		}
		keyOf := func(c customer.Customer, organization string) any {
			return customerKey(&call{signed: c, organization: Organization{Name: organization}})
		}
		kind1, name1 := one.Login()
		kind2, name2 := other.Login()
		same := name1 == name2
		if kind1 == customer.Email {
			same = lowered(name1) == lowered(name2)
		}
		same = same && kind1 == kind2 && org1 == org2
		if got := keyOf(one, org1) == keyOf(other, org2); got != same {
			t.Errorf("(%q, %q) of %q and (%q, %q) of %q share a budget: %t", id1, email1, org1, id2, email2, org2, got)
		}
	})
}

// lowered folds the ASCII letters.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ", c) >= 0 {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

var (
	aRequestID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
	aTraceID   = regexp.MustCompile(`^([0-9a-f]{32})?$`)
)

// FuzzMetadata takes a call with any metadata. Its size is that of RFC 9113, and of what a client
// says of itself a record holds nothing that does not have its form.
func FuzzMetadata(f *testing.F) {
	f.Add("x-request-id", "1", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("x-request-id", "\x00\"", "x-request-id", strings.Repeat("a", 129))
	f.Add("", "", "x", strings.Repeat("y", 5000))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		headers := metadata.Pairs(name1, value1, name2, value2)
		fields, size := measure(headers)
		isLower := strings.ToLower(name1) == name1 && strings.ToLower(name2) == name2 // else a name may change its length
		if want := len(name1) + len(value1) + len(name2) + len(value2) + 64; isLower && (fields != 2 || size != want) {
			t.Errorf("%d fields of %d bytes, want 2 of %d", fields, size, want)
		}
		a := &arrival{headers: headers, size: size}
		if a.refusals() < 1 || a.isTooLarge() != (size > maxMetadata) {
			t.Errorf("%d bytes: %d refusals, too large: %t", size, a.refusals(), a.isTooLarge())
		}
		given := a.first("x-request-id")
		body := string(audit.AppendBody(nil, &audit.Record{RequestID: given}))
		if has := strings.Contains(body, `"request_id":"`+given+`"`); has != aRequestID.MatchString(given) {
			t.Errorf("request ID %q: %s", given, body)
		}
		if id := traceID(a.first("traceparent")); !aTraceID.MatchString(id) {
			t.Errorf("trace ID %q", id)
		}
	})
}
