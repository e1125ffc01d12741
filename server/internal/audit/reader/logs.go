package reader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

var errRotated = errors.New("it was rotated while this program ran: try again")

// Log is one audit file and what it was rotated to, in the order in which they were written.
type Log struct {
	Name    string // of the audit file
	Sources []Source
	Aside   []string // left out, and evidence that somebody changed it: serve put these files aside
}

// LeftOut is a file in a directory, or of a pattern, that is not read, and why.
type LeftOut struct{ Name, Reason string }

// Logs finds the logs that arguments mean. Files, and "-" for standard input, are one log in the
// order given, whatever is in them. Directories and patterns stand for the audit files among their
// files, without those of subdirectories: a log for each audit file, with those it was rotated to,
// in the order of the records.
func Logs(ctx context.Context, args ...string) ([]Log, []LeftOut, error) {
	var f logFinder
	for _, arg := range args {
		if err := f.add(ctx, arg); err != nil {
			return nil, f.leftOut, err
		}
	}
	logs := f.logs()
	if len(logs) == 0 {
		return nil, f.leftOut, fmt.Errorf("there are no audit files in %s", strings.Join(args, ", "))
	}
	f.addEvidence(logs)
	return logs, f.leftOut, nil
}

type logFinder struct {
	named    []string
	found    []foundFile
	leftOut  []LeftOut
	evidence []foundFile // left out, too
}

func (f *logFinder) add(ctx context.Context, arg string) error {
	if arg == "-" {
		f.named = append(f.named, arg)
		return nil
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		return f.addDirectory(ctx, arg)
	case err == nil:
		f.named = append(f.named, arg)
		return nil
	case !strings.ContainsAny(arg, "*?["):
		return &SourceError{arg, err}
	}
	return f.addPattern(ctx, arg)
}

func (f *logFinder) addPattern(ctx context.Context, pattern string) error {
	paths, err := filepath.Glob(pattern)
	if err == nil && len(paths) == 0 {
		err = errors.New("no file has a name like that")
	}
	if err != nil {
		return &SourceError{pattern, err}
	}
	for _, path := range paths {
		add := f.addFound
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			add = f.addDirectory
		}
		if err := add(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (f *logFinder) addDirectory(ctx context.Context, directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return &SourceError{directory, err}
	}
	for _, entry := range entries {
		if err := f.addFound(ctx, filepath.Join(directory, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// addFound takes a file if it is an audit file.
func (f *logFinder) addFound(ctx context.Context, path string) error {
	if isLock(path) {
		return nil
	}
	file, reason, err := lookAt(ctx, path)
	if err != nil {
		return &SourceError{path, err}
	}
	for i := range f.found {
		if reason == "" && os.SameFile(f.found[i].info, file.info) {
			reason = "the same file as " + f.found[i].path
		}
	}
	if reason != "" {
		f.leftOut = append(f.leftOut, LeftOut{path, reason})
		if file.evidence {
			f.evidence = append(f.evidence, file)
		}
		return nil
	}
	f.found = append(f.found, file)
	return nil
}

// logs puts the files together.
func (f *logFinder) logs() []Log {
	var logs []Log
	if len(f.named) > 0 {
		logs = append(logs, Log{Name: f.named[0], Sources: Files(f.named...)})
	}
	slices.SortStableFunc(f.found, func(a, b foundFile) int {
		return cmp.Or(cmp.Compare(a.log, b.log), cmp.Compare(a.time, b.time))
	})
	inOrderOfNumbers(f.found)
	for _, file := range f.found {
		if n := len(logs); n == 0 || logs[n-1].Name != file.log || n == 1 && len(f.named) > 0 {
			logs = append(logs, Log{Name: file.log})
		}
		last := &logs[len(logs)-1]
		last.Sources = append(last.Sources, file.source())
	}
	return logs
}

// addEvidence names what was put aside with the log that it was put aside from, or with the first
// one if that log is gone.
func (f *logFinder) addEvidence(logs []Log) {
	for _, file := range f.evidence {
		log := max(0, slices.IndexFunc(logs, func(l Log) bool { return l.Name == file.log }))
		logs[log].Aside = append(logs[log].Aside, file.path)
	}
}

// inOrderOfNumbers mends the order of files that begin at about the same time: calls that run
// together are recorded in the order in which they end, so the first record of a file may be of a
// call that came in before that of the file before it. A file that begins a chain stays where it
// is.
func inOrderOfNumbers(files []foundFile) {
	for i := range files {
		for j := i; j > 0 && files[j].swapped(&files[j-1]); j-- {
			files[j], files[j-1] = files[j-1], files[j]
		}
	}
}

// source opens the file that was looked at: another one at its path means that it was rotated
// meanwhile, and that its records would be missing.
func (f *foundFile) source() Source {
	path, looked := f.path, f.info
	return Source{Name: path, Open: func() (io.ReadCloser, error) {
		file, err := os.Open(path) //nolint:gosec // the operator's path
		if err != nil {
			return nil, err
		}
		if now, err := file.Stat(); err != nil || !os.SameFile(looked, now) {
			return nil, errors.Join(err, file.Close(), errRotated)
		}
		return file, nil
	}}
}
