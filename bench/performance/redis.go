package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/process"
)

const (
	redisReplicas = 8
	redisLength   = 5 * time.Second
	redisRate     = 1_000 // calls per second, of all replicas together
)

// measureRedis has eight sidecars share their limits, and asks Redis what that costs it.
func (b *bench) measureRedis(ctx context.Context) error {
	if _, err := exec.LookPath("redis-server"); err != nil {
		b.page.Addf("redis", "Not measured: there is no redis-server on this machine.")
		return nil //nolint:nilerr // the page says so
	}
	server, err := b.startRedis(ctx)
	if err != nil {
		return err
	}
	alone, err := spentBy(ctx, server, pause)
	if err != nil {
		return err
	}
	var all replicas
	var processes []*process.Process
	for n := range redisReplicas {
		name := fmt.Sprint("replica", n)
		c, err := b.start(name, b.sidecarCommand(b.sidecar, name, "--limit-redis", "redis://"+server.Options().Addr,
			"--limit-redis-timeout", "1s", "--limit-customer", "10/m:10"))
		if err != nil {
			return err
		}
		all, processes = append(all, c.caller), append(processes, c.process)
	}
	idle, err := spentBy(ctx, server, pause)
	if err != nil {
		return err
	}
	var decided float64
	loaded, err := spentBy(ctx, server, func() (float64, error) {
		before, err := answered(processes)
		if err != nil {
			return 0, err
		}
		result, err := load.Open(ctx, all, redisRate, redisLength, 1)
		if err != nil {
			return 0, err
		}
		after, err := answered(processes)
		decided = (after - before) / float64(result.Calls())
		return float64(result.Calls()), err
	})
	if err != nil {
		return err
	}
	if decided < 1 {
		b.page.Addf("redis", "Not measured: Redis made %.0f %% of the decisions in time; the machine is busy.", 100*decided)
		return nil
	}
	// What Redis does by itself is not what calls cost it.
	loaded.cpu -= alone.cpu / redisRate
	idle = redisCost{
		commands: idle.commands / redisReplicas, received: idle.received / redisReplicas, sent: idle.sent / redisReplicas,
	}
	keys, err := server.DBSize(ctx).Result()
	if err != nil {
		return err
	}
	b.showRedis(idle, loaded, keys)
	return nil
}

func (b *bench) startRedis(ctx context.Context) (*redis.Client, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p, err := process.Start(process.Command{
		Args: []string{"redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"},
		Dir:  b.work, Port: port,
	})
	if err != nil {
		return nil, err
	}
	b.ends = append(b.ends, p.Stop)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	b.ends = append(b.ends, client.Close)
	return client, client.Ping(ctx).Err()
}

// pause lasts as long as the load. Its units are seconds.
func pause() (float64, error) {
	time.Sleep(redisLength)
	return redisLength.Seconds(), nil
}

// answered returns how many decisions Redis has made in time for the replicas.
func answered(processes []*process.Process) (float64, error) {
	var total float64
	for _, p := range processes {
		series, err := p.Metrics()
		if err != nil {
			return 0, err
		}
		total += series[`chatidentity_ratelimit_redis_duration_seconds_count{outcome="answered"}`]
	}
	return total, nil
}

// replicas are called in turn.
type replicas []load.Caller

// Call asks the next replica.
func (r replicas) Call(ctx context.Context, n int64) error { return r[n%int64(len(r))].Call(ctx, n) }

// redisCost is what one unit costs Redis: a call, or a second of an idle replica.
type redisCost struct{ commands, received, sent, cpu float64 }

func spentBy(ctx context.Context, server *redis.Client, do func() (float64, error)) (redisCost, error) {
	before, err := redisCounters(ctx, server)
	if err != nil {
		return redisCost{}, err
	}
	units, err := do()
	if err != nil {
		return redisCost{}, err
	}
	after, err := redisCounters(ctx, server)
	return redisCost{
		(after.commands - before.commands) / units, (after.received - before.received) / units,
		(after.sent - before.sent) / units, 1e6 * (after.cpu - before.cpu) / units,
	}, err
}

func redisCounters(ctx context.Context, server *redis.Client) (redisCost, error) {
	text, err := server.Info(ctx, "all").Result()
	if err != nil {
		return redisCost{}, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			values[name] = number
		}
		if command, found := strings.CutPrefix(name, "cmdstat_"); found && isSent(command) {
			count, _, _ := strings.Cut(strings.TrimPrefix(value, "calls="), ",")
			number, err := strconv.ParseFloat(count, 64)
			if err != nil {
				return redisCost{}, errors.New("redis counts its commands in another way: " + line)
			}
			values["sent"] += number
		}
	}
	return redisCost{
		commands: values["sent"], received: values["total_net_input_bytes"], sent: values["total_net_output_bytes"],
		cpu: values["used_cpu_sys"] + values["used_cpu_user"],
	}, nil
}

// isSent reports whether clients send the command; the others are what a script calls.
func isSent(command string) bool {
	switch command {
	case "get", "set", "time", "info", "dbsize":
		return false
	default:
		return true
	}
}

func (b *bench) showRedis(idle, loaded redisCost, keys int64) {
	b.page.Table("redis", []string{
		"eight replicas", "commands", "bytes to Redis", "bytes from Redis", "CPU of Redis, µs",
	}, [][]string{
		{
			fmt.Sprintf("a call (%d calls a second in all)", redisRate),
			num(loaded.commands), num(loaded.received), num(loaded.sent), num(loaded.cpu),
		},
		{"a second of an idle replica", num(idle.commands), num(idle.received), num(idle.sent), ""},
	})
	b.page.Addf("redis", "Redis held %d keys afterwards.\n", keys)
	var table [][]string
	for _, rate := range []float64{1, 10, 50, 200} {
		const fleet = 1000
		calls := fleet * rate
		cpu := calls * loaded.cpu / 1e6
		table = append(table, []string{
			fmt.Sprintf("%g", rate), fmt.Sprintf("%.0f", calls*loaded.commands+fleet*idle.commands),
			fmt.Sprintf("%.1f · %.1f", calls*loaded.received/1e6, calls*loaded.sent/1e6), fmt.Sprintf("%.0f %%", 100*cpu),
			fmt.Sprintf("%.0f", math.Floor(1e6/(rate*loaded.cpu))),
		})
	}
	b.page.Addf("redis", "Extrapolated to a thousand replicas:\n")
	b.page.Table("redis", []string{
		"calls/s of each", "commands/s", "MB/s to · from Redis", "of one core of Redis", "replicas that fill one core",
	}, table)
}

func num(value float64) string { return strconv.FormatFloat(value, 'f', 2, 64) }
