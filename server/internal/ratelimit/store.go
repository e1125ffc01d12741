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

// answer is what the server said: whether it spent, and each budget's debt.
type answer struct {
	allowed bool
	debts   [dimensions]time.Duration
}

// ask makes one round trip for all shared demands. (The first time that a server
// sees the script, it is two.)
func (s *store) ask(ctx context.Context, client *redis.Client, demands *Demands) (answer, error) {
	keys := make([]string, 0, dimensions)
	args := make([]any, 0, 2*dimensions)
	for d := range demands {
		if demands[d].isShared() {
			rate := demands[d].Rate
			keys = append(keys, s.name(Dimension(d), &demands[d].Key))
			args = append(args, int64(rate.interval), int64(rate.refill()))
		}
	}
	reply, err := s.script.Run(ctx, client, keys, args...).Int64Slice()
	if err != nil {
		return answer{}, err //nolint:wrapcheck // its one reader is outage, which needs it bare
	}
	if len(reply) != 1+len(keys) {
		return answer{}, errors.New("the script answered something else")
	}
	a := answer{allowed: reply[0] == 1}
	debts := reply[1:]
	for d := range demands {
		if demands[d].isShared() {
			a.debts[d] = min(max(0, time.Duration(debts[0])), demands[d].Rate.refill()) // whatever a server says
			debts = debts[1:]
		}
	}
	if decision := a.decision(demands); !a.allowed && decision.RetryAfter == 0 {
		return answer{}, errors.New("the script refused for no reason")
	}
	return a, nil
}

// decision names the budget that refused and its wait.
func (a *answer) decision(demands *Demands) Decision {
	decision := Decision{Allowed: a.allowed}
	for d := range demands {
		if a.allowed || !demands[d].isShared() {
			continue
		}
		if _, wait := gcra(0, a.debts[d], demands[d].Rate); wait > 0 {
			decision.refuse(Dimension(d), wait)
		}
	}
	return decision
}

// name is a pseudonym of 128 bits, so that the server holds no person. Parts
// are preceded by their length, so that no two keys read the same.
func (s *store) name(d Dimension, key *Key) string {
	mac := hmac.New(sha256.New, []byte(s.secret.Reveal()))
	var length [8]byte
	for _, part := range [...]string{d.String(), key.Kind, key.Scope, key.Name} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return s.prefix + d.String() + ":" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
