package policy_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
)

const goodPolicy = `
organizations:
  acme: {secret_file: /etc/acme}
  acme-eu:
    api_key_file: /etc/key
    api_url: https://acme-eu.api.prod2.kustomerapp.com
    identifiers: external-id
  test: {secret_env: TEST_SECRET}
issuers:
  login:
    issuer: https://login.example.com
    audience: backend
    jwks_url: https://login.example.com/jwks.json
    max_age: 5m
    external_id: sub
    email: email
callers:
  loopback:
    organizations: [acme]
    methods: [VerifyToken]
  uid:1000:
    organizations: all
  token:checkout:
    organizations: [acme, elsewhere]
    identifiers: exclusive
    limits: {caller: "5/s:10"}
    proof: login
  "certificate:spiffe://example.org/checkout":
    organizations: [test]
`

func elsewhere(organization string) bool { return organization == "elsewhere" }

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	parsed, err := policy.Parse([]byte(text), elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParse(t *testing.T) {
	t.Parallel()
	parsed := parse(t, goodPolicy)
	if len(parsed.Organizations) != 3 || *parsed.Organizations["acme-eu"].Identifiers != customer.OnlyExternalID {
		t.Errorf("organizations %+v", parsed.Organizations)
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[policy.Organization]()) {
		if field.Name == "Secrets" {
			continue // opened by Next
		}
		isSaid := func(o policy.Organization) bool { return !reflect.ValueOf(o).FieldByIndex(field.Index).IsZero() }
		if !slices.ContainsFunc(slices.Collect(maps.Values(parsed.Organizations)), isSaid) {
			t.Errorf("no organization of goodPolicy gives %s: add one that does, with the key that Parse reads", field.Name)
		}
	}
	checkout, _ := parsed.Grant("token:checkout")
	if checkout.Limit.String() != "5/s:10" || checkout.Proof != parsed.Issuers["login"] || *checkout.Identifiers != customer.Exclusive {
		t.Errorf("checkout %+v", checkout)
	}
	for _, question := range []struct {
		caller, method, organization string
		want                         bool
	}{
		{"loopback", "VerifyToken", "acme", true},
		{"loopback", "IssueToken", "acme", false},
		{"loopback", "VerifyToken", "test", false},
		{"uid:1000", "IssueToken", "anything", true},
		{"token:checkout", "IssueToken", "elsewhere", true},
		{"certificate:spiffe://example.org/checkout", "VerifyToken", "test", true},
	} {
		grant, found := parsed.Grant(question.caller)
		if got := found && grant.MayCall(question.method) && grant.MayUse(question.organization); got != question.want {
			t.Errorf("%+v: %t", question, got)
		}
	}
	if grant, found := parsed.Grant("uid:1001"); found || grant != nil {
		t.Errorf("a caller that is not named: %+v", grant)
	}
}

// Every mistake is an error with its line and column.
// What editors add to the file changes nothing.
func TestAPolicyAsEditorsSaveIt(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"\ufeff" + goodPolicy,
		strings.ReplaceAll(goodPolicy, "\n", "\r\n"),
		"\ufeff# mine\r\n" + strings.ReplaceAll(goodPolicy, "\n", "\r\n") + "# end",
	} {
		if parsed := parse(t, text); len(parsed.Organizations) != 3 || len(parsed.Callers) != 4 {
			t.Errorf("%.20q: %d organizations and %d callers", text, len(parsed.Organizations), len(parsed.Callers))
		}
	}
}

func TestAMistakeIsReportedWithLineAndColumn(t *testing.T) {
	t.Parallel()
	callers := "\ncallers: {loopback: {organizations: all}}\n"
	for name, test := range map[string]struct{ text, want string }{
		"empty":                         {"", "line 1, column 1"},
		"a comment alone":               {"# nothing\n", "line 1, column 1"},
		"no mapping":                    {"[a]", "line 1, column 1: must be a mapping"},
		"broken":                        {"callers: [", "line 2, column 1"},
		"a tab":                         {"callers:\n\tloopback: x", "line 2, column 1"},
		"a colon too many":              {"a: b: c", "line 1, column 5"},
		"a control character":           {"a: \x00", "control characters"},
		"two documents":                 {"callers: {loopback: {organizations: all}}\n---\na: 1\n", "line 2"},
		"no callers":                    {"organizations: {a: {secret_file: /x}}", "callers is missing"},
		"callers null":                  {"callers:", "line 1"},
		"an unknown key":                {"caller: {}" + callers, `line 1, column 1: unknown key "caller"`},
		"an unknown key deeper":         {"callers:\n  loopback:\n    organisations: all", `line 3, column 5: unknown key "organisations"`},
		"a key twice":                   {callers + "callers: {loopback: {organizations: all}}", `line 3, column 1: duplicate key "callers": line 2 has it too`},
		"a caller twice":                {"callers:\n  loopback: {organizations: all}\n  loopback: {organizations: all}", "line 3, column 3: duplicate key"},
		"a caller twice, quoted":        {"callers:\n  loopback: {organizations: all}\n  \"loopback\": {organizations: all}", "line 3, column 3: duplicate key"},
		"a key that is a number":        {"callers:\n  1: {organizations: all}", "line 2, column 3: a key must be text"},
		"a key that is a list":          {"callers:\n  ? [a]\n  : {organizations: all}", "line 2"},
		"no kind of caller":             {"callers:\n  checkout: {organizations: all}", "line 2, column 3"},
		"a uid with a zero":             {"callers:\n  uid:01: {organizations: all}", "line 2, column 3"},
		"remote callers":                {"callers:\n  remote: {organizations: all}", "line 2, column 3"},
		"no organizations":              {"callers:\n  loopback: {methods: [IssueToken]}", "line 2, column 3: organizations is missing"},
		"organizations as text":         {"callers:\n  loopback: {organizations: acme}", "line 2, column 29: must be a list"},
		"organizations as a mapping":    {"callers:\n  loopback: {organizations: {a: b}}", "line 2, column 29: must be a list"},
		"a list with an anchor":         {"callers:\n  loopback: {organizations: &a [b]}", "line 2, column 29: must be a list"},
		"organizations empty":           {"callers:\n  loopback: {organizations: []}", "line 2, column 29"},
		"an organization nowhere":       {"callers:\n  loopback: {organizations: [nowhere]}", `line 2, column 30: unknown organization "nowhere"`},
		"an organization twice":         {"callers:\n  loopback: {organizations: [elsewhere, elsewhere]}", "line 2, column 41"},
		"a number for an organization":  {"callers:\n  loopback: {organizations: [1]}", "line 2, column 30: must be text"},
		"a method nowhere":              {"callers:\n  loopback: {organizations: all, methods: [Issue]}", "line 2, column 44: unknown method"},
		"an identifier policy nowhere":  {"callers:\n  loopback: {organizations: all, identifiers: both}", "line 2, column 47"},
		"a rate":                        {"callers:\n  loopback: {organizations: all, limits: {caller: 5}}", "line 2, column 51: must be text"},
		"a rate of nothing":             {"callers:\n  loopback: {organizations: all, limits: {caller: 5/d}}", "line 2, column 51"},
		"a limit nowhere":               {"callers:\n  loopback: {organizations: all, limits: {customer: 5/s}}", "line 2, column 43"},
		"a proof nowhere":               {"callers:\n  loopback: {organizations: all, proof: login}", `unknown issuer "login"`},
		"an organization's name":        {"organizations:\n  a b: {secret_file: /x}" + callers, "line 2, column 3"},
		"an organization's null":        {"organizations:\n  a:" + callers, "line 2"},
		"no source":                     {"organizations:\n  a: {identifiers: email}" + callers, "line 2, column 3: the organization needs exactly one"},
		"two sources":                   {"organizations:\n  a: {secret_file: /x, secret_env: X}" + callers, "line 2, column 3: the organization needs exactly one"},
		"an api_url without a key":      {"organizations:\n  a: {secret_file: /x, api_url: https://x}" + callers, "line 2, column 3: api_url"},
		"an issuer without keys":        {"issuers:\n  a: {issuer: x, audience: y, email: email}" + callers, "line 2, column 3: one of jwks_file and jwks_url"},
		"an issuer's keys over http":    {"issuers:\n  a: {issuer: x, audience: y, email: e, jwks_url: 'http://example.com'}" + callers, "line 2, column 3: jwks_url"},
		"a max_age without a unit":      {"issuers:\n  a: {max_age: 10}" + callers, "line 2, column 16"},
		"a max_age of nothing":          {"issuers:\n  a: {max_age: 0s}" + callers, "line 2, column 16"},
		"an alias":                      {"organizations:\n  a: &a {secret_file: /x}\n  b: *a" + callers, "line 2, column 6"},
		"a merge":                       {"callers:\n  loopback:\n    <<: {organizations: all}", "line 3, column 5"},
		"a tag":                         {"callers:\n  loopback: {organizations: !!str all}", "line 2"},
		"true for text":                 {"organizations:\n  a: {secret_file: true}" + callers, "line 2, column 20: must be text"},
		"a mapping for text":            {"organizations:\n  a: {secret_file: {}}" + callers, "line 2, column 20: must be text"},
		"empty text":                    {"organizations:\n  a: {secret_file: ''}" + callers, "line 2, column 20: must be text"},
		"a list for a caller's mapping": {"callers:\n  loopback: [organizations]", "line 2, column 13: must be a mapping"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parsed, err := policy.Parse([]byte(test.text), elsewhere)
			if err == nil || parsed != nil {
				t.Fatalf("policy %+v, error %v", parsed, err)
			}
			if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one line with %q", err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodPolicy))
	f.Add([]byte("callers: {loopback: {organizations: all}}"))
	f.Add([]byte("? [a]\n: &b\n<<: *b"))
	f.Add([]byte("---\n...\n---"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parsed, err := policy.Parse(text, elsewhere)
		switch {
		case (parsed == nil) == (err == nil):
			t.Errorf("policy %+v, error %v", parsed, err)
		case err != nil && strings.Contains(err.Error(), "\n"):
			t.Errorf("error of more than one line: %q", err)
		}
	})
}

func TestAPolicyMayLetNobodyCall(t *testing.T) {
	t.Parallel()
	if callers := parse(t, "callers: {}\n").Callers; len(callers) != 0 {
		t.Errorf("callers %v, want nobody", callers)
	}
}
