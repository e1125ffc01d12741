package watch

import (
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
)

// directories are watched rather than files: there Kubernetes swaps the files of a volume, and
// editors replace a file by another.
type directories struct {
	log     *slog.Logger
	watcher *fsnotify.Watcher     // nil: nothing can be watched
	events  <-chan fsnotify.Event // nil: none come
	errors  <-chan error          // events were lost
	warned  bool                  // that a directory cannot be watched
}

func newDirectories(log *slog.Logger) *directories {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("directories cannot be watched; files are only polled", "event", "directory_unwatched",
			"error", err.Error())
		return &directories{log: log}
	}
	return &directories{log: log, watcher: watcher, events: watcher.Events, errors: watcher.Errors}
}

func (d *directories) close() {
	if d.watcher != nil {
		_ = d.watcher.Close() // nothing is pending
	}
}

// watch makes the directories of the files those that are watched. All are added again each time,
// since one that was replaced is a new one to the kernel.
func (d *directories) watch(all []*files) {
	if d.watcher == nil {
		return
	}
	wanted := map[string]bool{}
	for _, one := range all {
		for _, path := range one.all() {
			wanted[filepath.Dir(path)] = true
		}
	}
	for _, directory := range d.watcher.WatchList() {
		if !wanted[directory] {
			_ = d.watcher.Remove(directory) // or it is gone by itself
		}
	}
	for directory := range wanted {
		if err := d.watcher.Add(directory); err != nil && !d.warned {
			d.warned = true
			d.log.Warn("a directory cannot be watched; its files are only polled", "event", "directory_unwatched",
				"error", err.Error())
		}
	}
}

// concerns reports whether an event may have changed one of the files. Writes to other files of
// their directories, such as an audit file's, cannot.
func concerns(event fsnotify.Event, all []*files) bool {
	if event.Op != fsnotify.Write {
		return true
	}
	path := filepath.Clean(event.Name)
	return slices.ContainsFunc(all, func(one *files) bool { return one.has(path) })
}
