package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aead.dev/minisign"
)

func TestAReleaseThatCannotBeMadeIsRefused(t *testing.T) {
	t.Parallel()
	changed := checkoutOf(t)
	if err := write(filepath.Join(changed, "new.txt"), "not committed"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, version, source, platforms, want string }{
		{"no version", "", changed, "", "make release VERSION=v1.2.3"},
		{"no v", "1.2.3", changed, "", "make release VERSION=v1.2.3"},
		{"half a version", "v1.2", changed, "", "make release VERSION=v1.2.3"},
		{"a platform that nobody has", "v1.2.3", changed, "plan9/mips", `"plan9/mips" is none of`},
		{"changes that are not committed", "v1.2.3", changed, "", "commit them first"},
		{"no Dockerfile", "v1.2.3", checkoutOf(t), "", "Dockerfile"},
		{"another Go", "v1.2.3", checkoutOf(t, "Dockerfile", "ARG GO_VERSION=1.2.3\n"), "", "the Dockerfile wants go1.2.3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			err := run(t.Context(), test.version, test.source, t.TempDir(), test.platforms, &log)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// checkoutOf is a new one with a commit of the given files: name, content, name, content.
func checkoutOf(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := write(filepath.Join(folder, files[i]), files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"init", "--quiet"},
		{"add", "--all"},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "--allow-empty", "--message", "all"},
	} {
		command := exec.CommandContext(t.Context(), "git", args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return folder
}

func TestNotesAreTheSectionOfTheVersion(t *testing.T) {
	t.Parallel()
	const changelog = "# Changelog\n\n## Unreleased\n\n- soon\n\n## [1.1.0] - 2026-12-01\n\n- new\n\n### Fixed\n\n- old\n\n## 1.0.0\n\n- first\n"
	for _, test := range []struct{ version, want string }{
		{"1.1.0", "# chatidentity 1.1.0\n\n- new\n\n### Fixed\n\n- old\n"},
		{"1.0.0", "# chatidentity 1.0.0\n\n- first\n"},
		{"2.0.0", "# chatidentity 2.0.0\n\n- soon\n"},
	} {
		got, err := section(changelog, test.version)
		if err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.version, got, err, test.want)
		}
	}
	if got, err := section("# Changelog\n", "1.0.0"); err == nil {
		t.Errorf("a changelog without sections gave %q", got)
	}
}

func TestAModuleWithoutAKnownLicenseIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, text string }{
		{"none", "README", "MIT"},
		{"terms of somebody's own", "LICENSE", "You may not use this."},
		{"one line of a known one", "LICENSE", "MIT License, but only on Mondays, and never by a company that I do not like"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := write(filepath.Join(folder, test.file), test.text); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := license(&out, "example.com/m@v1.0.0", folder); err == nil {
				t.Errorf("accepted as %q", out.String())
			}
		})
	}
}

func TestKeysAreReadWithAndWithoutAPassword(t *testing.T) {
	t.Parallel()
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := minisign.EncryptKey("the password", key)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		text     []byte
		password string
		fails    bool
	}{
		{"plain", plain, "", false},
		{"encrypted", encrypted, "the password", false},
		{"another password", encrypted, "another", true},
		{"no password", encrypted, "", true},
		{"no key", []byte("no key"), "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, test.text, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readKey(path, test.password)
			if (err != nil) != test.fails || (err == nil && !got.Equal(key)) {
				t.Errorf("error %v, want one: %v", err, test.fails)
			}
		})
	}
}
