// Release makes everything that a release of chatidentity carries, out of one
// commit. The same commit and version give the same bytes in any folder, if the versions of Go,
// Node.js, npm and Python are the same too.
//
//	release -version v1.2.3 [-out dist/release] [-platforms linux/amd64,linux/arm64]
//
// It signs with the minisign key that CHATIDENTITY_RELEASE_KEY_FILE names
// (CHATIDENTITY_RELEASE_KEY_PASSWORD decrypts it), and says so if there is none. The programs that
// it runs do not inherit these two variables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// versions are those that Go, npm and pip all understand.
var versions = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(alpha|beta|rc)\.[1-9]\d*)?$`)

func main() {
	version := flag.String("version", "", "what to release, such as v1.2.3")
	source := flag.String("source", "../..", "the repository; its last commit is released")
	out := flag.String("out", "", "where to put the release (default: dist/release in the repository)")
	only := flag.String("platforms", "", "make programs for these alone, such as linux/amd64,linux/arm64 (default: all)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *version, *source, *out, *only, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is one commit on its way to a folder of files.
type release struct {
	version    string // without the v
	platforms  []platform
	repository string    // the checkout
	commit     string    // of which the release is made
	time       time.Time // of the commit: the only time in any file
	source     string    // the commit's files, and nothing else
	out        string
	signer     signer
	log        io.Writer
}

func run(ctx context.Context, version, source, out, only string, log io.Writer) error {
	signer := takeSigner() // before anything is run
	if !versions.MatchString(version) {
		return fmt.Errorf("version %q is not of the form v1.2.3 or v1.2.3-rc.1: make release VERSION=v1.2.3", version)
	}
	platforms, err := platformsOf(only)
	if err != nil {
		return err
	}
	repository, err := filepath.Abs(source)
	if err != nil {
		return err
	}
	if out == "" {
		out = filepath.Join(repository, "dist", "release")
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := replaceable(out); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "chatidentity-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	r := &release{
		version: version[1:], platforms: platforms, repository: repository,
		source: filepath.Join(work, "source"), out: out, signer: signer, log: log,
	}
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"sources", r.checkout},
		{"programs", r.programs},
		{"bills of materials", r.bills},
		{"licenses", r.licenses},
		{"image", r.image},
		{"packages", r.packages},
		{"Helm chart", r.chart},
		{"notes", r.notes},
		{"provenance", r.provenance},
		{"checksums and signature", r.sign},
	}
	for _, step := range steps {
		begin := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		r.sayf("%-24s %5.1f s\n", step.name, time.Since(begin).Seconds())
	}
	return r.list()
}

// ofARelease are the names of files that a release leaves.
var ofARelease = regexp.MustCompile(`^(chatidentity[_-]\d.*|SHA256SUMS(\.minisig)?)$`)

// replaceable refuses a folder with anything that is not of a release: all in it will be deleted.
func replaceable(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !ofARelease.MatchString(entry.Name()) {
			return fmt.Errorf("-out %s holds %s, which is not of a release: give an empty folder", out, entry.Name())
		}
	}
	return nil
}

// checkout copies the files of the last commit.
func (r *release) checkout(ctx context.Context) error {
	changed, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return errors.New("the checkout has changes: commit them first, a release is made of a commit")
	}
	if r.commit, err = r.git(ctx, "rev-parse", "HEAD"); err != nil {
		return err
	}
	when, err := r.git(ctx, "show", "--no-patch", "--format=%cI", r.commit)
	if err != nil {
		return err
	}
	if r.time, err = time.Parse(time.RFC3339, when); err != nil {
		return err
	}
	r.time = r.time.UTC()
	for _, folder := range []string{r.source, r.out} {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	archive := filepath.Join(filepath.Dir(r.source), "source.tar")
	if _, err := r.git(ctx, "archive", "--output", archive, r.commit); err != nil {
		return err
	}
	_, err = r.run(ctx, r.source, nil, "tar", "-xf", archive)
	return err
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	return r.run(ctx, r.repository, nil, "git", args...)
}

// run runs a command and returns its output without the last line break.
func (r *release) run(
	ctx context.Context, folder string, environment []string, name string, args ...string,
) (string, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(r.time.Unix(), 10))
	command.Env = append(command.Env, environment...)
	out, err := command.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, failed.Stderr)
	}
	return strings.TrimSuffix(string(out), "\n"), err
}

// sayf tells the progress; nobody who reads it may stop a release.
func (r *release) sayf(format string, args ...any) { _, _ = fmt.Fprintf(r.log, format, args...) }

// file is the path of a file of the release, whose name says what it is of.
func (r *release) file(rest string) string {
	return filepath.Join(r.out, "chatidentity_"+r.version+"_"+rest)
}

// list prints what was made.
func (r *release) list() error {
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	r.sayf("\n%s, commit %s, in %s:\n", r.version, r.commit, r.out)
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		r.sayf("%10d  %s\n", info.Size(), entry.Name())
	}
	return nil
}
