package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatidentity/chatidentity/bench/performance/process"
)

// part is something that a sidecar does for each call, switched off by flags or, where there is no
// flag, by a change of the source.
type part struct {
	name  string
	args  []string
	edits []edit
}

// edit replaces a text, which must stand exactly once in the file, by another.
type edit struct{ file, old, new string }

const chain = "server/internal/rpc/chain.go"

var parts = []part{
	{name: "everything on, record written"},
	{name: "record synced", args: []string{"--audit-sync", "on"}},
	{name: "no call waits for its record", args: []string{"--audit-mode", "best-effort"}},
	{name: "record to /dev/null", args: []string{"--audit-file", "-"}},
	{name: "no limits", args: []string{"--limit-global", "off", "--limit-caller", "off", "--limit-customer", "off"}},
	{name: "no metrics of calls", edits: []edit{{chain, "\t\ts.metrics.grpc.UnaryServerInterceptor(),\n", ""}}},
	{name: "no recovery", edits: []edit{
		{chain, "\t\trecovered,    // of", "\t\t// of"},
		{chain, "\t\t\trecovered, // a panic", "\t\t\t// a panic"},
		{chain, "\trecovered := recovery", "\t_ = recovery"},
	}},
	{name: "no bound of open calls", edits: []edit{{"server/internal/rpc/server.go", "\t\tgrpc.InTapHandle(s.place),\n", ""}}},
}

// measureParts measures what each part costs: everything on, and one part off at a time.
func (b *bench) measureParts(ctx context.Context) error {
	commands := []named{{floor, b.bareCommand("parts-floor")}}
	for i, p := range parts {
		program := b.sidecar
		if p.edits != nil {
			var err error
			if program, err = b.edited(ctx, i, p.edits); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		commands = append(commands, named{p.name, b.sidecarCommand(program, fmt.Sprint("part", i), p.args...)})
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
	for _, l := range lanes[1:] {
		saves := ""
		if l != lanes[1] {
			saves = lanes[1].cpu.Minus(l.cpu).Text(1)
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
		if strings.Count(string(text), e.old) != 1 {
			return "", fmt.Errorf("%s has not exactly one %q: mend the table of parts", e.file, e.old)
		}
		overlay[original] = changed
		if err := os.WriteFile(changed, []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			return "", err
		}
	}
	return program, process.Build{Dir: b.repository, Package: "./server", Overlay: overlay}.Into(ctx, program)
}
