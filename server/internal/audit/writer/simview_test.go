//go:build unix

package writer

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// simView is the disk as one process uses it. Once that is dead it changes nothing any more.
type simView struct {
	*simDisk

	dead bool
}

func (v *simView) fails(op, path string) error {
	if v.dead || v.chance(v.faulty) {
		return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
	}
	return nil
}

func (v *simView) openLog(path string, _ opener) (file, error) {
	if err := v.fails("open", path); err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if v.names[name] == nil {
		v.create(name)
	}
	return &simFile{v, v.names[name], name}, nil
}

func (v *simView) openFile(path string, flag int) (file, error) {
	name := filepath.Base(path)
	if err := v.fails("open", path); err != nil {
		return nil, err
	}
	switch there := v.names[name] != nil; {
	case there && flag&syscall.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EEXIST}
	case !there && flag&syscall.O_CREAT == 0:
		return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOENT}
	case !there:
		v.create(name)
	}
	return &simFile{v, v.names[name], name}, nil
}

func (v *simView) stat(path string) (fs.FileInfo, error) {
	if err := v.fails("stat", path); err != nil {
		return nil, err
	}
	name := filepath.Base(path)
	if v.names[name] == nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: syscall.ENOENT}
	}
	return v.names[name].info(name), nil
}

func (v *simView) rename(from, to string) error {
	if err := v.fails("rename", from); err != nil {
		return err
	}
	from, to = filepath.Base(from), filepath.Base(to)
	v.simDisk.rename(func(names map[string]*inode) {
		if i := names[from]; i != nil {
			delete(names, from)
			names[to] = i
		}
	})
	return nil
}

func (v *simView) remove(path string) error {
	if err := v.fails("remove", path); err != nil {
		return err
	}
	name := filepath.Base(path)
	v.onRemove(name)
	v.simDisk.rename(func(names map[string]*inode) { delete(names, name) })
	return nil
}

func (v *simView) readDir(path string) ([]fs.DirEntry, error) {
	if err := v.fails("readdir", path); err != nil {
		return nil, err
	}
	entries := make([]fs.DirEntry, 0, len(v.names))
	for _, name := range v.files() {
		entries = append(entries, fs.FileInfoToDirEntry(v.names[name].info(name)))
	}
	return entries, nil
}

func (v *simView) syncDir(path string) error {
	if err := v.fails("sync", path); err != nil {
		return err
	}
	v.durable, v.journal = maps.Clone(v.names), nil
	return nil
}

func (*simView) free(string) (int64, error) { return 1 << 30, nil }

// simFile is an open file.
type simFile struct {
	v    *simView
	i    *inode
	name string
}

func (f *simFile) Write(p []byte) (int, error) {
	err := f.v.fails("write", f.name)
	switch {
	case f.v.dead:
		return 0, err
	case err != nil:
		p = p[:f.v.random.IntN(len(p)+1)] // a full disk takes a part
	}
	if len(p) > 0 {
		f.i.dirty = append(f.i.dirty, change{int64(len(f.i.now)), slices.Clone(p)})
		f.i.now = append(f.i.now, p...)
	}
	return len(p), err
}

func (f *simFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.v.fails("write", f.name); err != nil {
		return 0, err
	}
	c := change{at, slices.Clone(p)}
	f.i.dirty = append(f.i.dirty, c)
	f.i.now = c.applied(f.i.now)
	return len(p), nil
}

func (f *simFile) Sync() error {
	if f.v.chance(f.v.hangs) && !f.v.dead {
		f.v.hanging = make(chan struct{})
		<-f.v.hanging
		f.v.hanging = nil
	}
	err := f.v.fails("sync", f.name)
	switch {
	case f.v.dead:
		return err
	case err != nil:
		f.v.lose(f.i)
		return err
	}
	for _, c := range f.i.dirty {
		f.i.kept = c.applied(f.i.kept)
	}
	f.i.dirty = nil
	return nil
}

func (f *simFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.v.fails("read", f.name); err != nil {
		return 0, err
	}
	if at >= int64(len(f.i.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.i.now[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *simFile) Truncate(size int64) error {
	if err := f.v.fails("truncate", f.name); err != nil {
		return err
	}
	f.i.now = f.i.now[:size]
	f.i.dirty = append(f.i.dirty, change{at: size})
	return nil
}

func (f *simFile) Stat() (fs.FileInfo, error) {
	if err := f.v.fails("stat", f.name); err != nil {
		return nil, err
	}
	return f.i.info(f.name), nil
}

func (*simFile) Chmod(fs.FileMode) error { return nil }
func (*simFile) Close() error            { return nil }

// simInfo is what the disk says of a file at one moment.
type simInfo struct {
	name string
	size int64
	sys  syscall.Stat_t
}

func (i *inode) info(name string) simInfo {
	info := simInfo{name: name, size: int64(len(i.now)), sys: syscall.Stat_t{Ino: i.number}}
	if i.linked {
		info.sys.Nlink = 1
	}
	return info
}

func (i simInfo) Name() string     { return i.name }
func (i simInfo) Size() int64      { return i.size }
func (simInfo) Mode() fs.FileMode  { return 0o600 }
func (simInfo) ModTime() time.Time { return time.Time{} }
func (simInfo) IsDir() bool        { return false }
func (i simInfo) Sys() any         { return &i.sys }
func (i simInfo) String() string   { return fmt.Sprintf("%s (%d bytes)", i.name, i.size) }
