package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// AuditOptions returns the options of the audit log, with the keys of --audit-key-file.
func (a *Audit) AuditOptions(log *slog.Logger) (writer.Options, error) {
	options := writer.Options{
		File:     a.AuditFile,
		Instance: a.Instance,
		Mode:     a.AuditMode,
		NoSync:   !a.AuditSync,
		Timeout:  a.AuditTimeout,
		MaxSize:  int64(a.AuditMaxSize),
		MinFree:  int64(a.AuditMinFree),
		Logger:   log,
	}
	if a.AuditKeyFile == "" {
		return options, nil
	}
	var err error
	options.Keys, err = ReadAuditKeys(a.AuditKeyFile)
	return options, err
}

// AuditFileError names the flag in an error of the audit file, and says what to do.
func AuditFileError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return Usage("--audit-file: %v: make it writable for user %d", err, os.Getuid())
	}
	return Usage("--audit-file: %v", err)
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
