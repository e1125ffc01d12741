package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

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
	for want, c := range map[string]config.Redis{
		"--limit-redis: the URL ":              {LimitRedis: "localhost", LimitRedisPrefix: "p", LimitRedisTimeout: 1},
		"--limit-redis-prefix: the prefix is ": {LimitRedis: "redis://localhost", LimitRedisPrefix: "{p}", LimitRedisTimeout: 1},
		"--limit-redis-password-file: ":        {LimitRedis: "redis://localhost", LimitRedisPasswordFile: "/no/such", LimitRedisPrefix: "p", LimitRedisTimeout: 1},
	} {
		password := c.OpenRedisPassword(nil)
		_, err := c.OpenRedis(nil, password, nil, slog.New(slog.DiscardHandler))
		if password != nil {
			err = password.Problem()
		}
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The flags of TLS go with TLS, and a certificate with its key.
func TestTLSOfRedisGoesTogether(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		redis config.Redis
		want  string // part of the error; empty: there is none
	}{
		{config.Redis{LimitRedis: "redis://a", LimitRedisCA: "/ca"}, "--limit-redis-ca has no use without TLS"},
		{config.Redis{LimitRedisCert: "/cert", LimitRedisKey: "/key"}, "has no use without TLS"},
		{config.Redis{LimitRedis: "rediss://a", LimitRedisCert: "/cert"}, "belong together"},
		{config.Redis{LimitRedis: "rediss://a", LimitRedisKey: "/key"}, "belong together"},
		{config.Redis{LimitRedis: "rediss://a", LimitRedisCA: "/ca"}, ""},
		{config.Redis{LimitRedis: "rediss://a?addr=b:1", LimitRedisCA: "/ca", LimitRedisCert: "/cert", LimitRedisKey: "/key"}, ""},
	} {
		serve := config.Serve{Redis: test.redis}
		serve.AuditKeyFile, serve.LimitRedisTimeout = "/k", time.Second
		if err := serve.ValidateRedis(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: error %v, want %q", test.redis, err, test.want)
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
