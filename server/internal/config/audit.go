package config

import (
	"log/slog"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// AuditOptions returns the options of the audit log, with the keys of --audit-key-file.
func (a *Audit) AuditOptions(log *slog.Logger) (writer.Options, error) {
	options := writer.Options{
		File:    a.AuditFile,
		Mode:    a.AuditMode,
		NoSync:  !a.AuditSync,
		Timeout: a.AuditTimeout,
		MaxSize: int64(a.AuditMaxSize),
		MinFree: int64(a.AuditMinFree),
		Logger:  log,
	}
	if a.AuditKeyFile == "" {
		return options, nil
	}
	var err error
	options.Keys, err = ReadAuditKeys(a.AuditKeyFile)
	return options, err
}

// ReadAuditKeys returns the keys of --audit-key-file, the current one first.
func ReadAuditKeys(path string) ([]*audit.Key, error) {
	file, err := watch.ReadFile(path)
	if err != nil {
		return nil, Usage("--audit-key-file: %v", err)
	}
	keys, err := audit.ParseKeys(file)
	if err != nil {
		return nil, Usage("--audit-key-file %s: %v", path, err)
	}
	return keys, nil
}
