package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// The checks of the audit trail.
const (
	checkAuditKeys  = "audit keys"
	checkAuditFile  = "audit file"
	checkAuditDisk  = "audit disk"
	checkAuditChain = "audit chain"
)

// audit checks the keys, and of a file whether records could go on in it.
func (x *examination) audit(ctx context.Context) {
	keys := x.auditKeys()
	if x.config.AuditFile == "-" {
		return // serve's standard output is not ours
	}
	host, err := os.Hostname()
	if err != nil {
		x.failf(checkAuditFile, "the host name, which stands for {instance}, is not known: %v", err)
		return
	}
	path := strings.ReplaceAll(x.config.AuditFile, "{instance}", host)
	exists, err := auditFileFree(path)
	if err != nil {
		x.failf(checkAuditFile, "%s: %v", path, err)
		return
	}
	if x.auditDisk(path) && exists {
		x.auditChain(ctx, path, keys)
	}
}

func (x *examination) auditKeys() []*audit.Key {
	options, err := x.config.AuditOptions(nil)
	switch {
	case err != nil:
		x.failf(checkAuditKeys, "%v", err)
	case len(options.Keys) == 0:
		x.warnf(checkAuditKeys, "no --audit-key-file: nobody will be able to verify the records, or to find a person in them")
	default:
		x.okf(checkAuditKeys, "%d; the current one is %s", len(options.Keys), options.Keys[0].ID())
	}
	return options.Keys
}

// auditFileFree reports whether the file is there; the error is why serve could
// not write to it.
func auditFileFree(path string) (bool, error) {
	if err := auditFileLocked(path + ".lock"); err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, errors.New("it is no regular file, so nothing stays in it: name another, or - for standard output")
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the operator's path; neither made nor cut
	if err != nil {
		return false, fmt.Errorf("%w: make it writable for user %d", err, os.Getuid())
	}
	return true, file.Close()
}

// auditFileLocked returns an error while another process writes to the file. It
// makes no lock file, and holds a lock that is free for an instant.
func auditFileLocked(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // beside the operator's path
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // which unlocks it
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("in use (by a running sidecar?): stop what writes to it, or give each process its own, for example with {instance}")
	}
	return err
}

// auditDisk writes and syncs a file beside the audit file, as serve would a
// record, and reports whether that went well.
func (x *examination) auditDisk(path string) bool {
	directory := filepath.Dir(path)
	took, err := trySync(directory)
	if err != nil {
		x.failf(checkAuditFile, "no record can be written in %s: %v: make room, and make it writable for user %d", directory, err, os.Getuid())
		return false
	}
	took = took.Round(10 * time.Microsecond)
	if took > x.config.AuditTimeout {
		x.failf(checkAuditFile, "writing and syncing a record took %s, longer than --audit-timeout %s: use a faster disk", took, x.config.AuditTimeout)
	} else {
		x.okf(checkAuditFile, "%s can be written; writing and syncing a record took %s", path, took)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(directory, &disk); err != nil {
		x.failf(checkAuditDisk, "how much room there is cannot be told: %v", err)
		return true
	}
	free := int64(disk.Bavail) * int64(disk.Bsize) //nolint:gosec,unconvert,nolintlint // the types differ by system
	if free < int64(x.config.AuditMinFree) {
		x.warnf(checkAuditDisk, "%d MiB are free in %s, below --audit-min-free (%d MiB); when it is full no token is issued: make room",
			free>>20, directory, x.config.AuditMinFree>>20)
	} else {
		x.okf(checkAuditDisk, "%d MiB are free", free>>20)
	}
	return true
}

// trySync makes a file with nothing but zeros in the directory and removes it.
func trySync(directory string) (time.Duration, error) {
	file, err := os.CreateTemp(directory, ".chatidentity-doctor-*")
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = file.Write(make([]byte, audit.MaxLine))
	if err == nil {
		err = file.Sync()
	}
	took := time.Since(began)
	return took, errors.Join(err, file.Close(), os.Remove(file.Name()))
}
