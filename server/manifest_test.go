package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const podYAML = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: shop\nspec:\n  containers:\n    - name: app\n      image: app\n"

var withImage = []string{"manifest", "--image", "registry.example.com/chatidentity:1.0.0"}

func TestManifest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		in     string
		code   int
		out    []string
		stderr string
	}{
		"standard input": {withImage, podYAML, 0, []string{`image: "registry.example.com/chatidentity:1.0.0"`, `secretName: "kustomer-chat"`}, "changed  standard input:1  Pod shop\n"},
		"its dash":       {append(withImage, "-"), podYAML, 0, []string{"- name: chatidentity\n"}, "changed  standard input:1  Pod shop\n"},
		"what is passed": {withImage, podYAML + "---\nkind: Service\nmetadata: {name: a}\n", 0, []string{"kind: Service\nmetadata: {name: a}\n"}, "skipped  standard input:10  Service a: not a kind"},
		"the options": {
			append(withImage, "--unix-socket", "--allow-uid=7", "--app-container=app", "--secret-name=chat", "--audit-volume=claim", "--ready-gated",
				"--audit-key-secret=keys", "--limit-redis=rediss://redis:6379", "--limit-redis-private-ca"),
			podYAML, 0,
			[]string{`secretName: "chat"`, `value: "7"`, `claimName: "claim"`, `secretName: "keys"`, `value: "rediss://redis:6379"`, "value: /etc/chatidentity-redis/ca.crt\n", "readinessProbe:", "fsGroup: 65532\n"},
			"changed",
		},
		"names that YAML takes for something else": {
			append(withImage, "--secret-name=123", "--audit-key-secret=true", "--audit-volume=null"), podYAML, 0,
			[]string{`secretName: "123"`, `secretName: "true"`, `claimName: "null"`},
			"changed",
		},
		"an app that runs as root": {append(withImage, "--unix-socket", "--allow-uid=0"), podYAML, 0, []string{`value: "0" # the app's`}, "changed"},
		"the list as JSON":         {append(withImage, "--output=json"), podYAML, 0, []string{"kind: Pod"}, `[{"file":"standard input","kind":"Pod","name":"shop","line":1,"changed":true}]`},
		"a password in the URL":    {append(withImage, "--limit-redis=rediss://u:canary@redis:6379"), podYAML, 2, nil, "--limit-redis must be a URL"},
		"an option in the URL":     {append(withImage, "--limit-redis=rediss://redis:6379/0?a=1"), podYAML, 2, nil, "no options but addr and master_name"},
		"a Cluster of Redis": {
			append(withImage, "--limit-redis=rediss://redis-1:6379?addr=redis-2:6379&addr=redis-3:6379"), podYAML, 0,
			[]string{`value: "rediss://redis-1:6379?addr=redis-2:6379&addr=redis-3:6379"`},
			"changed",
		},
		"a CA of no TLS": {
			append(withImage, "--limit-redis=redis://redis:6379", "--limit-redis-private-ca"), podYAML, 2, nil,
			"--limit-redis-private-ca goes with a --limit-redis that begins with rediss://",
		},
		"a variable": {
			append(withImage, "--env=CHATIDENTITY_LIMIT_CUSTOMER=1/s:20", "--env", "CHATIDENTITY_ORGANIZATION=a=b: $(POD), #1"), podYAML, 0,
			[]string{"- name: CHATIDENTITY_LIMIT_CUSTOMER\n", `value: "1/s:20"`, "- name: CHATIDENTITY_ORGANIZATION\n", `value: "a=b: $(POD), #1"`},
			"changed",
		},
		"a variable of a volume": {
			append(withImage, "--audit-volume=claim", "--env=CHATIDENTITY_AUDIT_MAX_FILES=9"), podYAML, 0, []string{`value: "9"`}, "changed",
		},
		"a value of Kubernetes": {append(withImage, "--env=CHATIDENTITY_LIMIT_CUSTOMER=$(LIMIT)"), podYAML, 0, []string{`value: "$(LIMIT)"`}, "changed"},
		"variables of others": {
			append(withImage, "--env=OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:4317", "--env=OTEL_TRACES_SAMPLER_ARG=0.1",
				"--env=HTTPS_PROXY=proxy:3128", "--env=NO_PROXY=.example.com,10.0.0.0/8"), podYAML, 0,
			[]string{"- name: OTEL_EXPORTER_OTLP_ENDPOINT\n", `value: "http://otel:4317"`, `value: "0.1"`, `value: "proxy:3128"`, "- name: NO_PROXY\n"},
			"changed  standard input:1  Pod shop\n",
		},
		"a file that nobody mounts": {
			append(withImage, "--env=CHATIDENTITY_POLICY_FILE=/etc/chat/policy.yaml"), podYAML, 0,
			[]string{`value: "/etc/chat/policy.yaml"`},
			"changed  standard input:1  Pod shop\nmissing  CHATIDENTITY_POLICY_FILE=/etc/chat/policy.yaml: no volume of the sidecar holds it: mount one",
		},
		"its list as JSON": {
			append(withImage, "--output=json", "--env=OTEL_EXPORTER_OTLP_CERTIFICATE=/ca"), podYAML, 0, nil,
			`"changed":true}]` + "\n" + `{"variable":"OTEL_EXPORTER_OTLP_CERTIFICATE","path":"/ca","why":"no volume`,
		},
		"no workload":      {withImage, "kind: Service\n", 2, nil, "chatidentity: there is no Deployment"},
		"no YAML":          {withImage, "a: [", 2, nil, "chatidentity: standard input: line "},
		"no image":         {[]string{"manifest"}, podYAML, 2, nil, "chatidentity: --image is required"},
		"half an image":    {[]string{"manifest", "--image", "a b"}, podYAML, 2, nil, "--image"},
		"no name":          {append(withImage, "--secret-name", "A"), podYAML, 2, nil, `--secret-name "A"`},
		"no URL":           {append(withImage, "--limit-redis", `redis://"`), podYAML, 2, nil, "--limit-redis"},
		"no socket":        {append(withImage, "--allow-uid", "7"), podYAML, 2, nil, "--unix-socket"},
		"no user ID":       {append(withImage, "--unix-socket"), podYAML, 2, nil, "its user ID must be given: --allow-uid UID, or its runAsUser"},
		"two user IDs":     {append(withImage, "--unix-socket", "--allow-uid=7,8"), podYAML, 2, nil, "give one user ID"},
		"in place of what": {append(withImage, "--in-place"), podYAML, 2, nil, "--in-place needs files"},
		"no file":          {append(withImage, "/nowhere"), "", 2, nil, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, test.in, test.args...)
			if code != test.code || !strings.Contains(stderr, test.stderr) {
				t.Errorf("code %d, error %q; want %d, %q", code, stderr, test.code, test.stderr)
			}
			if code != 0 && stdout != "" {
				t.Errorf("a failure printed %q", stdout)
			}
			for _, part := range test.out {
				if !strings.Contains(stdout, part) {
					t.Errorf("does not print %q:\n%s", part, stdout)
				}
			}
		})
	}
}

// A variable that could not do what is meant is refused, with one line that names it. What may be a
// secret is not repeated.
func TestManifestRefusesVariables(t *testing.T) {
	t.Parallel()
	const canary = "c2VjcmV0LWNhbmFyeQ"
	for _, test := range []struct{ args, want string }{
		{"--env=CHATIDENTITY_LIMIT_CUSTOMR=1/s", `CHATIDENTITY_LIMIT_CUSTOMR is not a variable that serve reads, did you mean "CHATIDENTITY_LIMIT_CUSTOMER"?`},
		{"--env=GOMEMLIMIT=" + canary, "the manifest sets GOMEMLIMIT itself, to the memory that the sidecar requests"},
		{"--env=KUSTOMER_SECRET_KEY=" + canary, "KUSTOMER_SECRET_KEY is not a variable that serve reads; serve --help lists those of its flags"},
		{"--env=CHATIDENTITY_ADDRESS=127.0.0.1:1", "CHATIDENTITY_ADDRESS is not a variable that serve reads; serve --help lists those of its flags"},
		{"--env=limit-customer=1/s", "give NAME=VALUE, such as CHATIDENTITY_LIMIT_CUSTOMER=1/s:20"},
		{"--env=" + canary + "==", "give NAME=VALUE, such as CHATIDENTITY_LIMIT_CUSTOMER=1/s:20"},
		{"--env=CHATIDENTITY_LOG_LEVEL", "give NAME=VALUE, such as CHATIDENTITY_LIMIT_CUSTOMER=1/s:20"},
		{"--env=CHATIDENTITY_LOG_LEVEL= ", "CHATIDENTITY_LOG_LEVEL has no value"},
		{"--env=CHATIDENTITY_LIMIT_CUSTOMER=lots", "CHATIDENTITY_LIMIT_CUSTOMER: "},
		{"--env=CHATIDENTITY_ORGANIZATION=a\nb", "the value of CHATIDENTITY_ORGANIZATION is not UTF-8 text on one line"},
		{"--env=CHATIDENTITY_API_URL=https://u:" + canary + "@example.com", "the value of CHATIDENTITY_API_URL holds a password"},
		{"--env=HTTPS_PROXY=http://u:" + canary + "@proxy:3128", "the value of HTTPS_PROXY holds a password"},
		{"--env=HTTP_PROXY=u:" + canary + "@proxy:3128", "the value of HTTP_PROXY holds a password"},
		{"--env=HTTPS_PROXY=ftp://proxy", "HTTPS_PROXY: must be a URL, such as http://proxy:3128"},
		{"--env=OTEL_EXPORTER_OTLP_HEADERS=Authorization=" + canary, "OTEL_EXPORTER_OTLP_HEADERS usually holds a key"},
		{"--env=OTEL_EXPORTER_OTLP_TRACES_HEADERS=Authorization=" + canary, "OTEL_EXPORTER_OTLP_TRACES_HEADERS usually holds a key"},
		{"--env=OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: must be http:// or https://"},
		{"--env=OTEL_EXPORTER_OTLP_ENDPONT=x", `did you mean "OTEL_EXPORTER_OTLP_ENDPOINT"?`},
		{"--env=CHATIDENTITY_LIMIT_REDIS=rediss://:" + canary + "@redis", "CHATIDENTITY_LIMIT_REDIS: give --limit-redis instead"},
		{"--env=CHATIDENTITY_LIMIT_REDIS=rediss://redis", "CHATIDENTITY_LIMIT_REDIS: give --limit-redis instead"},
		{"--env=CHATIDENTITY_ALLOW_UID=7", "CHATIDENTITY_ALLOW_UID: give --allow-uid instead"},
		{"--env=CHATIDENTITY_SECRET_FILE=/secret", "--env: the manifest sets CHATIDENTITY_SECRET_FILE itself"},
		{"--env=CHATIDENTITY_AUDIT_MAX_FILES=9", "--env: the manifest sets CHATIDENTITY_AUDIT_MAX_FILES itself"},
		{"--unix-socket --allow-uid=7 --env=CHATIDENTITY_LISTEN=127.0.0.1:1", "--env: the manifest sets CHATIDENTITY_LISTEN itself"},
		{"--env=CHATIDENTITY_LOG_LEVEL=info --env=CHATIDENTITY_LOG_LEVEL=debug", "CHATIDENTITY_LOG_LEVEL is given twice"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			args := strings.Split(strings.ReplaceAll(test.args, " --", "\x00--"), "\x00")
			code, stdout, stderr := command(t, nil, podYAML, slices.Concat(withImage, args)...)
			if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "chatidentity: --env") || !strings.Contains(stderr, test.want) ||
				strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, canary) {
				t.Errorf("code %d, error %q, want %q; output %q", code, stderr, test.want, stdout)
			}
		})
	}
}

// A file is not missing where a volume of the sidecar holds it, or where nothing was added.
func TestManifestKnowsWhatIsMounted(t *testing.T) {
	t.Parallel()
	const certificate = "--env=CHATIDENTITY_LIMIT_REDIS_CERT=/etc/chatidentity-redis/tls.crt"
	for args, want := range map[string]bool{
		certificate: true,
		certificate + " --limit-redis=rediss://redis:6379":                false,
		"--env=CHATIDENTITY_CA_FILE=/etc/kustomer/ca.crt":                 false,
		"--env=CHATIDENTITY_CA_FILE=/etc/kustomer-ca/ca.crt":              true,
		"--env=CHATIDENTITY_API_KEY_FILE=$(DIRECTORY)/key":                true,
		"--env=CHATIDENTITY_LIMIT_REDIS_PREFIX=/no/file":                  false,
		"--env=OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY=/etc/collector/t.key": true,
	} {
		code, added, stderr := command(t, nil, podYAML, append(slices.Clone(withImage), strings.Fields(args)...)...)
		if code != 0 || strings.Contains(stderr, "\nmissing  ") != want {
			t.Errorf("%s: code %d, %s", args, code, stderr)
		}
		if code, _, stderr := command(t, nil, added, append(slices.Clone(withImage), strings.Fields(args)...)...); code != 0 || strings.Contains(stderr, "missing") {
			t.Errorf("%s, again: code %d, %s", args, code, stderr)
		}
	}
}

// Files become one stream, or are changed in place; nothing is written if one of them fails.
func TestManifestOfFiles(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	pod, service, broken := filepath.Join(directory, "pod.yaml"), filepath.Join(directory, "service.yaml"), filepath.Join(directory, "broken.yaml")
	for path, text := range map[string]string{pod: podYAML, service: "kind: Service", broken: "a: ["} {
		if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := command(t, nil, "", append(withImage, service, pod)...)
	if code != 0 || !strings.HasPrefix(stdout, "kind: Service\n---\napiVersion: v1\n") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("code %d, error %q, output\n%s", code, stderr, stdout)
	}
	inPlace := slices.Concat(withImage, []string{"--in-place", "--output=json", pod})
	if code, _, stderr := command(t, nil, "", append(inPlace, broken)...); code != 2 || read(t, pod) != podYAML {
		t.Errorf("beside a broken file: code %d, error %q", code, stderr)
	}
	for _, changed := range []bool{true, false} {
		code, stdout, stderr := command(t, nil, "", inPlace...)
		var list []manifestChange
		if err := json.Unmarshal([]byte(stderr), &list); err != nil || code != 0 || stdout != "" || len(list) != 1 || list[0].Changed != changed {
			t.Errorf("code %d, %v, output %q, error %q", code, err, stdout, stderr)
		}
		if info, err := os.Stat(pod); err != nil || info.Mode() != 0o640 || strings.Count(read(t, pod), "name: chatidentity\n") != 2 {
			t.Errorf("%v, %v:\n%s", info, err, read(t, pod))
		}
	}
}

// A file that can no longer be written keeps the others from being changed; links stay links.
func TestFilesAreReplacedTogether(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	file, link, gone := filepath.Join(directory, "a"), filepath.Join(directory, "b"), filepath.Join(directory, "c")
	if err := errors.Join(os.WriteFile(file, []byte("old"), 0o640), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{gone, directory, os.DevNull} {
		if err := overwrite([]string{file, other}, []string{"new", "new"}); err == nil || read(t, file) != "old" {
			t.Errorf("beside %s: %v, %q", other, err, read(t, file))
		}
	}
	if err := overwrite([]string{link}, []string{"new"}); err != nil || read(t, file) != "new" {
		t.Errorf("through a link: %v, %q", err, read(t, file))
	}
	entries, err := os.ReadDir(directory)
	if err != nil || len(entries) != 2 || entries[1].Type() != fs.ModeSymlink {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
