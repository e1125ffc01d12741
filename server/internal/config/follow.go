package config

import (
	"context"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// lookAgain is how long files must stay the same before they are taken over.
	lookAgain = 50 * time.Millisecond
	// lookEvery is how often files are read when no change is seen: some changes
	// leave no event.
	lookEvery = 10 * time.Second
)

// Followed is a Live of any type.
type Followed interface {
	files() []string
	look() bool
}

// Follow takes over changes of the files until the context ends. Their
// directories are watched, as that is where Kubernetes swaps a volume's files. A
// message on wake asks for a look now.
func Follow(ctx context.Context, log *slog.Logger, wake <-chan struct{}, all ...Followed) {
	f := follower{log: log, all: all}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("directories cannot be watched; files are read every so often only", "error", err.Error())
	} else {
		defer watcher.Close() //nolint:errcheck // nothing is pending
		f.watcher, f.events, f.errors = watcher, watcher.Events, watcher.Errors
	}
	next := time.NewTimer(0)
	defer next.Stop()
	soon := func() { next.Reset(lookAgain) }
	for waiting := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			f.watch()
			if waiting = f.look(); waiting {
				soon()
			} else {
				next.Reset(lookEvery)
			}
			continue
		case <-f.events:
		case <-f.errors: //nolint:errcheck // whatever it is, changes may have been missed
		case <-wake:
		}
		if !waiting { // many changes do not put off the look
			waiting = true
			soon()
		}
	}
}

type follower struct {
	log     *slog.Logger
	all     []Followed
	watcher *fsnotify.Watcher
	events  <-chan fsnotify.Event // nil: none come
	errors  <-chan error          // some events were lost
	blind   bool                  // a directory cannot be watched, and it was said
}

// look reports whether any is to be looked at again soon.
func (f *follower) look() bool {
	again := false
	for _, one := range f.all {
		again = one.look() || again
	}
	return again
}

// watch adds the directories, again each time: one that was replaced is another
// one to the kernel.
func (f *follower) watch() {
	if f.watcher == nil {
		return
	}
	for _, one := range f.all {
		for _, path := range one.files() {
			if err := f.watcher.Add(filepath.Dir(path)); err != nil && !f.blind {
				f.blind = true
				f.log.Warn("a directory cannot be watched; its files are read every so often only", "error", err.Error())
			}
		}
	}
}
