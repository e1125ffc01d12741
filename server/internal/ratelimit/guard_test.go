package ratelimit

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// liar accepts connections and says the same to each request.
func liar(t *testing.T, says string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				request := make([]byte, 4096)
				for {
					n, err := conn.Read(request)
					if err != nil {
						return
					}
					answer := strings.ReplaceAll(says, "ECHO", strings.Join(strings.Fields(string(request[:n])), " "))
					if _, err := io.WriteString(conn, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "redis://canary-user@" + listener.Addr().String()
}

// Whatever answers in place of Redis, decisions fall back, and the log repeats
// nothing of it. Each of the lengths would otherwise end the process.
func TestAServerThatLies(t *testing.T) {
	t.Parallel()
	for name, says := range map[string]string{
		"a string without end":  "$9223372036854775806\r\n",
		"a large string":        "$60000000000\r\n",
		"an array without end":  "*9000000000000000000\r\n",
		"a large array":         "*10000000000\r\n",
		"a large map":           "%4000000000\r\n",
		"a large set":           "~4000000000\r\n",
		"a large push":          ">4000000000\r\n",
		"a large attribute":     "|4000000000\r\n",
		"a large error":         "!60000000000\r\n",
		"a large text":          "=60000000000\r\n",
		"a length below none":   "$-2\r\n",
		"arrays of arrays":      strings.Repeat("*64\r\n", 1<<16),
		"a line without end":    strings.Repeat("x", 1<<20),
		"another array":         "*1\r\n:1\r\n",
		"an echo":               "ECHO\r\n",
		"an echo as error":      "-ECHO\r\n",
		"a password as code":    "-canary-password is wrong\r\n",
		"HTTP":                  "HTTP/1.1 400 Bad Request\r\ncanary-password\r\n\r\n",
		"a number for an array": ":1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &journal{}
			options := testOptions(liar(t, says), log)
			options.Password, options.Timeout = password(canaryPassword), time.Second
			r, err := NewRedis(NewLocal(16, Monotonic()), options)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); r.Run(ctx) }()
			t.Cleanup(func() { cancel(); <-done })
			await(t, "it to be declared down", func() bool { return r.breaker.is(down) })
			if n := admitted(t, r, 20, budgetsFor(1, Rate{}, Rate{}, mustRate(t, "10/h"))); n != 10 {
				t.Errorf("%d passed, want 10", n)
			}
			if text := log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "cause") {
				t.Errorf("the log:\n%s", text)
			}
		})
	}
}

// A server that grants nobody anything can make nobody wait longer than an empty
// budget takes to fill.
func TestDebtsAreBounded(t *testing.T) {
	t.Parallel()
	rate := mustRate(t, "10/m")
	budgets := budgetsFor(1, Rate{}, Rate{}, rate)
	for debt, known := range map[string]bool{"9223372036854775807": true, "-9223372036854775808": false, "0": false} {
		client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(liar(t, "*2\r\n:0\r\n:"+debt+"\r\n"), "redis://canary-user@"), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		store := newStore("test", testOptions("redis://localhost", nil).KeySecret)
		answer, err := store.ask(t.Context(), client, &budgets)
		if (err == nil) != known {
			t.Errorf("debt %s of a refused call: error %v", debt, err)
		}
		if wait := answer.Decision(&budgets).RetryAfter; wait < 0 || wait > rate.interval {
			t.Errorf("debt %s: wait %v, want at most %v", debt, wait, rate.interval)
		}
	}
}

// The guard lets through, byte by byte, what servers really say.
func TestGuardKnowsAnswers(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		"+OK\r\n", "-ERR 99999999999\r\n", ":9223372036854775807\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n",
		"$12\r\n$99999999999\r\n:1\r\n", "*3\r\n:1\r\n$3\r\n*99\r\n:2\r\n", "%1\r\n+a\r\n_\r\n", "=8\r\ntxt:$999\r\n",
	} {
		g := &guard{}
		for i := range len(said) {
			if !g.follow([]byte{said[i]}) {
				t.Errorf("%q: refused at %d", said, i)
			}
		}
		if g.kind != 0 || g.payload != 0 {
			t.Errorf("%q: more is expected", said)
		}
	}
	if _, err := (&guard{refused: true, Conn: closedConn{}}).Read(nil); !errors.Is(err, errNotRedis) {
		t.Errorf("reads on after a refusal: %v", err)
	}
}

type closedConn struct{ net.Conn }

func (closedConn) Read([]byte) (int, error) { return 0, io.EOF }
