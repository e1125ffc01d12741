package secret

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Asker keeps the secrets current whose source has to be asked, such as Kustomer's API: one loop a
// store. Stores may come and go while it runs. The zero value is ready to use.
type Asker struct {
	mu      sync.Mutex
	all     map[*Store]context.CancelFunc // nil function: its loop has not started
	start   func(*Store) context.CancelFunc
	running sync.WaitGroup
}

// Run asks for all stores until the context ends, and returns when everything has stopped. It is
// called once.
func (a *Asker) Run(ctx context.Context) {
	a.mu.Lock()
	a.start = func(s *Store) context.CancelFunc {
		life, end := context.WithCancel(ctx)
		a.running.Go(func() { s.run(life) })
		return end
	}
	for _, s := range slices.Collect(maps.Keys(a.all)) {
		a.all[s] = a.start(s)
	}
	a.mu.Unlock()
	<-ctx.Done()
	a.mu.Lock()
	a.start = nil
	a.mu.Unlock()
	a.running.Wait()
}

func (a *Asker) add(s *Store) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all == nil {
		a.all = map[*Store]context.CancelFunc{}
	}
	a.all[s] = nil
	if a.start != nil {
		a.all[s] = a.start(s)
	}
}

func (a *Asker) remove(s *Store) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if end := a.all[s]; end != nil {
		end()
	}
	delete(a.all, s)
}
