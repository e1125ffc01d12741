package redis

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

// liar accepts connections and gives the same answer to every request.
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

// Whatever answers in place of Redis, decisions fall back and the log repeats nothing of the
// answer. Without the bounds, some of the lengths make the process run out of memory.
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
			r, err := New(ratelimit.NewLocal(16, ratelimit.Monotonic()), options)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); r.Run(ctx) }()
			t.Cleanup(func() { cancel(); <-done })
			await(t, "it to be declared down", func() bool { return r.breaker.is(down) })
			if n := admitted(t, r, 20, budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, ratelimit.MustRate("10/h"))); n != 10 {
				t.Errorf("%d passed, want 10", n)
			}
			await(t, "the cause to be logged", func() bool { return strings.Contains(log.String(), "event=outage_began") })
			if text := log.String(); strings.Contains(text, "canary") {
				t.Errorf("the log says too much:\n%s", text)
			}
		})
	}
}

// A server that refuses every call cannot make anybody wait longer than an empty budget takes to
// admit one.
func TestWhatAServerAnswersIsBounded(t *testing.T) {
	t.Parallel()
	rate := ratelimit.MustRate("10/m")
	budgets := budgetsFor(1, ratelimit.Rate{}, ratelimit.Rate{}, rate)
	for ahead, known := range map[string]bool{"9223372036854775807": true, "-9223372036854775808": false, "0": false} {
		client := goredis.NewClient(&goredis.Options{Addr: strings.TrimPrefix(liar(t, "*2\r\n:0\r\n:"+ahead+"\r\n"), "redis://canary-user@"), Protocol: 2, DisableIdentity: true, MaxRetries: -1})
		t.Cleanup(func() { _ = client.Close() })
		script := newScript("test", sensitive.New(keySecret))
		answer, err := script.run(t.Context(), client, &budgets)
		if (err == nil) != known {
			t.Errorf("a refused call that is %s ahead: error %v", ahead, err)
		}
		if wait := answer.Decision(&budgets).RetryAfter; wait < 0 || wait > rate.Interval() {
			t.Errorf("%s ahead: wait %v, want at most %v", ahead, wait, rate.Interval())
		}
	}
}

// What servers really say gets through, in whatever pieces it comes.
func TestBoundedConnKnowsAnswers(t *testing.T) {
	t.Parallel()
	for _, said := range []string{
		"+OK\r\n", "-ERR 99999999999\r\n", ":9223372036854775807\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n",
		"$12\r\n$99999999999\r\n:1\r\n", "*3\r\n:1\r\n$3\r\n*99\r\n:2\r\n", "%1\r\n+a\r\n_\r\n", "=8\r\ntxt:$999\r\n",
	} {
		for how, pieces := range map[string]func(io.Reader) io.Reader{
			"at once":      func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
		} {
			conn := newBoundedConn(&answering{Reader: pieces(strings.NewReader(said))})
			if got, err := io.ReadAll(iotest.OneByteReader(conn)); err != nil || string(got) != said {
				t.Errorf("%s: %q reads as %q, %v", how, said, got, err)
			}
		}
	}
}

// A connection that has refused an answer, or has more than one for a request, is of no further
// use.
func TestBoundedConnStaysRefused(t *testing.T) {
	t.Parallel()
	for what, said := range map[string]string{"a lie": "$99999999\r\n+OK\r\n+OK\r\n", "two answers": "+OK\r\n+OK\r\n"} {
		conn := newBoundedConn(&answering{Reader: strings.NewReader(said)})
		first, last := make([]byte, 5), make([]byte, 5)
		_, _ = conn.Read(first)
		if _, err := conn.Write([]byte("PING\r\n")); !errors.Is(err, errNotRedis) {
			t.Errorf("%s: writes on: %v", what, err)
		}
		if n, err := conn.Read(last); !errors.Is(err, errNotRedis) {
			t.Errorf("%s: reads on: %q, %v", what, last[:n], err)
		}
	}
}

// answering is a connection that says what its reader says.
type answering struct {
	net.Conn
	io.Reader
}

func (a *answering) Read(p []byte) (int, error)  { return a.Reader.Read(p) }
func (a *answering) Write(p []byte) (int, error) { return len(p), nil }
