package writer

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// Mode says what becomes of a token whose record cannot be written.
type Mode string

// The modes; the zero value is ModeStrict.
const (
	ModeStrict     Mode = "strict"      // no record, no token
	ModeBestEffort Mode = "best-effort" // no call waits; what cannot be written is counted
)

// Defaults of Options.
const (
	DefaultTimeout      = 2 * time.Second
	DefaultMaxSize      = 100 << 20
	DefaultMinFree      = 64 << 20
	DefaultHeadInterval = time.Minute
)

// instanceMark in the path of the file stands for Options.Instance.
const instanceMark = "{instance}"

// Options configures a Log. The zero value writes to standard output in strict
// mode under a key of the process.
type Options struct {
	File         string        // path, {instance} is replaced; "-" or empty: standard output
	Instance     string        // pod or host name; empty: the host's
	Mode         Mode          //
	NoSync       bool          // write before the reply without fdatasync; of no effect on standard output
	Keys         []*audit.Key  // current one first; none: a random key and a warning
	Timeout      time.Duration // longest wait for a record; 0: DefaultTimeout
	MaxSize      int64         // bytes after which a file is rotated; 0: DefaultMaxSize
	MinFree      int64         // free bytes of the file system under which the log warns; 0: never
	HeadInterval time.Duration // between heads in the program log; 0: DefaultHeadInterval
	Logger       *slog.Logger  // the program log; nil: slog.Default()
	Now          func() time.Time

	opener   opener // of the file; nil: the operating system's
	sink     sink   // in place of File
	freeDisk func(path string) (int64, error)
}

func (o Options) withDefaults() (Options, error) {
	if err := o.check(); err != nil {
		return o, err
	}
	o.Mode = orDefault(o.Mode, ModeStrict)
	o.File = orDefault(o.File, "-")
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.MaxSize = orDefault(o.MaxSize, DefaultMaxSize)
	o.HeadInterval = orDefault(o.HeadInterval, DefaultHeadInterval)
	o.Logger = orDefault(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.freeDisk == nil {
		o.freeDisk = freeDisk
	}
	return o.withInstance()
}

func (o Options) check() error {
	switch o.Mode {
	case "", ModeStrict, ModeBestEffort:
	default:
		return fmt.Errorf("--audit-mode %q: want strict or best-effort", o.Mode)
	}
	if o.Timeout < 0 || o.MaxSize < 0 || o.MinFree < 0 || o.HeadInterval < 0 {
		return errors.New("--audit-timeout, --audit-max-size and --audit-min-free must not be negative")
	}
	return nil
}

// withInstance fills in the instance, in the path too.
func (o Options) withInstance() (Options, error) {
	if o.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return o, fmt.Errorf("host name, for the audit record's instance: %w", err)
		}
		o.Instance = host
	}
	if strings.Contains(o.File, instanceMark) && strings.ContainsAny(o.Instance, "/\x00") {
		return o, fmt.Errorf("--audit-file %s: the instance %q cannot be part of a path", o.File, o.Instance)
	}
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
