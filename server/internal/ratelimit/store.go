package ratelimit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

//go:embed script.lua
var scriptText string

// store is the budgets in a Redis server, and how they are named there.
type store struct {
	script *redis.Script
	prefix string
	secret sensitive.String
}

func newStore(prefix string, secret sensitive.String) store {
	// One hash tag for all: a script's keys must be in one slot wherever keys
	// are spread by slot. The global budget, which every call asks, is one key
	// anyway, so there is nothing to gain by spreading the others.
	return store{script: redis.NewScript(scriptText), prefix: prefix + ":{limits}:", secret: secret}
}

// ask makes one round trip for all shared budgets. (The first time that a server sees the script, it
// is two.)
func (s *store) ask(ctx context.Context, client *redis.Client, budgets *Budgets) (Answer, error) {
	keys := make([]string, 0, limitCount)
	args := make([]any, 0, 2*limitCount)
	for _, limit := range Limits() {
		if b := &budgets[limit]; b.IsShared() {
			keys = append(keys, s.name(limit, &b.Key))
			args = append(args, int64(b.Rate.Interval()), int64(b.Rate.Refill()))
		}
	}
	reply, err := s.script.Run(ctx, client, keys, args...).Int64Slice()
	if err != nil {
		return Answer{}, err //nolint:wrapcheck // its one reader is outage, which needs it bare
	}
	if len(reply) != 1+len(keys) {
		return Answer{}, errors.New("the script answered something else")
	}
	answer := Answer{Allowed: reply[0] == 1}
	ahead := reply[1:]
	for limit := range budgets {
		if budgets[limit].IsShared() {
			answer.Ahead[limit], ahead = time.Duration(ahead[0]), ahead[1:]
		}
	}
	if !answer.Allowed && answer.Decision(budgets).RetryAfter == 0 {
		return Answer{}, errors.New("the script refused for no reason")
	}
	return answer, nil
}

// name is a pseudonym of 128 bits, so that the server holds no person. Parts
// are preceded by their length, so that no two keys read the same.
func (s *store) name(limit Limit, key *Key) string {
	mac := hmac.New(sha256.New, []byte(s.secret.Reveal()))
	var length [8]byte
	for _, part := range [...]string{limit.String(), key.Kind, key.Scope, key.Name} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return s.prefix + limit.String() + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
