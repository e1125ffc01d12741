package config

import (
	"errors"
	"log/slog"
	"math/rand/v2"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

// OpenLocal returns the limiter of this process alone.
func OpenLocal() *ratelimit.Local {
	return ratelimit.NewLocal(ratelimit.DefaultCapacity, ratelimit.Monotonic())
}

// IsShared reports whether limits are shared with other replicas.
func (r *Redis) IsShared() bool { return r.LimitRedis != "" }

// Open returns the limiter that is shared, under the current one of the audit
// keys. Validate has been called before.
func (r *Redis) Open(keys []*audit.Key, log *slog.Logger) (*redis.Limiter, error) {
	options := redis.Options{
		URL:       r.LimitRedis,
		KeySecret: keys[0].LimitNames(),
		Prefix:    r.LimitRedisPrefix,
		Timeout:   r.LimitRedisTimeout,
		Failure:   r.LimitRedisFailure,
		Log:       log,
		Jitter:    rand.Float64,
	}
	if r.LimitRedisPasswordFile != "" {
		options.Password = secret.KeyFile(r.LimitRedisPasswordFile)
		if _, err := options.Password(); err != nil {
			return nil, Usage("--limit-redis-password-file: %v", err)
		}
	}
	shared, err := redis.New(OpenLocal(), options)
	switch {
	case errors.Is(err, redis.ErrPrefix):
		return nil, Usage("--limit-redis-prefix: %v", err)
	case err != nil:
		return nil, Usage("--limit-redis: %v", err)
	default:
		return shared, nil
	}
}
