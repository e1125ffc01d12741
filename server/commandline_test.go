package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the command line answers to each kind of mistake: one line, and exit code 2.
func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args string // separated by spaces; '' is an empty one
		want string
	}{
		{"nosuch", `unexpected argument nosuch`},
		{"servee", `unexpected argument servee, did you mean "serve"?`},
		{"audit", `expected one of "verify", "find"`},
		{"audit verfy", `unexpected argument verfy, did you mean "verify"?`},
		{"secret", `expected "fetch"`},
		{"policy", `expected "check"`},
		{"help nosuch", `unexpected argument nosuch`},
		{"completion nosuch", `unexpected argument nosuch`},
		{"completion bash extra", `unexpected argument extra`},
		{"serve extra", `unexpected argument extra`},
		{"version -- extra", `unexpected argument extra`},
		{"verify", `expected TOKEN`},
		{"verify one two", `unexpected argument two`},
		{"verify ''", `verify: the token is empty`},
		{"audit find", `expected FILE|DIRECTORY|PATTERN...`},
		{"caller-token", `expected NAME`},
		{"policy check", `expected FILE`},

		{"serve --lisen 127.0.0.1:0", `unknown flag --lisen, did you mean "--listen"?`},
		{"serve --secret-fil x", `unknown flag --secret-fil, did you mean "--secret-file"?`},
		{"health --addresss=x", `unknown flag --addresss, did you mean "--address"?`},
		{"issue --Email x", `unknown flag --Email, did you mean "--email"?`},
		{"serve --limit-c 1/s", `unknown flag --limit-c, did you mean one of "--limit-caller", "--limit-customer"?`},
		{"serve --verbose", `unknown flag --verbose`},
		{"serve --verbose --help", `unknown flag --verbose`},
		{"--verbose", `unknown flag --verbose`},
		{"serve -listen 127.0.0.1:0", `unknown flag -listen, did you mean "--listen"?`},
		{"serve --=x", `--=x is not a flag: write --NAME, --NAME VALUE or --NAME=VALUE`},
		{"--listen 127.0.0.1:0 serve", `unknown flag --listen`},
		{"version --version", `unknown flag --version`},
		{"audit verify --no-allow-unverifiable x", `unknown flag --no-allow-unverifiable`},

		{"serve --listen", `--listen: the value is missing: give --listen ADDRESS, such as 127.0.0.1:9451`},
		{"serve --secret-file", `--secret-file: the value is missing: give --secret-file PATH, such as /etc/chatidentity/file`},
		{"issue --external-id --email", `--external-id: "--email" looks like a flag: give a value, or write --external-id=--email if that is the value`},
		{"issue --external-id -5", `--external-id: "-5" looks like a flag: give a value, or write --external-id=-5 if that is the value`},
		{"serve --allow-uid -1", `--allow-uid: "-1" looks like a flag: give a value, or write --allow-uid=-1 if that is the value`},
		{"serve --allow-uid=-1", `--allow-uid: "-1" must be a user ID in digits, such as 1000`},
		{"health --timeout=-1s", `--timeout -1s must be positive`},
		{"health --timeout 0", `--timeout 0s must be positive`},

		{"serve --listen 127.0.0.1", `--listen: "127.0.0.1" must be host:port or unix:/path, such as 127.0.0.1:9451`},
		{"serve --listen ''", `--listen: the value is empty: give --listen ADDRESS, such as 127.0.0.1:9451, or leave the flag out`},
		{"serve --listen 127.0.0.1:0,x", `--listen: "x" must be host:port or unix:/path, such as 127.0.0.1:9451`},
		{"serve --listen=127.0.0.1:65536", `--listen: "127.0.0.1:65536" must have a port from 0 to 65535, such as 127.0.0.1:9451`},
		{
			"serve --admin-listen ''",
			`--admin-listen: the value is empty: give --admin-listen HOST:PORT, such as 127.0.0.1:9452, or leave the flag out`,
		},
		{"serve --identifier-policy both", `--identifier-policy: "both" is not one of as-given, external-id, email, exclusive`},
		{"serve --audit-mode lax", `--audit-mode: "lax" is not one of strict, best-effort`},
		{"serve --audit-sync maybe", `--audit-sync: "maybe" must be true or false, or on or off`},
		{"serve --audit-timeout 5", `--audit-timeout: "5" must be a duration with a unit, such as 500ms, 10s or 5m`},
		{"serve --audit-timeout ''", `--audit-timeout: the value is empty: give --audit-timeout DURATION, such as 2s, or leave the flag out`},
		{
			"serve --audit-max-size big",
			`--audit-max-size: "big" must be a whole number of bytes, or one with KiB, MiB or GiB, such as 100MiB`,
		},
		{
			"serve --audit-min-free=-1",
			`--audit-min-free: "-1" must be a whole number of bytes, or one with KiB, MiB or GiB, such as 100MiB`,
		},
		{"serve --limit-customer ten", `--limit-customer: rate "ten": …`},
		{"serve --limit-mode off", `--limit-mode: "off" is not one of enforce, shadow`},
		{"serve --limit-redis-failure open", `--limit-redis-failure: "open" is neither local nor closed`},
		{"serve --allow-uid root", `--allow-uid: "root" must be a user ID in digits, such as 1000`},
		{"serve --allow-uid 1,4294967296", `--allow-uid: "4294967296" must be a user ID in digits, such as 1000`},
		{"serve --socket-mode rw", `--socket-mode: "rw" must be permissions in octal, such as 0660`},
		{"serve --log-level loud", `--log-level: "loud" is not one of debug, info, warn, error`},
		{"serve --log-format xml", `--log-format: "xml" is not one of json, text`},
		{"health --output xml", `--output: "xml" is not one of auto, text, table, json`},
		{"audit find --output words x", `--output: "words" is not one of auto, text, table, json`},
		{
			"audit find --since yesterday x",
			`--since: "yesterday" must be a time such as 2026-11-23 or 2026-11-23T00:00:00Z, or a time ago such as 24h`,
		},
		{"dev --exit=maybe", `--exit: "maybe" must be true or false, or on or off`},

		{
			"audit find --email '' commandline_test.go",
			`--email: the value is empty: give --email EMAIL, such as ada@example.com, or leave the flag out`,
		},
		{
			"audit find --token x commandline_test.go",
			`--token takes - alone: write the token to standard input, where others do not see it`,
		},
		{
			"audit verify --allow-unverifiable=false commandline_test.go",
			`audit verify needs --audit-key-file: without the key nothing can be verified`,
		},
		{"serve\xff", `argument 1 is not valid UTF-8: give it in UTF-8`},
		{"issue --external-id a\xff", `argument 3 is not valid UTF-8: give it in UTF-8`},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(test.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "''", "")
			}
			assertUsageError(t, nil, args, test.want)
		})
	}
}

// assertUsageError takes an error that goes on where want ends in …: a room says the rest.
func assertUsageError(t *testing.T, env, args []string, want string) {
	t.Helper()
	code, stdout, stderr := command(t, append([]string{"KUSTOMER_SECRET_KEY=" + testSecret}, env...), "", args...)
	said := strings.TrimPrefix(strings.TrimSuffix(stderr, "\n"), "chatidentity: ")
	if beginning, cut := strings.CutSuffix(want, "…"); cut && strings.HasPrefix(said, beginning) && !strings.Contains(said, "\n") {
		said = want
	}
	if code != exitUsage || stdout != "" || said != want {
		t.Errorf("code %d, output %q, error\n%s\nwant\n%s", code, stdout, said, want)
	}
}

// A variable is what the flag is when it is not given, and an error names both.
func TestVariables(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ variable, args, want string }{
		{
			"LIMIT_CALLER=5", "serve",
			`--limit-caller: rate "5": …`,
		},
		{"ALLOW_UID=1,x", "serve", `--allow-uid: "x" must be a user ID in digits, such as 1000 (from $CHATIDENTITY_ALLOW_UID)`},
		{"LOG_FORMAT=xml", "serve", `--log-format: "xml" is not one of json, text (from $CHATIDENTITY_LOG_FORMAT)`},
		{"OUTPUT=xml", "version", `--output: "xml" is not one of auto, text, table, json (from $CHATIDENTITY_OUTPUT)`},
		{
			"EXIT=maybe", "dev",
			`--exit: "maybe" must be true or false, or on or off (from $CHATIDENTITY_EXIT)`,
		},
		{"ADDRESS=here", "health", `--address: "here" must be host:port or unix:/path, such as 127.0.0.1:9451 (from $CHATIDENTITY_ADDRESS)`},
	} {
		t.Run(test.variable, func(t *testing.T) {
			t.Parallel()
			assertUsageError(t, []string{"CHATIDENTITY_" + test.variable}, strings.Fields(test.args), test.want)
		})
	}
	for _, test := range []struct{ variable, args, want string }{
		{"OUTPUT=text", "version", "chatidentity "},
		{"OUTPUT=text", "version --output json", "{"},
		{"OUTPUT=xml", "version --output=json", "{"},
		{"OUTPUT=xml", "version --help", "Usage: chatidentity version"},
		{"HELP=true", "version", "{"},
		{"ELSE=x", "version", "{"},
	} {
		t.Run(test.variable+" "+test.args, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, []string{"CHATIDENTITY_" + test.variable}, "", strings.Fields(test.args)...)
			if code != exitOK || !strings.HasPrefix(stdout, test.want) || stderr != "" {
				t.Errorf("code %d, output %q, error %q; want %q", code, stdout, stderr, test.want)
			}
		})
	}
}

// What may be repeated takes commas too, and an empty head is not taken for none: it asks for a check.
func TestRepeatableFlags(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("A", 44)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := []string{"audit", "verify", "commandline_test.go", "--audit-key-file", key}
	const twice = `--listen 127.0.0.1:1 is given twice: give it once`
	for name, test := range map[string]struct {
		env, args []string
		want      string
	}{
		"commas":     {nil, []string{"serve", "--listen", "127.0.0.1:1,127.0.0.1:1"}, twice},
		"twice":      {nil, []string{"serve", "--listen", "127.0.0.1:1", "--listen=127.0.0.1:1"}, twice},
		"a variable": {[]string{"CHATIDENTITY_LISTEN=127.0.0.1:1,127.0.0.1:1"}, []string{"serve"}, twice},
		"instead of a variable": {
			[]string{"CHATIDENTITY_LISTEN=127.0.0.1:1"},
			[]string{"serve", "--listen", "192.0.2.1:1"},
			"--listen 192.0.2.1:1 is not a loopback address: it needs TLS with client certificates (--tls-cert, --tls-key, --tls-client-ca); " +
				"or use 127.0.0.1:PORT, [::1]:PORT or unix:/path",
		},
		"none of them": {
			nil,
			[]string{"serve", "--allow-uid", ", ,", "--listen", "unix:/tmp/x"},
			"--allow-uid: there is no value between the commas",
		},
		"an empty head":      {nil, append(verify, "--head", ""), `--head: the value is empty: …`},
		"heads with a comma": {nil, append(verify, "--head", "1:x,"), `--head: "1:x" …`},
		"an empty from-head": {nil, append(verify, "--from-head="), `--from-head: the value is empty: …`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertUsageError(t, test.env, test.args, test.want)
		})
	}
}

// No arguments, help, --help and -h are one, and --version is the command.
func TestNormalizedArguments(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, want string }{
		{"", "Usage: chatidentity COMMAND"},
		{"help", "Usage: chatidentity COMMAND"},
		{"-h", "Usage: chatidentity COMMAND"},
		{"help audit", "Usage: chatidentity audit COMMAND"},
		{"help audit find", "Usage: chatidentity audit find"},
		{"audit find -h", "Usage: chatidentity audit find"},
		{"--version", `{"version":`},
		{"--version --output text", "chatidentity "},
		{"version --output text --output json", "{"},
	} {
		code, stdout, stderr := command(t, nil, "", strings.Fields(test.args)...)
		if code != exitOK || !strings.HasPrefix(stdout, test.want) || stderr != "" {
			t.Errorf("%q: code %d, output %q, error %q; want %q", test.args, code, stdout, stderr, test.want)
		}
	}
}
