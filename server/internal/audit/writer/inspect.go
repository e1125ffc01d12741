package writer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// Inspection is what Open would find in the place of the audit file.
type Inspection struct {
	Path   string     // with the instance filled in; empty: standard output, and nothing else is known
	Device bool       // nothing is kept there, and nothing else is known
	Head   audit.Head // of the record after which the chain would go on; zero: a new chain
	Size   int64      // bytes of the file up to the end of its last whole record; 0: it has none
	Torn   int64      // bytes behind that, which Open would cut off and keep

	// Untrusted is a file that Open would put aside, because its last record is not one that was
	// written there; empty: none.
	Untrusted string

	WriteErr error         // why nothing can be written beside the file at the moment
	Took     time.Duration // to write and, if configured, sync a record there
	Free     int64         // bytes of its file system
}

// Inspect goes the way of Open and returns the error that Open would, but leaves nothing behind: no
// record, no file and no lock. For a moment it holds the lock and has a file beside the audit file.
func Inspect(o Options) (Inspection, error) {
	o, err := o.withDefaults()
	if err != nil || o.File == Standard {
		return Inspection{}, err
	}
	if o.ReadKeys != nil {
		o.Keys, _ = o.ReadKeys() // wrong keys do not change the file
	}
	o.passing = true
	device, found, err := openPlace(&o, standIn)
	switch {
	case err != nil:
		return Inspection{}, err
	case device != nil:
		return Inspection{Path: o.File, Device: true}, device.close()
	}
	in := Inspection{
		Path: o.File, Head: found.from.Head, Size: found.end, Torn: found.info.Size() - found.end,
		Untrusted: found.untrusted,
	}
	if err := found.close(); err != nil {
		return in, err
	}
	in.Took, in.WriteErr = tryWrite(&o)
	in.Free, err = o.disk.free(filepath.Dir(o.File))
	in.WriteErr = errors.Join(in.WriteErr, err)
	return in, nil
}

// standIn opens a file. If there is none, it opens one without a name in the same directory, which
// is empty and gone when closed, or says why none can be made there.
func standIn(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0) //nolint:gosec // the operator's path
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f, err = temporary(path)
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// temporary makes a file beside path. Errors are those of making path itself.
func temporary(path string) (*os.File, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".chatidentity-*")
	if failed := new(fs.PathError); errors.As(err, &failed) {
		failed.Path = path
	}
	return f, err
}

// tryWrite writes and syncs a file beside the audit file as the log would a record.
func tryWrite(o *Options) (time.Duration, error) {
	f, err := temporary(o.File)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	_, err = f.Write(make([]byte, audit.MaxLine))
	if err == nil && !o.NoSync {
		err = osFile{f}.Sync()
	}
	took := time.Since(began)
	return took, errors.Join(err, f.Close(), os.Remove(f.Name()))
}
