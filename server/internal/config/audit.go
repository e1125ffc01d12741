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

// OpenAuditKeys returns the keys of --audit-key-file, the current one first; nil without it. Those with
// which the process began stay: a new current key is taken up at the next start.
func (a *Audit) OpenAuditKeys(follower *watch.Follower) *watch.Value[[]*audit.Key] {
	return follow(follower, watch.Options[[]*audit.Key]{
		Kind: "audit_keys", Setting: "--audit-key-file", Paths: []string{a.AuditKeyFile},
		Parse: func(contents [][]byte, last []*audit.Key) ([]*audit.Key, error) {
			keys, err := audit.ParseKeys(contents[0])
			switch {
			case err != nil:
				return nil, err
			case last == nil:
				return keys, nil
			case last[0].ID() != keys[0].ID():
				return nil, errors.New("the current key has changed: that takes a restart")
			default:
				return last, nil
			}
		},
	})
}

// AuditOptions returns the options of the audit log. Without keys it uses a random one.
func (a *Audit) AuditOptions(keys *watch.Value[[]*audit.Key], log *slog.Logger) writer.Options {
	options := writer.Options{
		File:     a.AuditFile,
		Instance: a.Instance,
		Mode:     a.AuditMode,
		NoSync:   !a.AuditSync,
		Timeout:  a.AuditTimeout,
		MaxSize:  int64(a.AuditMaxSize),
		MinFree:  int64(a.AuditMinFree),
		FileMode: a.AuditFileMode,
		MaxFiles: a.AuditMaxFiles,
		Copy:     a.AuditCopy == CopyToStandard,
		Logger:   log,
	}
	if keys != nil {
		options.ReadKeys = keys.Current
	}
	return options
}

// AuditFileError names the flag in an error of the audit file, and says what to do; nil for nil.
func AuditFileError(err error) error {
	if err == nil {
		return nil
	}
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
