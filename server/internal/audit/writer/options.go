package writer

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// Mode says what happens to a token whose record cannot be written.
type Mode string

// The modes; the zero value is ModeStrict.
const (
	ModeStrict     Mode = "strict"      // no record, no token
	ModeBestEffort Mode = "best-effort" // no call waits; what cannot be written is counted
)

// Standard names standard output as the place of records.
const Standard = "-"

// The defaults.
const (
	DefaultFile    = Standard
	DefaultMode    = ModeStrict
	DefaultTimeout = 2 * time.Second
	DefaultMaxSize = 100 << 20
	DefaultMinFree = 64 << 20 // for a configuration; Options without MinFree never warn

	DefaultFileMode fs.FileMode = 0o600
)

// Options configures a Log. The zero value writes to standard output in strict mode, under a key of
// this process.
type Options struct {
	File     string                       // a path, in which {instance} is replaced; empty: standard output
	Instance string                       // pod or host name; empty: the name of the host
	Mode     Mode                         // empty: DefaultMode
	NoSync   bool                         // write before the reply without fdatasync; without effect on standard output
	Keys     []*audit.Key                 // the current one first; none: a random key and a warning
	ReadKeys func() ([]*audit.Key, error) // returns Keys once they are there; nil: they are
	Timeout  time.Duration                // longest wait for a record; 0: DefaultTimeout
	MaxSize  int64                        // bytes after which a file is rotated; 0: DefaultMaxSize
	MinFree  int64                        // free bytes of the file system below which the log warns; 0: never
	FileMode fs.FileMode                  // permissions of the audit file; 0: DefaultFileMode
	MaxFiles int                          // rotated files to keep; the oldest are deleted; 0: all are kept
	Logger   *slog.Logger                 // the program log; nil: slog.Default()
	Now      func() time.Time

	Copy bool // each durable record is copied to standard output, for which nobody waits

	locks   string         // a pattern of the lock files of all instances; empty: there is one instance
	passing bool           // nothing is made or kept: see Inspect
	disk    disk           // nil: the operating system's
	sink    sink           // in place of File
	copyTo  io.WriteCloser // in place of standard output
}

func (o Options) withDefaults() (Options, error) {
	o.File = orDefault(o.File, DefaultFile)
	o.Mode = orDefault(o.Mode, DefaultMode)
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.MaxSize = orDefault(o.MaxSize, DefaultMaxSize)
	o.FileMode = orDefault(o.FileMode, DefaultFileMode)
	o.Logger = orDefault(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	if o.Mode != ModeStrict && o.Mode != ModeBestEffort {
		return o, fmt.Errorf("mode %q: want %s or %s", o.Mode, ModeStrict, ModeBestEffort)
	}
	if o.Timeout < 0 || o.MaxSize < 0 || o.MinFree < 0 || o.MaxFiles < 0 {
		return o, fmt.Errorf("timeout %v, size %d, free space %d, %d files: none may be negative",
			o.Timeout, o.MaxSize, o.MinFree, o.MaxFiles)
	}
	return o.withInstance()
}

// withInstance fills in the instance, in the path too.
func (o Options) withInstance() (Options, error) {
	if o.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("the host name, which names the instance: %w", err)
		}
		o.Instance = host
	}
	if strings.Contains(o.File, instanceMark) && strings.ContainsAny(o.Instance, "/\x00") {
		return o, fmt.Errorf("%s: the instance %q cannot be part of a path", o.File, o.Instance)
	}
	o.locks = locksOfAll(o.File)
	o.File = strings.ReplaceAll(o.File, instanceMark, o.Instance)
	return o, nil
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}
