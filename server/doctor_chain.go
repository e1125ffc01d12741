package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// auditChain verifies what is in the file: serve goes on after its last record.
func (x *examination) auditChain(ctx context.Context, path string, keys []*audit.Key) {
	report, err := verifyFile(ctx, path, keys)
	switch {
	case err != nil:
		x.failf(checkAuditChain, "%v", err)
	case report.Fault != nil && report.Fault.Kind == reader.FaultTorn:
		x.warnf(checkAuditChain, "%s ends in the middle of a record, as after a crash: serve will cut that off, keep it, and go on", path)
	case report.Fault != nil:
		x.failf(checkAuditChain, "%v: keep the file as it is, find out what changed it, and name another", report.Fault)
	case isFuture(report.Last):
		x.warnf(checkAuditChain, "there is a record of %s, which is in the future: was the clock set back?", report.Last)
	case report.Head.Seq == 0:
		x.okf(checkAuditChain, "no record yet")
	case len(keys) == 0:
		x.okf(checkAuditChain, "it goes on after record %d; without keys that is not verified", report.Head.Seq)
	case report.Unverifiable > 0:
		x.warnf(checkAuditChain, "%d records are under a key that is not in --audit-key-file: keep old keys there, below the current one", report.Unverifiable)
	default:
		x.okf(checkAuditChain, "whole; it goes on after record %d", report.Head.Seq)
	}
}

func isFuture(recorded string) bool {
	at, err := time.Parse(time.RFC3339Nano, recorded)
	return err == nil && time.Until(at) > clockWarning
}

// verifyFile verifies the records of one file. Those of a file that goes on from
// an earlier one are verified from the second on: what the first follows is not
// there.
func verifyFile(ctx context.Context, path string, keys []*audit.Key) (*reader.Report, error) {
	file, err := os.Open(path) //nolint:gosec // the operator's path
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	lines := bufio.NewReaderSize(file, audit.MaxLine)
	from := continues(lines)
	if _, err := lines.Peek(1); errors.Is(err, io.EOF) {
		report := &reader.Report{}
		if from != nil {
			report.Head = *from
		}
		return report, nil
	}
	source := reader.Source{Name: path, Open: func() (io.ReadCloser, error) { return io.NopCloser(lines), nil }}
	report, err := reader.Verify(ctx, []reader.Source{source}, reader.VerifyOptions{Keys: keys, From: from, AllowUnverifiable: true})
	if err == nil && report.Fault != nil && from != nil {
		report.Fault.Line++ // the one that was skipped
	}
	return report, err
}

// continues returns the head that the first record is, and skips that record, if
// it is not the first of its chain.
func continues(lines *bufio.Reader) *audit.Head {
	start, _ := lines.Peek(audit.MaxLine) // an error says only that there is less
	line, _, whole := bytes.Cut(start, []byte("\n"))
	var record struct {
		Seq uint64 `json:"seq"`
		MAC string `json:"mac"`
	}
	if !whole || json.Unmarshal(line, &record) != nil || record.Seq <= 1 {
		return nil
	}
	head, err := audit.ParseHead(fmt.Sprintf("%d:%s", record.Seq, record.MAC))
	if err != nil {
		return nil // verifying says what is wrong
	}
	_, _ = lines.Discard(len(line) + 1) // it was peeked at
	return &head
}
