package config

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// OpenLocal returns a limiter for this process only.
func OpenLocal() *ratelimit.Local {
	return ratelimit.NewLocal(ratelimit.DefaultCapacity, ratelimit.Monotonic())
}

// IsShared reports whether limits are shared with other replicas.
func (r *Redis) IsShared() bool { return r.LimitRedis != "" }

// Open returns the shared limiter, which uses the current audit key. Call Validate first. The follower
// keeps the password and the TLS files current; without one, they are read once.
func (r *Redis) Open(keys []*audit.Key, follower *watch.Follower, log *slog.Logger) (*redis.Limiter, error) {
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
		const flag = "--limit-redis-password-file"
		password := followText(follower, "redis_password", flag, r.LimitRedisPasswordFile, nil)
		if err := password.Err(); err != nil {
			return nil, Usage(flag+": %v", err)
		}
		options.Password = password.Current
	}
	if r.LimitRedisCA != "" || r.LimitRedisCert != "" {
		options.TLS = r.openTLS(follower).Current
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

// openTLS returns our side of TLS. Files that are missing or wrong only keep Redis from being asked.
func (r *Redis) openTLS(follower *watch.Follower) *watch.Value[*tls.Config] {
	var paths []string
	at := func(path string) func([][]byte) []byte {
		if path == "" {
			return func([][]byte) []byte { return nil }
		}
		paths = append(paths, path)
		i := len(paths) - 1
		return func(contents [][]byte) []byte { return contents[i] }
	}
	ca, certificate, key := at(r.LimitRedisCA), at(r.LimitRedisCert), at(r.LimitRedisKey)
	return watch.New(follower, watch.Options[*tls.Config]{
		Kind: "redis_tls", Setting: "--limit-redis-ca, --limit-redis-cert, --limit-redis-key", Paths: paths,
		Parse: func(contents [][]byte, _ *tls.Config) (*tls.Config, error) {
			return redis.ParseTLS(ca(contents), certificate(contents), key(contents))
		},
	})
}
