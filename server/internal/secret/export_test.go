package secret

import "context"

// WithoutPauses lets tests refresh more often than a vendor deserves. It is called before Run.
func (s *Store) WithoutPauses() { s.refresh.minGap = 0 }

// Run keeps stores current until the context ends.
func Run(ctx context.Context, stores ...*Store) {
	var asker Asker
	for _, store := range stores {
		if store.refresh != nil { // the follower keeps files current
			asker.add(store)
		}
	}
	asker.Run(ctx)
}
