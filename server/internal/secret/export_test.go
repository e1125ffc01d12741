package secret

// WithoutPauses lets tests refresh more often than a vendor deserves. It is called before Run.
func (s *Store) WithoutPauses() { s.refresh.minGap = 0 }
