package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/customer"
	"github.com/chatidentity/chatidentity/server/internal/policy"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// leaves calls f for each field, named by its path, that is no struct of further settings.
func leaves(value reflect.Value, path string, f func(path string, field reflect.Value)) {
	for i := range value.NumField() {
		field, name := value.Field(i), path+value.Type().Field(i).Name
		if field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[sensitive.String]() {
			leaves(field, name+".", f)
			continue
		}
		f(name, field)
	}
}

// fill sets every field of a struct to something of its own.
func fill(t *testing.T, into any) {
	t.Helper()
	leaves(reflect.ValueOf(into).Elem(), "", func(path string, field reflect.Value) {
		switch field.Interface().(type) {
		case sensitive.String:
			field.Set(reflect.ValueOf(sensitive.New("canary-" + path)))
		default:
			switch field.Kind() {
			case reflect.String:
				field.SetString("canary-" + path)
			case reflect.Int64, reflect.Int:
				field.SetInt(42)
			case reflect.Bool:
				field.SetBool(true)
			default:
				t.Fatalf("%s: say here how a %s is set", path, field.Type())
			}
		}
	})
}

// Whatever the flags say about the default organization's secret, now or in a later version, is not
// another organization's: it would sign with the default one's secret.
func TestAnOrganizationOfThePolicyHasNothingOfTheFlagsSource(t *testing.T) {
	t.Parallel()
	var flags Serve
	fill(t, &flags.SecretSource)
	organization := flags.organization("acme", policy.Organization{})
	var got []string
	leaves(reflect.ValueOf(organization.SecretSource), "", func(path string, field reflect.Value) {
		if !field.IsZero() {
			got = append(got, path)
		}
	})
	want := []string{"Organization", "APIURL", "CAFile", "SecretTimes.SecretRefresh", "SecretTimes.SecretMaxStale", "SecretTimes.MaxClockSkew", "Place"}
	if !slices.Equal(got, want) || organization.Organization != "acme" {
		t.Errorf("it has %q, want no more than %q", got, want)
	}
}

// Each source that an entry of the policy file can name is the organization's, and the only one.
func TestAnOrganizationOfThePolicyHasTheSourceOfItsEntry(t *testing.T) {
	t.Setenv("ACME_SECRET", "canary-of-acme")
	email := customer.OnlyEmail
	var kinds []string
	for _, test := range []struct {
		entry policy.Organization
		given string
		kind  string
	}{
		{policy.Organization{Source: policy.Source{SecretFile: "/etc/acme"}}, "--secret-file", "file"},
		{policy.Organization{Source: policy.Source{SecretEnv: "ACME_SECRET"}}, "ACME_SECRET", "environment"},
		{policy.Organization{Source: policy.Source{APIKeyFile: "/etc/key", APIURL: "https://acme.api.kustomerapp.com"}, Identifiers: &email}, "--api-key-file", "api"},
	} {
		var flags Serve
		fill(t, &flags.SecretSource)
		organization := flags.organization("acme", test.entry)
		if got := organization.Given(); !slices.Equal(got, []string{test.given}) || organization.UsesAPI() != (test.kind == "api") {
			t.Errorf("%+v: its sources are %q", test.entry, got)
		}
		if got := kindOf(t, &organization.SecretSource); got != test.kind {
			t.Errorf("%+v: the kind is %s", test.entry, got)
		}
		kinds = append(kinds, test.kind)
		if test.entry.SecretEnv != "" && organization.Secrets.SecretKey.Value.Reveal() != "canary-of-acme" {
			t.Error("the secret is not the variable's")
		}
		if test.kind == "api" && (organization.APIURL != test.entry.APIURL || organization.Identifiers != email) {
			t.Errorf("organization %+v", organization)
		}
	}
	wantAllKinds(t, kinds)
}

func TestFlagsAndVariablesGiveEachKindOfSecret(t *testing.T) {
	t.Parallel()
	text := sensitive.New("canary")
	var kinds []string
	for _, test := range []struct {
		source SecretSource
		given  string
		kind   string
	}{
		{SecretSource{SecretFile: "/etc/secret"}, "--secret-file", "file"},
		{SecretSource{Secrets: Secrets{SecretKey: Variable{secretKeyVariable, text}}}, secretKeyVariable, "environment"},
		{SecretSource{Secrets: Secrets{APIKey: Variable{apiKeyVariable, text}}}, apiKeyVariable, "api"},
		{SecretSource{APIKeyFile: "/etc/key"}, "--api-key-file", "api"},
	} {
		test.source.Organization, test.source.APIURL = "acme", "https://{organization}.api.kustomerapp.com"
		if got := test.source.Given(); !slices.Equal(got, []string{test.given}) {
			t.Errorf("%s: its sources are %q", test.given, got)
		}
		if got := kindOf(t, &test.source); got != test.kind {
			t.Errorf("%s: the kind is %s", test.given, got)
		}
		kinds = append(kinds, test.kind)
	}
	wantAllKinds(t, kinds)
}

func kindOf(t *testing.T, source *SecretSource) string {
	t.Helper()
	store, err := source.Open(secret.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return store.Kind()
}

// wantAllKinds finds a kind of source that cannot be configured.
func wantAllKinds(t *testing.T, got []string) {
	t.Helper()
	for _, kind := range secret.Kinds() {
		if !slices.Contains(got, kind) {
			t.Errorf("nothing gives a secret of the kind %q", kind)
		}
	}
}

// Whatever an entry can say about its secret reaches the organization's source.
func TestEveryTextOfAnEntryCounts(t *testing.T) {
	t.Parallel()
	var flags Serve
	var entry policy.Organization
	nothing := flags.organization("acme", entry)
	leaves(reflect.ValueOf(&entry).Elem(), "", func(path string, field reflect.Value) {
		if field.Kind() != reflect.String {
			return
		}
		field.SetString("said")
		if organization := flags.organization("acme", entry); organization == nothing {
			t.Errorf("%s changes nothing", path)
		}
		field.SetZero()
	})
}

// opened returns the configuration with a policy file of the text and the secrets, and that policy.
func opened(t *testing.T, text string, secrets Secrets) (*Serve, *policy.Policy, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Serve{CallerFiles: CallerFiles{PolicyFile: path}}
	s.APIURL, s.Secrets = "https://{organization}.api.kustomerapp.com", secrets
	s.SecretTimes = SecretTimes{SecretRefresh: 1e9, SecretMaxStale: 1e9, MaxClockSkew: 1e9}
	err := s.validateOrganizations()
	file := s.OpenPolicy(secret.Options{})
	return s, file.Load(), cmp.Or(err, file.Problem())
}

func TestOrganizationsOfAPolicyFile(t *testing.T) {
	t.Setenv("BOTH_SECRETS", "canary-secret")
	const callers = "callers: {loopback: {organizations: all}}\n"
	key := Secrets{SecretKey: Variable{secretKeyVariable, sensitive.New("canary-secret")}}
	//nolint:paralleltest // the environment is one for all
	for name, test := range map[string]struct {
		text    string
		secrets Secrets
		want    []string // organizations, or an error's parts
		wrong   bool
	}{
		"the flags' alone":             {callers, key, []string{"default"}, false},
		"the flags' first":             {"organizations: {acme: {secret_file: /x}, a: {secret_file: /x}}\n" + callers, key, []string{"default", "a", "acme"}, false},
		"the file's alone":             {"organizations: {acme: {secret_file: /x}}\n" + callers, Secrets{}, []string{"acme"}, false},
		"two of the same variable":     {"organizations: {a: {secret_env: BOTH_SECRETS}, b: {secret_env: BOTH_SECRETS}}\n" + callers, Secrets{}, []string{"a", "b"}, false},
		"a variable that is not set":   {callers + "organizations:\n  acme: {secret_env: NO_SUCH_SECRET}\n", Secrets{}, []string{"line 3, organization acme: secret_env"}, true},
		"an API that is not Kustomers": {callers + "organizations:\n  acme: {api_key_file: /x, api_url: 'http://example.com'}\n", Secrets{}, []string{"line 3, organization acme", "http"}, true},
		"no organization at all":       {callers, Secrets{}, []string{"--policy-file", "no organization", "--secret-file"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, granted, err := opened(t, test.text, test.secrets)
			if test.wrong != (err != nil) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				for _, part := range test.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
				if strings.Contains(err.Error(), "NO_SUCH_SECRET") {
					t.Errorf("%q repeats what may be a secret", err)
				}
				return
			}
			var names []string
			for _, organization := range s.Organizations(granted) {
				names = append(names, organization.Organization)
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("organizations %q, want %q", names, test.want)
			}
		})
	}
	if value, set := os.LookupEnv("BOTH_SECRETS"); set {
		t.Errorf("the environment still holds %q", value)
	}
}

// Whoever prints a configuration prints no secret.
func TestAConfigurationPrintsNoSecret(t *testing.T) {
	t.Parallel()
	secrets := Secrets{SecretKey: Variable{secretKeyVariable, sensitive.New("canary-secret")}, APIKey: Variable{apiKeyVariable, sensitive.New("canary-key")}}
	s, granted, _ := opened(t, "callers: {}\norganizations: {acme: {secret_file: /x}}\n", secrets)
	asJSON, err := json.Marshal(s.SecretSource)
	if err != nil {
		t.Fatal(err)
	}
	printed := map[string]string{"JSON": string(asJSON)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed[verb] = fmt.Sprintf(verb, s) + fmt.Sprintf(verb, *s) + fmt.Sprintf(verb, s.Organizations(granted))
	}
	for _, how := range slices.Sorted(maps.Keys(printed)) {
		if strings.Contains(printed[how], "canary") || strings.Contains(printed[how], fmt.Sprintf("%x", "canary")) {
			t.Errorf("%s prints %s", how, printed[how])
		}
	}
}
