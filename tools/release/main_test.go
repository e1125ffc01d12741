package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// All in the folder is deleted, so it may hold nothing but a release.
func TestAFolderWithOtherFilesIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files []string
		fails bool
	}{
		{"empty", nil, false},
		{"a release", []string{"chatidentity_1.2.3_linux_amd64", "chatidentity-1.2.3-py3-none-any.whl", "SHA256SUMS", "SHA256SUMS.minisig"}, false},
		{"a file beside it", []string{"chatidentity_1.2.3_linux_amd64", "thesis.odt"}, true},
		{"a folder in it", []string{"SHA256SUMS", "chatidentity_1.2.3_notes.md/thesis.odt"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := t.TempDir()
			for _, file := range test.files {
				path := filepath.Join(out, file)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), write(path, "text")); err != nil {
					t.Fatal(err)
				}
			}
			err := run(t.Context(), "v1.2.3", checkoutOf(t), out, "", io.Discard) // there is no Dockerfile in it
			if refused := strings.Contains(fmt.Sprint(err), "give an empty folder"); refused != test.fails {
				t.Errorf("refused %v, want %v: %v", refused, test.fails, err)
			}
			for _, file := range test.files {
				if _, err := os.Stat(filepath.Join(out, file)); (err == nil) != test.fails {
					t.Errorf("%s: %v, want it to stay: %v", file, err, test.fails)
				}
			}
		})
	}
}

// Programs that a release runs see neither where the key is nor its password.
func TestTheKeyIsNotInherited(t *testing.T) {
	tools := t.TempDir()
	seen := filepath.Join(tools, "seen")
	git := "#!/bin/sh\nenv >" + seen + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(tools, "git"), []byte(git), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	t.Setenv(keyFile, "canary-file")
	t.Setenv(keyPassword, "canary-password")
	if err := run(t.Context(), "v1.2.3", t.TempDir(), t.TempDir(), "", io.Discard); err == nil {
		t.Fatal("made without git")
	}
	text, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(text), "PATH="+tools) || strings.Contains(string(text), "canary") {
		t.Errorf("git saw %q, %v", text, err)
	}
}

// Settings of the machine do not change what is compiled.
func TestOnlyThePlatformDecidesWhatGoCompiles(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "env")
	if err := write(settings, "GOFIPS140=latest\nGOARM64=v9.0\n"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", settings)
	t.Setenv("GOAMD64", "v3")
	t.Setenv("GOEXPERIMENT", "synchashtriemap")
	for _, test := range []struct{ architecture, variable, want string }{
		{"amd64", "GOAMD64", "v1"}, {"arm64", "GOARM64", "v8.0"},
	} {
		r, p := &release{}, platform{linux, test.architecture}
		got, err := r.run(t.Context(), ".", p.environment(), "go", "env", test.variable, "GOFIPS140", "GOEXPERIMENT")
		if want := test.want + "\noff\n"; err != nil || got != want {
			t.Errorf("%v: %q, %v, want %q", p, got, err, want)
		}
	}
}

// The wheel holds the version of what makes it.
func TestTheMakerOfTheWheelIsPinned(t *testing.T) {
	t.Parallel()
	project, err := os.ReadFile("../../gen/python/pyproject.toml")
	if err != nil || !regexp.MustCompile(`(?m)^requires = \["hatchling==[0-9.]+"\]`).Match(project) {
		t.Errorf("no pinned hatchling, %v, in\n%s", err, project)
	}
}

func TestNotesAreTheSectionOfTheVersion(t *testing.T) {
	t.Parallel()
	const changelog = "# Changelog\n\n## \n\n## Unreleased\n\n- soon\n\n## [1.1.0] - 2026-12-01\n\n- new\n\n### Fixed\n\n- old\n\n## 1.0.0\n\n- first\n"
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
