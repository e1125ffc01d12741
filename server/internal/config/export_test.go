package config

// ValidateRedis checks the flags of Redis alone.
func (s *Serve) ValidateRedis() error { return s.validateRedis() }
