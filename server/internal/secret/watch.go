package secret

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// directories are the stores to refresh when something in a directory changes.
type directories struct {
	logger  *slog.Logger
	stores  map[string][]*Store
	missing map[string]bool // cannot be watched, and it was said
}

// watchDirectories asks for a refresh of the stores of a directory in which
// something changed. Where there is no watch, the polling of the files stays. A
// directory that was replaced is another one to the kernel, so all are added again
// every so often.
func watchDirectories(ctx context.Context, logger *slog.Logger, stores []*Store, every time.Duration) {
	watched := directories{logger: logger, stores: make(map[string][]*Store), missing: make(map[string]bool)}
	for _, store := range stores {
		if directory := store.source.directory(); directory != "" {
			watched.stores[directory] = append(watched.stores[directory], store)
		}
	}
	if len(watched.stores) == 0 {
		return
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		logger.Warn("the directories of secrets cannot be watched; the files are read every so often only", "error", err.Error())
		return
	}
	defer func() { _ = watcher.Close() }()
	watched.add(watcher)
	again := time.NewTicker(every)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watcher.Events:
			watched.changed(event.Name)
		case err := <-watcher.Errors:
			logger.Warn("changes of secrets' directories may have been missed; all are read again", "error", err.Error())
			for directory := range watched.stores {
				watched.refresh(directory)
			}
		case <-again.C:
			watched.add(watcher)
		}
	}
}

// changed refreshes the stores that a change of name concerns: those of that very
// file, or all of its directory when Kubernetes exchanges ..data there.
func (d directories) changed(name string) {
	directory, base := filepath.Split(name)
	for _, store := range d.stores[filepath.Clean(directory)] {
		if base == filepath.Base(store.source.String()) || strings.HasPrefix(base, "..") {
			store.Refresh()
		}
	}
}

func (d directories) refresh(directory string) {
	for _, store := range d.stores[directory] {
		store.Refresh()
	}
}

func (d directories) add(watcher *fsnotify.Watcher) {
	for directory := range d.stores {
		wasMissing, known := d.missing[directory]
		err := watcher.Add(directory)
		switch {
		case err != nil && !wasMissing:
			d.logger.Warn("a secret's directory cannot be watched; the file is read every so often only", "error", err.Error())
		case err == nil && (wasMissing || !known):
			d.refresh(directory) // what changed before the watch was there left no event
		}
		d.missing[directory] = err != nil
	}
}
