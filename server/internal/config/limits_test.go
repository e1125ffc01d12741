package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/config"
	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// Every limit has a flag that sets its rate, is in the documentation's table with that flag and its
// default, and is named by the contract.
func TestEveryLimitHasItsFlag(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	contract, err := os.ReadFile("../../../proto/chatidentity/v1/chat_identity_service.proto")
	if err != nil {
		t.Fatal(err)
	}
	for i, limit := range ratelimit.Limits() {
		var serve config.Serve
		name := limit.String()
		flag := flagOf(&serve, "limit-"+name)
		if flag == nil {
			t.Errorf("--limit-%s: there is no such flag", name)
			continue
		}
		given := fmt.Sprintf("%d/s:%d", 1+i, 1+i)
		if err := flag.Set(given); err != nil {
			t.Fatal(err)
		}
		if rates := serve.LimitRates; rates[limit].String() != given {
			t.Errorf("--limit-%s %s has no effect: the rates are %v", name, given, rates)
		}
		if row := fmt.Sprintf("\n| `%s` | `--limit-%s` | `%s` | ", name, name, flag.Default); !strings.Contains(string(page), row) {
			t.Errorf("docs/limits.md has no row %q", row)
		}
		if !strings.Contains(string(contract), "`"+name+"`") {
			t.Errorf("the contract does not name `%s`", name)
		}
	}
}

// What is wrong with a shared limiter's configuration is said of the flag that is wrong.
func TestSharedLimitsSayWhichFlagIsWrong(t *testing.T) {
	t.Parallel()
	key, err := audit.NewEphemeralKey()
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]config.Redis{
		"--limit-redis: the URL ":              {LimitRedis: "localhost", LimitRedisPrefix: "p", LimitRedisTimeout: 1},
		"--limit-redis-prefix: the prefix is ": {LimitRedis: "redis://localhost", LimitRedisPrefix: "{p}", LimitRedisTimeout: 1},
		"--limit-redis-password-file: ":        {LimitRedis: "redis://localhost", LimitRedisPasswordFile: "/no/such", LimitRedisPrefix: "p", LimitRedisTimeout: 1},
	} {
		if _, err := c.Open([]*audit.Key{key}, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// flagOf returns the flag of that name; nil: there is none.
func flagOf(serve *config.Serve, name string) *config.Flag {
	for _, group := range serve.Flags() {
		for _, flag := range group.Flags {
			if flag.Name == name {
				return &flag
			}
		}
	}
	return nil
}
