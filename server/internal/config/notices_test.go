package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// validatedFlags returns a valid configuration. Its secret is a variable's unless flags name another source.
func validatedFlags(t *testing.T, values map[string]string) (*Serve, error) {
	t.Helper()
	serve, err := given(t, values)
	if err != nil {
		return nil, err
	}
	var secrets Secrets
	if len(serve.Given()) == 0 {
		secrets.SecretKey = Variable{secretKeyVariable, sensitive.New(strings.Repeat("x", 32))}
	}
	return serve, serve.Validate(serve.origins, secrets)
}

// policyWith returns the path of a policy whose issuer has its keys there.
func policyWith(t *testing.T, keys string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	text := "issuers:\n  idp:\n    issuer: https://idp.example\n    audience: chat\n    external_id: sub\n    " + keys + "\ncallers: {}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A flag that has no effect is told; one that would be taken for a gate is refused.
func TestAFlagWithoutEffectIsTold(t *testing.T) {
	t.Parallel()
	const socket = "unix:/run/chatidentity/s"
	for _, test := range []struct {
		flags   string // NAME=VALUE, separated by spaces
		idle    string // the flags that have no effect
		refused string // why serve does not start
	}{
		{"", "", ""},
		{"allow-uid=1000", "", "--allow-uid keeps nobody out here"},
		{"allow-uid=1000 listen=127.0.0.1:1", "", "--allow-uid keeps nobody out here"},
		{"allow-uid=1000 listen=" + socket, "", ""},
		{"allow-uid=1000 listen=127.0.0.1:1," + socket, "", ""},
		{"socket-mode=0600", "--socket-mode", ""},
		{"socket-mode=0660", "--socket-mode", ""}, // its default
		{"socket-mode=0600 allow-uid=1000 listen=" + socket, "", ""},
		{"secret-refresh=1m", "--secret-refresh", ""},
		{"secret-max-stale=48h", "--secret-max-stale", ""},
		{"ca-file=/ca", "--ca-file", ""},
		{"ca-file=/ca api-key-file=/k organization=acme", "", ""},
		{"ca-file=/ca policy-file=" + policyWith(t, "jwks_url: https://idp.example/keys"), "", ""},
		{"ca-file=/ca policy-file=" + policyWith(t, "jwks_file: /keys"), "--ca-file", ""},
		{"ca-file=/ca policy-file=/no/such", "", ""}, // it may come with a URL
		{"secret-file=/s secret-refresh=1m", "--secret-refresh", ""},
		{"api-url=https://acme.api.kustomerapp.com", "--api-url", ""},
		{"api-url=https://acme.api.kustomerapp.com secret-file=/s", "--api-url", ""},
		{"api-url=https://acme.api.kustomerapp.com api-key-file=/k secret-refresh=1m", "", ""},
		{"limit-redis-failure=closed", "--limit-redis-failure", ""},
		{"limit-redis-failure=local", "--limit-redis-failure", ""},
		{"limit-redis-prefix=p limit-redis-timeout=1s", "--limit-redis-prefix --limit-redis-timeout", ""},
		{"limit-redis-failure=closed limit-redis=redis://r audit-key-file=/k", "", ""},
		{"limit-redis-password-file=/p", "", "--limit-redis-password-file has no use"},
		{"limit-redis-ca=/c", "", "--limit-redis-ca has no use without TLS"},
		{"limit-redis-cert=/c", "", "--limit-redis-cert has no use without TLS"},
		{"limit-redis-key=/k", "", "--limit-redis-key has no use without TLS"},
		{"limit-redis-ca=/c limit-redis=redis://r audit-key-file=/k", "", "--limit-redis-ca has no use without TLS"},
		{"limit-redis-ca=/c limit-redis=rediss://r audit-key-file=/k", "", ""},
		{"audit-sync=off", "--audit-sync", ""},
		{"audit-max-size=1GiB audit-min-free=1GiB", "--audit-max-size --audit-min-free", ""},
		{"audit-sync=off audit-file=/a", "", ""},
		{"audit-file-mode=0640", "--audit-file-mode", ""},
		{"audit-max-files=3", "--audit-max-files", ""},
		{"audit-max-files=3 audit-file-mode=0640 audit-file=/a", "", ""},
		{"audit-copy=-", "--audit-copy", ""},
		{"audit-copy=- audit-file=/a", "", ""},
		{"audit-file-mode=0666 audit-file=/a", "", "--audit-file-mode 0666 lets every user change the records"},
		{"audit-file-mode=0602 audit-file=/a", "", "lets every user change the records"},
		{"audit-file-mode=0440 audit-file=/a", "", "--audit-file-mode 0440 keeps the program from its own records"},
		{"tls-cert=/c", "", "--tls-cert has no use"},
		{"tls-cert=/c tls-key=/k tls-client-ca=/a", "", "--tls-cert has no use"},

		{"listen=127.0.0.1:1 admin-listen=127.0.0.1:1", "", "--listen 127.0.0.1:1 and --admin-listen 127.0.0.1:1 are the same address"},
		{"listen=127.0.0.1:9452", "", "are the same address"},
		{"admin-listen=127.0.0.1:9451", "", "are the same address"},
		{"listen=127.0.0.1:1 admin-listen=localhost:1", "", "are the same address"},
		{"listen=127.0.0.1:1 admin-listen=0.0.0.0:1", "", "are the same address"},
		{"listen=127.0.0.1:1 admin-listen=:1", "", "are the same address"},
		{"listen=[::1]:1 admin-listen=[::]:1", "", "are the same address"},
		{"listen=127.0.0.1:1 admin-listen=[::]:1", "", "are the same address"},
		{"listen=127.0.0.1:1 admin-listen=127.0.0.1:01", "", "are the same address"},
		{"listen=127.0.0.1:1,127.0.0.1:1", "", "given twice"},
		{"listen=127.0.0.1:1,localhost:1", "", "the same address as another --listen"},
		{"listen=127.0.0.1:0 admin-listen=127.0.0.1:0", "", ""}, // any free ports
		{"listen=127.0.0.1:1 admin-listen=127.0.0.1:2", "", ""},
		{"listen=127.0.0.1:1 admin-listen=127.0.0.2:1", "", ""},
		{"listen=[::1]:1 admin-listen=0.0.0.0:1", "", ""},
		{"listen=[::1]:1,127.0.0.1:1", "", ""},
	} {
		values := map[string]string{}
		for flag := range strings.FieldsSeq(test.flags) {
			name, value, _ := strings.Cut(flag, "=")
			values[name] = value
		}
		serve, err := validatedFlags(t, values)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: error %v, want %q", test.flags, err, test.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.flags, err)
			continue
		}
		var idle []string
		for _, notice := range serve.Idle() {
			idle = append(idle, notice.Setting)
		}
		if got := strings.Join(idle, " "); got != test.idle {
			t.Errorf("%s: without effect are %q, want %q", test.flags, got, test.idle)
		}
	}
}

// Each flag of a gate is one of serve's.
func TestGatesAreFlags(t *testing.T) {
	t.Parallel()
	var names []string
	for _, group := range new(Serve).Flags() {
		for _, flag := range group.Flags {
			names = append(names, flag.Name)
		}
	}
	for _, gate := range gates {
		if !slices.Contains(names, gate) {
			t.Errorf("--%s is no flag of serve", gate)
		}
	}
}

// A file with a secret that every user can read is told, and so is one that decides who may call and
// that every user can change.
func TestExposedFilesAreTold(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		flag string
		mode os.FileMode
		can  string // empty: nothing is told
	}{
		{"secret-file", 0o666, "change"},
		{"secret-file", 0o644, "read"},
		{"secret-file", 0o640, ""},
		{"secret-file", 0o400, ""},
		{"api-key-file", 0o644, "read"},
		{"api-key-file", 0o602, "change"},
		{"api-key-file", 0o600, ""},
		{"audit-key-file", 0o644, "read"},
		{"audit-key-file", 0o666, "change"},
		{"audit-key-file", 0o440, ""},
		{"caller-tokens-file", 0o646, "change"},
		{"caller-tokens-file", 0o644, ""},
		{"policy-file", 0o666, "change"},
		{"policy-file", 0o644, ""},
		{"limit-redis-password-file", 0o644, "read"},
		{"limit-redis-password-file", 0o600, ""},
		{"tls-key", 0o644, "read"},
		{"tls-key", 0o600, ""},
		{"tls-cert", 0o666, "change"},
		{"tls-cert", 0o644, ""},
		{"ca-file", 0o666, "change"},
		{"ca-file", 0o644, ""},
		{"tls-client-ca", 0o666, "change"},
		{"tls-client-ca", 0o644, ""},
	} {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		serve, err := given(t, map[string]string{test.flag: path})
		if err != nil {
			t.Fatal(err)
		}
		notices := serve.Exposed()
		told := len(notices) == 1 && notices[0].Setting == path && strings.Contains(notices[0].Text, "can "+test.can+" the file")
		if told != (test.can != "") || !told && len(notices) > 0 {
			t.Errorf("--%s with mode %#o: %v, want %q", test.flag, test.mode, notices, test.can)
		}
	}
}

// The kubelet writes the files of a Secret with mode 0644, for the containers that mount it alone.
func TestFilesOfAVolumeAreNotExposed(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]int{0o644: 0, 0o666: 1} {
		volume := t.TempDir()
		written := filepath.Join(volume, "..2026_11_26")
		path := filepath.Join(volume, "secret")
		err := errors.Join(os.Mkdir(written, 0o700), os.WriteFile(filepath.Join(written, "secret"), []byte("x"), 0o600),
			os.Chmod(filepath.Join(written, "secret"), mode),
			os.Symlink(filepath.Base(written), filepath.Join(volume, "..data")), os.Symlink("..data/secret", path))
		if err != nil {
			t.Fatal(err)
		}
		serve, err := given(t, map[string]string{"secret-file": path})
		if err != nil {
			t.Fatal(err)
		}
		if notices := serve.Exposed(); len(notices) != want {
			t.Errorf("mode %#o: %v", mode, notices)
		}
	}
}
