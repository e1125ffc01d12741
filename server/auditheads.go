package main

import (
	"bufio"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/config"
)

// maxLogLine bounds a line of a program log, which is much shorter.
const maxLogLine = 1 << 20

// loggedHead is how a line of the program log names one, in JSON and in text.
var loggedHead = regexp.MustCompile(`[0-9]+:[0-9a-f]{64}`)

// readHeads takes the heads of a program log. The later of --from-head and of what the log says was
// deleted is what the records follow.
func (c *auditVerifyCommand) readHeads(stdin io.Reader) error {
	switch {
	case c.ProgramLog == "":
		return nil
	case c.ProgramLog != "-":
		file, err := os.Open(c.ProgramLog)
		if err != nil {
			return config.Usage("--program-log: %v", err)
		}
		defer file.Close() //nolint:errcheck // it is only read
		return c.headsIn(file)
	case slices.Contains(c.Files, "-"):
		return config.Usage("--program-log: standard input is the records: give the log, or them, as a file")
	default:
		return c.headsIn(stdin)
	}
}

func (c *auditVerifyCommand) headsIn(log io.Reader) error {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLogLine)
	for lines.Scan() {
		head, err := audit.ParseHead(loggedHead.FindString(lines.Text()))
		switch {
		case err != nil:
		case strings.Contains(lines.Text(), "audit_head"):
			c.Heads = append(c.Heads, head)
		case strings.Contains(lines.Text(), "audit_file_deleted") && (c.FromHead == nil || c.FromHead.Seq < head.Seq):
			c.FromHead = &head
		}
	}
	if err := lines.Err(); err != nil {
		return config.Usage("--program-log: %v", err)
	}
	return nil
}
