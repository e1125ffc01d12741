//go:build linux

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const answered = "OK"

// app is the backend next door. Until it stops, it asks for tokens over a connection that it keeps,
// and over one that it opens for the call.
type app struct {
	t    *testing.T
	pod  *pod
	stop func()

	calls      atomic.Int64
	mu         sync.Mutex
	kept, anew map[string]int // how often the app met an answer: OK, a reason, or a code without one
}

func startApp(t *testing.T, p *pod) *app {
	t.Helper()
	a := &app{t: t, pod: p, kept: map[string]int{}, anew: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var calling sync.WaitGroup
	a.stop = sync.OnceFunc(func() {
		cancel()
		calling.Wait()
	})
	t.Cleanup(a.stop)
	connection := a.dial()
	t.Cleanup(func() { connection.Close() })
	for range 2 {
		calling.Go(func() { a.callUntil(ctx, a.kept, func() string { return a.ask(connection) }) })
		calling.Go(func() { a.callUntil(ctx, a.anew, a.askAnew) })
	}
	return a
}

// callUntil calls 40 times a second at most.
func (a *app) callUntil(ctx context.Context, met map[string]int, call func() string) {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		got := call()
		a.mu.Lock()
		met[got]++
		a.mu.Unlock()
	}
}

func (a *app) dial() *grpc.ClientConn {
	a.t.Helper()
	connection, err := grpc.NewClient("unix:"+a.pod.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		a.t.Error(err)
	}
	return connection
}

func (a *app) askAnew() string {
	connection := a.dial()
	defer connection.Close()
	return a.ask(connection)
}

// ask asks for the token of another customer each time.
func (a *app) ask(connection *grpc.ClientConn) string {
	client := pb.NewChatIdentityServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), a.pod.deadline)
	defer cancel()
	reply, err := client.IssueToken(ctx, issueFor(fmt.Sprintf("user_%d", a.calls.Add(1)), ""))
	a.pod.trail.answered(reply, err)
	return answerOf(err)
}

func answerOf(err error) string {
	if told := reason(err); told != "" {
		return told
	}
	return status.Code(err).String()
}

// isReason tells a reason of the sidecar from a code of gRPC alone.
func isReason(answer string) bool { return answer != answered && answer == strings.ToUpper(answer) }

// all is what the app met over all connections.
func (a *app) all() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := maps.Clone(a.kept)
	for answer, n := range a.anew {
		all[answer] += n
	}
	if a.pod.others != nil {
		maps.Copy(all, a.pod.others())
	}
	return all
}

// connects waits until the connection that is kept is there.
func (a *app) connects() {
	a.t.Helper()
	eventually(a.t, "answer", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.kept) > 0
	})
}

// meets waits until there are more of the answer than before.
func (a *app) meets(answer string, before map[string]int) {
	a.t.Helper()
	what := fmt.Sprintf("%s more than %v", answer, before)
	eventually(a.t, what, func() bool { return a.all()[answer] > before[answer] })
}

// recovers waits for a token over the connection that is kept and over a new one.
func (a *app) recovers() {
	a.t.Helper()
	tokens := func() (int, int) {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.kept[answered], a.anew[answered]
	}
	kept, anew := tokens()
	eventually(a.t, "token over each connection", func() bool {
		keptNow, anewNow := tokens()
		return keptNow > kept && anewNow > anew
	})
}

func (a *app) assertAnswers(how string, met map[string]int, may []string) {
	a.t.Helper()
	a.t.Logf("%s: %v", how, met)
	for answer, n := range met {
		if answer != answered && !slices.Contains(may, answer) {
			a.t.Errorf("%s %d calls met %s", how, n, answer)
		}
	}
	if met[answered] == 0 {
		a.t.Errorf("%s there was no token", how)
	}
}
