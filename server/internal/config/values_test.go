package config

import (
	"reflect"
	"strings"
	"testing"
)

// given returns the configuration that the flags make; the others have their defaults.
func given(t *testing.T, values map[string]string) (*Serve, error) {
	t.Helper()
	var serve Serve
	origins := Origins{Given: map[string]bool{}}
	for _, group := range serve.Flags() {
		for _, flag := range group.Flags {
			text, isGiven := values[flag.Name]
			if !isGiven {
				text = flag.Default
			}
			origins.Given[flag.Name] = isGiven
			if text == "" {
				continue
			}
			if err := flag.Set(text); err != nil {
				return nil, Usage("--%s: %v", flag.Name, err)
			}
		}
	}
	serve.origins = origins
	return &serve, nil
}

// What people write means what they mean: each row is the same as its plain form.
func TestPlainMeaningsAreUnderstood(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, text, plain string }{
		{"listen", "127.0.0.1:1, 127.0.0.1:2", "127.0.0.1:1,127.0.0.1:2"},
		{"listen", " 127.0.0.1:1 ,\t127.0.0.1:2,", "127.0.0.1:1,127.0.0.1:2"},
		{"listen", "127.0.0.1:1,,127.0.0.1:2\n", "127.0.0.1:1,127.0.0.1:2"},
		{"listen", "unix:///run/s", "unix:/run/s"},
		{"listen", "unix://run/s", "unix:/run/s"},
		{"admin-listen", "127.0.0.1:2\n", "127.0.0.1:2"},
		{"allow-uid", "1000, 1001", "1000,1001"},
		{"allow-uid", "1000,", "1000"},

		{"log-level", "warning", "warn"},
		{"log-level", "WARN", "warn"},
		{"log-level", "Warning", "warn"},
		{"log-level", "Info", "info"},
		{"log-level", "ERROR\r\n", "error"},
		{"log-format", "JSON", "json"},
		{"log-format", "Text ", "text"},

		{"audit-max-size", "100Mi", "100MiB"},
		{"audit-max-size", "100mib", "100MiB"},
		{"audit-max-size", "100 MiB", "100MiB"},
		{"audit-max-size", "104857600", "100MiB"},
		{"audit-max-size", "104857600B", "100MiB"},
		{"audit-max-size", "102400Ki", "100MiB"},
		{"audit-max-size", "1Gi", "1024MiB"},
		{"audit-max-size", "1G", "1000000000"},
		{"audit-max-size", "100M", "100000000"},
		{"audit-min-free", "100MB", "100000000"},
		{"audit-min-free", "64000k", "64000000"},

		{"instance", " chatidentity-0\n", "chatidentity-0"},

		{"audit-sync", "true", "on"},
		{"audit-sync", "TRUE", "on"},
		{"audit-sync", "yes", "on"},
		{"audit-sync", "1", "on"},
		{"audit-sync", "On", "on"},
		{"audit-sync", "false", "off"},
		{"audit-sync", "False", "off"},
		{"audit-sync", "no", "off"},
		{"audit-sync", "0", "off"},

		{"audit-mode", "STRICT", "strict"},
		{"audit-mode", "best_effort", "best-effort"},
		{"audit-mode", "Best-Effort", "best-effort"},
		{"identifier-policy", "EXTERNAL_ID", "external-id"},
		{"identifier-policy", "As-Given", "as-given"},
		{"identifier-policy", "Email", "email"},
		{"limit-mode", "Shadow", "shadow"},
		{"limit-redis-failure", "CLOSED", "closed"},

		{"limit-caller", "200/S:400", "200/s:400"},
		{"limit-caller", "200/s : 400", "200/s:400"},
		{"limit-customer", "10/min", "10/m"},
		{"limit-customer", " 10/m:10\n", "10/m:10"},
		{"limit-global", "OFF", "off"},
		{"limit-global", "false", "off"},

		{"audit-timeout", "2S", "2s"},
		{"audit-timeout", "2 s", "2s"},
		{"drain-delay", "1m 30s", "90s"},
		{"secret-max-stale", "1d", "24h"},
		{"secret-max-stale", "1d12h", "36h"},
		{"secret-refresh", "5M", "5m"},

		{"socket-mode", "660", "0660"},
		{"socket-mode", "0o660", "0660"},
		{"secret-file", " /run/secret\n", "/run/secret"},
		{"audit-file", "/var/log/audit.jsonl\r\n", "/var/log/audit.jsonl"},
		{"policy-file", "\t/etc/policy.yaml", "/etc/policy.yaml"},
	} {
		got, err := given(t, map[string]string{test.flag: test.text})
		if err != nil {
			t.Errorf("--%s %q: %v", test.flag, test.text, err)
			continue
		}
		want, err := given(t, map[string]string{test.flag: test.plain})
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("--%s %q is not %q", test.flag, test.text, test.plain)
		}
	}
}

// Nothing of a library is in what a wrong value is told, and an example is, or the list of choices.
func TestEveryWrongValueIsExplained(t *testing.T) {
	t.Parallel()
	const words = "not a value"
	for _, group := range new(Serve).Flags() {
		for _, flag := range group.Flags {
			_, err := given(t, map[string]string{flag.Name: words})
			if err == nil {
				continue // any text will do; what is wrong with it shows when it is used
			}
			assertExplained(t, flag.Name, words, err)
		}
	}
	for _, test := range []struct{ flag, text, says string }{
		{"audit-timeout", "2", "such as 500ms, 10s or 5m"},
		{"audit-timeout", "2 seconds", "such as 500ms, 10s or 5m"},
		{"secret-max-stale", "d", "such as 500ms, 10s or 5m"},
		{"secret-max-stale", "1.5d", "such as 500ms, 10s or 5m"},
		{"secret-max-stale", "100001d", "such as 500ms, 10s or 5m"},
		{"secret-max-stale", "1d-1h2", "such as 500ms, 10s or 5m"},
		{"log-level", "loud", "debug, info, warn, error"},
		{"log-level", "INFO+2", "debug, info, warn, error"},
		{"allow-uid", "app", "such as 1000"},
		{"allow-uid", "1000;1001", "such as 1000"},
		{"allow-uid", "4294967296", "such as 1000"},
		{"listen", "unix-abstract:chat", "such as unix:/run/chatidentity/chatidentity.sock"},
		{"listen", "unix:chat.sock", "such as unix:/run/chatidentity/chatidentity.sock"},
		{"listen", "http://127.0.0.1:9451", "such as 127.0.0.1:9451"},
		{"listen", "9451", "such as 127.0.0.1:9451"},
		{"listen", "127.0.0.1:grpc", "such as 127.0.0.1:9451"},
		{"listen", "127.0.0.1:65536", "such as 127.0.0.1:9451"},
		{"listen", "::1:9451", "such as 127.0.0.1:9451"},
		{"audit-max-size", "100MiBs", "such as 100MiB"},
		{"audit-max-size", "1.5GiB", "such as 100MiB"},
		{"audit-max-size", "9999999999999GiB", "such as 100MiB"},
		{"audit-max-size", "-1", "such as 100MiB"},
		{"audit-max-size", "i", "such as 100MiB"},
		{"socket-mode", "rw-rw----", "such as 0660"},
		{"socket-mode", "0888", "such as 0660"},
		{"socket-mode", "1777", "such as 0660"},
		{"limit-customer", "10", "such as 10/m:10"},
		{"limit-customer", "10 per minute", "such as 10/m:10"},
		{"audit-sync", "maybe", "on or off"},
		{"instance", "a/b", "such as chatidentity-0"},
		{"instance", "..", "such as chatidentity-0"},
		{"instance", "pod 1", "such as chatidentity-0"},
		{"instance", "{instance}", "such as chatidentity-0"},
		{"instance", "é", "such as chatidentity-0"},
		{"identifier-policy", "both", "as-given, external-id, email, exclusive"},
		{"limit-redis-failure", "open", "neither local nor closed"},
	} {
		_, err := given(t, map[string]string{test.flag: test.text})
		assertExplained(t, test.flag, test.text, err)
		if err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%v: want %q", err, test.says)
		}
	}
}

// foreign are words of the libraries that parse for us.
var foreign = []string{
	"strconv", "time:", "parsing", "parse ", "invalid syntax", "slog", "EOL", "EOF", "missing unit", "unknown unit", "out of range",
	"lookup", "too many colons", "missing port", "unmarshal", "regexp",
}

func assertExplained(t *testing.T, flag, text string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("--%s %q is accepted", flag, text)
		return
	}
	said := err.Error()
	if !strings.HasPrefix(said, "--"+flag+": ") || strings.Contains(said, "\n") {
		t.Errorf("%q is not one line about --%s", said, flag)
	}
	for _, word := range foreign {
		if strings.Contains(strings.ReplaceAll(said, text, ""), word) {
			t.Errorf("%q has a library's word %q", said, word)
		}
	}
	for _, expected := range []string{"such as ", "not one of ", " or off", "neither "} {
		if strings.Contains(said, expected) {
			return
		}
	}
	t.Errorf("%q says neither an example nor the choices", said)
}
