// App stands for the backend in a pod. From its first moment to its last, its own shutdown
// included, it asks for one token after the other and tries none again; over HTTP it tells what
// came of that, and at its end it tells the suite.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const (
	socket  = "/run/chatidentity/chatidentity.sock"
	timeout = 2 * time.Second // of a call
)

type options struct {
	address  string
	calls    int
	drain    time.Duration
	pace     time.Duration
	customer string
	ids      bool
	flood    int
	report   string
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "", "the sidecar's address; none: its socket if it is there, or loopback")
	flag.IntVar(&o.calls, "calls", 0, "end after so many calls; 0: after SIGTERM")
	flag.DurationVar(&o.drain, "drain", 2*time.Second, "how long to go on after SIGTERM")
	flag.DurationVar(&o.pace, "pace", 10*time.Millisecond, "the time between two calls")
	flag.StringVar(&o.customer, "customer", "", "whom to ask for; none: another customer each time")
	flag.BoolVar(&o.ids, "ids", false, "report the audit IDs")
	flag.IntVar(&o.flood, "flood", 0, "so many connections call without a pause, eight calls at a time each")
	flag.StringVar(&o.report, "report", "", "where to send the report at the end")
	flag.Parse()
	if o.address == "" {
		o.address = "127.0.0.1:9451"
		if _, err := os.Stat(socket); err == nil {
			o.address = "unix://" + socket
		}
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	terminated, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	drained, end := context.WithCancel(context.Background())
	defer end()
	context.AfterFunc(terminated, func() { time.AfterFunc(o.drain, end) })

	seen := newSeen(o.ids)
	go seen.watchStalls(drained)
	var err error
	if o.flood > 0 {
		err = flood(terminated, o, seen)
	} else {
		go serve(seen)
		err = ask(drained, terminated, o, seen)
	}
	if err != nil {
		return err
	}
	return send(o.report, seen)
}

// ask asks for tokens, one after the other.
func ask(drained, terminated context.Context, o options, seen *seen) error {
	client, closeClient, err := dial(o.address)
	if err != nil {
		return err
	}
	defer closeClient() //nolint:errcheck // it ends with the program
	ticks := time.NewTicker(o.pace)
	defer ticks.Stop()
	for n := 1; ; n++ {
		seen.call(client, o.customer, n, terminated.Err() != nil)
		if n == o.calls {
			return nil
		}
		select {
		case <-ticks.C:
		case <-drained.Done():
			return nil
		}
	}
}

// flood calls without a pause, over many connections.
func flood(terminated context.Context, o options, seen *seen) error {
	var calling sync.WaitGroup
	for connection := range o.flood {
		client, closeClient, err := dial(o.address)
		if err != nil {
			return err
		}
		defer closeClient() //nolint:errcheck // another is dialled
		for call := range 8 {
			calling.Go(func() {
				for n := 0; terminated.Err() == nil; n++ {
					seen.call(client, fmt.Sprintf("flood_%d_%d_%d", connection, call, n), 0, false)
				}
			})
		}
	}
	calling.Wait()
	return nil
}

func dial(address string) (pb.ChatIdentityServiceClient, func() error, error) {
	connection, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: quick, MinConnectTimeout: time.Second}))
	if err != nil {
		return nil, nil, err
	}
	return pb.NewChatIdentityServiceClient(connection), connection.Close, nil
}

func serve(seen *seen) {
	mux := http.NewServeMux()
	mux.HandleFunc("/ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/report", func(answer http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(answer).Encode(seen.report(false)) //nolint:errcheck // the asker sees half an answer
	})
	server := http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: timeout}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "app:", err)
	}
}

// send posts the last report.
func send(to string, seen *seen) error {
	text, err := json.Marshal(seen.report(true))
	if err != nil || to == "" {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it was only read
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}
