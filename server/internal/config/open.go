package config

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit/redis"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
	"github.com/chatidentity/chatidentity/server/internal/watch"
)

// OpenLocal returns a limiter for this process only.
func OpenLocal() *ratelimit.Local {
	return ratelimit.NewLocal(ratelimit.DefaultCapacity, ratelimit.Monotonic())
}

// IsShared reports whether limits are shared with other replicas.
func (r *Redis) IsShared() bool { return r.LimitRedis != "" }

// OpenRedisPassword returns the password of Redis; nil without its file.
func (r *Redis) OpenRedisPassword(follower *watch.Follower) *watch.Value[sensitive.String] {
	return follow(follower, watch.Options[sensitive.String]{
		Kind: "redis_password", Setting: "--limit-redis-password-file", Paths: []string{r.LimitRedisPasswordFile},
		Parse: secret.ParseText,
	})
}

// OpenRedis returns the shared limiter. It uses the current audit key, and the password if that is not
// nil, once they are there. Call Validate first. The follower keeps the TLS files current; without one,
// they are read once.
func (r *Redis) OpenRedis(
	keys *watch.Value[[]*audit.Key], password *watch.Value[sensitive.String], follower *watch.Follower, log *slog.Logger,
) (*redis.Limiter, error) {
	options := redis.Options{
		URL: r.LimitRedis,
		KeySecret: func() (sensitive.String, error) {
			current, err := keys.Current()
			if err != nil {
				return sensitive.String{}, err
			}
			return current[0].LimitNames(), nil
		},
		Prefix:  r.LimitRedisPrefix,
		Timeout: r.LimitRedisTimeout,
		Failure: r.LimitRedisFailure,
		Log:     log,
		Jitter:  rand.Float64,
	}
	if password != nil {
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
