package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

//go:embed script.lua
var scriptText string

// script decides about a call in the server.
type script struct {
	lua    *goredis.Script
	prefix string
	secret sensitive.String
}

func newScript(prefix string, secret sensitive.String) script {
	// A script's keys must be in one slot wherever keys are spread by slot, so all have one hash
	// tag. Every call spends the global budget, which is one key, so there is nothing to gain by
	// spreading the others.
	return script{lua: goredis.NewScript(scriptText), prefix: prefix + ":{limits}:", secret: secret}
}

// keyed is the script, made once its secret is there.
type keyed struct {
	options *Options
	made    atomic.Pointer[script]
}

func (k *keyed) run(
	ctx context.Context, client *goredis.Client, budgets *ratelimit.Budgets,
) (ratelimit.Answer, error) {
	s := k.made.Load()
	if s == nil {
		secret, err := k.options.KeySecret()
		if err != nil {
			return ratelimit.Answer{}, err
		}
		if len(secret.Reveal()) < minKeySecret {
			return ratelimit.Answer{}, fmt.Errorf("the key secret is shorter than %d bytes", minKeySecret)
		}
		made := newScript(k.options.Prefix, secret)
		s = &made
		k.made.Store(s)
	}
	return s.run(ctx, client, budgets)
}

// run makes one round trip for all shared budgets of a call. (It takes two the first time that a
// server sees the script.)
func (s *script) run(
	ctx context.Context, client *goredis.Client, budgets *ratelimit.Budgets,
) (ratelimit.Answer, error) {
	keys := make([]string, 0, len(budgets))
	args := make([]any, 0, 2*len(budgets))
	for _, limit := range ratelimit.Limits() {
		if b := &budgets[limit]; b.IsShared() {
			keys = append(keys, s.key(limit, &b.Key))
			args = append(args, int64(b.Rate.Interval()), int64(b.Rate.Refill()))
		}
	}
	reply, err := s.lua.Run(ctx, client, keys, args...).Int64Slice()
	if err != nil {
		return ratelimit.Answer{}, err
	}
	if len(reply) != 1+len(keys) {
		return ratelimit.Answer{}, errNotRedis
	}
	answer := ratelimit.Answer{Allowed: reply[0] == 1}
	ahead := reply[1:]
	for limit := range budgets {
		if budgets[limit].IsShared() {
			answer.Ahead[limit], ahead = time.Duration(ahead[0]), ahead[1:]
		}
	}
	if !answer.Allowed && answer.Decision(budgets).RetryAfter == 0 {
		return ratelimit.Answer{}, errNotRedis // refused, though every budget admits
	}
	return answer, nil
}

// key names a budget by a pseudonym of 128 bits, so that the server holds no personal data. Each
// part is preceded by its length, so that no two keys read the same.
func (s *script) key(limit ratelimit.Limit, key *ratelimit.Key) string {
	mac := hmac.New(sha256.New, []byte(s.secret.Reveal()))
	var length [8]byte
	for _, part := range [...]string{limit.String(), key.Kind, key.Scope, key.Name} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return s.prefix + limit.String() + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
