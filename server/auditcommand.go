package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

func newAuditCommands(console *console) *cobra.Command {
	audits := &cobra.Command{
		Use:     "audit",
		Short:   "Verify and search audit records.",
		Example: "chatidentity audit verify --audit-key-file audit.key audit*.jsonl",
	}
	audits.AddCommand(newAuditVerifyCommand(console), newAuditFindCommand(console))
	return audits
}

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

// keys returns the keys. A file that cannot be read is a usage error: exit code 1 is for records
// that are wrong.
func (f *auditFlags) keys() ([]*audit.Key, error) {
	for _, path := range f.Files {
		if _, err := os.Stat(path); err != nil && path != "-" {
			return nil, config.Usage("audit file: %v", err)
		}
	}
	if f.AuditKeyFile == "" {
		return nil, nil
	}
	return config.ReadAuditKeys(f.AuditKeyFile)
}
