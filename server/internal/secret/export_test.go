package secret

// WithoutPauses lets tests refresh more often than a vendor or a file deserves. It
// is called before Run.
func (s *Store) WithoutPauses() { s.plan.minGap, s.plan.settle = 0, 0 }
