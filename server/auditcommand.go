package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

func newAuditCommands(console *console) *cobra.Command {
	audits := &cobra.Command{
		Use:     "audit",
		Short:   "Verify and search audit records.",
		Example: "chatidentity audit verify --audit-key-file audit.key /var/log/chatidentity",
	}
	audits.AddCommand(newAuditVerifyCommand(console), newAuditFindCommand(console))
	return audits
}

// whichFiles is of the help of both commands.
const whichFiles = `
Files are read in the order given; - is standard input. A directory, or a pattern
in quotes, stands for the audit files among its files: those of one log, current
and rotated, in the order of their records, one log after another. The others are
left out, and named. Files may be gzipped, and may be logs of containers, of the
journal or of syslog, in which other lines stand between the records.
`

// auditFlags are those of both commands.
type auditFlags struct {
	Files        []string
	AuditKeyFile string
}

func (f *auditFlags) keyFlag() config.Flag {
	return config.Path(&f.AuditKeyFile, "audit-key-file", "",
		"The audit keys that serve uses; older ones below the current one.")
}

// unreadable makes a usage error of a file that cannot be read to its end: exit code 1 is for records
// that are wrong.
func unreadable(err error) error {
	if source := new(reader.SourceError); errors.As(err, &source) {
		return config.Usage("%v", source)
	}
	return err
}

// keys returns the keys.
func (f *auditFlags) keys() ([]*audit.Key, error) {
	if f.AuditKeyFile == "" {
		return nil, nil
	}
	return config.ReadAuditKeys(f.AuditKeyFile)
}

// logs returns the logs that the arguments mean, and says what it leaves out of directories.
func (f *auditFlags) logs(ctx context.Context, console *console) ([]reader.Log, error) {
	logs, leftOut, err := reader.Logs(ctx, f.Files...)
	for _, left := range leftOut {
		line := visibleLine(fmt.Sprintf("left out: %s: %s", left.Name, left.Reason))
		if _, err := fmt.Fprintln(console.err, line); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, config.Usage("%v", err)
	}
	return logs, nil
}

// oneLog refuses what makes sense of a single log alone.
func oneLog(logs []reader.Log, flag string) error {
	if len(logs) == 1 {
		return nil
	}
	var names []string
	for _, log := range logs {
		names = append(names, visibleLine(log.Name))
	}
	return config.Usage("%s goes with one log, and here are %d: %s; name the files of one",
		flag, len(logs), strings.Join(names, ", "))
}

func sourcesOf(logs ...reader.Log) []reader.Source {
	var sources []reader.Source
	for _, log := range logs {
		sources = append(sources, log.Sources...)
	}
	return sources
}
