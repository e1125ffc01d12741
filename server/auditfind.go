package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/token"
)

type auditFindCommand struct {
	auditFlags
	wanted  []*wanted
	Since   time.Time
	Until   time.Time
	UTC     bool
	Follow  bool
	Summary bool
	Output  string
}

// wanted is what a flag says about a field.
type wanted struct {
	audit.Field

	value string
}

// searchFlags are the flags of the fields that can be searched for.
func (c *auditFindCommand) searchFlags() []config.Flag {
	var flags []config.Flag
	for _, field := range audit.Fields() {
		if field.Search.By == "" {
			continue
		}
		w := &wanted{Field: field}
		c.wanted = append(c.wanted, w)
		flags = append(flags, config.String(&w.value, field.Search.By, field.Search.Value, "", field.Search.Help))
	}
	return flags
}

func newAuditFindCommand(console *console) *cobra.Command {
	var c auditFindCommand
	return withFlags(&cobra.Command{
		Use:   "find FILE|DIRECTORY|PATTERN...",
		Short: "Find the audit records of a person, token, call or caller.",
		Long: `It prints the records that match everything that is given, and does not verify
them: see audit verify.
` + whichFiles + `
The exit code is 0 even when nothing matches, and 2 when a file cannot be read
to its end.`,
		Example: "chatidentity audit find --audit-key-file audit.key --email ada@example.com /var/log/chatidentity",
		RunE: func(command *cobra.Command, args []string) error {
			c.Files = args
			return c.run(command.Context(), console)
		},
	}, config.Group{Flags: slices.Concat([]config.Flag{c.keyFlag()}, c.searchFlags(), []config.Flag{
		config.Value(&c.Since, parseTime, "since", "TIME", "",
			"Records from this time on: 2026-11-23, 2026-11-23T08:00:00Z, or 24h for the last day."),
		config.Value(&c.Until, parseTime, "until", "TIME", "", "Records before this time, in the same forms."),
		config.Switch(&c.UTC, "utc", "Times of the table and the summary in UTC, not in your zone."),
		config.Switch(&c.Follow, "follow", "Wait for more records in the last file, until interrupted."),
		config.Switch(&c.Summary, "summary",
			"Calls by outcome, reason, caller and organization at the end, with a chart over time."),
		outputChoice(&c.Output, "table, json (the lines as they are), or auto: a table on a terminal and JSON elsewhere."),
	})})
}

// timeForms are how people write a time. Without a zone it is UTC, as in records.
var timeForms = []string{
	time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00", time.DateTime, "2006-01-02 15:04", time.DateOnly,
}

func parseTime(text string) (time.Time, error) { return timeOf(text, time.Now()) }

// timeOf reads a time, or how long before now it was.
func timeOf(text string, now time.Time) (time.Time, error) {
	for _, form := range timeForms {
		if at, err := time.Parse(form, strings.ToUpper(text)); err == nil {
			return at, nil
		}
	}
	if ago, err := config.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf(
		"%q must be a time such as 2026-11-23 or 2026-11-23T00:00:00Z, or a time ago such as 24h", text)
}

// run prints the records that match, and a summary on standard error.
func (c *auditFindCommand) run(ctx context.Context, console *console) error {
	keys, err := c.keys()
	if err != nil {
		return err
	}
	query, err := c.query(console.in)
	if err != nil {
		return err
	}
	logs, err := c.logs(ctx, console)
	if err != nil {
		return err
	}
	options, summaryTo := c.options(keys, console)
	sources := sourcesOf(logs...)
	bar := newProgressBar(console, sources)
	if last := &sources[len(sources)-1]; c.Follow && last.Name != "-" { // standard input waits by itself
		if err := oneLog(logs, "--follow"); err != nil {
			return err
		}
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		if *last, err = reader.Follow(ctx, *last); err != nil { // before the others are read
			return unreadable(err)
		}
	}
	if !c.Follow {
		options.Progress = bar.show
	}
	found, err := reader.Find(ctx, sources, query, options, console.out)
	bar.done()
	if c.Summary && found.Matches > 0 {
		err = errors.Join(err, options.Summary.Print(summaryTo, options.Zone))
	}
	_, printErr := fmt.Fprintln(console.err, describe(&found))
	return errors.Join(unreadable(err), printErr)
}

// describe says in a line what a search went through.
func describe(found *reader.Found) string {
	said := fmt.Sprintf("%d of %d records match", found.Matches, found.Records)
	if found.Unknown > 0 {
		said += fmt.Sprintf("; %d are under unknown keys, where nobody can be searched for", found.Unknown)
	}
	if found.Damaged > 0 {
		said += fmt.Sprintf("; %d lines are damaged records", found.Damaged)
	}
	if found.Others > 0 {
		said += fmt.Sprintf("; %d lines are no records", found.Others)
	}
	return said
}

// options says how to print, and where the summary goes: it must not stand among lines of JSON.
func (c *auditFindCommand) options(keys []*audit.Key, console *console) (reader.FindOptions, io.Writer) {
	options := reader.FindOptions{Keys: keys, Output: reader.OutputJSON, Zone: time.Local, Live: c.Follow}
	if c.UTC {
		options.Zone = time.UTC
	}
	if c.Summary {
		options.Summary = new(reader.Summary)
	}
	if !wantsText(c.Output, console) {
		return options, console.err
	}
	options.Output = reader.OutputTable
	options.Width = columns(console.out)
	return options, console.out
}

func (c *auditFindCommand) query(stdin io.Reader) (reader.Query, error) {
	query := reader.Query{Values: map[string]string{}, Since: c.Since, Until: c.Until}
	for _, w := range c.wanted {
		value := w.value
		switch {
		case value == "":
			continue
		case w.Search.Pseudonym != "" && c.AuditKeyFile == "":
			return query, config.Usage("--%s needs --audit-key-file: records hold keyed pseudonyms and no names", w.Search.By)
		case w.Name == audit.TokenSHA256:
			var err error
			if value, err = digestFrom(stdin, value); err != nil {
				return query, err
			}
		}
		if err := w.Search.Check(value); err != nil {
			return query, config.Usage("--%s: %v", w.Search.By, err)
		}
		query.Values[w.Name] = value
	}
	if len(query.Values) == 0 && query.Since.IsZero() && query.Until.IsZero() {
		var flags strings.Builder
		for _, w := range c.wanted {
			_, _ = flags.WriteString("--" + w.Search.By + ", ")
		}
		return query, config.Usage("audit find: for what? give %sor --since", flags.String())
	}
	return query, nil
}

// digestFrom returns what records hold of the token on standard input.
func digestFrom(stdin io.Reader, given string) (string, error) {
	if given != "-" {
		return "", config.Usage("--token takes - alone: write the token to standard input, where others do not see it")
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxTokenInput))
	if err != nil {
		return "", fmt.Errorf("read the token from standard input: %w", err)
	}
	return token.Digest(strings.TrimSpace(string(text))), nil
}
