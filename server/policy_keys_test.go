package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// keysCase is the file of an issuer's keys, without which the policy that names it is wrong. A user
// whose proof is asked for has got past the configuration: that is the app's good answer here.
func keysCase(t *testing.T) *fileCase {
	t.Helper()
	c := contentCase(t, "--policy-file", "", publicKeySet, `{"keys":[]}`) // no kind: while serving it is not the policy's
	c.args[1] = writeFile(t, policyWithProof(c.args[1]))
	c.app = func(t *testing.T, p *running) error {
		t.Helper()
		if err := anyApp(t, p); reason(err) != "USER_UNPROVEN" {
			return err
		}
		return nil
	}
	return c
}

const policyWithoutProof = "callers: {loopback: {organizations: all}}\n"

func policyWithProof(keys string) string {
	return "issuers: {login: {issuer: 'https://login.example.com', audience: shop, external_id: sub, jwks_file: '" + keys + "'}}\n" +
		"callers: {loopback: {organizations: all, proof: login}}\n"
}

// A policy that is rejected because keys that it names are missing or wrong takes effect once they
// are good, though the policy file stays as it is. The rejection is logged once and counted once.
func TestPolicyWaitsForTheKeysThatItNames(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		breaks, mend func(t *testing.T, keys string)
	}{
		"missing": {nothing, putKeys},
		"wrong":   {func(t *testing.T, keys string) { t.Helper(); put(t, keys, "{}") }, putKeys},
		"missing, with their directory": {
			func(t *testing.T, keys string) { t.Helper(); move(t, filepath.Dir(keys), filepath.Dir(keys)+"-later") },
			func(t *testing.T, keys string) {
				t.Helper()
				put(t, filepath.Join(filepath.Dir(keys)+"-later", filepath.Base(keys)), publicKeySet)
				move(t, filepath.Dir(keys)+"-later", filepath.Dir(keys))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, keys := replacePolicy(t, test.breaks)
			test.mend(t, keys)
			eventually(t, "demand for proof", func() bool { return reason(anyApp(t, p)) == "USER_UNPROVEN" })
			eventually(t, "count", func() bool { return p.metric(t, `chatidentity_file_reloads_total{file="policy",result="ok"}`) == 1 })
			if wrong := p.metric(t, `chatidentity_files_wrong{file="policy"}`); wrong != 0 {
				t.Errorf("%v policies are wrong", wrong)
			}
			assertRejectedOnce(t, p)
		})
	}
}

// A reload reads the policy again at once, and the keys that it names.
func TestReloadOfAPolicyThatWaitsForKeys(t *testing.T) {
	t.Parallel()
	for name, policyAgain := range map[string]bool{"the keys alone have changed": false, "the policy is written again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, keys := replacePolicy(t, nothing)
			reload := func() (int, string) {
				code, stdout, stderr := command(t, nil, "", "reload", "--pid", strconv.Itoa(p.Process.Pid), "--admin-address", p.admin)
				return code, stdout + stderr
			}
			for range 3 {
				if code, said := reload(); code != 1 || !strings.Contains(said, keys) {
					t.Errorf("without the keys: code %d, %s", code, said)
				}
			}
			if err := anyApp(t, p); err != nil {
				t.Errorf("under the last good policy: %v", err)
			}
			put(t, keys, publicKeySet)
			if policyAgain {
				put(t, p.Args[len(p.Args)-1], policyWithProof(keys))
			}
			if code, said := reload(); code != 0 {
				t.Errorf("with the keys: code %d, %s", code, said)
			}
			if err := anyApp(t, p); reason(err) != "USER_UNPROVEN" {
				t.Errorf("after the reload: %v", err)
			}
			assertRejectedOnce(t, p)
		})
	}
}

// replacePolicy starts a sidecar under a policy without proof, and replaces that by one whose keys
// are not good. It returns once the new one is rejected; the flag of the policy is the last.
func replacePolicy(t *testing.T, breaks func(t *testing.T, keys string)) (p *running, keys string) {
	t.Helper()
	keys = filepath.Join(t.TempDir(), "volume", "keys.json")
	if err := os.Mkdir(filepath.Dir(keys), 0o700); err != nil {
		t.Fatal(err)
	}
	breaks(t, keys)
	policy := writeFile(t, policyWithoutProof)
	p = start(t, withSecret("--policy-file", policy))
	put(t, policy, policyWithProof(keys))
	eventually(t, "rejection", func() bool { return strings.Contains(p.stderr.String(), `"event":"file_rejected"`) })
	if err := anyApp(t, p); err != nil {
		t.Errorf("under the last good policy: %v", err)
	}
	return p, keys
}

func assertRejectedOnce(t *testing.T, p *running) {
	t.Helper()
	count := p.metric(t, `chatidentity_file_reloads_total{file="policy",result="error"}`)
	if lines := strings.Count(p.stderr.String(), `"event":"file_rejected"`); lines != 1 || count != 1 {
		t.Errorf("the rejection is logged %d times and counted %v times, want once:\n%s", lines, count, p.stderr)
	}
}

func nothing(*testing.T, string) {}

func putKeys(t *testing.T, keys string) { t.Helper(); put(t, keys, publicKeySet) }
