package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func TestRedisHoldsNoPersonAndForgetsInTime(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	var call ratelimit.Budgets
	names := make([]string, 0, len(call))
	for _, limit := range ratelimit.Limits() {
		call[limit] = ratelimit.Budget{
			Key:  ratelimit.Key{Kind: "email", Scope: "canary-org", Name: "canary@example.com"},
			Rate: ratelimit.MustRate("2/s:10"),
		}
		names = append(names, limit.String())
	}
	for range 3 {
		take(t, r, call)
	}
	keys := s.do("KEYS", "*limits*").([]any)
	if len(keys) < len(names) {
		t.Fatalf("only %d keys: %v", len(keys), keys)
	}
	form := regexp.MustCompile(`^chatidentity:\{limits\}:(` + strings.Join(names, "|") + `):[A-Za-z0-9_-]{22}$`)
	for _, key := range keys {
		if !form.MatchString(key.(string)) || strings.Contains(key.(string), "canary") {
			t.Errorf("key %v is not a pseudonym", key)
		}
		// -2: gone in between. A key without an expiry would say -1.
		if ms := s.do("PTTL", key).(int64); ms == -1 || ms > 1500 {
			t.Errorf("key %v stays for %d ms, want 1500 at most", key, ms)
		}
	}
	await(t, "the keys to expire", func() bool { return s.do("DBSIZE").(int64) == 0 })
}

// Replicas with the same secret agree on a budget's key, and nobody else can compute it.
func TestRedisNames(t *testing.T) {
	t.Parallel()
	key := ratelimit.Key{Kind: "email", Scope: "default", Name: "a@example.com"}
	one, same := newScript("p", sensitive.New(keySecret)), newScript("p", sensitive.New(keySecret))
	other := newScript("p", sensitive.New("another secret of some length"))
	if one.key(ratelimit.Customer, &key) != same.key(ratelimit.Customer, &key) {
		t.Error("two replicas name one budget differently")
	}
	seen := map[string]string{}
	for what, name := range map[string]string{
		"the key":        one.key(ratelimit.Customer, &key),
		"another secret": other.key(ratelimit.Customer, &key),
		"another limit":  one.key(ratelimit.Caller, &key),
		"parts moved":    one.key(ratelimit.Customer, &ratelimit.Key{Kind: "emaild", Scope: "efault", Name: "a@example.com"}),
		"another name":   one.key(ratelimit.Customer, &ratelimit.Key{Kind: "email", Scope: "default", Name: "b@example.com"}),
	} {
		if before, found := seen[name]; found {
			t.Errorf("%s has the name of %s", what, before)
		}
		seen[name] = what
	}
}

func TestRedisScriptFlushed(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, log := replica(t, s, nil)
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))
	before := admitted(t, r, 4, call)
	s.do("SCRIPT", "FLUSH")
	if n := before + admitted(t, r, 20, call); n != 10 {
		t.Errorf("%d passed, want 10", n)
	}
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("taken for a failure:\n%s", log)
	}
}

// When the server has lost its memory, the pod still has its own.
func TestRedisFlushedGrantsNoFreshBurst(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	call := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))
	before := admitted(t, r, 20, call)
	s.do("FLUSHALL")
	if after := admitted(t, r, 20, call); before != 10 || after != 0 {
		t.Errorf("%d passed before and %d after, want 10 and 0", before, after)
	}
}

func TestRedisRateChanges(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	fresh, _ := replica(t, s, nil)
	slow, fast := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("1/h")), budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/s:5"))
	take(t, r, slow)
	decision := take(t, fresh, fast)
	if decision.Allowed || decision.RetryAfter > 100*time.Millisecond {
		t.Fatalf("after the change: %+v, want an empty budget at the new rate", decision)
	}
	<-time.After(decision.RetryAfter)
	if !take(t, fresh, fast).Allowed {
		t.Error("the new rate does not count")
	}
}

// The server counts as the local budgets do, for any rate, as exactly as its clock allows.
func TestRedisCountsAsLocalDoes(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r, _ := replica(t, s, nil)
	client := r.client.Load()
	for i, text := range []string{"1/h", "1/h:720", "3/s:7", "7/m:9", "999983/h:1000", "1000000/s:3", "1000000/s:1000000"} {
		rate := ratelimit.MustRate(text)
		call := ratelimit.Budgets{ratelimit.Customer: {Key: customerKey(i), Rate: rate}}
		var spent time.Duration
		start := time.Now()
		for n := range 10 {
			reply, err := r.script.run(t.Context(), client, &call)
			if err != nil {
				t.Fatal(err)
			}
			if reply.Allowed {
				spent += rate.Interval()
			}
			elapsed := time.Since(start) + time.Microsecond
			if ahead := reply.Ahead[ratelimit.Customer]; ahead > spent || ahead < spent-elapsed {
				t.Fatalf("%s, call %d: %d ns ahead, want %d less up to %d", text, n, ahead, spent, elapsed)
			}
			if !reply.Allowed && reply.Ahead[ratelimit.Customer]+rate.Interval() <= rate.Refill() {
				t.Fatalf("%s, call %d: refused with room for it", text, n)
			}
		}
	}
}

// Nothing is asked under a key secret that is short, or not there yet.
func TestNothingIsAskedWithoutTheKeySecret(t *testing.T) {
	t.Parallel()
	missing := errors.New("not there yet")
	options := testOptions("redis://localhost", &journal{})
	script := keyed{options: &options}
	budgets := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/m"))
	for want, secret := range map[string]func() (sensitive.String, error){
		"shorter than 16 bytes": func() (sensitive.String, error) { return sensitive.New("canary"), nil },
		"not there yet":         func() (sensitive.String, error) { return sensitive.String{}, missing },
	} {
		options.KeySecret = secret
		if _, err := script.run(t.Context(), nil, &budgets); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// The model of script.lua, over which TestModel drives replicas, decides as the script does in a real
// server. Only the clock is not the server's, and with it the expiry of keys.
func TestScriptDecidesAsItsModel(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	text := scriptText
	for old, by := range map[string]string{
		"redis.call('TIME')":                  "{ARGV[#ARGV - 1], ARGV[#ARGV]}",
		", 'PX', math.ceil(ahead / 1000000))": ")",
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("the script has no %s", old)
		}
		text = strings.Replace(text, old, by, 1)
	}
	random := rand.New(rand.NewPCG(5, 5))
	rates := []string{"1/h", "1/h:720", "3/s:7", "7/m:9", "999983/h:1000", "1000000/s:3"}
	now := 1_790_000_000 * time.Second
	model := &simServer{clock: func() time.Duration { return now }, tats: map[string]int64{}}
	script := goredis.NewScript(text)
	for n := range 4000 {
		now += time.Duration(random.Int64N(int64(2 * time.Second)))
		if random.IntN(50) == 0 {
			now += time.Duration(random.Int64N(int64(2*time.Hour))) - time.Hour
		}
		var keys []string
		var args []int64
		for limit := range 1 + random.IntN(3) {
			rate := ratelimit.MustRate(rates[random.IntN(len(rates))])
			keys = append(keys, fmt.Sprint(limit, random.IntN(3)))
			args = append(args, int64(rate.Interval()), int64(rate.Refill()))
		}
		want := model.script(keys, args)
		seconds, micros := model.now()/int64(time.Second), model.now()%int64(time.Second)/1000
		sent := []any{}
		for _, arg := range append(slices.Clone(args), seconds, micros) {
			sent = append(sent, arg)
		}
		got, err := script.Run(t.Context(), s.admin, keys, sent...).Int64Slice()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("decision %d of %v %v: %v, %v, want %v", n, keys, args, got, err, want)
		}
	}
}
