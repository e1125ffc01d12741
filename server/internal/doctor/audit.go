package doctor

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
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

func auditKeys(_ context.Context, s *setup) []Finding {
	switch {
	case s.keys == nil:
		return warningf("no --audit-key-file: nobody will be able to verify the records or find a person in them")
	case s.keys.Err() != nil:
		return s.wrongFile(s.keys.Problem())
	default:
		return okf("%d; the current one is %s", len(s.keys.Load()), s.keys.Load()[0].ID())
	}
}

// auditFile looks at whether records could go on there. The standard output of serve is not ours.
func auditFile(_ context.Context, s *setup) []Finding {
	in, err := s.auditFile()
	took := in.Took.Round(10 * time.Microsecond)
	switch {
	case err != nil:
		return s.wrongFile(config.AuditFileError(err))
	case in.Path == "":
		return nil
	case in.Device:
		return warningf("%s: %s", in.Path, writer.WarnDevice)
	case in.WriteErr != nil:
		return failedf("no record can be written beside %s: %v: make room", in.Path, in.WriteErr)
	case took > s.AuditTimeout:
		return failedf("writing a record took %s, longer than --audit-timeout %s: use a faster disk", took, s.AuditTimeout)
	default:
		return okf("%s can be written; writing a record took %s", in.Path, took)
	}
}

// isFile reports whether records would be kept in a file, which could be opened.
func isFile(in writer.Inspection, err error) bool { return err == nil && in.Path != "" && !in.Device }

func auditDisk(_ context.Context, s *setup) []Finding {
	in, err := s.auditFile()
	switch {
	case !isFile(in, err) || in.WriteErr != nil:
		return nil
	case in.Free < int64(s.AuditMinFree):
		return warningf("%s: %d MiB are free in %s, below --audit-min-free (%d MiB): make room",
			writer.WarnLowSpace, in.Free>>20, filepath.Dir(in.Path), s.AuditMinFree>>20)
	default:
		return okf("%d MiB are free", in.Free>>20)
	}
}

// auditChain verifies what is in the file: serve goes on after its last whole record.
func auditChain(ctx context.Context, s *setup) []Finding {
	in, err := s.auditFile()
	if !isFile(in, err) {
		return nil
	}
	var tail []Finding
	if in.Torn > 0 {
		tail = warningf("%s ends in the middle of a record, as after a crash: serve will set that aside and go on", in.Path)
	}
	if in.Untrusted != "" {
		tail = warningf("%s ends in a record that was not written there: serve will set the file aside and begin a new chain",
			in.Untrusted)
	}
	return append(tail, s.wholeRecords(ctx, &in)...)
}

func (s *setup) wholeRecords(ctx context.Context, in *writer.Inspection) []Finding {
	if in.Size == 0 {
		return okf("no record yet; the first will be number %d", in.Head.Seq+1)
	}
	var keys []*audit.Key
	if s.keys != nil {
		keys = s.keys.Load()
	}
	records := reader.Source{Name: in.Path, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(in.Path)
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(file, in.Size), file}, err
	}}
	report, err := reader.Verify(ctx, []reader.Source{records},
		reader.VerifyOptions{Keys: keys, TrustFirst: true, AllowUnverifiable: true}) // earlier files are not read
	switch {
	case err != nil:
		return failedf("%v", err)
	case report.Fault != nil:
		return failedf("%v: keep the file as it is, find out what changed it, and name another", report.Fault)
	case isFuture(report.Last):
		return warningf("it has a record of %s, which is in the future: was the clock set back?", report.Last)
	case len(keys) == 0:
		return okf("it goes on after record %d; without keys that is not verified", in.Head.Seq)
	case report.Unverifiable > 0:
		return warningf("%d records are under a key that is not in --audit-key-file: keep old keys there, "+
			"below the current one", report.Unverifiable)
	default:
		return okf("whole; it goes on after record %d", in.Head.Seq)
	}
}

func isFuture(recorded string) bool {
	at, err := time.Parse(time.RFC3339Nano, recorded)
	return err == nil && time.Until(at) > secret.WarnApart
}
