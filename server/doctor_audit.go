package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

// The checks of the audit trail.
const (
	checkAuditKeys  = "audit keys"
	checkAuditFile  = "audit file"
	checkAuditDisk  = "audit disk"
	checkAuditChain = "audit chain"
)

// audit checks the keys, and whether records could go on in the audit file.
func (x *examination) audit(ctx context.Context) {
	options, err := x.config.AuditOptions(nil)
	switch {
	case err != nil:
		x.failf(checkAuditKeys, "%v", err)
	case len(options.Keys) == 0:
		x.warnf(checkAuditKeys, "no --audit-key-file: nobody will be able to verify the records, or to find a person in them")
	default:
		x.okf(checkAuditKeys, "%d; the current one is %s", len(options.Keys), options.Keys[0].ID())
	}
	in, err := writer.Inspect(options)
	switch {
	case err != nil:
		x.failf(checkAuditFile, "%v", config.AuditFileError(err))
	case in.Path == "": // the standard output of serve is not this one
	case in.Device:
		x.warnf(checkAuditFile, "%s: %s", in.Path, writer.WarnDevice)
	default:
		x.auditDisk(&in)
		x.auditChain(ctx, &in, options.Keys)
	}
}

func (x *examination) auditDisk(in *writer.Inspection) {
	took := in.Took.Round(10 * time.Microsecond)
	switch {
	case in.WriteErr != nil:
		x.failf(checkAuditFile, "no record can be written beside %s: %v: make room", in.Path, in.WriteErr)
		return
	case took > x.config.AuditTimeout:
		x.failf(checkAuditFile, "writing a record took %s, longer than --audit-timeout %s: use a faster disk",
			took, x.config.AuditTimeout)
	default:
		x.okf(checkAuditFile, "%s can be written; writing a record took %s", in.Path, took)
	}
	if in.Free < int64(x.config.AuditMinFree) {
		x.warnf(checkAuditDisk, "%s: %d MiB are free in %s, below --audit-min-free (%d MiB): make room",
			writer.WarnLowSpace, in.Free>>20, filepath.Dir(in.Path), x.config.AuditMinFree>>20)
	} else {
		x.okf(checkAuditDisk, "%d MiB are free", in.Free>>20)
	}
}

// auditChain verifies what is in the file: serve goes on after its last whole record.
func (x *examination) auditChain(ctx context.Context, in *writer.Inspection, keys []*audit.Key) {
	if in.Torn > 0 {
		x.warnf(checkAuditChain, "%s ends in the middle of a record, as after a crash: "+
			"serve will cut that off, keep it, and go on", in.Path)
	}
	if in.Size == 0 {
		x.okf(checkAuditChain, "no record yet; the first will be number %d", in.Head.Seq+1)
		return
	}
	report, err := reader.Verify(ctx, []reader.Source{wholeRecords(in)},
		reader.VerifyOptions{Keys: keys, TrustFirst: true, AllowUnverifiable: true}) // earlier files are not read
	switch {
	case err != nil:
		x.failf(checkAuditChain, "%v", err)
	case report.Fault != nil:
		x.failf(checkAuditChain, "%v: keep the file as it is, find out what changed it, and name another", report.Fault)
	case isFuture(report.Last):
		x.warnf(checkAuditChain, "there is a record of %s, which is in the future: was the clock set back?", report.Last)
	case len(keys) == 0:
		x.okf(checkAuditChain, "it goes on after record %d; without keys that is not verified", in.Head.Seq)
	case report.Unverifiable > 0:
		x.warnf(checkAuditChain, "%d records are under a key that is not in --audit-key-file: "+
			"keep old keys there, below the current one", report.Unverifiable)
	default:
		x.okf(checkAuditChain, "whole; it goes on after record %d", in.Head.Seq)
	}
}

func isFuture(recorded string) bool {
	at, err := time.Parse(time.RFC3339Nano, recorded)
	return err == nil && time.Until(at) > clockWarning
}

// wholeRecords is the file without what is torn.
func wholeRecords(in *writer.Inspection) reader.Source {
	return reader.Source{Name: in.Path, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(in.Path)
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(file, in.Size), file}, err
	}}
}
