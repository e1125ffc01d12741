package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/page"
	"github.com/chatidentity/chatidentity/bench/performance/process"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

type options struct {
	rounds  int
	length  time.Duration
	records int
	only    string
	others  bool
	base    string
	dir     string
	page    string
}

// bench is one run of the benchmark.
type bench struct {
	options

	repository string
	work       string // a temporary directory
	page       *page.Page
	figures    map[string]stats.Series // what targets.go compares with the targets
	saturated  []string                // calls a second that are too many even for the floor
	ends       []func() error          // what to do at the end of the section
	faults     []error                 // what could not be measured; the rest could

	sidecar, floor, before string // programs; before is "" without a commit to compare with
}

// section is a part of the benchmark. Its name selects it (-only).
type section struct {
	name string
	run  func(*bench, context.Context) error
}

// sections are measured from the top down.
var sections = []section{
	{"calls", (*bench).measureCalls},
	{"parts", (*bench).measureParts},
	{"open", (*bench).measureOpen},
	{"connections", (*bench).measureConnections},
	{"cores", (*bench).measureCores},
	{"footprint", (*bench).measureFootprint},
	{"allocations", (*bench).measureAllocations},
	{"rooms", (*bench).measureRooms},
	{"redis", (*bench).measureRedis},
	{"verify", (*bench).measureVerify},
	{"profile", (*bench).profile},
}

var otherSections = []section{{"others", (*bench).measureOthers}}

func run(ctx context.Context, o options) error {
	began := time.Now()
	work, err := os.MkdirTemp(o.dir, "performance-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // temporary files
	b, err := prepare(ctx, o, work)
	if err != nil {
		return err
	}
	only, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	all := sections
	if o.others {
		all = otherSections
	}
	b.describeMachine()
	for _, s := range all {
		if !only.MatchString(s.name) {
			continue
		}
		at := time.Now()
		if err := errors.Join(s.run(b, ctx), b.endSection()); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("(%s: %.0f s)\n\n", s.name, time.Since(at).Seconds())
	}
	if err := b.showTargets(); err != nil {
		return err
	}
	b.page.Addf(b.block("machine"), "The run took %v.", time.Since(began).Round(time.Second))
	if o.page == "" {
		return errors.Join(b.faults...)
	}
	return errors.Join(append(b.faults, b.write())...)
}

// write writes the blocks into the page and the one for contributors beside it, and then sums up
// what they show.
func (b *bench) write() error {
	path := filepath.Join(b.repository, b.options.page)
	if err := b.page.WriteTo(path, internals(path)); err != nil {
		return err
	}
	return summarize(path)
}

// prepare builds the programs and makes their files, in a directory for the time of the run.
func prepare(ctx context.Context, o options, work string) (*bench, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/chatidentity/chatidentity")
	top, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("find the repository: %w", err)
	}
	b := &bench{
		options: o, repository: strings.TrimSpace(string(top)), work: work,
		page: &page.Page{Print: os.Stdout}, figures: map[string]stats.Series{},
		sidecar: filepath.Join(work, "chatidentity"), floor: filepath.Join(work, "bare"),
	}
	if err := b.writeSecrets(); err != nil {
		return nil, err
	}
	if err := sidecarOf(b.repository).Into(ctx, b.sidecar); err != nil {
		return nil, err
	}
	if err := b.bare().Into(ctx, b.floor); err != nil {
		return nil, err
	}
	if o.base == "" {
		return b, nil
	}
	checkout, err := process.Checkout(ctx, b.repository, o.base, work)
	if err != nil {
		return nil, err
	}
	b.before = filepath.Join(work, "before")
	return b, sidecarOf(checkout).Into(ctx, b.before)
}

// sidecarOf is the sidecar of a checkout, built as the Dockerfile builds it.
func sidecarOf(checkout string) process.Build {
	return process.Build{Dir: checkout, Package: "./server", Tags: []string{process.NoTrace}}
}

// bare is the floor: without tags a stock server, as anyone would build it.
func (b *bench) bare(tags ...string) process.Build {
	return process.Build{Dir: b.here(), Package: "./bare", Tags: tags}
}

// here is where this module is.
func (b *bench) here() string { return filepath.Join(b.repository, "bench", "performance") }

const secret = "bench-secret-0123456789-0123456789"

// auditKey is the key of all audit logs, before base64.
var auditKey = []byte("0123456789abcdef0123456789abcdef")

func (b *bench) writeSecrets() error {
	if err := os.WriteFile(b.file("secret"), []byte(secret), 0o600); err != nil {
		return err
	}
	return os.WriteFile(b.file("audit.key"), []byte(base64.StdEncoding.EncodeToString(auditKey)+"\n"), 0o600)
}

func (b *bench) file(name string) string { return filepath.Join(b.work, name) }

// block is where a section of the page stands: the run of the other languages has blocks of its
// own.
func (b *bench) block(name string) string {
	if b.others {
		return "others " + name
	}
	return name
}
