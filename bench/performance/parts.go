package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// part is something that a sidecar does for each call, switched off by flags or, where there is no
// flag, by a change of the source. Tracing is off unless a part switches it on.
type part struct {
	name    string
	args    []string
	edits   []edit
	sampler string // not empty: tracing is on, with this sampler
}

// edit replaces every line of a file that has a text in it. There must be so many of them.
type edit struct {
	file, text string
	lines      int
	by         string
}

const (
	chain   = "server/internal/rpc/chain.go"
	place   = "server/internal/rpc/place.go"
	server  = "server/internal/rpc/server.go"
	traffic = "server/internal/listen/traffic.go"
	audited = "server/internal/rpc/audit.go"
	spans   = "server/internal/trace/trace.go"
)

var parts = []part{
	{name: "everything on, record written"},
	{name: "record synced", args: []string{"--audit-sync", "on"}},
	{name: "no call waits for its record", args: []string{"--audit-mode", "best-effort"}},
	{name: "records to /dev/null", args: []string{"--audit-file", "-"}},
	{name: "no limits", args: []string{"--limit-global", "off", "--limit-caller", "off", "--limit-customer", "off"}},
	{name: "no metrics of calls", edits: []edit{{chain, "s.count, ", 1, ""}, {audited, "s.metrics.count(c)", 1, ""}}},
	{name: "no recovery", edits: []edit{
		{chain, "\trecovered, ", 2, ""},
		{chain, "recovered := recovery", 1, "\t_ = recovery.UnaryServerInterceptor"},
	}},
	{name: "no bounds of open calls", edits: []edit{{place, "isOver := connection.IsOver()", 1, "\tisOver := false"}}},
	{name: "no bounds of frames and bytes", edits: []edit{
		{traffic, "func (t *traffic) take(p []byte", 1, readFreely},
		{traffic, "func (t *traffic) Write(p []byte)", 1, writeFreely},
	}},
	{name: "a goroutine for each call instead of workers", edits: []edit{{server, "grpc.NumStreamWorkers(", 1, ""}}},
	{name: "tracing on, no call sampled", sampler: "always_off"},
	{name: "tracing on, 100 calls a second sampled", sampler: "always_on"},
	{name: "tracing on, every call sampled", sampler: "always_on", edits: []edit{
		{spans, "MaxSpans = 100", 1, "\tMaxSpans = 1e9"},
		{spans, "maxQueue = 2048", 1, "\tmaxQueue = 1 << 16"},
	}},
}

// What reads and writes a connection without counting. The connection must still be told that its
// client has proven itself.
const (
	readFreely = `func (t *traffic) take(_ []byte, n int, err error) (int, error) {
	if proven := t.proven; proven != nil {
		t.proven = nil
		proven()
	}
	return n, err
}

func (t *traffic) takeAndCount(p []byte, n int, err error) (int, error) {`
	writeFreely = `func (t *traffic) Write(p []byte) (int, error) {
	return t.Conn.Write(p)
}

func (t *traffic) writeAndCount(p []byte) (int, error) {`
)

// measureParts measures what each part costs: everything on, and one part off at a time, or tracing
// on.
func (b *bench) measureParts(ctx context.Context) error {
	collector, err := b.startCollector()
	if err != nil {
		return err
	}
	commands := []named{
		{floor, b.bareCommand("parts-floor")},
		{"the floor with 64 stream workers", b.bareCommand("parts-workers", "--workers", "64")},
	}
	for i, p := range parts {
		program := b.sidecar
		if p.edits != nil {
			var err error
			if program, err = b.edited(ctx, i, p.edits); err != nil {
				b.faults = append(b.faults, fmt.Errorf("parts: %s: %w", p.name, err))
				continue
			}
		}
		command := b.sidecarCommand(program, fmt.Sprint("part", i), p.args...)
		if p.sampler != "" {
			command.Env = append(command.Env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+collector,
				"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_TRACES_SAMPLER="+p.sampler)
		}
		commands = append(commands, named{p.name, command})
	}
	contenders, err := b.startAll(commands)
	if err != nil {
		return err
	}
	var lanes []*lane
	for _, c := range contenders {
		lanes = append(lanes, &lane{name: c.name, measure: func(ctx context.Context) (sample, error) {
			return c.closed(ctx, inFlight, b.length)
		}})
	}
	if err := interleave(ctx, b.rounds, lanes); err != nil {
		return err
	}
	var table [][]string
	for i, l := range lanes[1:] {
		saves := ""
		if i > 1 { // neither the floor with workers nor everything on
			saves = lanes[2].cpu.Minus(l.cpu).Text(1)
		}
		table = append(table, []string{l.name, l.cpu.Text(1), l.cpu.Over(lanes[0].cpu).Text(2), saves})
	}
	b.page.Table("parts", []string{"", "µs per call", "÷ floor", "saves, µs"}, table)
	return nil
}

// edited builds the sidecar with some of its source changed.
func (b *bench) edited(ctx context.Context, number int, edits []edit) (string, error) {
	program := b.file(fmt.Sprint("edited", number))
	overlay := map[string]string{}
	for _, e := range edits {
		original := filepath.Join(b.repository, e.file)
		changed := filepath.Join(b.work, fmt.Sprintf("edited%d-%s", number, filepath.Base(e.file)))
		from := original
		if overlay[original] != "" {
			from = changed
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		applied, err := e.apply(string(text))
		if err != nil {
			return "", err
		}
		overlay[original] = changed
		if err := os.WriteFile(changed, []byte(applied), 0o600); err != nil {
			return "", err
		}
	}
	changed := sidecarOf(b.repository)
	changed.Overlay = overlay
	return program, changed.Into(ctx, program)
}

// apply returns the file's content with the edit made.
func (e edit) apply(content string) (string, error) {
	lines := strings.SplitAfter(content, "\n")
	found := 0
	for i := range lines {
		if strings.Contains(lines[i], e.text) {
			found++
			lines[i] = e.by + "\n"
		}
	}
	if found != e.lines {
		return "", fmt.Errorf("%s has %d lines with %q, not %d: mend the table of parts", e.file, found, e.text, e.lines)
	}
	return strings.Join(lines, ""), nil
}
