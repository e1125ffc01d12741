package config_test

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
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
		name := limit.String()
		field, found := reflect.TypeFor[config.Limits]().FieldByName("Limit" + strings.ToUpper(name[:1]) + name[1:])
		if !found {
			t.Errorf("--limit-%s: there is no such flag", name)
			continue
		}
		var limits config.Limits
		flag := reflect.ValueOf(&limits).Elem().FieldByIndex(field.Index).Addr().Interface().(*ratelimit.Rate)
		if err := flag.UnmarshalText(fmt.Appendf(nil, "%d/s", 1+i)); err != nil {
			t.Fatal(err)
		}
		if rates := limits.Rates(); rates[limit] != *flag || flag.IsOff() {
			t.Errorf("--limit-%s %v has no effect: the rates are %v", name, *flag, rates)
		}
		if row := fmt.Sprintf("\n| `%s` | `--limit-%s` | `%s` | ", name, name, field.Tag.Get("default")); !strings.Contains(string(page), row) {
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
