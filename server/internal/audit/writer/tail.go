package writer

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"slices"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	tailWindow = 64 << 10 // bytes of a file that are looked at together
	// farthest is the last number that a record may have without proof: a forged one must not bring
	// the numbers to their end.
	farthest = math.MaxUint64 >> 1
)

// tail is the last whole record of a file.
type tail struct {
	record *audit.Line // nil: there is none
	before *audit.Line // the record on the line before it; nil: there is none
	first  bool        // it stands at the beginning of the file
	end    int64       // where its line ends
}

// head is the place of the record; zero if there is none.
func (t *tail) head() audit.Head {
	if t.record == nil {
		return audit.Head{}
	}
	return t.record.Head
}

// position is where a chain goes on after the record.
func (t *tail) position() position {
	if t.record == nil {
		return position{}
	}
	return position{Head: t.record.Head, keyID: string(t.record.Get("key_id"))}
}

// isTrusted reports whether a chain may go on after the record. If its key is at hand, its mac must
// hold. The number of a record whose mac cannot be computed must be plausible: it follows that of
// the record before, is not below that of the newest rotated file, and is far from the last number.
func (t *tail) isTrusted(keys []*audit.Key, rotated audit.Head) bool {
	seq := t.record.Seq
	before, known := t.follows(rotated)
	if known && before.Seq+1 != seq {
		return false
	}
	id := string(t.record.Get("key_id"))
	key := slices.IndexFunc(keys, func(k *audit.Key) bool { return k.ID() == id })
	if key >= 0 && (known || !t.first) {
		return known && t.record.Follows(before.MAC, audit.NewLinker(keys[key]))
	}
	return seq > 0 && seq >= rotated.Seq && seq <= farthest
}

// follows returns the place of the record before, in the file or at the end of the newest rotated
// one, and whether it is known. It is not when earlier files are gone.
func (t *tail) follows(rotated audit.Head) (audit.Head, bool) {
	switch {
	case t.before != nil:
		return t.before.Head, true
	case t.record.Seq == 1:
		return audit.Head{}, true
	default:
		return rotated, t.first && rotated.Seq+1 == t.record.Seq
	}
}

// tailOf finds the last whole record of a file at path; none if path is empty.
func tailOf(d disk, path string) (tail, error) {
	if path == "" {
		return tail{}, nil
	}
	f, err := d.openFile(path, os.O_RDONLY)
	if err != nil {
		return tail{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return tail{}, err
	}
	return findTail(f, info.Size())
}

// findTail finds the last whole record of a file of that size. It looks at one window after the
// other, from the end on, whatever stands there: a file may end in anything.
func findTail(f io.ReaderAt, size int64) (tail, error) {
	b := make([]byte, min(size, tailWindow))
	for end := size; end > 0; {
		start := max(end-tailWindow, 0)
		window := b[:end-start]
		if _, err := f.ReadAt(window, start); err != nil && !errors.Is(err, io.EOF) {
			return tail{}, err
		}
		if t := lastIn(window, start == 0); t.record != nil {
			t.end += start
			return t, nil
		}
		if start == 0 {
			break
		}
		end = start + 2*audit.MaxLine // of which no line has been whole in this window
	}
	return tail{}, nil
}

// lastIn finds the last whole record of a window. Unless it is the first of its file, records of
// which the line before may begin outside of it are left to the next window.
func lastIn(window []byte, first bool) tail {
	for end := bytes.LastIndexByte(window, '\n'); end >= 0; {
		start := bytes.LastIndexByte(window[:end], '\n')
		if !first && end < 2*audit.MaxLine {
			break
		}
		if record := parse(window[start+1 : end]); record != nil {
			return tail{
				record: record, before: lineBefore(window, start),
				first: first && start < 0, end: int64(end) + 1,
			}
		}
		end = start
	}
	return tail{}
}

// lineBefore returns the record whose line ends there, or nil.
func lineBefore(window []byte, end int) *audit.Line {
	if end < 0 {
		return nil
	}
	return parse(window[bytes.LastIndexByte(window[:end], '\n')+1 : end])
}

// parse returns the record of a line, with bytes of its own, or nil.
func parse(raw []byte) *audit.Line {
	if !bytes.HasPrefix(raw, []byte(audit.RecordStart)) {
		return nil // as are most lines of a broken file, at little cost
	}
	l := new(audit.Line)
	if l.Parse(bytes.Clone(raw)) != nil {
		return nil
	}
	return l
}
